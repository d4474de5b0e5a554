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
