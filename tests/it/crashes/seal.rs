//! A move of the seal that dies: every key opens with what the configuration then says, and asking again finishes the move.

use super::dying::{armed, assert_aborted, dies};
use crate::seal::moves::{assert_opens, with_key_file};
use crate::seal::token::Token;
use crate::support::home::Home;
use crate::support::scene::{KEY, Scene};
use crate::support::signer::Signer;

/// Every step of a move, in order.
pub(super) const MOVE_POINTS: &[&str] = &[
    "seal_move_made",
    "seal_move_staged",
    "seal_move_recorded",
    "import_config_written",
    "seal_move_switched",
    "seal_move_settling",
];

pub(super) const REWRAP_POINTS: &[&str] = &["seal_rewrap_made", "seal_rewrap_written"];

#[test]
fn a_move_to_the_token_that_dies_leaves_every_key_openable_and_is_finished_by_repeating_it() {
    die_at_every_point(false, ["pkcs11", "hsm-a"]);
}

#[test]
fn a_move_from_the_token_that_dies_leaves_every_key_openable_and_is_finished_by_repeating_it() {
    die_at_every_point(true, ["passphrase-file", "s/passphrase"]);
}

fn die_at_every_point(from_token: bool, to: [&str; 2]) {
    for point in MOVE_POINTS {
        // With two keys, staging and settling pass their points twice.
        let skips = if point.ends_with("staged") || point.ends_with("settling") {
            0..2
        } else {
            0..1
        };
        for skip in skips {
            let (home, token, signer) = begun(from_token);
            let place = if to[0] == "pkcs11" {
                to[1].into()
            } else {
                home.path(to[1])
            };
            let act = ["seal", "move", "--to", to[0], place.to_str().unwrap()];
            let output = armed(signer.command(&act), point, skip).output().unwrap();
            let place = format!("{point}, {skip}");
            assert_aborted(output.status, &place, &String::from_utf8_lossy(&output.stderr));

            let switched = matches!(*point, "seal_move_switched" | "seal_move_settling");
            let kind = signer.json(&["seal", "show", "--json"])["kind"].clone();
            assert_eq!(kind == to[0], switched, "{place}: {kind}");
            let mut scene = Scene::with(home, signer);
            scene.start();
            scene.sign(1..=2);
            scene.signer.terminate();
            assert_opens(&scene.signer, &place);
            assert_eq!(
                scene.signer.json(&["seal", "show", "--json"])["half_way"],
                0,
                "{place}"
            );

            let again = scene.signer.json(&[&act[..], &["--json"]].concat());
            assert_eq!(again["changed"], !switched, "{place}: {again}");
            assert_opens(&scene.signer, &place);
            scene.start();
            scene.sign(3..=4);
            scene.signer.terminate();
            drop(token);
        }
    }
}

#[test]
fn a_move_that_dies_and_is_asked_for_again_at_once_is_finished() {
    for point in MOVE_POINTS {
        let (_home, _token, signer) = begun(false);
        let act = ["seal", "move", "--to", "pkcs11", "hsm-a"];
        dies(signer.command(&act), point);
        signer.run(&act);
        assert_opens(&signer, point);
        let shown = signer.json(&["seal", "show", "--ask-token", "--json"]);
        assert_eq!(
            (&shown["kind"], &shown["half_way"]),
            (&"pkcs11".into(), &0.into()),
            "{point}"
        );
        // The wrapped key that the first attempt made is used by the second.
        assert_eq!(
            shown["token"]["keys_in_token"].as_array().unwrap().len(),
            1,
            "{point}"
        );
        signer.run(&["audit", "verify"]);
    }
}

#[test]
fn a_rewrap_that_dies_leaves_every_key_openable() {
    for point in REWRAP_POINTS {
        let (_home, _token, signer) = begun(true);
        dies(signer.command(&["seal", "rewrap"]), point);
        assert_opens(&signer, point);
        let left = signer.json(&["seal", "show", "--ask-token", "--json"]);
        assert_eq!(
            left["token"]["keys_in_token"].as_array().unwrap().len(),
            2,
            "{point}: shown, not hidden"
        );
        let unnamed = left["token"]["keys_no_file_names"].as_array().unwrap();
        let in_use = left["token"]["wrapping_key"].as_str().unwrap();
        assert_eq!(unnamed.len(), 1, "{point}: {left}");
        let orphan = unnamed[0].as_str().unwrap();
        let listed = signer.json(&["seal", "prune", "--json"]);
        assert_eq!(listed["unnamed"], left["token"]["keys_no_file_names"], "{point}");
        assert_eq!(listed["destroyed"], serde_json::json!([]), "{point}");
        for (id, code) in [
            (in_use, "wrapping_key_in_use"),
            ("0a0b", "wrapping_key_not_found"),
        ] {
            let refused = signer.attempt(&["seal", "prune", orphan, id, "--yes"]);
            assert!(
                String::from_utf8_lossy(&refused.stderr).contains(code),
                "{refused:?}"
            );
        }
        assert!(
            !signer.attempt(&["seal", "prune", orphan]).status.success(),
            "--yes is wanted"
        );
        let pruned = signer.json(&["seal", "prune", orphan, "--yes", "--json"]);
        assert_eq!(pruned["destroyed"], serde_json::json!([orphan]), "{point}");
        let left = signer.json(&["seal", "show", "--ask-token", "--json"]);
        assert_eq!(
            left["token"]["keys_in_token"],
            serde_json::json!([in_use]),
            "{point}"
        );
        assert_opens(&signer, point);
        assert!(signer.run(&["audit", "tail"]).contains("seal.prune"), "{point}");
        signer.run(&["seal", "rewrap"]);
        assert_opens(&signer, point);
    }
}

fn begun(from_token: bool) -> (Home, Token, Signer) {
    let home = Home::new();
    let token = Token::new(&home, "token");
    let signer = with_key_file(&home, &token);
    if from_token {
        signer.run(&["seal", "move", "--to", "pkcs11", "hsm-a"]);
    }
    assert_opens(&signer, KEY);
    (home, token, signer)
}
