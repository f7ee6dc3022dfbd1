//! `kill -9` on the way of a key, and of its end: it is there and counts, or it was never made; and it is revoked, or not yet.

use std::time::Duration;

use super::super::stage::{Stage, said};
use super::POINTS;
use crate::crashes::{armed, assert_aborted};
use crate::support::poll;

/// Starts the signer again, to die at `point`; then asks.
fn dies_at(stage: &mut Stage, point: &str, arguments: &[&str]) {
    stage.signer.kill();
    let command = armed(stage.signer.command(&["serve"]), point, 0);
    stage.signer.start_command(command);
    let answers = poll(Duration::from_secs(20), || stage.signer.lives().then_some(()));
    assert!(answers.is_some(), "{point}\n{}", stage.signer.log_tail());
    let output = stage.signer.attempt(arguments);
    assert!(
        !output.status.success(),
        "{point}: nobody is told that it is done"
    );
    assert!(
        !said(&output).contains("sigward_"),
        "{point}: no secret of a key that may not be"
    );
    let status = poll(Duration::from_secs(10), || stage.signer.ended()).expect("the signer has died");
    assert_aborted(status, point, &stage.signer.log_tail());
    stage.signer.start();
}

fn names(stage: &Stage) -> Vec<String> {
    let list = stage.signer.json(&["api-key", "list", "--json"]);
    let names = list.as_array().unwrap().iter();
    names
        .map(|key| key["name"].as_str().unwrap().to_owned())
        .collect()
}

#[test]
fn a_key_is_there_and_counts_or_was_never_made() {
    let mut stage = Stage::new();
    let old = stage.api_key("old");
    stage.signer.start();
    for (point, kept) in [
        (POINTS[0], false),
        ("store_before_witness", false),
        ("store_witness_written", true),
        ("store_tables_written", true),
        (POINTS[1], true),
    ] {
        let create = ["api-key", "create", point];
        dies_at(&mut stage, point, &create);
        assert_eq!(names(&stage).iter().any(|name| name == point), kept, "{point}");
        // Its name is free, or it is there, with a secret that nobody has: revoked, it leaves nothing open.
        if kept {
            assert!(
                said(&stage.signer.attempt(&create)).contains("api_key_exists"),
                "{point}"
            );
            stage.signer.run(&["api-key", "revoke", point]);
        } else {
            let made = stage.api_key(point);
            assert_eq!(stage.shows(&made).0, "0", "{point}");
        }
        assert_eq!(stage.shows(&old).0, "0", "{point}");
    }
    // What was told is so after a death at any moment that follows.
    let made = stage.api_key("told");
    stage.signer.kill();
    stage.signer.start();
    assert_eq!(stage.shows(&made).0, "0");
    dies_at(&mut stage, POINTS[2], &["api-key", "revoke", "old"]);
    assert_eq!(stage.shows(&old).0, "16");
    stage.signer.run(&["api-key", "revoke", "told"]);
    stage.signer.kill();
    stage.signer.start();
    assert_eq!(stage.shows(&made).0, "16");
    stage.signer.run(&["audit", "verify"]);
}
