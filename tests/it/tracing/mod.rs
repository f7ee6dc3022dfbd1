//! Traces of votes, and where they are sent (`otlp`): every signature has one of its own, in its record and in every log line of its request.

#[cfg(feature = "otel")]
pub(crate) mod otlp;

use std::collections::HashSet;

use serde_json::Value;

use crate::support::audit::assert_no_double_sign;
use crate::support::fake_node::{Answer, Ask};
use crate::support::scene::Scene;

fn records(scene: &Scene) -> Vec<Value> {
    let text = scene
        .signer
        .run(&["audit", "query", "--operation", "sign.*", "--json"]);
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

#[test]
fn a_votes_record_says_how_its_node_is_known_what_decided_and_in_which_trace() {
    let mut scene = Scene::new();
    scene.start();
    scene.sign(1..=5);
    let refused = scene.ask(Ask::prevote(3, 1).conflicting());
    assert!(matches!(refused, Answer::Refused { .. }), "{refused:?}");
    let recorded = || records(&scene);
    let denied = crate::support::poll(std::time::Duration::from_secs(20), || {
        recorded()
            .into_iter()
            .find(|record| record["decision"] == "denied")
    })
    .expect("the refusal is put on record");
    let records = records(&scene);
    let mut traces = HashSet::new();
    for record in &records {
        assert_eq!(record["authentication"]["method"], "dialled", "{record}");
        assert_eq!(record["key_version"], 1, "{record}");
        assert_eq!(record["ruling"]["rule"], "(built-in)", "{record}");
        assert_eq!(record["form"], 2, "{record}");
        let trace = record["trace_id"].as_str().unwrap();
        assert_eq!(trace.len(), 32, "{record}");
        assert!(traces.insert(trace.to_owned()), "twice: {record}");
    }
    assert!(records.len() > 5);
    let trace = denied["trace_id"].as_str().unwrap();
    let log = scene.log();
    assert!(
        log.lines()
            .any(|line| line.contains("refused") && line.contains(trace)),
        "{trace} in\n{log}"
    );
    assert_no_double_sign(&scene.signer);
    // What sigward did by itself, nobody asked for and nothing decided.
    let acts = scene
        .signer
        .run(&["audit", "query", "--subject", "service", "--json"]);
    for act in acts.lines() {
        let act: Value = serde_json::from_str(act).unwrap();
        assert_eq!(act["authentication"]["method"], "service", "{act}");
        assert_eq!(act["ruling"], Value::Null, "{act}");
    }
}
