//! Every short history: whatever is asked in whatever order, at most one message is released for one position.
//!
//! The histories are walked through every token with a store that is a map. An oracle of a few lines, which knows nothing of rows
//! and sign bytes, says what each answer must be.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

mod common;

use std::collections::BTreeMap;
use std::task::Waker;

use common::{A, B, NOW, OWN, PRECOMMIT, PREVOTE, Signer};
use sigward_policies::decision::{RefusalCode, Refused};
use sigward_policies::double_sign::{Beginning, GuardRow, LastSigned, Slot, Watermark, clear, merge};
use sigward_policies::model::id::{Height, UnixSeconds};
use sigward_policies::model::parse::RawTimestamp;
use sigward_policies::model::payload::{Consensus, ConsensusMessage, Position, Timestamp};
use sigward_policies::model::sign_bytes::of_message;
use sigward_policies::proof::{ConsensusReply, Joined, join};

/// What was released, by position: the message with its timestamp taken out, the signature and the timestamp.
type Released = BTreeMap<Position, (ConsensusMessage, ConsensusReply)>;

fn epoch() -> Timestamp {
    Timestamp::new(0, 0).unwrap()
}

fn height(value: i64) -> Height {
    Height::new(value).unwrap()
}

fn at(seconds: i64) -> Option<RawTimestamp> {
    Some(RawTimestamp { seconds, nanos: 0 })
}

/// Every request: heights × rounds × steps × messages A, B, nil (for a proposal: A, B, and A with a proof-of-lock round) × timestamps.
fn alphabet(heights: i64, timestamps: i64) -> Vec<Consensus> {
    let mut all = Vec::new();
    for h in 1..=heights {
        for round in 0..2 {
            for seconds in 0..timestamps {
                let mut propose = |pol_round, id| {
                    let mut raw = common::raw_proposal(h, round, pol_round, id);
                    raw.timestamp = at(seconds);
                    all.push(Consensus::from_proposal(&raw).unwrap());
                };
                propose(-1, A);
                propose(-1, B);
                if round > 0 {
                    propose(0, A);
                }
                for kind in [PREVOTE, PRECOMMIT] {
                    for id in [Some(A), Some(B), None] {
                        let mut raw = common::raw_vote(kind, h, round, id);
                        raw.timestamp = at(seconds);
                        all.push(Consensus::from_vote(&raw, &OWN).unwrap());
                    }
                }
            }
        }
    }
    all
}

/// Asks once, and holds the answer against what was released before and against what was closed at the beginning.
fn step(signer: &mut Signer, request: &Consensus, closed: i64, released: &mut Released) {
    let message = request.message();
    let position = message.position();
    let before = signer.stored.clone();
    let answer = signer.sign(request);
    assert!(
        !signer.stored.watermark.is_below(&before.watermark),
        "a watermark went down"
    );
    assert_eq!(
        *signer.slot.row(),
        signer.stored,
        "memory and store hold the same row"
    );

    let top = released.last_key_value().map(|(position, _)| *position);
    let expected = if top.is_none() && position.height.value() <= closed {
        Err(RefusalCode::HeightClosed)
    } else {
        match top {
            Some(top) if position < top && position.height < top.height => Err(RefusalCode::HeightRegression),
            Some(top) if position < top && position.round < top.round => Err(RefusalCode::RoundRegression),
            Some(top) if position < top => Err(RefusalCode::StepRegression),
            Some(top) if position == top && released[&top].0 != message.at(epoch()) => {
                Err(RefusalCode::DoubleSignConflict)
            }
            Some(top) if position == top => Ok(Some(released[&top].1.clone())),
            _ => Ok(None),
        }
    };
    match (answer, expected) {
        (Err(refused), Err(code)) => {
            assert_eq!(refused.code(), code.as_str());
            assert_eq!(signer.stored, before, "a refusal burns nothing");
        }
        (Ok(reply), Ok(Some(stored))) => {
            assert_eq!(reply, stored, "a repeat is answered with what is stored");
            assert_eq!(signer.stored, before);
        }
        (Ok(reply), Ok(None)) => {
            assert_eq!(reply.timestamp, message.timestamp());
            assert_eq!(signer.stored.watermark.height(), position.height.value());
            let earlier = released.insert(position, (message.at(epoch()), reply));
            assert!(earlier.is_none(), "two messages for {position}");
        }
        (answer, expected) => panic!("{message:?} got {answer:?}, the oracle says {expected:?}"),
    }
}

fn walk(
    row: &GuardRow,
    uses: u64,
    alphabet: &[Consensus],
    depth: usize,
    closed: i64,
    released: &Released,
) -> u64 {
    let mut histories = 0;
    for request in alphabet {
        let mut signer = Signer::new(row.clone());
        signer.uses = uses;
        let mut released = released.clone();
        step(&mut signer, request, closed, &mut released);
        histories += 1;
        if depth > 1 {
            histories += walk(
                &signer.stored,
                signer.uses,
                alphabet,
                depth - 1,
                closed,
                &released,
            );
        }
    }
    histories
}

/// A row that has signed `request`, and what was released for it.
fn having_signed(request: &Consensus) -> (GuardRow, Released) {
    let mut signer = Signer::new(GuardRow::begin(Watermark::Fresh, NOW));
    let mut released = Released::new();
    step(&mut signer, request, 0, &mut released);
    (signer.stored, released)
}

fn closed_at(value: i64) -> GuardRow {
    GuardRow::begin(
        Watermark::Closed {
            height: height(value),
        },
        NOW,
    )
}

#[test]
fn every_history_of_three_requests_from_every_beginning() {
    let alphabet = alphabet(2, 2);
    let fresh = GuardRow::begin(Watermark::Fresh, NOW);
    let mut histories = walk(&fresh, 0, &alphabet, 3, 0, &Released::new());
    histories += walk(&closed_at(1), 0, &alphabet, 3, 1, &Released::new());
    let (row, released) = having_signed(&common::vote(PREVOTE, 1, 0, Some(A)));
    histories += walk(&row, 1, &alphabet, 3, 0, &released);
    let n = alphabet.len() as u64;
    assert_eq!(histories, 3 * (n + n * n + n * n * n));
}

#[test]
fn every_history_of_two_requests_over_three_heights() {
    let alphabet = alphabet(3, 2);
    let fresh = GuardRow::begin(Watermark::Fresh, NOW);
    walk(&fresh, 0, &alphabet, 2, 0, &Released::new());
    for value in 1..=3 {
        walk(&closed_at(value), 0, &alphabet, 2, value, &Released::new());
    }
    for first in &alphabet {
        let (row, released) = having_signed(first);
        walk(&row, 1, &alphabet, 2, 0, &released);
    }
}

#[test]
fn a_stopped_row_never_signs() {
    let alphabet = alphabet(3, 1);
    let rows = alphabet.iter().map(|first| having_signed(first).0);
    let begun = [GuardRow::begin(Watermark::Fresh, NOW), closed_at(1)];
    for row in rows.chain(begun) {
        let row = row.stop();
        for request in &alphabet {
            let mut signer = Signer::new(row.clone());
            assert_eq!(signer.sign(request).unwrap_err().code(), "key_stopped");
            assert_eq!((&signer.stored, signer.uses), (&row, 0));
        }
    }
}

#[test]
fn prevote_a_then_precommit_b_in_one_round_is_legal() {
    let mut signer = Signer::new(GuardRow::begin(Watermark::Fresh, NOW));
    signer.sign(&common::proposal(5, 0, -1, A)).unwrap();
    signer.sign(&common::vote(PREVOTE, 5, 0, Some(A))).unwrap();
    signer.sign(&common::vote(PRECOMMIT, 5, 0, Some(B))).unwrap();
    assert_eq!(signer.uses, 3);
}

/// Two signers over one store, both cleared over the same old row: as when memory is stale, or a second replica runs.
#[test]
fn of_two_that_were_cleared_at_once_the_store_lets_one_message_through() {
    let alphabet = alphabet(2, 2);
    let mut begun = vec![GuardRow::begin(Watermark::Fresh, NOW), closed_at(1)];
    begun.extend([3, 9, 20].map(|i: usize| having_signed(&alphabet[i]).0));
    for row in &begun {
        for one in &alphabet {
            for other in &alphabet {
                let mut released: BTreeMap<Position, ConsensusMessage> = BTreeMap::new();
                if let Watermark::Signed(last) = &row.watermark {
                    let message = alphabet
                        .iter()
                        .find(|known| of_message(known.message(), &common::chain()) == last.sign_bytes);
                    released.insert(last.position, message.unwrap().message().at(epoch()));
                }
                race(row, [one, other], &mut released);
            }
        }
    }
}

fn race(row: &GuardRow, requests: [&Consensus; 2], released: &mut BTreeMap<Position, ConsensusMessage>) {
    let mut store = Signer::new(row.clone());
    let joined = requests.map(|request| {
        let slot = Slot::new(common::key(1), common::chain(), row.clone());
        let received = common::received(request.clone());
        let permit = store.rules.judge(&received).into_result().unwrap();
        let held = slot.try_hold(Waker::noop()).unwrap();
        let cleared = clear(&received, held, store.limits, NOW).into_result().ok()?;
        Some(join(received, permit, cleared).unwrap())
    });
    for (joined, request) in joined.into_iter().zip(requests) {
        let before = store.stored.clone();
        let answer = match joined {
            None => continue,
            Some(Joined::Order(order)) => {
                let signatures = store.press(order.messages());
                store.commit(order.signed(signatures).unwrap().to_commit())
            }
            Some(Joined::Stored(stored)) => store.commit(stored.to_commit()),
        };
        assert!(!store.stored.watermark.is_below(&before.watermark));
        if answer.is_ok() {
            let message = request.message().at(epoch());
            let earlier = released.insert(message.position(), message);
            assert!(
                earlier.is_none_or(|earlier| earlier == message),
                "two messages for {}",
                message.position()
            );
        } else {
            assert_eq!(store.stored, before);
        }
    }
}

/// An operator's acts, and the end of the process: nothing but the row survives.
#[derive(Clone, Copy, Debug)]
enum Act {
    CloseTo(i64),
    Stop,
    Allow(i64),
    NeverSigned,
    Above(i64),
    /// A state without sign bytes.
    Unproven(i64),
    /// Exports the state and imports it back.
    RoundTrip,
    /// Imports another message for the position of the watermark.
    ForeignState,
}

const ACTS: [Act; 11] = [
    Act::CloseTo(1),
    Act::CloseTo(2),
    Act::Stop,
    Act::Allow(2),
    Act::Allow(1),
    Act::NeverSigned,
    Act::Above(1),
    Act::Above(2),
    Act::Unproven(1),
    Act::RoundTrip,
    Act::ForeignState,
];

fn act(row: &GuardRow, act: Act) -> Result<GuardRow, Refused> {
    let join = |beginning| merge(Some(row), beginning, NOW).map_err(Refused::from);
    match (act, &row.watermark) {
        (Act::CloseTo(value), _) => Ok(row.closed_to(height(value), NOW)),
        (Act::Stop, _) => Ok(row.stop()),
        (Act::Allow(value), _) => Ok(row.allowed(height(value))),
        (Act::NeverSigned, _) => join(Beginning::NeverSigned),
        (Act::Above(value), _) => join(Beginning::Above(height(value))),
        (Act::Unproven(value), _) => join(Beginning::Unproven(height(value))),
        (Act::RoundTrip, Watermark::Signed(last)) => join(Beginning::State(Box::new(last.clone()))),
        (Act::ForeignState, Watermark::Signed(last)) => {
            let mut foreign = last.clone();
            let other = common::vote(PREVOTE, 1, 0, Some(&[0xf; 32]));
            foreign.sign_bytes = of_message(other.message(), &common::chain());
            join(Beginning::State(Box::new(foreign)))
        }
        (Act::RoundTrip | Act::ForeignState, _) => Ok(row.clone()),
    }
}

#[test]
fn no_act_of_an_operator_between_requests_lets_a_second_message_out() {
    let alphabet = alphabet(2, 1);
    let fresh = GuardRow::begin(Watermark::Fresh, NOW);
    for first in &alphabet {
        for second in ACTS {
            for third in ACTS {
                for fourth in &alphabet {
                    let mut signer = Signer::new(fresh.clone());
                    let mut released: BTreeMap<Position, ConsensusMessage> = BTreeMap::new();
                    for step in 0..4 {
                        let before = signer.stored.clone();
                        let (request, done) = match step {
                            0 => (Some(first), signer.sign(first).is_ok()),
                            1 | 2 => {
                                let row = act(&signer.stored, if step == 1 { second } else { third });
                                if let Ok(row) = row {
                                    signer.stored = row.clone();
                                    signer.slot.set(row);
                                }
                                (None, true)
                            }
                            _ => (Some(fourth), signer.sign(fourth).is_ok()),
                        };
                        assert!(
                            !signer.stored.watermark.is_below(&before.watermark),
                            "{second:?} {third:?}"
                        );
                        if let (Some(request), true) = (request, done) {
                            let message = request.message().at(epoch());
                            let earlier = released.insert(message.position(), message);
                            assert!(
                                earlier.is_none_or(|e| e == message),
                                "{first:?} {second:?} {third:?} {fourth:?}"
                            );
                            let top = released.last_key_value().unwrap();
                            assert_eq!(*top.0, message.position(), "signed below what was signed before");
                        }
                    }
                }
            }
        }
    }
}

#[test]
fn strict_extensions_take_one_extension_a_precommit() {
    let precommit = |bytes: Option<&'static [u8]>| {
        let mut raw = common::raw_vote(PRECOMMIT, 4, 0, Some(A));
        raw.extension = bytes.map_or(common::NO_EXTENSION, common::extension);
        Consensus::from_vote(&raw, &OWN).unwrap()
    };
    let all: [Option<&'static [u8]>; 4] = [None, Some(b""), Some(b"one"), Some(b"two")];
    for strict in [false, true] {
        for first in all {
            for second in all {
                for third in all {
                    let mut signer = Signer::new(GuardRow::begin(Watermark::Fresh, NOW));
                    signer.limits.strict_extensions = strict;
                    let mut bound = None;
                    for asked in [first, second, third] {
                        let before = signer.stored.clone();
                        let answer = signer.sign(&precommit(asked));
                        let conflict = strict && asked.is_some() && bound.is_some_and(|b| Some(b) != asked);
                        if conflict {
                            assert_eq!(answer.unwrap_err().code(), "extension_conflict");
                            assert_eq!(signer.stored, before);
                        } else {
                            assert_eq!(answer.unwrap().extension_signature.is_some(), asked.is_some());
                            bound = bound.or(asked);
                        }
                    }
                    // Another block never gets any extension, whatever the setting.
                    let mut raw = common::raw_vote(PRECOMMIT, 4, 0, Some(B));
                    raw.extension = common::extension(b"one");
                    let other = Consensus::from_vote(&raw, &OWN).unwrap();
                    let uses = signer.uses;
                    assert_eq!(signer.sign(&other).unwrap_err().code(), "double_sign_conflict");
                    assert_eq!(signer.uses, uses);
                }
            }
        }
    }
}

/// A row without stored bytes cannot answer a repeat, and does not sign one anew: its whole height is closed.
#[test]
fn a_state_that_contradicts_itself_signs_nothing_at_its_position() {
    let vote = common::vote(PREVOTE, 3, 0, Some(A));
    let (row, _) = having_signed(&vote);
    let Watermark::Signed(good) = row.watermark else {
        panic!("it signed");
    };
    let broken = [
        LastSigned {
            sign_bytes: Vec::new(),
            ..good.clone()
        },
        LastSigned {
            timestamp: epoch(),
            ..good.clone()
        },
        LastSigned {
            sign_bytes: vec![0xff; 200],
            ..good.clone()
        },
    ];
    for last in broken {
        let mut signer = Signer::new(GuardRow::begin(Watermark::Signed(last), UnixSeconds(0)));
        assert_eq!(signer.sign(&vote).unwrap_err().code(), "double_sign_conflict");
        assert_eq!(signer.uses, 0);
    }
}
