//! Acts of an operator that are cut off: each is whole or has not happened, and repeating it finishes it.

use super::dying::dies;
use super::points::{Fate, POINTS};
use crate::support::audit::assert_no_double_sign;
use crate::support::fake_node::{Answer, Ask};
use crate::support::home::Home;
use crate::support::keys::{KeyFile, restart_dialling};
use crate::support::scene::{CHAIN, KEY, Scene};
use crate::support::signer::Signer;

/// Between a key's file and its row, and the other way round.
pub(super) const KEY_POINTS: &[&str] = &["admin_key_sealed", "admin_key_adopting"];

/// The steps of `state adopt`.
pub(super) const ADOPT_POINTS: &[&str] = &[
    "store_adopt_moved",
    "store_adopt_before_commit",
    "store_adopt_committed",
    "store_adopt_witness_aside",
    "store_adopt_witnessed",
];

fn store_points() -> impl Iterator<Item = (&'static str, Fate)> {
    let of_store = |(point, _): &(&str, Fate)| point.starts_with("store_");
    POINTS.iter().copied().filter(of_store)
}

#[test]
fn a_key_whose_making_dies_is_made_by_asking_again_and_exists_once() {
    let home = Home::new();
    let signer = Signer::init(&home);
    let sealed = [("admin_key_sealed", Fate::Forgotten)];
    for (index, (point, fate)) in sealed.into_iter().chain(store_points()).enumerate() {
        let name = format!("key-{index}");
        let create = ["keys", "create", &name, "--json"];
        dies(signer.command(&create), point);
        if fate == Fate::Forgotten {
            signer.run(&create);
        } else {
            let again = signer.attempt(&create);
            assert_eq!(again.status.code(), Some(3), "{point}: key_exists");
        }
        signer.run(&["keys", "show", &name]);
        let files = std::fs::read_dir(signer.home().join("keys")).unwrap();
        let sealed = files
            .filter(|file| {
                file.as_ref()
                    .unwrap()
                    .file_name()
                    .to_str()
                    .unwrap()
                    .ends_with(".sealed")
            })
            .count();
        assert_eq!(sealed, index + 1, "{point}: one file a key");
    }
    signer.run(&["audit", "verify"]);
}

/// A key and its past come together or not at all: no moment at which the key is there and could sign from zero.
#[test]
fn a_key_whose_import_dies_never_stands_there_without_its_past() {
    let sealed = [("admin_key_sealed", Fate::Forgotten)];
    for (point, fate) in sealed.into_iter().chain(store_points()) {
        let home = Home::new();
        let signer = Signer::init(&home);
        let file = KeyFile::of_seed([7; 32]).write(&home.path("key.json"));
        let import = [
            "keys", "import", KEY, "--file", &file, "--chain", CHAIN, "--above", "100",
        ];
        dies(signer.command(&import), point);
        let mut scene = Scene::with(home, signer);
        if fate == Fate::Forgotten {
            let known = scene.signer.json(&["keys", "list", "--json"]);
            assert_eq!(known.as_array().map(Vec::len), Some(0), "{point}: {known}");
            // Another word on its past is not smuggled in by the file that is left.
            scene.signer.run(&import);
        }
        scene.start();
        for height in [1, 99, 100] {
            scene.assert_refuses(height, "height_closed");
        }
        scene.sign(101..=103);
        scene.signer.terminate();
        scene
            .journal
            .assert_recorded(CHAIN, &assert_no_double_sign(&scene.signer));
    }
}

#[test]
fn an_adopt_that_dies_has_happened_or_not_and_is_finished_by_repeating_it() {
    let closing = ADOPT_POINTS.iter().filter(|point| **point != "store_adopt_moved");
    for point in closing.chain(&["store_witness_before_rename"]) {
        let mut scene = signed_and_killed();
        std::fs::remove_file(scene.signer.home().join("state/witness")).unwrap();
        let adopt = ["state", "adopt", "--above", "1000"];
        dies(scene.signer.command(&adopt), point);
        // What it left either refuses, or has closed what it was told to close.
        match scene.try_start() {
            Err(refused) => assert_eq!(refused.status.code(), Some(1), "{point}: {}", refused.log),
            Ok(()) => {
                assert_closed(&mut scene, point);
                scene.signer.kill();
            }
        }
        scene.signer.run(&adopt);
        scene.start();
        assert_closed(&mut scene, point);
        scene.sign(1001..=1003);
        scene.signer.terminate();
        scene
            .journal
            .assert_recorded(CHAIN, &assert_no_double_sign(&scene.signer));
    }
}

#[test]
fn a_lost_store_whose_replacement_dies_at_any_step_signs_nothing_before_its_keys_were_adopted() {
    let building = [
        "store_adopt_moved",
        "store_create_database_built",
        "store_witness_before_rename",
        "store_create_witnessed",
        "store_create_renamed",
    ];
    for point in building {
        let mut scene = signed_and_killed();
        let state = scene.signer.home().join("state");
        std::fs::remove_file(state.join("guard.db")).unwrap();
        let adopt = ["state", "adopt", "--above", "1000"];
        dies(scene.signer.command(&adopt), point);
        if point != "store_create_renamed" {
            let refused = scene.try_start().unwrap_err();
            assert_eq!(refused.status.code(), Some(1), "{point}: {}", refused.log);
        }
        scene.signer.run(&adopt);

        // The store is new and knows no key: the sealed one is another store's.
        assert!(
            restart_dialling(&mut scene).is_err(),
            "{point}: a foreign key is not used"
        );
        let keys = ["keys", "adopt", KEY, "--above", "1000"];
        dies(scene.signer.command(&keys), "admin_key_adopting");
        assert!(
            restart_dialling(&mut scene).is_err(),
            "{point}: nor one that is half adopted"
        );
        scene.signer.run(&keys);
        scene.start();
        assert_closed(&mut scene, point);
        scene.sign(1001..=1003);
        scene.signer.terminate();
        assert_no_double_sign(&scene.signer);
    }
}

fn signed_and_killed() -> Scene {
    let mut scene = Scene::new();
    scene.start();
    scene.sign(1..=5);
    scene.signer.kill();
    scene
}

fn assert_closed(scene: &mut Scene, point: &str) {
    for height in [5, 6, 1000] {
        for ask in [Ask::prevote(height, 1), Ask::prevote(height, 2)] {
            let answer = scene.ask(ask);
            assert!(
                matches!(&answer, Answer::Refused { text, .. } if text.starts_with("height_closed")),
                "{point}: height {height} is closed: {answer:?}"
            );
        }
    }
}
