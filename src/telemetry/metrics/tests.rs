use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::super::{Arrival, BundleStage, Step};
use super::*;

/// Names of labels by the names of series.
type Series = BTreeMap<String, BTreeSet<String>>;

const FIXTURE: &str = "tests/fixtures/metrics.txt";
const DOCUMENT: &str = "docs/configuration.md";
/// Labels that Prometheus puts to every series.
const SCRAPED: [&str; 2] = ["instance", "job"];
/// What reads metrics, and comes with the project.
const READERS: [&str; 2] = [
    "deploy/grafana/doorward.json",
    "deploy/prometheus/alerts.yaml",
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).to_owned()
}

fn read(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Metrics that have counted something of everything.
fn counted() -> Metrics {
    let metrics = Metrics::default().with_plugin(vec![0.1]);
    let label = |name| Label { at: 0, name };
    metrics.decided(label("allow"), label("rego"), label("hit"));
    metrics.cache_evicted(1, 1);
    let tallies = metrics.of_policies.tallies(["shop/a"]);
    tallies.decided(tallies.place(Some("shop/a")), true);
    tallies.dry_run(tallies.place(Some("shop/a")), "deny", "denied");
    metrics.limit_hit("time");
    let arrival = Arrival::measured(0, Instant::now());
    arrival.stopwatch.timing(Step::Rego, || {});
    metrics.steps_took(&arrival.stopwatch);
    metrics.check_took(Duration::from_micros(5), || None);
    metrics.check_took(Duration::from_micros(5), || Some("envoyauth_eval_error"));
    metrics.log.dropped("buffer_full", 1);
    metrics.log.sampled("sample", 1);
    metrics.shadow_decided("main", "same");
    metrics.shadow_skipped("main", "busy");
    metrics.log.input_omitted("too_large");
    metrics.of_sinks.of("opa").dropped("queue_full", 1);
    metrics.of_traces.counters().made.inc();
    metrics.activated("success");
    metrics.store_failed("io");
    metrics.external("answer");
    metrics.call_refused("token");
    metrics.reloaded("policy", "success");
    metrics.certificate_expires("ext_authz", 1);
    metrics.token_expires(Some(("ci", 1)));
    metrics.bundle_asked("main", "activated", 1);
    metrics.keys_fetched(KeyFetch::Changed);
    metrics.key_set_fetched("https://issuer/keys", 1);
    let bundles = &metrics.of_bundles;
    bundles.asked("main", 1);
    bundles.answered("main", 1);
    bundles.downloaded("main", 1);
    bundles.activated("main", None, "1", 1);
    bundles.loaded("main");
    bundles.failed("main", "bundle_error");
    bundles.took("main", BundleStage::Request, Duration::from_millis(1));
    metrics
}

/// Series of a text in the OpenMetrics format, with the names of their labels.
fn series(text: &str) -> Series {
    let mut all = Series::new();
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let end = line.find(['{', ' ']).unwrap();
        let (name, rest) = line.split_at(end);
        let labels = rest.strip_prefix('{').and_then(|rest| rest.split_once('}'));
        let labels = labels.map_or("", |(labels, _)| labels);
        let names = labels
            .split(',')
            .filter_map(|label| Some(label.split_once('=')?.0.to_owned()));
        all.entry(name.to_owned()).or_default().extend(names);
    }
    all
}

fn families(text: &str) -> Vec<&str> {
    let types = text.lines().filter_map(|line| line.strip_prefix("# TYPE "));
    types
        .filter_map(|family| family.split(' ').next())
        .collect()
}

#[test]
fn names_and_labels_are_those_that_were_looked_at() {
    let text = counted().encode();
    let all = series(&text);
    for family in families(&text) {
        assert!(
            all.keys().any(|name| name.starts_with(family)),
            "{family} has no series here: count something of it in `counted`"
        );
    }
    let lines = all.iter().map(|(name, labels)| {
        let labels: Vec<_> = labels.iter().map(String::as_str).collect();
        format!("{name}{{{}}}\n", labels.join(","))
    });
    let written: String = lines.collect();
    if std::env::var_os("DOORWARD_WRITE_DOCS").is_some() {
        std::fs::write(root().join(FIXTURE), &written).unwrap();
    }
    let kept = std::fs::read_to_string(root().join(FIXTURE)).unwrap_or_default();
    assert!(
        kept == written,
        "{FIXTURE} is not what this test makes: run it with DOORWARD_WRITE_DOCS=1"
    );
}

#[test]
fn every_metric_is_documented() {
    let document = read(DOCUMENT);
    let is_told = |name: &str| {
        let name = format!("`{name}");
        let mentions = document
            .match_indices(&name)
            .map(|(at, text)| at + text.len());
        let mut after = mentions.filter_map(|end| document[end..].chars().next());
        after.any(|next| next == '`' || next == '{')
    };
    for name in series(&counted().encode()).keys() {
        let whole = ["_bucket", "_sum", "_count"]
            .iter()
            .find_map(|part| name.strip_suffix(part));
        let names = [Some(name.as_str()), whole];
        assert!(
            names.into_iter().flatten().any(is_told),
            "{name} is not in {DOCUMENT}"
        );
    }
}

/// Dashboards and alerts stay empty where they name what is not there.
#[test]
fn what_reads_metrics_names_only_those_there_are() {
    let all = series(&counted().encode());
    for path in READERS {
        let text = read(path);
        let used = uses(&text);
        assert!(used.len() > 10, "{path} has {} uses", used.len());
        for (name, labels) in used {
            let Some(known) = all.get(name) else {
                panic!("{path}: there is no `{name}`");
            };
            for label in labels {
                assert!(
                    known.contains(label) || SCRAPED.contains(&label),
                    "{path}: `{name}` has no label `{label}`"
                );
            }
        }
    }
}

/// Names of metrics in a text, each with the labels that are asked of it in braces, or that the sum
/// around it goes by.
fn uses(text: &str) -> Vec<(&str, Vec<&str>)> {
    let is_part = |character: char| character.is_ascii_alphanumeric() || character == '_';
    let starts = text.match_indices("doorward_").map(|(at, _)| at);
    let starts = starts.filter(|at| !text[..*at].ends_with(is_part));
    let uses = starts.map(|at| {
        let line = text[at..].lines().next().unwrap();
        let end = line
            .find(|character| !is_part(character))
            .unwrap_or(line.len());
        let (name, rest) = line.split_at(end);
        let asked = rest.strip_prefix('{').and_then(|rest| rest.split_once('}'));
        let asked = asked.map_or("", |(labels, _)| labels).split(',');
        let asked = asked.filter_map(|label| Some(label.split(['=', '!']).next()?.trim()));
        let before = text[..at].rfind('\n').map_or("", |start| &text[start..at]);
        let by = before.rfind(" by (").map(|by| &before[by + 5..]);
        let by = by
            .and_then(|by| by.split_once(')'))
            .map_or("", |(labels, _)| labels);
        let labels = asked.chain(by.split(',').map(str::trim));
        (name, labels.filter(|label| !label.is_empty()).collect())
    });
    uses.collect()
}

#[test]
fn uses_of_metrics_are_found() {
    let check = |text: &str, expected: &[(&str, &[&str])]| {
        let found = uses(text);
        let found: Vec<_> = found
            .iter()
            .map(|(name, labels)| (*name, labels.as_slice()))
            .collect();
        assert_eq!(found, expected, "{text}");
    };
    check("nothing", &[]);
    check("x_doorward_a", &[]);
    check("rate(doorward_a_total[5m])", &[("doorward_a_total", &[])]);
    check(
        r#"doorward_a{b="c", d!~"e"} > 1"#,
        &[("doorward_a", &["b", "d"])],
    );
    check(
        "\nsum by (b, le) (rate(doorward_a_bucket[5m]))\ndoorward_c",
        &[("doorward_a_bucket", &["b", "le"]), ("doorward_c", &[])],
    );
}
