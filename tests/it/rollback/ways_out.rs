//! The ways out that refusals name: `state adopt --above` and `keys adopt --above`. Each opens what was lost, and never lower.

use super::assert_explained;
use crate::support::audit::assert_no_double_sign;
use crate::support::home::Home;
use crate::support::keys::restart_dialling;
use crate::support::scene::{CHAIN, KEY, Scene};
use crate::support::signer::Signer;

/// More commits than a small witness still holds when the state before them is put back.
const MANY: i64 = 300;

fn lost(file: &str, code: &str) -> Scene {
    let mut scene = Scene::new();
    scene.start();
    scene.sign(1..=20);
    scene.signer.kill();
    std::fs::remove_file(scene.signer.home().join("state").join(file)).unwrap();
    assert_refused(&mut scene, file, code);
    scene
}

fn assert_refused(scene: &mut Scene, case: &str, code: &str) {
    let refused = scene.try_start().unwrap_err();
    assert_explained(&refused, &[code], case);
    assert!(
        refused.log.contains("state adopt --above HEIGHT"),
        "{}",
        refused.log
    );
}

/// A database from before the first signature under a witness that has seen [`MANY`]: from before the key, or from after it.
fn older_database(knows_the_key: bool) -> Scene {
    let home = Home::new();
    let signer = Signer::init(&home);
    signer.shrink_witness();
    let (database, older) = (signer.home().join("state/guard.db"), home.path("older.db"));
    if !knows_the_key {
        std::fs::copy(&database, &older).unwrap();
    }
    signer.create_key(KEY);
    if knows_the_key {
        std::fs::copy(&database, &older).unwrap();
    }
    let mut scene = Scene::with(home, signer);
    scene.start();
    scene.sign(1..=MANY);
    scene.signer.kill();
    std::fs::copy(&older, &database).unwrap();
    std::fs::remove_file(scene.signer.home().join("state/guard.db-wal")).unwrap();
    assert_refused(&mut scene, "an older database", "store_behind_witness");
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

/// The older database knows the key, and nothing of its past: that it was made here is no reason to begin it as fresh.
#[test]
fn an_older_state_is_adopted_above_a_height_and_its_keys_do_not_begin_as_fresh() {
    let mut scene = older_database(true);
    scene
        .signer
        .run(&["state", "adopt", "--above", &format!("{CHAIN}=500")]);
    let said = restart_dialling(&mut scene).unwrap_err();
    assert!(said.contains("beginning_required"), "{said}");
    let init = ["state", "init", "--key", KEY, "--chain", CHAIN];
    let refused = scene.signer.attempt(&[&init[..], &["--never-signed"]].concat());
    assert_eq!(
        refused.status.code(),
        Some(3),
        "it has signed; nobody may say otherwise"
    );
    begin_above_500(&mut scene);
}

/// Its sealed file is all that is left of the key, and looks like one of a `keys create` that was cut off.
#[test]
fn a_key_that_was_lost_with_the_state_does_not_come_back_as_a_fresh_one() {
    let mut scene = older_database(false);
    scene.signer.run(&["state", "adopt", "--above", "500"]);
    assert!(
        restart_dialling(&mut scene)
            .unwrap_err()
            .contains("key_not_found")
    );
    scene.signer.create_key(KEY);
    let said = restart_dialling(&mut scene).unwrap_err();
    assert!(said.contains("beginning_required"), "{said}");
    begin_above_500(&mut scene);
}

fn begin_above_500(scene: &mut Scene) {
    scene
        .signer
        .run(&["state", "init", "--key", KEY, "--chain", CHAIN, "--above", "500"]);
    scene.start();
    scene.assert_refuses(MANY, "height_closed");
    scene.assert_refuses(500, "height_closed");
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

/// The key signed under the other store on a chain that the configuration names no more: nobody can say how far.
#[test]
fn adopting_a_key_stops_it_on_chains_that_are_not_configured() {
    let mut scene = lost("guard.db", "store_missing");
    let keys = scene.signer.home().join("keys");
    let sealed = std::fs::read_dir(&keys)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .find(|path| path.extension().is_some_and(|extension| extension == "sealed"))
        .unwrap();
    let of_the_first_store = std::fs::read(&sealed).unwrap();
    scene.signer.run(&["state", "adopt", "--above", "500"]);
    scene.signer.run(&["keys", "adopt", KEY, "--above", "500"]);
    std::fs::write(&sealed, of_the_first_store).unwrap();
    let chains = |table: &mut toml::Table| table.remove("chain");
    let mut taken = None;
    scene.signer.configure(|table| taken = chains(table));
    scene.signer.run(&["keys", "adopt", KEY, "--above", "600"]);
    let rows = scene.signer.json(&["state", "show", "--json"]);
    assert_eq!(rows[0]["kind"], "exported", "{rows}");
    // The chain comes back into the configuration, and the key does not sign there by itself.
    scene.signer.configure(|table| {
        table.insert("chain".to_owned(), taken.unwrap());
    });
    scene.start();
    scene.assert_refuses(601, "key_stopped");
}
