//! What a scraper reads.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::time::{Duration, Instant};

use sigward_policies::decision::{Failure, FailureCode, Refusal, RefusalCode, Refused};
use sigward_policies::double_sign::{GuardRow, Watermark};
use sigward_policies::model::id::{Height, UnixSeconds};
use sigward_policies::model::operation::Operation;

use super::*;
use crate::clock::SystemClock;

fn metrics() -> Arc<Metrics> {
    let build = Build {
        version: "1.2.3",
        commit: "abc",
    };
    Metrics::new(build, &SystemClock)
}

fn has(text: &str, line: &str) {
    assert!(
        text.lines().any(|other| other == line),
        "no line {line:?} in\n{text}"
    );
}

fn chain() -> ChainId {
    ChainId::new("c-\"1\\").unwrap()
}

#[test]
fn a_request_is_counted_by_how_it_ended_and_timed_by_stage() {
    let metrics = metrics();
    let sign = metrics.sign(Proto::Privval);
    sign.served(Operation::SignPrevote, Served::Signed);
    sign.served(Operation::SignPrevote, Served::Signed);
    sign.served(Operation::SignProposal, Served::Replayed);
    sign.took(Operation::SignPrevote, Stage::Commit, Duration::from_micros(57));
    let denied = |code| Refused::Denied(Refusal::new(code, "x"));
    let prevote = Some(Operation::SignPrevote);
    sign.refused(prevote, &denied(RefusalCode::DoubleSignConflict));
    sign.refused(prevote, &denied(RefusalCode::ChainIdMismatch));
    sign.refused(prevote, &Failure::new(FailureCode::StoreUnavailable, "x").into());
    sign.refused(None, &denied(RefusalCode::MalformedRequest));
    let text = metrics.encode().unwrap();
    let count = |op, result, reason, n| {
        has(
            &text,
            &format!(
                "sigward_sign_requests_total{{proto=\"privval\",op=\"{op}\",result=\"{result}\",reason=\"{reason}\"}} {n}"
            ),
        );
    };
    count("prevote", "ok", "", 2);
    count("precommit", "ok", "", 0);
    count("proposal", "replayed", "", 1);
    count("prevote", "refused", "double_sign_conflict", 1);
    count("prevote", "denied", "chain_id_mismatch", 1);
    count("prevote", "failed", "store_unavailable", 1);
    count("unknown", "denied", "malformed_request", 1);
    let bucket = |le, n| {
        has(
            &text,
            &format!(
                "sigward_sign_duration_seconds_bucket{{le=\"{le}\",op=\"prevote\",stage=\"commit\"}} {n}"
            ),
        );
    };
    bucket("0.00005", 0);
    bucket("0.0001", 1);
    bucket("1.0", 1);
    bucket("+Inf", 1);
}

#[test]
fn a_chain_tells_its_height_and_what_it_skipped_in_any_order() {
    let metrics = metrics();
    let of = metrics.chain(&chain());
    let at = |height| Height::new(height).unwrap();
    let signed = |height| {
        metrics.chain(&chain()).signed(
            Operation::SignPrevote,
            at(height),
            Served::Signed,
            1_700_000_000_250_000,
        );
    };
    signed(1_000);
    let text = metrics.encode().unwrap();
    has(&text, r#"sigward_skipped_heights_total{chain="c-\"1\\"} 0"#);
    for height in [1_000, 1_001, 1_000, 1_005, 1_003] {
        signed(height);
    }
    let watermark = Watermark::Closed { height: at(7) };
    of.begins_at(&GuardRow::begin(watermark, UnixSeconds(1)));
    of.refused(None, &Refusal::new(RefusalCode::HeightJump, "x").into());
    let text = metrics.encode().unwrap();
    has(&text, r#"sigward_last_signed_height{chain="c-\"1\\"} 1005"#);
    has(&text, r#"sigward_skipped_heights_total{chain="c-\"1\\"} 3"#);
    has(
        &text,
        r#"sigward_missed_heights_total{chain="c-\"1\\",cause="unfinished"} 2"#,
    );
    has(
        &text,
        r#"sigward_missed_heights_total{chain="c-\"1\\",cause="refused"} 0"#,
    );
    has(
        &text,
        r#"sigward_last_signature_timestamp_seconds{chain="c-\"1\\"} 1700000000.25"#,
    );
    let seen = metrics.chain_seen(&chain());
    assert_eq!(seen.heights.len(), 6);
    assert_eq!(seen.refusals.get("height_jump"), Some(&1));
    has(
        &text,
        r#"sigward_refusals_total{chain="c-\"1\\",reason="height_jump"} 1"#,
    );
}

#[test]
fn a_height_that_was_closed_was_not_signed() {
    let metrics = metrics();
    let watermark = Watermark::Closed {
        height: Height::new(10_000).unwrap(),
    };
    metrics
        .chain(&chain())
        .begins_at(&GuardRow::begin(watermark, UnixSeconds(1)));
    has(
        &metrics.encode().unwrap(),
        r#"sigward_last_signed_height{chain="c-\"1\\"} 0"#,
    );
}

#[test]
fn a_node_is_connected_as_long_as_its_connection_lives() {
    let metrics = metrics();
    let name = NodeName::new("node-0").unwrap();
    let node = metrics.node(&chain(), &name);
    let told = |connected: u32, reconnects: u32| {
        let text = metrics.encode().unwrap();
        has(
            &text,
            &format!(r#"sigward_node_connected{{chain="c-\"1\\",node="node-0"}} {connected}"#),
        );
        has(
            &text,
            &format!(r#"sigward_node_reconnects_total{{chain="c-\"1\\",node="node-0"}} {reconnects}"#),
        );
    };
    told(0, 0);
    let first = node.connected();
    told(1, 0);
    drop(first);
    told(0, 0);
    let _second = node.connected();
    told(1, 1);
    node.link(LinkKind::Loopback);
    node.link(LinkKind::Unix);
    let of = metrics.chain(&chain()).asked_by(&node);
    let height = Height::new(5).unwrap();
    of.signed(Operation::SignPrevote, height, Served::Signed, 1);
    of.signed(Operation::SignPrevote, height, Served::Replayed, 1);
    let text = metrics.encode().unwrap();
    has(
        &text,
        r#"sigward_positions_total{chain="c-\"1\\",node="node-0"} 1"#,
    );
    has(
        &text,
        r#"sigward_node_link{chain="c-\"1\\",node="node-0",link="unix"} 1"#,
    );
    assert!(!text.contains("loopback\"}"), "{text}");
    let seen = metrics.nodes_seen(&chain());
    let seen = seen.first().unwrap();
    assert_eq!(
        (seen.link, seen.positions, seen.reconnects),
        (Some(LinkKind::Unix), 1, 1)
    );
    assert!(seen.connected_since.is_some());
    metrics.forget_node(&chain(), &name);
    assert!(metrics.nodes_seen(&chain()).is_empty());
    assert!(!metrics.encode().unwrap().contains("node-0"));
}

#[test]
fn the_store_the_keys_and_the_process_are_told() {
    let metrics = metrics();
    let store = metrics.store();
    store.healthy();
    store.committed(7, 9, 3, Duration::from_micros(60));
    store.was_full(Lane::Records);
    let conflict = Refusal::new(RefusalCode::DoubleSignConflict, "x").into();
    metrics.chain(&chain()).refused(None, &conflict);
    metrics.set_unauthenticated_links(2);
    metrics.set_keys([
        VersionState::Active,
        VersionState::Active,
        VersionState::Destroyed,
    ]);
    metrics.set_keys([VersionState::Active]);
    metrics.reloaded(Reload::Refused);
    let text = metrics.encode().unwrap();
    for line in [
        "sigward_store_healthy 1",
        "sigward_store_commit 7",
        "sigward_audit_chain_seq 9",
        "sigward_store_batch_size_bucket{le=\"2.0\"} 0",
        "sigward_store_batch_size_bucket{le=\"4.0\"} 1",
        "sigward_store_commit_duration_seconds_bucket{le=\"0.0001\"} 1",
        "sigward_store_busy_total{lane=\"records\"} 1",
        "sigward_store_busy_total{lane=\"acts\"} 0",
        "sigward_guard_conflicts_total 1",
        "sigward_unauthenticated_links 2",
        "sigward_keys{state=\"active\"} 1",
        "sigward_keys{state=\"destroyed\"} 0",
        "sigward_reload_total{result=\"refused\"} 1",
        "sigward_reload_total{result=\"applied\"} 0",
        "sigward_build_info{version=\"1.2.3\",commit=\"abc\"} 1",
    ] {
        has(&text, line);
    }
    let number = |name: &str| -> i64 {
        let line = text.lines().find_map(|line| line.strip_prefix(name)).unwrap();
        line.trim().parse().unwrap()
    };
    assert!(number("sigward_start_time_seconds ") > 1_700_000_000);
    assert!(number("sigward_resident_memory_bytes ") > 1 << 20);
    store.failed();
    has(&metrics.encode().unwrap(), "sigward_store_healthy 0");
    assert!(text.ends_with("# EOF\n"));
}

#[test]
fn every_name_has_our_prefix_and_stands_once() {
    let text = metrics().encode().unwrap();
    let mut names: Vec<_> = text
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE "))
        .collect();
    let ours = |name: &&str| name.starts_with("sigward_") && !name.starts_with("sigward_sigward");
    assert!(names.iter().all(ours), "{names:?}");
    let all = names.len();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), all);
}

/// Not a benchmark: a bound that a lookup of labels on the way of a signature, or a lock that is fought over, would break.
#[test]
fn the_way_of_a_signature_costs_microseconds_at_most() {
    let metrics = metrics();
    let (sign, of) = (metrics.sign(Proto::Privval), metrics.chain(&chain()));
    let rounds = 10_000u32;
    let begun = Instant::now();
    for height in 1..=rounds {
        for stage in [
            Stage::Authz,
            Stage::Guard,
            Stage::Provider,
            Stage::Verify,
            Stage::Commit,
            Stage::Total,
        ] {
            sign.took(
                Operation::SignPrecommit,
                stage,
                Duration::from_micros(u64::from(height % 500)),
            );
        }
        sign.served(Operation::SignPrecommit, Served::Signed);
        let height = Height::new(i64::from(height)).unwrap();
        of.signed(Operation::SignPrecommit, height, Served::Signed, 1);
    }
    let each = begun.elapsed() / rounds;
    println!("metrics of one signature: {each:?}");
    assert!(each < Duration::from_micros(50), "{each:?}");
}
