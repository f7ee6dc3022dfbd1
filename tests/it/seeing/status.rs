//! `sigward status`: its JSON is a promise.

use serde_json::Value;

use super::stage::{CHAIN, KEY, Stage};
use crate::support::poll;

const EXPECTED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/seeing/status.json");

/// Puts a word of its kind where a value differs from run to run.
fn scrub(value: &mut Value, field: &str) {
    match value {
        Value::Object(fields) => fields.iter_mut().for_each(|(name, value)| scrub(value, name)),
        Value::Array(items) => items.iter_mut().for_each(|item| scrub(item, field)),
        Value::String(text) => {
            let word = match field {
                "started_at" | "last_signed_at" | "connected_since" => Some("TIME"),
                "version" => Some("VERSION"),
                "commit" => Some("COMMIT"),
                "store_id" => Some("ID"),
                "address" => Some("ADDRESS"),
                _ => None,
            };
            if let Some(word) = word {
                assert!(!text.is_empty(), "{field}");
                word.clone_into(text);
            }
        }
        Value::Number(_) => {
            let varies = field.ends_with("_bytes") || field.ends_with("_seconds") || field == "free_inodes";
            if varies || matches!(field, "commits" | "audit_records" | "count" | "reconnects") {
                *value = Value::from("NUMBER");
            }
        }
        Value::Null | Value::Bool(_) => {}
    }
}

#[test]
fn its_json_is_what_it_was() {
    let mut stage = Stage::new();
    stage.ten_heights();
    let mut found = stage.signer.json(&["status", "--json"]);
    assert!(found["latency"]["sign"]["p99_seconds"].as_f64().unwrap() > 0.0);
    assert!(found["store"]["free_bytes"].as_u64().unwrap() > 0);
    scrub(&mut found, "");
    let found = serde_json::to_string_pretty(&found).unwrap() + "\n";
    if std::env::var_os("UPDATE_SCREENS").is_some() {
        std::fs::write(EXPECTED, &found).unwrap();
    }
    let expected = std::fs::read_to_string(EXPECTED).unwrap();
    assert!(found == expected, "it is now\n{found}\nand was\n{expected}");
}

#[test]
fn its_text_tells_people_the_same() {
    let mut stage = Stage::new();
    stage.ten_heights();
    let text = stage.signer.run(&["status"]);
    for words in [
        CHAIN,
        KEY,
        "ready",
        "10/0/precommit",
        "NOT CONNECTED",
        "double_sign_conflict",
        "1 skipped",
    ] {
        assert!(text.contains(words), "{words:?} in\n{text}");
    }
    let once = stage.signer.run(&["top", "--once", "--ascii"]);
    assert!(once.is_ascii() && once.contains("###_#+#x##"), "{once}");
    assert!(once.lines().all(|line| line.len() <= 80), "{once}");
}

#[test]
fn without_a_daemon_it_says_so_and_shows_what_the_store_knows() {
    let mut stage = Stage::new();
    stage.height(7);
    stage.signer.terminate();
    let output = stage.signer.attempt(&["status"]);
    assert_eq!(output.status.code(), Some(1));
    let (text, errors) = (
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    assert!(
        text.contains("NOT RUNNING") && text.contains("7/0/precommit"),
        "{text}"
    );
    assert!(
        errors.contains("no daemon is running") && errors.contains("sigward serve"),
        "{errors}"
    );
    let output = stage.signer.attempt(&["status", "--json"]);
    assert_eq!(output.status.code(), Some(1));
    let json: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(json["serving"], false);
    assert_eq!(json["ready"], false);
    assert_eq!(json["chains"][0]["watermark"]["height"], 7);
    assert_eq!(json["chains"][0]["last_heights"], Value::Array(Vec::new()));
    // A chain that left the configuration is still in the store.
    stage.signer.configure(|config| drop(config.remove("chain")));
    let output = stage.signer.attempt(&["status", "--json"]);
    let json: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(json["chains"][0]["configured"], false);
    assert_eq!(json["chains"][0]["chain_id"], CHAIN);
}

#[test]
fn after_a_restart_the_past_is_not_called_missed() {
    let mut stage = Stage::new();
    stage.height(100);
    stage.signer.kill();
    stage.start();
    stage.height(101);
    stage.height(102);
    let seen = poll(std::time::Duration::from_secs(10), || {
        let status = stage.signer.json(&["status", "--json"]);
        (status["chains"][0]["passed_heights"]["signed"] == 1).then_some(status)
    });
    let status = seen.expect("height 101 is passed and signed");
    let chain = &status["chains"][0];
    assert_eq!(chain["passed_heights"]["skipped"], 0, "{chain}");
    assert_eq!(chain["last_heights"][0]["height"], 101, "{chain}");
    let metrics = stage.signer.metrics();
    assert_eq!(
        metrics.sum("sigward_positions_total", &[("node", "a")]),
        Some(4.0)
    );
    assert_eq!(
        metrics.sum("sigward_positions_total", &[("node", "b")]),
        Some(0.0)
    );
}
