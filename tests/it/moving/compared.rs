//! What the chain knows of a key: an old copy of a state is found however long ago its signer was stopped, and a chain that says
//! nothing is no proof.

use std::time::Duration;

use super::rpc::FakeChain;
use super::{TmkmsFiles, import, imported, nothing_is_there, refused, tmkms_files};
use crate::support::home::Home;
use crate::support::keys::KeyFile;
use crate::support::signer::Signer;

fn chain() -> FakeChain {
    FakeChain::of(&KeyFile::of_seed([5; 32]))
}

fn base<'a>(files: &'a TmkmsFiles, rpc: &'a str) -> Vec<&'a str> {
    vec![
        "--from",
        "tmkms",
        files.folder(),
        "--ignore-running",
        "--rpc",
        rpc,
    ]
}

#[test]
fn an_old_copy_is_found_although_its_signer_was_stopped_long_ago() {
    let home = Home::new();
    let files = tmkms_files(&home, 100);
    let signer = Signer::not_yet(&home);
    let rpc = FakeChain {
        signed_until: 970,
        ..chain()
    }
    .serve();
    let with = |more: &[&'static str]| [&base(&files, &rpc)[..], more].concat();
    let said = refused(&signer, 3, "watermark_behind_chain", &with(&["--apply"]));
    assert!(
        said.contains("970") && said.contains("--above c-1=1010"),
        "{said}"
    );
    assert!(nothing_is_there(&signer));
    let said = String::from_utf8(import(&signer, &with(&[])).stdout).unwrap();
    assert!(said.contains("WOULD REFUSE  watermark_behind_chain"), "{said}");
    imported(&signer, &with(&["--apply", "--above", "c-1=1010"]));
}

#[test]
fn a_state_that_the_whole_chain_confirms_is_taken() {
    let home = Home::new();
    let files = tmkms_files(&home, 100);
    let signer = Signer::not_yet(&home);
    let rpc = chain().serve();
    let said = imported(&signer, &[&base(&files, &rpc)[..], &["--json"]].concat());
    let value: serde_json::Value = serde_json::from_str(&said).unwrap();
    assert_eq!(value["checks"][0]["compared"], true, "{value}");
    assert_eq!(value["checks"][0]["last_signature_seen"], 100, "{value}");
}

#[test]
fn blocks_that_nobody_can_look_at_are_not_taken_for_unsigned() {
    let home = Home::new();
    let files = tmkms_files(&home, 100);
    let signer = Signer::not_yet(&home);
    let pruned = FakeChain {
        earliest: 900,
        ..chain()
    };
    let (short, slow) = (
        pruned.clone().serve(),
        FakeChain {
            delay: Duration::from_millis(300),
            ..chain()
        }
        .serve(),
    );
    let said = refused(
        &signer,
        3,
        "chain_not_compared",
        &[&base(&files, &short)[..], &["--apply"]].concat(),
    );
    assert!(
        said.contains("no block below 900") && said.contains("--above c-1=1010"),
        "{said}"
    );
    let said = refused(
        &signer,
        3,
        "chain_not_compared",
        &[&base(&files, &slow)[..], &["--rpc-limit", "1", "--apply"]].concat(),
    );
    assert!(said.contains("--rpc-limit"), "{said}");
    // A second node that has them all is enough.
    let whole = chain().serve();
    imported(&signer, &[&base(&files, &short)[..], &["--rpc", &whole]].concat());
    imported(
        &signer,
        &[&base(&files, &short)[..], &["--above", "c-1=1010", "--apply"]].concat(),
    );
}

#[test]
fn a_chain_that_halts_proves_something_only_of_a_key_that_alone_makes_blocks() {
    let home = Home::new();
    let files = tmkms_files(&home, 100);
    let signer = Signer::not_yet(&home);
    let wait = ["--wait-blocks", "2", "--wait-limit", "1"];
    for power in [(10, 20), (5, 20), (14, 21)] {
        let rpc = FakeChain { power, ..chain() }.serve();
        let said = refused(
            &signer,
            3,
            "chain_stands_still",
            &[&base(&files, &rpc)[..], &wait, &["--apply"]].concat(),
        );
        assert!(
            said.contains(&format!("{} of {}", power.0, power.1)) && said.contains("--accept-standstill"),
            "{said}"
        );
        let said = imported(
            &signer,
            &[&base(&files, &rpc)[..], &wait, &["--accept-standstill"]].concat(),
        );
        assert!(said.contains("your word"), "{said}");
    }
    assert!(nothing_is_there(&signer));
    let rpc = FakeChain {
        power: (15, 21),
        ..chain()
    }
    .serve();
    let said = imported(&signer, &[&base(&files, &rpc)[..], &wait].concat());
    assert!(said.contains("halts without this key"), "{said}");
}
