//! Addresses that are asked and that are not.

use super::*;

#[test]
fn addresses_that_are_never_asked() {
    let rows = [
        ("127.0.0.1", true),
        ("10.0.0.1", true),
        ("172.16.0.1", true),
        ("192.168.1.1", true),
        ("100.64.0.1", true),
        ("8.8.8.8", true),
        ("169.253.255.255", true),
        ("169.255.0.0", true),
        ("169.254.0.0", false),
        ("169.254.169.254", false),
        ("169.254.170.2", false),
        ("169.254.255.255", false),
        ("100.100.100.200", false),
        ("192.0.0.192", false),
        ("168.63.129.16", false),
        ("0.0.0.0", false),
        ("224.0.0.1", false),
        ("255.255.255.255", false),
        ("::1", true),
        ("fd12:3456::1", true),
        ("2001:db8::1", true),
        ("fd00:ec3::254", true),
        ("::", false),
        ("fe80::1", false),
        ("febf::1", false),
        ("fec0::1", true),
        ("ff02::1", false),
        ("fd00:ec2::254", false),
        ("fd20:ce::254", false),
        // The same in IPv6's clothes.
        ("::ffff:10.0.0.1", true),
        ("::ffff:169.254.169.254", false),
        ("::169.254.169.254", false),
        ("::ffff:0:169.254.169.254", false),
        ("64:ff9b::10.0.0.1", true),
        ("64:ff9b::169.254.169.254", false),
        ("64:ff9b:1::169.254.169.254", false),
        ("2002:a9fe:a9fe::1", false),
        ("2002:0a00:0001::1", true),
    ];
    for (text, expected) in rows {
        let address: IpAddr = text.parse().unwrap();
        assert_eq!(Rules::default().check(address).is_ok(), expected, "{text}");
    }
}

#[test]
fn names_lead_to_what_may_be_asked_only() {
    let rows: [(&[&str], &[&str]); 5] = [
        (&["10.0.0.1:0", "[::1]:0"], &["10.0.0.1:0", "[::1]:0"]),
        (&["169.254.169.254:0", "10.0.0.1:0"], &["10.0.0.1:0"]),
        (&["169.254.169.254:0"], &[]),
        (&["[fe80::1]:0", "[::ffff:169.254.169.254]:0"], &[]),
        (&["169.254.169.254:80"], &[]),
    ];
    for (found, expected) in rows {
        let found = found.iter().map(|address| address.parse().unwrap());
        let allowed = Rules::default().filter(found.clone());
        match allowed {
            Ok(addresses) => {
                let addresses: Vec<_> = addresses.iter().map(ToString::to_string).collect();
                assert_eq!(addresses, expected);
            }
            Err(error) => {
                let first: SocketAddr = found.clone().next().unwrap();
                assert_eq!(error, RefusedAddress(first.ip()));
                assert!(expected.is_empty());
            }
        }
    }
}

#[test]
fn hosts_that_are_addresses() {
    let rows = [
        ("http://169.254.169.254/", false),
        // Other spellings of it.
        ("http://2852039166/", false),
        ("http://0xa9fea9fe/", false),
        ("http://0251.0376.0251.0376/", false),
        ("http://169.254.43518/", false),
        ("http://[::ffff:169.254.169.254]/", false),
        ("http://[fe80::1]/", false),
        ("http://0/", false),
        ("http://127.0.0.1/", true),
        ("http://[::1]/", true),
        // A name is checked once it is resolved.
        ("http://metadata.google.internal/", true),
    ];
    for (url, expected) in rows {
        let url = Url::parse(url).unwrap();
        assert_eq!(Rules::default().check_host(&url).is_ok(), expected, "{url}");
    }
}

#[test]
fn what_an_operator_allows_and_refuses() {
    let block = |text: &&str| Block::try_from((*text).to_owned()).unwrap();
    let blocks = |texts: &[&str]| texts.iter().map(block).collect::<Vec<_>>();
    let metadata = "169.254.169.254";
    let rows: [(&[&str], &[&str], &str, bool); 12] = [
        (&[metadata], &[], metadata, true),
        (&[metadata], &[], "169.254.170.2", false),
        (&[metadata], &[], "::ffff:169.254.169.254", true),
        // What only leads there is another address.
        (&[metadata], &[], "64:ff9b::169.254.169.254", false),
        (&["fe80::/10"], &[], "fe80::1", true),
        (&[], &["10.0.0.0/8"], "10.1.2.3", false),
        (&[], &["10.0.0.0/8"], "11.1.2.3", true),
        (&[], &["10.0.0.0/8"], "::ffff:10.1.2.3", false),
        (&[], &["10.0.0.0/8"], "2002:0a00:0001::1", false),
        (&[], &["::1"], "::1", false),
        (&["127.0.0.0/8"], &["0.0.0.0/0"], "127.0.0.1", true),
        (&["127.0.0.0/8"], &["0.0.0.0/0"], "8.8.8.8", false),
    ];
    for (allowed, refused, address, expected) in rows {
        let rules = Rules {
            allowed: blocks(allowed),
            refused: blocks(refused),
        };
        let answer = rules.check(address.parse().unwrap());
        assert_eq!(
            answer.is_ok(),
            expected,
            "{allowed:?} {refused:?} {address}"
        );
    }
    for text in ["", "10.0.0.0/33", "localhost", "10.0.0/8"] {
        assert!(Block::try_from(text.to_owned()).is_err(), "{text}");
    }
}
