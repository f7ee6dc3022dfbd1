//! The process dies while records move from the database into segments, and while checkpoints are signed: the chain verifies, and
//! every signature that was released is in it.

use std::thread::sleep;
use std::time::Duration;

use toml::Table;

use super::dying::{armed, assert_aborted};
use super::load::{Chain, all_sign_on, chain, kill_while_they_sign};
use crate::support::audit::assert_no_double_sign;
use crate::support::home::Home;
use crate::support::poll;
use crate::support::random::Random;
use crate::support::scene::{CHAIN, Scene};
use crate::support::signer::Signer;

/// The steps of a record's way, and of a checkpoint's.
pub(super) const KEEP_POINTS: &[&str] = &[
    "audit_segment_written",
    "audit_segment_renamed",
    "store_forgetting",
    "store_forgot",
    "audit_checkpoint_written",
    "audit_checkpoint_signed",
];

/// The steps of a segment that is removed.
pub(super) const REMOVE_POINTS: &[&str] = &["audit_removal_recorded", "audit_segment_removed"];

const KILLS: usize = 16;
const CHAINS: usize = 3;

/// Segments of seven records, and nothing that is older than a second stays in the database.
pub(crate) fn keep_little(signer: &Signer) {
    signer.configure(|config| {
        let mut audit = Table::new();
        for (name, value) in [
            ("segment_records", 7),
            ("segment_age_s", 1),
            ("retention_s", 1),
            ("checkpoint_records", 5),
            ("checkpoint_age_s", 1),
        ] {
            audit.insert(name.to_owned(), value.into());
        }
        audit.insert("folder".to_owned(), "audit".into());
        config.insert("audit".to_owned(), audit.into());
    });
}

/// Old enough for the retention.
fn grow_old() {
    sleep(Duration::from_millis(1_200));
}

/// Signs, grows old, and dies at this point of keeping its records, once those steps before it are done.
fn dies_keeping(scene: &mut Scene, point: &str) {
    scene.start();
    let from = scene.journal.highest() + 1;
    scene.sign(from..=from + 20);
    scene.signer.kill();
    grow_old();
    let command = armed(scene.signer.command(&["serve"]), point, 0);
    let refused = scene.try_start_command(command);
    let status = match refused {
        Err(refused) => refused.status,
        Ok(()) => poll(Duration::from_secs(20), || scene.signer.ended()).expect("the signer has died"),
    };
    assert_aborted(status, point, &scene.log());
}

#[test]
fn a_signer_that_dies_at_any_step_of_keeping_its_records_loses_none() {
    let mut scene = Scene::new();
    keep_little(&scene.signer);
    for point in KEEP_POINTS {
        dies_keeping(&mut scene, point);
        let records = assert_no_double_sign(&scene.signer);
        scene.journal.assert_recorded(CHAIN, &records);
    }
    scene.start();
    let base = || {
        scene.signer.json(&["audit", "checkpoint", "--json"])["base"]
            .as_u64()
            .unwrap()
    };
    poll(Duration::from_secs(20), || (base() > 100).then_some(())).expect("records leave the database");
    scene.signer.terminate();
    let records = assert_no_double_sign(&scene.signer);
    scene.journal.assert_recorded(CHAIN, &records);
}

#[test]
fn a_signer_that_dies_while_it_removes_segments_has_a_chain_that_verifies() {
    let mut scene = Scene::new();
    keep_little(&scene.signer);
    scene.signer.configure(|config| {
        let audit = config
            .get_mut("audit")
            .and_then(toml::Value::as_table_mut)
            .unwrap();
        audit.insert("keep_segments_s".to_owned(), 1.into());
    });
    let removed = |scene: &Scene| {
        let found = scene.signer.json(&["audit", "verify", "--json"]);
        assert!(found["first_broken"].is_null(), "{found}");
        found["removed"].as_u64().unwrap()
    };
    for point in REMOVE_POINTS {
        dies_keeping(&mut scene, point);
        removed(&scene);
    }
    scene.start();
    poll(Duration::from_secs(20), || (removed(&scene) > 20).then_some(())).expect("segments are removed");
    scene.signer.terminate();
    removed(&scene);
}

#[test]
fn a_signer_that_is_killed_while_it_signs_and_keeps_its_records_misses_no_signature() {
    let home = Home::new();
    let mut signer = Signer::init(&home);
    signer.shrink_witness();
    keep_little(&signer);
    let mut chains: Vec<Chain> = (0..CHAINS).map(|index| chain(&home, &signer, index)).collect();
    let mut random = Random::new();
    for _ in 0..KILLS {
        signer.start_at_once();
        let moment = random.moment(Duration::from_millis(900));
        kill_while_they_sign(&mut signer, &mut chains, moment);
    }
    all_sign_on(&mut signer, &mut chains);
    signer.terminate();
    let records = assert_no_double_sign(&signer);
    for chain in &chains {
        chain.journal.assert_recorded(&chain.id, &records);
    }
    let kept = signer.json(&["audit", "checkpoint", "--json"]);
    let number = |name: &str| kept[name].as_u64().unwrap();
    assert!(number("base") > 0, "records left the database: {kept}");
    assert!(number("number") > 1, "checkpoints were signed: {kept}");
    println!(
        "{KILLS} kills: {} records, {} in segments, {} left the database",
        number("records"),
        number("exported"),
        number("base")
    );
}
