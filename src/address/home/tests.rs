//! Which addresses of this machine are refused.

use super::*;

#[test]
fn addresses_that_are_refused() {
    // Address, and whether it is refused where loopback is and where this machine is.
    let rows = [
        ("127.0.0.1", true, true),
        ("127.9.9.9", true, true),
        ("::1", true, true),
        ("::ffff:127.0.0.1", true, true),
        ("0.0.0.0", true, true),
        ("203.0.113.1", false, false),
        ("2001:db8::1", false, false),
    ];
    for (address, no_loopback, closed) in rows {
        let address: IpAddr = address.parse().unwrap();
        let homes = [Home::Open, Home::NoLoopback, Home::Closed];
        let refused = homes.map(|home| home.check(address).is_err());
        assert_eq!(refused, [false, no_loopback, closed], "{address}");
    }
    let found = ["127.0.0.1:0", "203.0.113.1:0"].map(|found| found.parse().unwrap());
    assert_eq!(Home::Closed.filter(found.to_vec()), Ok(vec![found[1]]));
    assert_eq!(Home::Open.filter(found.to_vec()), Ok(found.to_vec()));
    let refused = Home::Closed.filter(vec![found[0]]).unwrap_err();
    assert_eq!(refused, AtHome(found[0].ip()));
}

#[test]
fn what_may_be_asked_of_this_machine() {
    let own = OwnPorts::default();
    let url = |text: &str| Url::parse(text).unwrap();
    assert_eq!(own.home(&url("http://a:8181/"), false), Home::Open);
    own.clone().add([8181, 80]);
    let rows = [
        ("http://a:8181/", false, Home::Closed),
        ("https://a:8181/", true, Home::Closed),
        ("http://a/", false, Home::Closed),
        ("https://a/", false, Home::Open),
        ("https://a/", true, Home::NoLoopback),
    ];
    for (text, is_from_elsewhere, home) in rows {
        assert_eq!(own.home(&url(text), is_from_elsewhere), home, "{text}");
    }
    let rows = [
        ("https://a/", "https://a/b", false),
        ("https://a/", "https://b/", true),
        ("https://a/", "https://a:444/", true),
        ("http://localhost/", "http://localhost:1/", false),
        ("http://127.0.0.1/", "http://b/", false),
        ("http://[::ffff:127.0.0.1]/", "http://b/", false),
    ];
    for (from, to, expected) in rows {
        let sends = sends_from_elsewhere(&url(from), &url(to));
        assert_eq!(sends, expected, "{from} {to}");
    }
}
