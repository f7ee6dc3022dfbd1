//! The ways out that refusals name: `state adopt --above` and `keys adopt --above`. Each opens what was lost, and never lower.

use super::assert_explained;
use crate::support::audit::assert_no_double_sign;
use crate::support::home::Home;
use crate::support::keys::restart_dialling;
use crate::support::scene::{CHAIN, KEY, Scene};
use crate::support::signer::Signer;

fn lost(file: &str, code: &str) -> Scene {
    let mut scene = Scene::new();
    scene.start();
    scene.sign(1..=20);
    scene.signer.kill();
    std::fs::remove_file(scene.signer.home().join("state").join(file)).unwrap();
    let refused = scene.try_start().unwrap_err();
    assert_explained(&refused, &[code], file);
    assert!(
        refused.log.contains("state adopt --above HEIGHT"),
        "{}",
        refused.log
    );
    scene
}

#[test]
fn a_state_without_its_witness_is_adopted_above_a_height() {
    let mut scene = lost("witness", "witness_missing");
    let too_low = scene.signer.attempt(&["state", "adopt", "--above", "19"]);
    let said = String::from_utf8(too_low.stderr).unwrap();
    assert!(
        !too_low.status.success() && said.contains("adopt_too_low: "),
        "{said}"
    );
    let unnamed = scene
        .signer
        .attempt(&["state", "adopt", "--above", "another-1=500"]);
    assert!(
        !unnamed.status.success(),
        "every chain is named, or one height is for all"
    );

    let adopted = scene.signer.json(&["state", "adopt", "--above", "500", "--json"]);
    assert_eq!(adopted["adopted"], "closed", "{adopted}");
    scene.start();
    scene.assert_refuses(20, "height_closed");
    scene.assert_refuses(500, "height_closed");
    scene.sign(501..=503);
    scene.signer.terminate();
    let records = assert_no_double_sign(&scene.signer);
    scene.journal.assert_recorded(CHAIN, &records);
}

#[test]
fn a_state_whose_log_is_gone_is_adopted_above_a_height_and_keeps_its_keys() {
    let mut scene = lost("guard.db-wal", "store_behind_witness");
    scene
        .signer
        .run(&["state", "adopt", "--above", &format!("{CHAIN}=500")]);
    // The log held the key's row: what is left knows the key, and nothing of its past. It must not begin as fresh.
    let said = restart_dialling(&mut scene).unwrap_err();
    assert!(said.contains("beginning_required"), "{said}");
    let init = ["state", "init", "--key", KEY, "--chain", CHAIN];
    let refused = scene.signer.attempt(&[&init[..], &["--never-signed"]].concat());
    assert_eq!(
        refused.status.code(),
        Some(3),
        "it has signed; nobody may say otherwise"
    );
    scene.signer.run(&[&init[..], &["--above", "500"]].concat());
    scene.start();
    scene.assert_refuses(20, "height_closed");
    scene.assert_refuses(500, "height_closed");
    scene.sign(501..=503);
}

/// The log held the key itself. Its sealed file is all that is left, and looks like one of a `keys create` that was cut off.
#[test]
fn a_key_that_was_lost_with_the_log_does_not_come_back_as_a_fresh_one() {
    let home = Home::new();
    let mut signer = Signer::init(&home);
    signer.start();
    signer.create_key(KEY);
    signer.kill();
    let mut scene = Scene::with(home, signer);
    scene.start();
    scene.sign(1..=20);
    scene.signer.kill();
    std::fs::remove_file(scene.signer.home().join("state/guard.db-wal")).unwrap();
    scene.signer.run(&["state", "adopt", "--above", "500"]);
    assert!(
        restart_dialling(&mut scene)
            .unwrap_err()
            .contains("key_not_found")
    );
    scene.signer.create_key(KEY);
    let said = restart_dialling(&mut scene).unwrap_err();
    assert!(said.contains("beginning_required"), "{said}");
    scene
        .signer
        .run(&["state", "init", "--key", KEY, "--chain", CHAIN, "--above", "500"]);
    scene.start();
    scene.assert_refuses(20, "height_closed");
    scene.sign(501..=503);
}

#[test]
fn a_lost_database_is_replaced_and_its_keys_are_adopted_by_name() {
    let mut scene = lost("guard.db", "store_missing");
    let adopted = scene.signer.json(&["state", "adopt", "--above", "500", "--json"]);
    assert_eq!(adopted["adopted"], "replaced", "{adopted}");
    let aside = adopted["aside"].as_str().unwrap();
    assert!(
        std::path::Path::new(aside).join("guard.db-wal").exists(),
        "nothing is deleted"
    );
    let said = restart_dialling(&mut scene).unwrap_err();
    assert!(said.contains("foreign_store"), "{said}");
    scene.signer.run(&["keys", "adopt", KEY, "--above", "500"]);
    scene.start();
    scene.assert_refuses(20, "height_closed");
    scene.sign(501..=503);
    scene.signer.terminate();
    let records = assert_no_double_sign(&scene.signer);
    let acts: Vec<&str> = records.iter().map(|record| &*record.operation).collect();
    assert!(
        acts.contains(&"state.adopt") && acts.contains(&"key.adopt"),
        "{acts:?}"
    );
}
