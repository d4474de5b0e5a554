//! Header `x-forwarded-client-cert`: which names are taken out of it.

use proptest::prelude::*;

use super::*;
use crate::attributes::Headers;

fn headers(lines: &[&str]) -> Headers {
    let lines = lines.iter().map(|line| {
        let value = bytes::Bytes::from((*line).to_owned());
        ("X-Forwarded-Client-Cert".to_owned(), value)
    });
    Headers::new(Vec::new(), Some(lines.collect()))
}

fn names(headers: &Headers) -> Result<Vec<String>, XfccError> {
    let peer = PeerIdentity::forwarded(headers)?;
    let names: Vec<_> = peer.names().map(str::to_owned).collect();
    assert_eq!(peer.display(), names.first().map(String::as_str));
    Ok(names)
}

#[test]
fn the_last_element_names_the_client() {
    let envoy = "By=spiffe://td/gw;Hash=c714;Subject=\"CN=a\\,b \\\"q\\\",O=x\";\
                 URI=spiffe://td/a;URI=spiffe://td/b;DNS=one;DNS=two";
    let subject = "CN=a\\,b \\\"q\\\",O=x";
    let long = format!("Chain=\"{}\";URI=a", "A".repeat(1000));
    let rows: &[(&[&str], &[&str])] = &[
        (&[], &[]),
        (&[""], &[]),
        (&["  "], &[]),
        (&["By=a;Hash=b"], &[]),
        (&["By=a;Hash=b;URI=;Subject=\"\""], &[]),
        (
            &[envoy],
            &["spiffe://td/a", "spiffe://td/b", "one", "two", subject],
        ),
        (&["URI=a"], &["a"]),
        (&["uRi=a"], &["a"]),
        (&["URI=\"a\""], &["a"]),
        (&["URI=\"a,URI=b;URI=c\""], &["a,URI=b;URI=c"]),
        (&["URI=spiffe://td/a?b=c"], &["spiffe://td/a?b=c"]),
        (&["DNS=d;Subject=\"CN=s\";URI=u"], &["u", "d", "CN=s"]),
        (&["Cert=\"x\";New-Key_1=y;URI=a"], &["a"]),
        (&[&long], &["a"]),
        // Several elements: what is not in the last is the client's own or an earlier proxy's.
        (&["URI=admin,URI=a"], &["a"]),
        (&["URI=admin, URI=a"], &["a"]),
        (&["URI=admin ,URI=a"], &["a"]),
        (&["URI=admin;DNS=d,By=x"], &[]),
        (&["Subject=\"CN=x,URI=admin\",URI=a"], &["a"]),
        (&["Subject=\"CN=x\\\",URI=admin\",URI=a"], &["a"]),
        (&["Subject=\"CN=x\\\\\",URI=a"], &["a"]),
        // Several lines: the last counts.
        (&["URI=admin", "URI=a"], &["a"]),
        (&["URI=admin", "By=x"], &[]),
        (&["URI=admin", ""], &[]),
        (&["URI=admin,URI=b", "URI=c,URI=a"], &["a"]),
    ];
    for (lines, expected) in rows {
        let expected: Vec<_> = expected.iter().map(ToString::to_string).collect();
        assert_eq!(names(&headers(lines)), Ok(expected.clone()), "{lines:?}");
        // The form in which the proxy joins lines. An empty one leaves a comma too many there.
        let can_be_joined = lines.len() == 1 || !(lines.is_empty() || lines.contains(&""));
        if can_be_joined {
            let joined = vec![(XFCC_HEADER.to_owned(), lines.join(","))];
            assert_eq!(
                names(&Headers::new(joined, None)),
                Ok(expected),
                "{lines:?}"
            );
        }
    }
}

#[test]
fn what_is_not_well_formed_names_nobody() {
    use XfccError::{Characters, Form, TooLong, TooManyNames};
    let longest = format!("Cert=\"{}\"", "A".repeat(64 * 1024 - 7));
    let many = |count: usize| vec!["URI=a"; count].join(";");
    let (most, more) = (many(128), many(129));
    let rows: &[(&[&str], Result<(), XfccError>)] = &[
        (&["a"], Err(Form)),
        (&["URI"], Err(Form)),
        (&["=a"], Err(Form)),
        (&["U RI=a"], Err(Form)),
        (&["\"URI\"=a"], Err(Form)),
        (&["URI=a;"], Err(Form)),
        (&[";URI=a"], Err(Form)),
        (&["URI=a;;DNS=b"], Err(Form)),
        (&["URI=a,"], Err(Form)),
        (&[",URI=a"], Err(Form)),
        (&["URI=a,,URI=b"], Err(Form)),
        (&["URI=a, "], Err(Form)),
        (&["URI=a\"b\""], Err(Form)),
        (&["URI=a\"b"], Err(Form)),
        (&["URI=\"a"], Err(Form)),
        (&["URI=\"a\"b"], Err(Form)),
        (&["URI=\"a\\\""], Err(Form)),
        (&["URI=\"a\\"], Err(Form)),
        (&["URI=\"a\\\"b\""], Err(Form)),
        (&["URI=a\\b"], Err(Form)),
        (&["Subject=\"CN=a\";Subject=\"CN=b\""], Err(Form)),
        // An open quote of the client's, so that what the proxy appends is inside of it.
        (&["By=\",By=x;Hash=y;Subject=\"CN=a\";URI=b"], Err(Form)),
        (&["By=\",By=x;Hash=y;Subject=\"\";URI=b"], Err(Form)),
        (&["By=\",By=x;Hash=y;URI=b"], Err(Form)),
        (&["URI=admin;By=\"", "By=x;Subject=\"\";URI=b"], Err(Form)),
        (&["URI=a", "x"], Err(Form)),
        (&["x", "URI=a"], Err(Form)),
        (&["URI=ä"], Err(Characters)),
        (&["URI=a\tb"], Err(Characters)),
        (&["URI=a\u{7f}"], Err(Characters)),
        (&["URI=a\0"], Err(Characters)),
        (&[&longest], Ok(())),
        (&[&longest, "A"], Err(TooLong)),
        (&[&most], Ok(())),
        (&[&more], Err(TooManyNames)),
    ];
    for (lines, expected) in rows {
        let about = lines.join("|").chars().take(80).collect::<String>();
        assert_eq!(names(&headers(lines)).map(drop), *expected, "{about}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever a client writes in front, a proxy that appends is understood or the header refused.
    #[test]
    fn no_prefix_changes_who_is_named(
        prefix in "(URI|DNS|By|Subject|=|;|,|\"|\\\\| |a|spiffe://td/admin){0,12}",
        subject in "(\\\\,|\\\\\"|\\\\\\\\|\\\\;|=|/|a|CN=|URI=| ){0,8}",
    ) {
        let subject = format!("CN={subject}");
        let appended = format!("By=spiffe://td/gw;Hash=00;Subject=\"{subject}\";URI=spiffe://td/a");
        let line = format!("{prefix},{appended}");
        if let Ok(names) = names(&headers(&[&line])) {
            prop_assert_eq!(names, ["spiffe://td/a".to_owned(), subject]);
        }
    }
}
