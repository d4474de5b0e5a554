//! A push while a check is under way: what it then remembers is of no use to anybody who asks later.

use super::*;

#[test]
fn what_a_check_remembers_after_a_push_is_not_found() {
    let request = get(&["x-a: 1"]);
    let pdp = Setup::native(&[on_header("ALLOW", "x-a")]).cached().pdp();
    let pushed = Setup::native(&[on_header("DENY", "x-a")]).cached().pdp();
    // The check has begun, and then there is a push.
    let begun = pdp.snapshot();
    pdp.snapshot.store(pushed.snapshot());
    let (late, _) = pdp.check_under(&begun, &request, NOW_NS);
    let (remembered, _) = pdp.check_under(&begun, &request, NOW_NS);
    for (answer, cached) in [(late, false), (remembered, true)] {
        assert_eq!(answer.decision.effect(), Effect::Allow);
        assert_eq!(answer.cached, cached);
    }
    for cached in [false, true] {
        let answer = pdp.check(&request, NOW_NS);
        assert_eq!(answer.decision.effect(), Effect::Deny);
        assert_eq!(answer.cached, cached);
    }
}
