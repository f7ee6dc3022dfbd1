//! How a state joins a row: the maximum of what is known, or a refusal; never less than what was known.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

mod common;

use common::{A, B, NOW, PRECOMMIT, PREVOTE, chain, vote};
use proptest::prelude::*;
use sigward_policies::double_sign::{Beginning, GuardRow, LastSigned, Verdict, Watermark, judge, merge};
use sigward_policies::model::id::{Height, UnixSeconds};
use sigward_policies::model::payload::Consensus;
use sigward_policies::model::sign_bytes::of_message;

fn last(request: &Consensus, extension_digest: Option<[u8; 32]>) -> LastSigned {
    LastSigned {
        position: request.message().position(),
        sign_bytes: of_message(request.message(), &chain()),
        timestamp: request.message().timestamp(),
        signature: common::signature(9),
        extension_digest,
    }
}

fn above(value: i64) -> Beginning {
    Beginning::Above(Height::new(value).unwrap())
}

fn unproven(value: i64) -> Beginning {
    Beginning::Unproven(Height::new(value).unwrap())
}

fn state(request: &Consensus) -> Beginning {
    Beginning::State(Box::new(last(request, None)))
}

fn row(beginning: Beginning) -> GuardRow {
    merge(None, beginning, NOW).unwrap()
}

#[track_caller]
fn refuses(known: &GuardRow, incoming: Beginning) {
    assert_eq!(
        merge(Some(known), incoming, NOW).unwrap_err().code.as_str(),
        "state_conflict"
    );
}

#[test]
fn equal_heights_are_decided_to_the_safe_side() {
    let five = vote(PREVOTE, 5, 0, Some(A));
    // Signed here, closed by word: the word closes positions of that height that might have been signed elsewhere.
    let joined = merge(Some(&row(state(&five))), above(5), NOW).unwrap();
    assert_eq!(joined, row(above(5)));
    // Closed here, a state of that height: it says nothing of what closed the height.
    refuses(&row(above(5)), state(&five));
    refuses(&row(above(6)), state(&five));
    refuses(&row(state(&five)), above(4));
    refuses(&row(above(5)), above(4));
    assert_eq!(merge(Some(&row(above(5))), above(5), NOW).unwrap(), row(above(5)));
    // Positions, not heights, decide between two states.
    let (later, other) = (vote(PRECOMMIT, 5, 0, Some(A)), vote(PREVOTE, 5, 0, Some(B)));
    assert_eq!(
        merge(Some(&row(state(&five))), state(&later), NOW).unwrap(),
        row(state(&later))
    );
    refuses(&row(state(&later)), state(&five));
    refuses(&row(state(&five)), state(&other));
    refuses(&row(state(&five)), state(&vote(PREVOTE, 5, 0, None)));
}

#[test]
fn nothing_makes_a_row_fresh_again() {
    for known in [above(1), state(&vote(PREVOTE, 1, 0, None))] {
        refuses(&row(known.clone()), Beginning::NeverSigned);
        refuses(&row(known).stop(), Beginning::NeverSigned);
    }
    let fresh = row(Beginning::NeverSigned);
    assert_eq!(merge(Some(&fresh), Beginning::NeverSigned, NOW).unwrap(), fresh);
}

#[test]
fn a_key_that_was_moved_out_comes_back_only_with_a_state() {
    // It left without a signature, but who knows what it did since.
    let fresh = row(Beginning::NeverSigned).stop();
    refuses(&fresh, Beginning::NeverSigned);
    assert!(!merge(Some(&fresh), above(9), NOW).unwrap().stopped);

    let five = vote(PREVOTE, 5, 0, Some(A));
    let stopped = row(state(&five)).stop();
    refuses(&stopped, above(4));
    refuses(&stopped, state(&vote(PREVOTE, 4, 0, Some(A))));
    // The very state it left with proves nothing: it may have signed since.
    refuses(&stopped, state(&five));
    for back in [state(&vote(PRECOMMIT, 7, 0, None)), above(5)] {
        assert!(!merge(Some(&stopped), back, NOW).unwrap().stopped);
    }
}

/// Every kind of row against every kind of word, from one height below to one above.
#[test]
fn the_state_that_a_key_left_with_does_not_bring_it_back_however_it_is_written() {
    let states = |height| {
        [
            vote(PREVOTE, height, 0, Some(A)),
            vote(PRECOMMIT, height, 0, Some(A)),
            vote(PRECOMMIT, height, 1, None),
        ]
    };
    let mut knowns = vec![row(Beginning::NeverSigned), row(above(100)), row(unproven(100))];
    knowns.extend(states(100).iter().map(|last| row(state(last))));
    for known in &knowns {
        let stopped = known.stop();
        refuses(&stopped, Beginning::NeverSigned);
        let left = known.watermark.height();
        for height in [99, 100, 101] {
            let joined = |beginning| merge(Some(&stopped), beginning, NOW);
            // Without sign bytes only a greater height says more; an operator's word may close what it left at.
            assert_eq!(
                joined(unproven(height)).is_ok(),
                height > left,
                "{known:?} {height}"
            );
            assert_eq!(
                joined(above(height)).is_ok(),
                height >= left,
                "{known:?} {height}"
            );
            for last in states(height) {
                let more = match &known.watermark {
                    Watermark::Fresh => true,
                    Watermark::Closed { .. } => height > left,
                    Watermark::Signed(own) => last.message().position() > own.position,
                };
                assert_eq!(joined(state(&last)).is_ok(), more, "{known:?} {last:?}");
            }
        }
        // Where nothing stopped it, its own state again changes nothing.
        if left > 0 {
            assert!(merge(Some(known), unproven(100), NOW).is_ok());
        }
    }
}

#[test]
fn what_is_known_of_an_extension_is_not_forgotten() {
    let precommit = vote(PRECOMMIT, 5, 0, Some(A));
    let (one, two) = (Some([1; 32]), Some([2; 32]));
    for (known, incoming, kept) in [
        (None, one, one),
        (one, None, one),
        (one, two, one),
        (None, None, None),
    ] {
        let joined = merge(
            Some(&row(Beginning::State(Box::new(last(&precommit, known))))),
            Beginning::State(Box::new(last(&precommit, incoming))),
            NOW,
        );
        assert_eq!(
            joined.unwrap().watermark,
            Watermark::Signed(last(&precommit, kept))
        );
    }
}

#[test]
fn what_was_signed_last_is_read_from_its_own_bytes() {
    for request in [
        vote(PRECOMMIT, 5, 3, Some(A)),
        vote(PREVOTE, 1, 0, None),
        common::proposal(9, 2, 1, B),
    ] {
        let known = last(&request, Some([4; 32]));
        let read = LastSigned::read(known.sign_bytes.clone(), known.signature, known.extension_digest);
        assert_eq!(read.unwrap(), (known.clone(), chain()));
        let cut = known.sign_bytes[..known.sign_bytes.len() - 1].to_vec();
        let refused = LastSigned::read(cut, known.signature, None).unwrap_err();
        assert_eq!(refused.code.as_str(), "invalid_state_file");
    }
}

fn any_beginning() -> impl Strategy<Value = Beginning> {
    let id = prop_oneof![Just(None), Just(Some(A)), Just(Some(B))];
    prop_oneof![
        1 => Just(Beginning::NeverSigned),
        3 => (1_i64..4).prop_map(above),
        3 => (1_i64..4).prop_map(unproven),
        6 => (1_i64..4, 0..2, 1..3, id).prop_map(|(h, r, kind, id)| state(&vote(kind, h, r, id))),
    ]
}

/// What the rule says over a row to every vote of a small world.
fn open(row: &GuardRow) -> Vec<(i64, i32, i32, usize)> {
    let mut open = Vec::new();
    for h in 1..6 {
        for r in 0..3 {
            for kind in [PREVOTE, PRECOMMIT] {
                for (n, id) in [Some(A), Some(B), None].into_iter().enumerate() {
                    let request = vote(kind, h, r, id);
                    if judge(
                        row,
                        &Default::default(),
                        &request,
                        &chain(),
                        &Default::default(),
                        NOW,
                    ) == Verdict::Sign
                    {
                        open.push((h, r, kind, n));
                    }
                }
            }
        }
    }
    open
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(3_000) })]

    #[test]
    fn joining_is_idempotent_and_never_lowers(a in any_beginning(), b in any_beginning(), back in any::<bool>(), stopped in any::<bool>()) {
        let mut known = row(a).allowed(Height::new(3).unwrap());
        known.stopped = stopped;
        let now = UnixSeconds(NOW.0 + if back { -50 } else { 50 });
        let Ok(joined) = merge(Some(&known), b.clone(), now) else { return Ok(()) };
        prop_assert!(!joined.watermark.is_below(&known.watermark));
        prop_assert!(!joined.watermark.is_below(&row(b.clone()).watermark), "it is above both");
        prop_assert_eq!(joined.touched, now.max(known.touched));
        prop_assert_eq!(joined.allow_until, known.allow_until);
        let (was, is) = (open(&GuardRow { stopped: false, ..known.clone() }), open(&joined));
        prop_assert!(is.iter().all(|position| was.contains(position)), "joining opened a position");
        prop_assert_eq!(&merge(Some(&joined), b, now).unwrap(), &joined);
        prop_assert!(joined.watermark != Watermark::Fresh || (known.watermark == Watermark::Fresh && !stopped));
    }

    #[test]
    fn joining_commutes_where_both_ways_succeed(a in any_beginning(), b in any_beginning()) {
        let one = merge(Some(&row(a.clone())), b.clone(), NOW);
        let other = merge(Some(&row(b)), a, NOW);
        prop_assert!(one.is_err() || other.is_err() || one == other);
    }

    #[test]
    fn joining_is_associative_where_it_succeeds(a in any_beginning(), b in any_beginning(), c in any_beginning()) {
        let (a, b, c) = (row(a), b, c);
        let left = merge(Some(&a), b.clone(), NOW).and_then(|ab| merge(Some(&ab), c.clone(), NOW));
        let right = merge(Some(&a), c, NOW).and_then(|ac| merge(Some(&ac), b, NOW));
        prop_assert!(left.is_err() || right.is_err() || left == right);
    }
}
