//! A signer that dies on the way of a request, at each step of it.

use super::dying::{armed, assert_aborted};
use crate::support::audit::assert_no_double_sign;
use crate::support::fake_node::{Answer, Ask, Step};
use crate::support::poll;
use crate::support::scene::{CHAIN, Scene};
use std::time::Duration;

/// What becomes of the message that was on its way.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Fate {
    /// Nothing of it is on disk: the position is still free.
    Forgotten,
    /// It is on disk: the position is taken for ever, and this message is answered when it is asked for again.
    Kept,
}

/// Every step between a request and its reply, in order. (The process dies and the machine does not: what was written is there.)
pub(super) const POINTS: &[(&str, Fate)] = &[
    ("sign_before_commit", Fate::Forgotten),
    ("store_before_begin", Fate::Forgotten),
    ("store_rows_written", Fate::Forgotten),
    ("store_before_commit", Fate::Forgotten),
    ("store_committed", Fate::Kept),
    ("store_before_witness", Fate::Kept),
    ("store_witness_written", Fate::Kept),
    ("store_witness_synced", Fate::Kept),
    ("store_before_done", Fate::Kept),
    ("sign_before_release", Fate::Kept),
];

#[test]
fn a_signer_that_dies_at_any_step_of_a_signature_signs_nothing_twice() {
    let mut scene = begun();
    for (index, (point, fate)) in POINTS.iter().enumerate() {
        for skip in [index % 3, 4] {
            let lost = die(&mut scene, point, skip);
            scene.start();
            judge(&mut scene, point, *fate, lost);
            if skip == 4 {
                scene.signer.terminate();
            } else {
                scene.signer.kill();
            }
        }
    }
    let records = assert_no_double_sign(&scene.signer);
    scene.journal.assert_recorded(CHAIN, &records);
    assert!(scene.journal.signed() > 60, "{}", scene.journal.signed());
}

/// Between commit and witness, and then again while the start mends the witness.
#[test]
fn a_signer_that_dies_again_while_it_recovers_recovers_the_next_time() {
    for point in [
        "store_before_witness",
        "store_witness_written",
        "store_witness_synced",
    ] {
        let mut scene = begun();
        let lost = die(&mut scene, "store_committed", 2);
        for _ in 0..2 {
            let command = armed(scene.signer.command(&["serve"]), point, 0);
            if point == "store_before_witness" {
                let refused = scene.try_start_command(command).unwrap_err();
                assert_aborted(refused.status, point, &refused.log);
            } else if let Err(refused) = scene.try_start_command(command) {
                // The second time there is nothing left to mend.
                assert_aborted(refused.status, point, &refused.log);
            } else {
                scene.signer.kill();
            }
        }
        scene.start();
        judge(&mut scene, point, Fate::Kept, lost);
        scene.signer.terminate();
        let records = assert_no_double_sign(&scene.signer);
        scene.journal.assert_recorded(CHAIN, &records);
    }
}

/// The key has its row, so that the commits of the next start are signatures.
fn begun() -> Scene {
    let mut scene = Scene::new();
    scene.start();
    scene.sign(1..=2);
    scene.signer.kill();
    scene
}

/// Rising positions above everything asked so far, until the signer dies at `point`: the message that was lost.
fn die(scene: &mut Scene, point: &str, skip: usize) -> Ask {
    let command = armed(scene.signer.command(&["serve"]), point, skip);
    if let Err(refused) = scene.try_start_command(command) {
        panic!(
            "{point} is passed before anything was asked: {}\n{}",
            refused.status, refused.log
        );
    }
    let lost = positions(scene.journal.highest() + 1)
        .take(skip + 1)
        .find(|ask| match scene.ask(*ask) {
            Answer::Lost => true,
            Answer::Signed(_) => false,
            refused @ Answer::Refused { .. } => panic!("{point}: {refused:?}"),
        })
        .unwrap_or_else(|| panic!("{point} is not passed once for each signature"));
    let status = poll(Duration::from_secs(10), || scene.signer.ended()).expect("the signer has died");
    assert_aborted(status, point, &scene.log());
    lost
}

fn judge(scene: &mut Scene, point: &str, fate: Fate, lost: Ask) {
    match fate {
        Fate::Forgotten => {
            let other = scene.ask(lost.conflicting());
            assert!(
                matches!(other, Answer::Signed(_)),
                "{point}: the position is free: {other:?}"
            );
            assert_eq!(scene.ask(lost).refusal(), "double_sign_conflict", "{point}");
        }
        Fate::Kept => {
            assert_eq!(
                scene.ask(lost.conflicting()).refusal(),
                "double_sign_conflict",
                "{point}"
            );
            let same = scene.ask(lost);
            assert!(
                matches!(same, Answer::Signed(_)),
                "{point}: the same again: {same:?}"
            );
        }
    }
    scene.journal.ask_again(&mut scene.node);
    for ask in positions(lost.height + 1).take(3) {
        let answer = scene.ask(ask);
        assert!(
            matches!(answer, Answer::Signed(_)),
            "{point}: a new height: {answer:?}"
        );
    }
}

fn positions(from: i64) -> impl Iterator<Item = Ask> {
    (from..).flat_map(|height| {
        [Step::Proposal, Step::Prevote, Step::Precommit].map(|step| Ask {
            height,
            round: 0,
            step,
            block: 1,
        })
    })
}
