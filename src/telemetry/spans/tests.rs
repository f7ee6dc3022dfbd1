#![allow(clippy::unwrap_used, reason = "tests")]

use std::time::Duration;

use super::*;
use crate::clock::SystemClock;
use crate::telemetry::metrics::{Build, Metrics};
use crate::telemetry::trace::{mint, mint_span};

fn metrics() -> Arc<Metrics> {
    let build = Build {
        version: "0",
        commit: "unknown",
    };
    Metrics::new(build, &SystemClock)
}

fn report() -> Report {
    let at = Instant::now();
    Report {
        trace: mint(),
        span: mint_span(),
        parent: None,
        name: "sign",
        began: Began { unix_micros: 1, at },
        took: Duration::from_micros(5),
        attributes: Vec::new(),
        fault: Fault::None,
        stages: vec![StageSpan {
            name: "guard",
            began: at,
            took: Duration::from_micros(1),
        }],
    }
}

fn dropped(metrics: &Metrics, reason: &str) -> u64 {
    let series = format!("sigward_otlp_spans_dropped_total{{reason=\"{reason}\"}} ");
    let text = metrics.encode().unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix(&series));
    line.unwrap().parse().unwrap()
}

fn parent(sampled: bool) -> TraceParent {
    TraceParent {
        trace: mint(),
        span: mint_span(),
        sampled,
    }
}

#[test]
fn nobody_is_followed_where_nobody_collects() {
    let spans = Spans::default();
    assert!(!spans.follow_vote(mint()));
    assert!(!spans.follow_call(mint(), Some(&parent(true))));
    spans.tell_vote(report());
}

#[test]
fn a_share_of_traces_is_followed_and_a_callers_word_is_taken() {
    let metrics = metrics();
    let followed = |sample: f64| {
        let (spans, _end) = Spans::open(sample, metrics.otlp());
        (0..4000).filter(|_| spans.follow_vote(mint())).count()
    };
    assert_eq!(followed(0.0), 0);
    assert_eq!(followed(1.0), 4000);
    let quarter = followed(0.25);
    assert!((800..1200).contains(&quarter), "{quarter}");

    let (none, _end) = Spans::open(0.0, metrics.otlp());
    assert!(none.follow_call(mint(), Some(&parent(true))));
    assert!(!none.follow_call(mint(), None));
    let (all, _end) = Spans::open(1.0, metrics.otlp());
    assert!(!all.follow_call(mint(), Some(&parent(false))));
    assert!(all.follow_call(mint(), None));
}

#[test]
fn callers_cannot_raise_the_load_without_bound() {
    let mut pace = Pace::new(Instant::now());
    let now = Instant::now();
    let allowed = (0..1000).filter(|_| pace.allows(now)).count();
    assert_eq!(allowed, CALLS_A_SECOND as usize);
    assert!(pace.allows(now + Duration::from_secs(1)));
}

#[test]
fn who_finds_no_room_is_counted_and_votes_find_some_when_calls_find_none() {
    let metrics = metrics();
    let (spans, mut end) = Spans::open(1.0, metrics.otlp());
    for _ in 0..ROOM {
        spans.tell_call(report());
    }
    let calls = ROOM - ROOM_FOR_VOTES;
    assert_eq!(dropped(&metrics, "no_room"), 2 * ROOM_FOR_VOTES as u64);
    for _ in 0..ROOM {
        spans.tell_vote(report());
    }
    assert_eq!(
        dropped(&metrics, "no_room"),
        2 * ROOM_FOR_VOTES as u64 + 2 * calls as u64
    );
    for _ in 0..ROOM {
        end.try_recv().unwrap();
    }
    drop(end);
    // Nobody is at the other end any more: the same.
    spans.tell_vote(report());
    assert_eq!(dropped(&metrics, "no_room"), 2 * ROOM as u64 + 2);
}

#[test]
fn a_code_is_a_code_and_no_text_that_somebody_sent() {
    let code = |text: &str| match Value::code_of(text) {
        Some(Value::Code(code)) => Some(code.as_str().to_owned()),
        _ => None,
    };
    assert_eq!(
        code("not_permitted: nobody may").as_deref(),
        Some("not_permitted")
    );
    assert_eq!(code("busy").as_deref(), Some("busy"));
    for text in ["", "Not permitted: x", "a b", "é: x", &"a".repeat(65)] {
        assert_eq!(code(text), None, "{text}");
    }
}
