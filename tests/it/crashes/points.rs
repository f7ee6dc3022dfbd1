//! A signer that dies on the way of a request, at each step of it.

use super::dying::{armed, assert_aborted};
use crate::support::audit::assert_no_double_sign;
use crate::support::fake_node::{Answer, Ask, Step};
use crate::support::home::Home;
use crate::support::poll;
use crate::support::scene::{CHAIN, KEY, Scene};
use crate::support::signer::Signer;
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
    ("store_before_witness", Fate::Forgotten),
    ("store_witness_written", Fate::Kept),
    ("store_tables_written", Fate::Kept),
    ("store_witness_synced", Fate::Kept),
    ("store_before_done", Fate::Kept),
    ("sign_before_release", Fate::Kept),
];

/// Steps that are passed only when a segment of the witness is full.
pub(super) const SEGMENT_POINTS: &[&str] = &["store_checkpointed"];

/// Steps of a start that writes what the tables lack from the witness.
pub(super) const START_POINTS: &[&str] = &["store_catching_up", "store_caught_up"];

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

#[test]
fn a_signer_that_dies_while_its_witness_goes_on_in_the_other_segment_signs_nothing_twice() {
    let home = Home::new();
    let signer = Signer::init(&home);
    signer.shrink_witness();
    signer.create_key(KEY);
    let mut scene = Scene::with(home, signer);
    scene.start();
    scene.sign(1..=2);
    scene.signer.kill();
    for point in SEGMENT_POINTS {
        for _ in 0..3 {
            let lost = die_within(&mut scene, point, 0, 300);
            scene.start();
            judge(&mut scene, point, Fate::Forgotten, lost);
            scene.signer.kill();
        }
    }
    let records = assert_no_double_sign(&scene.signer);
    scene.journal.assert_recorded(CHAIN, &records);
}

/// The witness holds a commit that the tables lack, and the start that mends it dies again and again.
#[test]
fn a_signer_that_dies_while_it_recovers_recovers_the_next_time() {
    for point in START_POINTS {
        let mut scene = begun();
        let lost = die(&mut scene, "store_witness_written", 2);
        let command = armed(scene.signer.command(&["serve"]), point, 0);
        let refused = scene.try_start_command(command).unwrap_err();
        assert_aborted(refused.status, point, &refused.log);
        // Before its commit nothing was mended: the next start does the same. After it nothing is left to mend.
        let command = armed(scene.signer.command(&["serve"]), point, 0);
        let again = scene.try_start_command(command);
        assert_eq!(again.is_err(), *point == "store_catching_up", "{point}");
        if again.is_ok() {
            scene.signer.kill();
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
    die_within(scene, point, skip, skip + 1)
}

/// The same, where the point is not passed by every signature, but by one of so many.
fn die_within(scene: &mut Scene, point: &str, skip: usize, signatures: usize) -> Ask {
    let command = armed(scene.signer.command(&["serve"]), point, skip);
    if let Err(refused) = scene.try_start_command(command) {
        panic!(
            "{point} is passed before anything was asked: {}\n{}",
            refused.status, refused.log
        );
    }
    let lost = positions(scene.journal.highest() + 1)
        .take(signatures)
        .find(|ask| match scene.ask(*ask) {
            Answer::Lost => true,
            Answer::Signed(_) => false,
            refused @ Answer::Refused { .. } => panic!("{point}: {refused:?}"),
        })
        .unwrap_or_else(|| panic!("{point} is not passed by {signatures} signatures"));
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
