//! Which checks get a span, and how many.

use prometheus_client::metrics::counter::Counter;

use super::super::tracer::Limit;
use super::*;
use crate::telemetry::Metrics;

fn tracer(sampling: Sampling, most: u32) -> (Tracer, TraceCounters) {
    let counters = Metrics::default().of_traces.counters();
    (Tracer::new(sampling, most, counters.clone()), counters)
}

fn begin(tracer: &Tracer, headers: &[(&str, &str)]) -> Option<Box<Traced>> {
    let lines = headers.iter();
    let lines = lines.map(|(name, value)| (*name, value.as_bytes()));
    tracer.begin(TraceContext::default(), lines)
}

/// Rule: who is asked whether a trace is in a share says what OpenTelemetry's SDK for Go does, of
/// `8448eb211c80319c` that it is at 0.5167 of all.
#[test]
fn which_checks_are_traced() {
    let parent = |flags| format!("00-{TRACE}-{SPAN}-{flags}");
    let (yes, no) = (parent("01"), parent("00"));
    let open = format!("{TRACE}-{SPAN}");
    let early = format!("00-0af7651916cd43dd0000000000000001-{SPAN}-00");
    let rows: [(&[(&str, &str)], bool, f64, bool); 17] = [
        // What the trace says.
        (&[("traceparent", &yes)], true, 0.0, true),
        (&[("traceparent", &yes)], true, 1.0, true),
        (&[("traceparent", &no)], true, 1.0, false),
        (&[("b3", "0")], true, 1.0, false),
        (&[("b3", "1")], true, 0.0, true),
        (&[("x-b3-flags", "1")], true, 0.0, true),
        // What it does not say, the ratio does.
        (&[("b3", &open)], true, 0.5, false),
        (&[("b3", &open)], true, 0.52, true),
        (&[], true, 1.0, true),
        (&[], true, 0.0, false),
        (&[("traceparent", "junk")], true, 0.0, false),
        // Nobody asks what it says.
        (&[("traceparent", &yes)], false, 0.5, false),
        (&[("traceparent", &yes)], false, 0.52, true),
        (&[("traceparent", &no)], false, 1.0, true),
        (&[("traceparent", &no)], false, 0.0, false),
        (&[("traceparent", &early)], false, 1e-9, true),
        (&[("b3", "1")], false, 0.0, false),
    ];
    for (headers, parent_based, ratio, expected) in rows {
        let sampling = Sampling {
            parent_based,
            ratio,
        };
        let (tracer, _) = tracer(sampling, 10);
        let traced = begin(&tracer, headers);
        assert_eq!(traced.is_some(), expected, "{headers:?} {sampling:?}");
    }
}

#[test]
fn a_span_joins_its_trace_or_begins_one() {
    let (tracer, counters) = tracer(Sampling::default(), 10);
    let parent = format!("00-{TRACE}-{SPAN}-01");
    let first = begin(&tracer, &[("traceparent", &parent)]).unwrap();
    let second = begin(&tracer, &[("traceparent", &parent)]).unwrap();
    for traced in [&first, &second] {
        assert_eq!(traced.trace.to_string(), TRACE);
        assert_eq!(traced.parent.unwrap().to_string(), SPAN);
        assert_ne!(traced.span.to_string(), SPAN);
    }
    assert_ne!(first.span, second.span);
    let [one, other] =
        [&[] as &[_], &[("b3", "1")]].map(|headers| begin(&tracer, headers).unwrap());
    assert_eq!((one.parent, other.parent), (None, None));
    assert_ne!(one.trace, other.trace);
    // Each is counted once, whatever becomes of it.
    first.finish();
    first.finish();
    other.cancel();
    drop((first, second, one, other));
    let counted = [&counters.made, &counters.lost, &counters.limited].map(Counter::get);
    assert_eq!(counted, [1, 2, 0]);
}

#[test]
fn who_asks_goes_before_what_is_asked_about() {
    let (tracer, _) = tracer(Sampling::default(), 10);
    let context = |headers: &[(&str, &str)]| {
        let lines = headers.iter();
        Carriers::of(lines.map(|(name, value)| (*name, value.as_bytes()))).context()
    };
    let other = "80f198ee56343ba864fe8b2a57d3eff7";
    let request = format!("00-{other}-{SPAN}-01");
    let request = [("traceparent", request.as_bytes())];
    let caller = |flags: &str| context(&[("traceparent", &format!("00-{TRACE}-{SPAN}-{flags}"))]);
    let rows = [
        (caller("01"), Some(TRACE)),
        (caller("00"), None),
        (TraceContext::default(), Some(other)),
        // Without ids it says nothing of where the check belongs.
        (context(&[("b3", "0")]), Some(other)),
    ];
    for (caller, expected) in rows {
        let traced = tracer.begin(caller, request);
        let trace = traced.map(|traced| traced.trace.to_string());
        assert_eq!(trace.as_deref(), expected, "{caller:?}");
    }
}

/// Half of the traces that nobody else began, within five standard deviations.
#[test]
fn a_ratio_is_that_of_new_traces() {
    let half = Sampling {
        parent_based: true,
        ratio: 0.5,
    };
    let (tracer, _) = tracer(half, u32::MAX);
    let traced = (0..10_000).filter(|_| begin(&tracer, &[]).is_some());
    let traced = traced.count();
    assert!((4_750..5_250).contains(&traced), "{traced}");
}

#[test]
fn there_are_so_many_a_second_and_no_more() {
    let limit = Limit::new(3);
    let rows = [
        (0, [true, true, true, false, false]),
        (1, [true, true, true, false, false]),
        // Late ones do not open an earlier second again.
        (0, [false; 5]),
        (1_000, [true, true, true, false, false]),
        (u32::MAX, [true, true, true, false, false]),
    ];
    for (second, expected) in rows {
        let admitted = expected.map(|_| limit.admits(second));
        assert_eq!(admitted, expected, "{second}");
    }
}

#[test]
fn a_client_that_asks_for_spans_gets_no_more_than_there_may_be() {
    let (tracer, counters) = tracer(Sampling::default(), 5);
    let parent = format!("00-{TRACE}-{SPAN}-01");
    let traced: Vec<_> = (0..100)
        .filter_map(|_| begin(&tracer, &[("traceparent", &parent)]))
        .collect();
    // A second may end meanwhile.
    assert!((5..=10).contains(&traced.len()), "{}", traced.len());
    assert_eq!(counters.limited.get() + traced.len() as u64, 100);
}
