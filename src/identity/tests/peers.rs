//! Names of a peer: the one a proxy reports, and those of the certificate it may send.

use proptest::prelude::*;

use super::certificates::{CertificateMaker, SubjectAttribute, encode, pem};
use super::*;
use crate::attributes::{Attributes, Peer};

fn attributes(principal: &str, certificate: &str) -> Attributes {
    Attributes {
        source: Some(Peer {
            principal: principal.to_owned(),
            certificate: certificate.to_owned(),
            ..Peer::default()
        }),
        ..Attributes::default()
    }
}

fn names(principal: &str, certificate: &str) -> Result<Vec<String>, CertificateError> {
    let attributes = attributes(principal, certificate);
    let peer = PeerIdentity::of(&attributes)?;
    Ok(peer.names().map(str::to_owned).collect())
}

#[test]
fn peers_without_certificate_have_at_most_one_name() {
    assert_eq!(PeerIdentity::new("").display(), None);
    assert_eq!(PeerIdentity::new("").names().count(), 0);
    assert_eq!(PeerIdentity::new("CN=x").display(), Some("CN=x"));
    assert_eq!(names("CN=x", ""), Ok(vec!["CN=x".to_owned()]));
    assert_eq!(names("", ""), Ok(vec![]));
}

#[test]
fn every_name_of_a_certificate_counts() {
    use CertificateError::Principal;
    let all = CertificateMaker::default()
        .dns("one")
        .uri("spiffe://td/a")
        .alternative(0x87, &[1, 2, 3, 4])
        .uri("spiffe://td/b")
        .dns("two")
        .common_name("x")
        .alternative(0x81, b"a@b");
    let dns = CertificateMaker::default().dns("one").common_name("x");
    let subject = CertificateMaker::default().common_name("x");
    let mail = subject.clone().alternative(0x81, b"a@b");
    let nothing = CertificateMaker::default();
    let empty = CertificateMaker::with_uris(&[""]);
    let all_names: &[&str] = &["spiffe://td/a", "spiffe://td/b", "one", "two", "CN=x"];
    let rows: &[(&CertificateMaker, &str, Result<&[&str], CertificateError>)] = &[
        (&all, "spiffe://td/a", Ok(all_names)),
        (&all, "spiffe://td/b", Ok(all_names)),
        (&all, "spiffe://td/c", Err(Principal)),
        (&all, "spiffe://td/a/", Err(Principal)),
        (&all, "1.2.3.4", Err(Principal)),
        (&all, "a@b", Err(Principal)),
        (&all, "", Err(Principal)),
        (&dns, "one", Ok(&["one", "CN=x"])),
        (&dns, "", Err(Principal)),
        (&subject, "CN=x", Ok(&["CN=x"])),
        (&subject, "x", Err(Principal)),
        (&subject, "", Err(Principal)),
        (&mail, "CN=x", Ok(&["CN=x"])),
        (&nothing, "", Ok(&[])),
        (&nothing, "spiffe://td/a", Err(Principal)),
        (&empty, "", Ok(&[])),
    ];
    for (certificate, principal, expected) in rows {
        let expected = expected.map(|names| names.iter().map(ToString::to_string).collect());
        let actual = names(principal, &certificate.text());
        assert_eq!(actual, expected, "{principal:?} {certificate:?}");
    }
    let attributes = attributes("spiffe://td/b", &all.text());
    let peer = PeerIdentity::of(&attributes).unwrap();
    assert_eq!(peer.display(), Some("spiffe://td/b"));
}

#[test]
fn a_spiffe_id_is_the_only_uri() {
    let id = "spiffe://td/a";
    let rows: &[(CertificateMaker, &str, bool)] = &[
        (CertificateMaker::with_uris(&[id]), id, true),
        (
            CertificateMaker::with_uris(&[id]).dns("a").common_name("x"),
            id,
            true,
        ),
        (
            CertificateMaker::with_uris(&[id, "spiffe://td/b"]),
            id,
            false,
        ),
        (CertificateMaker::with_uris(&[id, id]), id, false),
        (CertificateMaker::with_uris(&["https://a", id]), id, false),
        (
            CertificateMaker::with_uris(&["https://a"]),
            "https://a",
            false,
        ),
        (CertificateMaker::default().dns(id), id, false),
    ];
    for (certificate, principal, expected) in rows {
        let attributes = attributes(principal, &certificate.text());
        let peer = PeerIdentity::of(&attributes).unwrap();
        assert_eq!(peer.spiffe_id().is_some(), *expected, "{certificate:?}");
    }
    assert!(PeerIdentity::new(id).spiffe_id().is_some());
    assert!(PeerIdentity::new("CN=x").spiffe_id().is_none());
    assert!(PeerIdentity::new("").spiffe_id().is_none());
}

#[test]
fn certificates_that_are_none_are_told() {
    use CertificateError::{
        AlternativeNames, ControlCharacters, Pem, Subject, TooLong, TooManyNames, X509,
    };
    let id = "spiffe://td/a";
    let good = CertificateMaker::with_uris(&[id]);
    let (der, block) = (good.der(), pem(&good.der()));
    let with = |tag: u8, value: &[u8]| good.clone().alternative(tag, value).text();
    let many = |count: usize| {
        let uris = vec![id; count];
        CertificateMaker::with_uris(&uris).text()
    };
    let subject = |tag: u8, value: &[u8]| good.clone().part(&[(&[0x55, 4, 3], tag, value)]).text();
    let longest = "A".repeat(64 * 1024);
    let mut trailing = der.clone();
    trailing.push(0);
    let rows = [
        ("nothing odd", Ok(()), encode(&block)),
        ("no break at the end", Ok(()), encode(block.trim())),
        ("other breaks", Ok(()), encode(&block.replace('\n', "\r\n"))),
        ("not encoded", Ok(()), block.clone()),
        ("longest", Err(Pem), longest.clone()),
        ("too long", Err(TooLong), format!("{longest}A")),
        ("no PEM", Err(Pem), "x".to_owned()),
        ("a broken escape", Err(Pem), "%zz".to_owned()),
        ("no UTF-8", Err(Pem), "%ff".to_owned()),
        ("two blocks", Err(Pem), encode(&block.repeat(2))),
        ("text before", Err(Pem), encode(&format!("x\n{block}"))),
        ("text behind", Err(Pem), encode(&format!("{block}x"))),
        (
            "another label",
            Err(Pem),
            encode(&block.replace("CERTIFICATE", "PUBLIC KEY")),
        ),
        (
            "base64 for URLs",
            Err(Pem),
            encode(&pem(&[0xff; 30]).replace('/', "_")),
        ),
        ("an empty block", Err(X509), encode(&pem(b""))),
        ("garbage", Err(X509), encode(&pem(b"garbage"))),
        ("cut off", Err(X509), encode(&pem(&der[..der.len() - 1]))),
        ("bytes behind", Err(X509), encode(&pem(&trailing))),
        ("NUL in a URI", Err(ControlCharacters), with(0x86, b"a\0")),
        (
            "NUL in a DNS name",
            Err(ControlCharacters),
            with(0x82, b"a\0b"),
        ),
        (
            "NUL in an address",
            Err(ControlCharacters),
            with(0x81, b"a\0@b"),
        ),
        ("CR in a URI", Err(ControlCharacters), with(0x86, b"a\rb")),
        (
            "DEL in a URI",
            Err(ControlCharacters),
            with(0x86, b"a\x7fb"),
        ),
        (
            "no ASCII in a URI",
            Err(AlternativeNames),
            with(0x86, "ä".as_bytes()),
        ),
        ("an unknown kind", Err(AlternativeNames), with(0x8a, b"a")),
        (
            "two extensions",
            Err(AlternativeNames),
            good.clone()
                .end_of_alternative()
                .uri("spiffe://td/b")
                .text(),
        ),
        ("as many names as may be", Ok(()), many(128)),
        ("more names", Err(TooManyNames), many(129)),
        ("a subject that is a number", Err(Subject), subject(2, &[1])),
        (
            "a subject of broken text",
            Err(Subject),
            subject(0x0c, &[0xff]),
        ),
        (
            "a subject of half a character",
            Err(Subject),
            subject(0x1e, &[0]),
        ),
    ];
    for (about, expected, text) in rows {
        assert_eq!(names(id, &text).map(drop), expected, "{about}");
    }
}

/// The texts are those of Envoy 1.40 for certificates with these subjects.
#[test]
fn subjects_read_as_envoy_writes_them() {
    let common_name: &[u8] = &[0x55, 4, 3];
    let unknown: &[u8] = &[0x2a, 3, 4];
    let one = |tag, value: &'static [u8]| vec![vec![(common_name, tag, value)]];
    let rows: Vec<(Vec<Vec<SubjectAttribute<'_>>>, &str)> = vec![
        (one(0x13, b"p"), "CN=p"),
        (one(0x0c, "ä".as_bytes()), "CN=\\C3\\A4"),
        (one(0x14, b"\xe4"), "CN=\\C3\\A4"),
        (one(0x1e, b"\x00\xe4\x00b"), "CN=\\C3\\A4b"),
        (one(0x16, b"a@b"), "CN=a@b"),
        (one(0x12, b"12"), "CN=12"),
        (one(0x0c, b" a "), "CN=\\ a\\ "),
        (one(0x0c, b" "), "CN=\\ "),
        (one(0x0c, b"#a#"), "CN=\\#a#"),
        (one(0x0c, b",+\"\\<>;=/"), "CN=\\,\\+\\\"\\\\\\<\\>\\;=/"),
        (one(0x0c, b"a\tb\x7f"), "CN=a\\09b\\7F"),
        (one(0x0c, b"a\0b"), "CN=a\\00b"),
        (one(0x0c, b""), "CN="),
        (
            vec![
                vec![(common_name, 0x0c, b"a")],
                vec![
                    (&[0x55, 4, 10], 0x0c, b"x"),
                    (&[0x55, 4, 11], 0x0c, b"y"),
                    (unknown, 0x0c, b"z"),
                ],
                vec![(&[0x55, 4, 6], 0x13, b"DE")],
            ],
            "C=DE,OU=y+O=x+1.2.3.4=#0C017A,CN=a",
        ),
        (
            vec![vec![(
                &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 9, 1],
                0x16,
                b"a@b",
            )]],
            "emailAddress=a@b",
        ),
    ];
    for (parts, expected) in rows {
        let certificate = parts
            .iter()
            .fold(CertificateMaker::default(), |maker, part| maker.part(part));
        assert_eq!(
            names(expected, &certificate.text()),
            Ok(vec![expected.to_owned()])
        );
    }
}

/// A change to a certificate: at a place of it, another byte, or the end.
fn mutate(mut der: Vec<u8>, changes: &[(usize, Option<u8>)]) -> Vec<u8> {
    for (at, byte) in changes {
        let at = at % (der.len() + 1);
        match byte {
            Some(byte) if at < der.len() => der[at] = *byte,
            Some(byte) => der.push(*byte),
            None => der.truncate(at),
        }
    }
    der
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_certificate_makes_us_fail(
        changes in prop::collection::vec((any::<usize>(), prop::option::weighted(0.95, any::<u8>())), 1..6),
        text in "(%[0-9a-f]{2}|[A-Za-z0-9+/=\n-]){0,200}",
    ) {
        let certificate = CertificateMaker::with_uris(&["spiffe://td/a", "spiffe://td/b"])
            .dns("one")
            .common_name("x,y")
            .der();
        let mutated = mutate(certificate, &changes);
        for text in [encode(&pem(&mutated)), text] {
            // Whatever is accepted is accepted under its principal and holds nothing odd.
            for name in names("spiffe://td/a", &text).unwrap_or_default() {
                prop_assert!(!name.is_empty() && !name.bytes().any(|byte| byte.is_ascii_control()));
            }
        }
    }
}
