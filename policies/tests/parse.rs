//! The edge: every hostile field of a vote or proposal has its own code, and no input panics.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

mod common;

use common::{A, OWN, PRECOMMIT, PREVOTE, raw_proposal, raw_vote};
use proptest::prelude::*;
use sigward_policies::decision::RefusalCode::{self, *};
use sigward_policies::model::parse::{
    ExtensionSigning, RawBlockId, RawExtension, RawProposal, RawTimestamp, RawVote,
};
use sigward_policies::model::payload::Consensus;
use sigward_policies::model::sign_bytes::of_message;

fn good_vote() -> RawVote<'static> {
    raw_vote(PRECOMMIT, 10, 5, Some(A))
}

fn good_proposal() -> RawProposal<'static> {
    raw_proposal(10, 5, 4, A)
}

#[track_caller]
fn vote_is_refused(change: impl Fn(&mut RawVote<'static>), code: RefusalCode) {
    let mut raw = good_vote();
    change(&mut raw);
    assert_eq!(
        Consensus::from_vote(&raw, &OWN).unwrap_err().code,
        code,
        "{raw:?}"
    );
}

#[track_caller]
fn proposal_is_refused(change: impl Fn(&mut RawProposal<'static>), code: RefusalCode) {
    let mut raw = good_proposal();
    change(&mut raw);
    assert_eq!(Consensus::from_proposal(&raw).unwrap_err().code, code, "{raw:?}");
}

/// Every block id that is neither complete nor empty.
fn bad_ids() -> Vec<RawBlockId<'static>> {
    let mut bad = Vec::new();
    for hash in [0, 1, 31, 32, 33, 64] {
        for part_hash in [0, 1, 31, 32, 33, 64] {
            for total in [0, 1, u32::MAX] {
                let complete = hash == 32 && part_hash == 32 && total > 0;
                let empty = hash == 0 && part_hash == 0 && total == 0;
                if !complete && !empty {
                    bad.push(RawBlockId {
                        hash: &[1; 64][..hash],
                        total,
                        part_hash: &[2; 64][..part_hash],
                    });
                }
            }
        }
    }
    bad
}

const EMPTY_ID: RawBlockId<'static> = RawBlockId {
    hash: &[],
    total: 0,
    part_hash: &[],
};

const BAD_TIMES: [(i64, i32); 8] = [
    (-62_135_596_801, 0),
    (253_402_300_800, 0),
    (i64::MIN, 0),
    (i64::MAX, 0),
    (0, -1),
    (0, 1_000_000_000),
    (0, i32::MIN),
    (0, i32::MAX),
];

#[test]
fn good_ones_are_read() {
    assert!(Consensus::from_vote(&good_vote(), &OWN).is_ok());
    assert!(Consensus::from_proposal(&good_proposal()).is_ok());
}

#[test]
fn message_types() {
    for kind in [0, 3, 32, -1, i32::MIN, i32::MAX] {
        vote_is_refused(|raw| raw.kind = kind, UnknownMessageType);
    }
    for kind in [0, 1, 2, 31, 33, -1, i32::MIN, i32::MAX] {
        proposal_is_refused(|raw| raw.kind = kind, UnknownMessageType);
    }
}

#[test]
fn heights() {
    for height in [0, -1, i64::MIN, 1 << 62, (1 << 62) + 1, i64::MAX] {
        vote_is_refused(|raw| raw.height = height, InvalidHeight);
        proposal_is_refused(|raw| raw.height = height, InvalidHeight);
    }
    for height in [1, (1 << 62) - 1] {
        assert!(
            Consensus::from_vote(
                &RawVote {
                    height,
                    ..good_vote()
                },
                &OWN
            )
            .is_ok()
        );
        assert!(
            Consensus::from_proposal(&RawProposal {
                height,
                ..good_proposal()
            })
            .is_ok()
        );
    }
}

#[test]
fn rounds() {
    for round in [-1, -2, i32::MIN] {
        vote_is_refused(|raw| raw.round = round, InvalidRound);
        proposal_is_refused(|raw| raw.round = round, InvalidRound);
    }
    for round in [0, i32::MAX] {
        assert!(Consensus::from_vote(&RawVote { round, ..good_vote() }, &OWN).is_ok());
        let pol_round = -1;
        assert!(
            Consensus::from_proposal(&RawProposal {
                round,
                pol_round,
                ..good_proposal()
            })
            .is_ok()
        );
    }
}

#[test]
fn proof_of_lock_rounds() {
    for pol_round in [-2, i32::MIN, 5, 6, i32::MAX] {
        proposal_is_refused(|raw| raw.pol_round = pol_round, InvalidPolRound);
    }
    proposal_is_refused(|raw| (raw.round, raw.pol_round) = (0, 0), InvalidPolRound);
    proposal_is_refused(
        |raw| (raw.round, raw.pol_round) = (i32::MAX, i32::MAX),
        InvalidPolRound,
    );
    for pol_round in [-1, 0, 4] {
        assert!(
            Consensus::from_proposal(&RawProposal {
                pol_round,
                ..good_proposal()
            })
            .is_ok()
        );
    }
}

#[test]
fn block_ids() {
    assert!(bad_ids().len() > 90);
    for id in bad_ids() {
        vote_is_refused(|raw| raw.block_id = Some(id), InvalidBlockId);
        vote_is_refused(
            |raw| (raw.kind, raw.block_id) = (PREVOTE, Some(id)),
            InvalidBlockId,
        );
        proposal_is_refused(|raw| raw.block_id = Some(id), InvalidBlockId);
    }
    for nil in [None, Some(EMPTY_ID)] {
        proposal_is_refused(|raw| raw.block_id = nil, InvalidBlockId);
        let vote = Consensus::from_vote(
            &RawVote {
                block_id: nil,
                ..good_vote()
            },
            &OWN,
        )
        .unwrap();
        assert_eq!(
            vote,
            common::vote(PRECOMMIT, 10, 5, None),
            "absent and empty are one nil"
        );
    }
}

#[test]
fn timestamps() {
    vote_is_refused(|raw| raw.timestamp = None, MissingTimestamp);
    proposal_is_refused(|raw| raw.timestamp = None, MissingTimestamp);
    for (seconds, nanos) in BAD_TIMES {
        vote_is_refused(
            |raw| raw.timestamp = Some(RawTimestamp { seconds, nanos }),
            InvalidTimestamp,
        );
        proposal_is_refused(
            |raw| raw.timestamp = Some(RawTimestamp { seconds, nanos }),
            InvalidTimestamp,
        );
    }
    for (seconds, nanos) in [
        (-62_135_596_800, 0),
        (253_402_300_799, 999_999_999),
        (0, 0),
        (-1, 1),
    ] {
        let timestamp = Some(RawTimestamp { seconds, nanos });
        assert!(
            Consensus::from_vote(
                &RawVote {
                    timestamp,
                    ..good_vote()
                },
                &OWN
            )
            .is_ok()
        );
    }
}

#[test]
fn validator_addresses() {
    let mut near = [7; 20];
    near[19] = 8;
    let bad: [&[u8]; 10] = [
        &[7; 19],
        &[7; 21],
        &[8; 20],
        &[0; 1],
        &[0; 19],
        &[0; 21],
        &[0; 4096],
        &[7; 1],
        &[0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 7],
        &near,
    ];
    for address in bad {
        let raw = RawVote {
            validator_address: address,
            ..good_vote()
        };
        assert_eq!(
            Consensus::from_vote(&raw, &OWN).unwrap_err().code,
            WrongValidatorAddress
        );
    }
    for address in [&[][..], &[0; 20], &[7; 20]] {
        let raw = RawVote {
            validator_address: address,
            ..good_vote()
        };
        assert!(Consensus::from_vote(&raw, &OWN).is_ok());
    }
}

#[test]
fn extensions() {
    let skip = ExtensionSigning::Skip;
    for signing in [ExtensionSigning::Sign, skip] {
        let some = RawExtension {
            signing,
            ..common::extension(b"x")
        };
        vote_is_refused(
            |raw| (raw.kind, raw.extension) = (PREVOTE, some.clone()),
            UnexpectedExtension,
        );
        vote_is_refused(
            |raw| (raw.block_id, raw.extension) = (None, some.clone()),
            UnexpectedExtension,
        );
        vote_is_refused(
            |raw| (raw.block_id, raw.extension) = (Some(EMPTY_ID), some.clone()),
            UnexpectedExtension,
        );
        // Fields 11 and 12, on whatever they come.
        for (kind, block_id) in [
            (PREVOTE, None),
            (PRECOMMIT, None),
            (PRECOMMIT, good_vote().block_id),
        ] {
            let extension = RawExtension {
                signing,
                non_replay_protected: true,
                ..common::extension(b"")
            };
            vote_is_refused(
                |raw| (raw.kind, raw.block_id, raw.extension) = (kind, block_id, extension.clone()),
                UnsupportedExtension,
            );
        }
    }
    let asked = |kind, block_id, extension| {
        let raw = RawVote {
            kind,
            block_id,
            extension,
            ..good_vote()
        };
        Consensus::from_vote(&raw, &OWN)
            .unwrap()
            .extension()
            .map(|e| e.bytes().to_vec())
    };
    let (id, empty) = (good_vote().block_id, common::extension(b""));
    assert_eq!(asked(PRECOMMIT, id, common::extension(b"x")), Some(b"x".to_vec()));
    assert_eq!(
        asked(PRECOMMIT, id, empty.clone()),
        Some(Vec::new()),
        "signed even when empty"
    );
    assert_eq!(
        asked(
            PRECOMMIT,
            id,
            RawExtension {
                signing: skip,
                ..common::extension(b"x")
            }
        ),
        None
    );
    assert_eq!(asked(PRECOMMIT, None, empty.clone()), None);
    assert_eq!(asked(PREVOTE, id, empty), None);
}

prop_compose! {
    fn any_id()(hash in 0_usize..40, part_hash in 0_usize..40, whole in any::<bool>(), total in prop_oneof![0_u32..3, any::<u32>()]) -> RawBlockId<'static> {
        let (hash, part_hash) = if whole { (32, 32) } else { (hash, part_hash) };
        RawBlockId { hash: &[3; 40][..hash], total, part_hash: &[4; 40][..part_hash] }
    }
}

prop_compose! {
    fn any_time()(
        seconds in prop_oneof![any::<i64>(), -1_i64..2],
        nanos in prop_oneof![any::<i32>(), 0..10],
    ) -> RawTimestamp {
        RawTimestamp { seconds, nanos }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(4_000) })]

    #[test]
    fn no_input_panics_and_what_is_accepted_has_sign_bytes(
        kind in prop_oneof![any::<i32>(), 1..3, Just(32)],
        height in prop_oneof![any::<i64>(), 1_i64..3],
        round in prop_oneof![any::<i32>(), 0..3],
        pol_round in prop_oneof![any::<i32>(), -1..3],
        block_id in proptest::option::of(any_id()),
        timestamp in proptest::option::of(any_time()),
        address in prop_oneof![Just(Vec::new()), proptest::collection::vec(any::<u8>(), 0..40)],
        bytes in proptest::collection::vec(any::<u8>(), 0..10),
        (skip, non_replay_protected) in (any::<bool>(), any::<bool>()),
    ) {
        let signing = if skip { ExtensionSigning::Skip } else { ExtensionSigning::Sign };
        let extension = RawExtension { bytes: &bytes, digest: [0; 32], signing, non_replay_protected };
        let vote = RawVote { kind, height, round, block_id, timestamp, validator_address: &address, extension };
        let proposal = RawProposal { kind, height, round, pol_round, block_id, timestamp };
        for read in [Consensus::from_vote(&vote, &OWN), Consensus::from_proposal(&proposal)] {
            match read {
                Ok(request) => {
                    prop_assert!(of_message(request.message(), &common::chain()).len() < 256);
                    prop_assert_eq!(request.message().position().height.value(), height);
                    prop_assert_eq!(request.message().position().round.value(), round);
                }
                Err(refusal) => prop_assert!(!refusal.code.is_conflict()),
            }
        }
    }
}
