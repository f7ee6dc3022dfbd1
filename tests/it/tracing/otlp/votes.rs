//! What a collector gets of votes.

use std::path::Path;

use super::collector::{Collector, Span};
use super::send_to;
use crate::support::audit::assert_no_double_sign;
use crate::support::fake_node::{Answer, Ask};
use crate::support::scene::{CHAIN, Scene};
use crate::tracing::records;

const INTERNAL: i32 = 1;
const SERVER: i32 = 2;

fn is(span: &Span, height: i64, outcome: &str) -> bool {
    let said = |name: &str| span.attributes.get(name).map(String::as_str);
    said("sigward.height") == Some(&height.to_string()) && said("sigward.outcome") == Some(outcome)
}

#[test]
fn a_vote_is_told_by_its_stages_in_the_trace_of_its_record() {
    let collector = Collector::start();
    let other = Collector::start();
    let mut scene = Scene::new();
    send_to(&scene.signer, &collector.endpoint(), &[]);
    // What an SDK would go by changes nothing.
    let elsewhere = other.endpoint();
    for name in [
        "OTEL_EXPORTER_OTLP_ENDPOINT",
        "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
    ] {
        scene.signer.environment(name, Path::new(&elsewhere));
    }
    scene
        .signer
        .environment("OTEL_TRACES_SAMPLER", Path::new("always_off"));
    scene.start();
    scene.sign(1..=2);
    assert!(matches!(scene.ask(Ask::prevote(2, 1)), Answer::Signed(_)));
    let refused = scene.ask(Ask::prevote(2, 1).conflicting());
    assert_eq!(refused.refusal(), "double_sign_conflict");

    let signed = collector.span(|span| is(span, 2, "ok"));
    let replayed = collector.span(|span| is(span, 2, "replayed"));
    let denied = collector.span(|span| is(span, 2, "refused"));
    for (root, expected) in [
        (
            &signed,
            &["authz", "guard", "provider", "commit", "verify", "release"][..],
        ),
        (&replayed, &["authz", "guard", "commit", "verify", "release"]),
        // The guard said no: it is not told how long it took, here as in the metrics.
        (&denied, &["authz"]),
    ] {
        let said = |name: &str| root.attributes.get(name).map(String::as_str);
        assert_eq!((root.name.as_str(), root.kind), ("sign.cometbft.prevote", SERVER));
        assert_eq!(said("sigward.chain.id"), Some(CHAIN));
        assert_eq!(said("sigward.node.name"), Some("a"));
        assert_eq!(said("sigward.type"), Some("prevote"));
        assert_eq!(said("sigward.round"), Some("0"));
        assert_eq!((root.parent.as_str(), root.error), ("", false));
        assert_eq!(root.resource["service.name"], "sigward");
        let stages = collector.stages(root);
        let names: Vec<_> = stages.iter().map(|stage| stage.name.as_str()).collect();
        assert_eq!(names, expected, "{root:#?}\n{stages:#?}");
        for stage in &stages {
            assert_eq!((&stage.trace, stage.kind), (&root.trace, INTERNAL));
            assert!(
                root.start <= stage.start && stage.start <= stage.end && stage.end <= root.end,
                "{root:#?}\n{stage:#?}"
            );
        }
    }
    assert_eq!(denied.attributes["error.type"], "double_sign_conflict");
    assert!(!signed.attributes.contains_key("error.type"));

    // Those of the last moment are sent too.
    scene.sign(3..=3);
    scene.signer.terminate();
    let last = collector.span(|span| is(span, 3, "ok"));
    let records = records(&scene);
    for (root, decision) in [
        (&signed, "allowed"),
        (&replayed, "replayed"),
        (&denied, "denied"),
        (&last, "allowed"),
    ] {
        let of_trace: Vec<_> = records
            .iter()
            .filter(|record| record["trace_id"] == root.trace)
            .collect();
        assert_eq!(of_trace.len(), 1, "{root:#?}\n{records:#?}");
        let height = &root.attributes["sigward.height"];
        assert_eq!(of_trace[0]["position"], format!("{height}/0/prevote"));
        assert_eq!(of_trace[0]["decision"], decision);
    }
    assert_eq!(other.asked(), 0, "the configuration says where traces go");
    let log = scene.log();
    assert!(
        log.contains("OTEL_EXPORTER_OTLP_ENDPOINT") && !log.contains(&elsewhere),
        "{log}"
    );
    assert_no_double_sign(&scene.signer);
}

#[test]
fn none_of_those_that_begin_here_are_told_where_nobody_wants_them() {
    let collector = Collector::start();
    let mut scene = Scene::new();
    send_to(&scene.signer, &collector.endpoint(), &[("sample", 0.into())]);
    scene.start();
    scene.sign(1..=3);
    scene.signer.terminate();
    assert_eq!(collector.asked(), 0);
}
