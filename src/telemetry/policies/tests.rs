use prometheus_client::encoding::text;
use prometheus_client::registry::Registry;

use super::*;

fn encoded(metrics: &PolicyMetrics) -> String {
    let mut registry = Registry::default();
    registry.register_collector(Box::new(metrics.clone()));
    let mut text = String::new();
    text::encode(&mut text, &registry).unwrap();
    text
}

fn allowed(tallies: &Tallies, name: &str) {
    tallies.decided(tallies.place(Some(name)), true);
}

#[test]
fn decisions_are_counted_by_policy() {
    let metrics = PolicyMetrics::default();
    let tallies = metrics.tallies(["a/b", "c/d"]);
    allowed(&tallies, "a/b");
    allowed(&tallies, "a/b");
    tallies.decided(tallies.place(Some("a/b")), false);
    allowed(&tallies, "x/y");
    tallies.decided(TallyPlace::NOBODY, false);
    tallies.dry_run(tallies.place(Some("c/d")), "deny", "denied");
    tallies.dry_run(TallyPlace::NOBODY, "allow", "denied");
    let text = encoded(&metrics);
    for line in [
        "policy_decisions_total{effect=\"allow\",policy=\"a/b\"} 2",
        "policy_decisions_total{effect=\"deny\",policy=\"a/b\"} 1",
        "policy_decisions_total{effect=\"allow\",policy=\"other\"} 1",
        "policy_decisions_total{effect=\"deny\",policy=\"none\"} 1",
        "dry_run_total{action=\"deny\",policy=\"c/d\",result=\"denied\"} 1",
        "dry_run_total{action=\"allow\",policy=\"none\",result=\"denied\"} 1",
    ] {
        assert!(text.contains(&format!("{line}\n")), "{line}: {text}");
    }
    // What has counted nothing is not shown.
    assert_eq!(text.matches("policy_decisions_total{").count(), 4, "{text}");
}

#[test]
fn counts_go_on_over_pushes() {
    let metrics = PolicyMetrics::default();
    let before = metrics.tallies(["b"]);
    allowed(&before, "b");
    let after = metrics.tallies(["a", "b"]);
    allowed(&after, "b");
    // A check that still has the snapshot before is counted as well.
    allowed(&before, "b");
    drop(metrics.tallies([]));
    allowed(&metrics.tallies(["b"]), "b");
    let text = encoded(&metrics);
    assert!(text.contains("policy=\"b\"} 4\n"), "{text}");
}

#[test]
fn series_are_bounded() {
    let metrics = PolicyMetrics::default();
    let names = |from: usize, count| -> Vec<String> {
        (from..from + count).map(|at| format!("ns/{at}")).collect()
    };
    let count_all = |names: &[String]| {
        let tallies = metrics.tallies(names.iter().map(String::as_str));
        names.iter().for_each(|name| allowed(&tallies, name));
    };
    // More than have a name of their own.
    count_all(&names(0, MAX_NAMED + 5));
    let text = encoded(&metrics);
    assert!(text.contains("policy=\"other\"} 5\n"), "{text}");
    assert_eq!(
        text.matches("policy_decisions_total{").count(),
        MAX_NAMED + 1
    );
    // Ever other names.
    for push in 0..50 {
        count_all(&names(1_000 + push * 50, 50));
    }
    let text = encoded(&metrics);
    let series = text.matches("policy_decisions_total{").count();
    assert_eq!(series, MAX_KNOWN + 1, "{text}");
    assert!(!text.contains("policy=\"ns/0\"}"), "{text}");
    assert!(text.contains("policy=\"ns/3499\"}"), "{text}");
    // Those that are called as these are count there.
    let other = metrics.tallies(["ns/a", "other", "none"]);
    ["other", "none"]
        .iter()
        .for_each(|name| allowed(&other, name));
    let text = encoded(&metrics);
    assert_eq!(text.matches("policy=\"other\"}").count(), 1, "{text}");
    assert!(text.contains("policy=\"other\"} 7\n"), "{text}");
    // Names that are too long, or are no labels as they stand.
    let long = "x".repeat(MAX_NAME + 1);
    let hostile = "a\"} 1\nevil{x=\"\\";
    let tallies = metrics.tallies([long.as_str(), hostile]);
    allowed(&tallies, &long);
    allowed(&tallies, hostile);
    let text = encoded(&metrics);
    assert!(text.contains("policy=\"other\"} 8\n"), "{text}");
    assert!(!text.contains("\nevil"), "{text}");
    assert!(
        text.contains(r#"policy="a\"} 1\nevil{x=\"\\"} 1"#),
        "{text}"
    );
}
