//! SIGHUPs without number, edits under them, and the daemon signs and ends cleanly.

use super::stage::{Stage, accept, signed};

#[test]
fn a_storm_of_signals_and_edits_disturbs_nobody() {
    let mut stage = Stage::with_keys(["one", "two"]);
    let mut node = stage.chain("c-1", "one");
    stage.signer.start();
    accept(&mut node);
    let path = stage.signer.home().join("sigward.toml");
    let without = std::fs::read_to_string(&path).unwrap();
    let mut second = stage.chain("c-2", "two");
    let with = std::fs::read_to_string(&path).unwrap();
    let broken = format!("{with}\n[[chain]]\nid =");
    // Beside it and then into its place, as editors do: half a file may be a whole one that says something else.
    let write = |text: &str| {
        let aside = path.with_extension("new");
        std::fs::write(&aside, text).unwrap();
        std::fs::rename(&aside, &path).unwrap();
    };
    for round in 0..100 {
        write([&without, &with, &broken][round % 3]);
        for _ in 0..10 {
            stage.signer.hang_up();
        }
        signed(&mut node, i64::try_from(round).unwrap() + 1);
    }
    write(&with);
    stage.reload();
    accept(&mut second);
    signed(&mut second, 1);
    signed(&mut node, 1_000);
    assert_eq!(stage.listed("c-1", "a")["connections"], 1);
    // One more while it ends.
    stage.signer.hang_up();
    stage.signer.terminate();
    stage.signer.run(&["audit", "verify"]);
}
