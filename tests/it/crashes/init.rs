//! `init` that is cut off: nothing starts from what it left, and the next `init` finishes it.

use super::dying::dies;
use crate::support::home::Home;
use crate::support::scene::{KEY, Scene};
use crate::support::signer::Signer;

/// The steps of making a store.
pub(super) const POINTS: &[&str] = &[
    "store_create_database_built",
    "store_witness_before_rename",
    "store_create_witnessed",
    "store_create_renamed",
];

#[test]
fn an_init_that_dies_is_finished_by_the_next() {
    for point in POINTS {
        let home = Home::new();
        let signer = Signer::not_yet(&home);
        // Whatever disk this is: only the process dies.
        dies(signer.command(&["init", "--allow-volatile"]), point);
        let refused = signer.attempt(&["serve"]);
        assert_eq!(refused.status.code(), Some(1), "{point}");
        let said = String::from_utf8(refused.stderr).unwrap();
        assert!(
            said.contains("config_missing"),
            "{point}: half a home does not serve: {said}"
        );

        signer.make();
        signer.create_key(KEY);
        let mut scene = Scene::with(home, signer);
        scene.start();
        scene.sign(1..=2);
        scene.signer.terminate();
        let again = scene.signer.attempt(&["init"]);
        assert!(!again.status.success(), "{point}: a whole home is not made again");
    }
}

/// What is not known to be unused is not taken for the rest of an `init`.
#[test]
fn an_init_without_its_configuration_takes_no_store_that_was_used() {
    let home = Home::new();
    let signer = Signer::init(&home);
    signer.create_key(KEY);
    std::fs::remove_file(signer.home().join("sigward.toml")).unwrap();
    let refused = signer.attempt(&["init"]);
    assert_eq!(refused.status.code(), Some(1));
    let said = String::from_utf8(refused.stderr).unwrap();
    assert!(said.contains("store_exists"), "{said}");
}
