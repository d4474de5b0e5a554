use prometheus_client::encoding::text;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

use super::*;

/// What is shown is what the library's own histogram shows.
#[test]
fn it_shows_what_a_histogram_shows() {
    let bounds = [0.0, 0.5, 2.0];
    let (ours, others) = (Durations::new(bounds), Histogram::new(bounds));
    let shown = || {
        let (mut one, mut other) = (Registry::default(), Registry::default());
        one.register("a", "b", ours.clone());
        other.register("a", "b", others.clone());
        let mut texts = [String::new(), String::new()];
        text::encode(&mut texts[0], &one).unwrap();
        text::encode(&mut texts[1], &other).unwrap();
        texts
    };
    for millis in [0, 125, 500, 625, 2_000, 60_000, 500] {
        let [ours_now, others_now] = shown();
        assert_eq!(ours_now, others_now);
        ours.observe(Duration::from_millis(millis));
        others.observe(Duration::from_millis(millis).as_secs_f64());
    }
    let [ours, _] = shown();
    assert!(ours.contains("a_bucket{le=\"0.5\"} 4\n"), "{ours}");
    assert!(ours.contains("a_count 7\n"), "{ours}");
}
