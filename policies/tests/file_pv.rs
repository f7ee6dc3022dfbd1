//! FilePV's own tests (CometBFT v0.38.25 `privval/file_test.go`) on the pure rule, through every token.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

mod common;

use common::{A, B, NOW, OWN, PRECOMMIT, PREVOTE, Signer};
use sigward_policies::decision::RefusalCode;
use sigward_policies::double_sign::{GuardRow, Watermark};
use sigward_policies::model::parse::{RawTimestamp, RawVote};
use sigward_policies::model::payload::{Consensus, Timestamp};

fn fresh() -> Signer {
    Signer::new(GuardRow::begin(Watermark::Fresh, NOW))
}

#[track_caller]
fn refused(signer: &mut Signer, request: &Consensus, code: RefusalCode) {
    let (stored, cached, uses) = (signer.stored.clone(), signer.slot.row(), signer.uses);
    let refusal = signer.sign(request).unwrap_err();
    assert_eq!(refusal.code(), code.as_str());
    assert!(refusal.is_conflict());
    assert_eq!(
        (&signer.stored, &*signer.slot.row(), signer.uses),
        (&stored, &*cached, uses)
    );
}

fn later(time: Timestamp) -> Timestamp {
    Timestamp::new(time.seconds(), time.nanos() + 1_000_000).unwrap()
}

/// `TestSignVote`.
#[test]
fn a_vote_is_signed_once_and_bad_votes_are_refused() {
    let mut signer = fresh();
    let vote = common::vote(PREVOTE, 10, 1, Some(A));
    let first = signer.sign(&vote).unwrap();
    assert_eq!(signer.sign(&vote).unwrap(), first);

    for (height, round, block, code) in [
        (10, 0, A, RefusalCode::RoundRegression),
        (9, 1, A, RefusalCode::HeightRegression),
        (8, 5, A, RefusalCode::HeightRegression),
        (10, 1, B, RefusalCode::DoubleSignConflict),
    ] {
        refused(
            &mut signer,
            &common::vote(PREVOTE, height, round, Some(block)),
            code,
        );
    }
    // A vote for nil is another message; a proposal of that round comes too late.
    refused(
        &mut signer,
        &common::vote(PREVOTE, 10, 1, None),
        RefusalCode::DoubleSignConflict,
    );
    refused(
        &mut signer,
        &common::proposal(10, 1, -1, A),
        RefusalCode::StepRegression,
    );

    assert_eq!(signer.sign(&vote).unwrap(), first);
    assert_eq!(signer.uses, 1);
}

/// `TestSignProposal`.
#[test]
fn a_proposal_is_signed_once_and_bad_proposals_are_refused() {
    let mut signer = fresh();
    let proposal = common::proposal(10, 1, 0, A);
    let first = signer.sign(&proposal).unwrap();
    assert_eq!(signer.sign(&proposal).unwrap(), first);

    for (height, round, pol_round, block, code) in [
        (10, 0, -1, A, RefusalCode::RoundRegression),
        (9, 1, 0, A, RefusalCode::HeightRegression),
        (8, 5, 0, A, RefusalCode::HeightRegression),
        (10, 1, 0, B, RefusalCode::DoubleSignConflict),
        // Another proof-of-lock round is another message.
        (10, 1, -1, A, RefusalCode::DoubleSignConflict),
    ] {
        refused(
            &mut signer,
            &common::proposal(height, round, pol_round, block),
            code,
        );
    }
    assert_eq!(signer.sign(&proposal).unwrap(), first);
    assert_eq!(signer.uses, 1);
}

/// `TestDifferByTimestamp`.
#[test]
fn what_differs_by_timestamp_only_gets_the_stored_signature_and_timestamp() {
    let mut signer = fresh();
    let again = |request: &Consensus, time: Timestamp| match *request.message() {
        sigward_policies::model::payload::ConsensusMessage::Vote(vote) => {
            let mut raw = common::raw_vote(PREVOTE, vote.height.value(), vote.round.value(), Some(A));
            raw.timestamp = Some(raw_time(time));
            Consensus::from_vote(&raw, &OWN).unwrap()
        }
        sigward_policies::model::payload::ConsensusMessage::Proposal(p) => {
            let mut raw = common::raw_proposal(p.height.value(), p.round.value(), 0, A);
            raw.timestamp = Some(raw_time(time));
            Consensus::from_proposal(&raw).unwrap()
        }
    };
    for request in [
        common::proposal(10, 1, 0, A),
        common::vote(PREVOTE, 10, 1, Some(A)),
    ] {
        let first = signer.sign(&request).unwrap();
        let row = signer.stored.clone();
        assert_eq!(first.timestamp, request.message().timestamp());

        let moved = again(&request, later(first.timestamp));
        assert_ne!(moved, request);
        assert_eq!(signer.sign(&moved).unwrap(), first);
        assert_eq!(signer.stored, row);
    }
    assert_eq!(signer.uses, 2);
}

/// `TestVoteExtensionsAreAlwaysSigned`.
#[test]
fn vote_extensions_are_always_signed() {
    let mut signer = fresh();
    let precommit = |bytes: &'static [u8], time: Option<Timestamp>| {
        let mut raw = RawVote {
            extension: common::extension(bytes),
            ..common::raw_vote(PRECOMMIT, 10, 1, Some(A))
        };
        raw.timestamp = time.map(raw_time).or(raw.timestamp);
        Consensus::from_vote(&raw, &OWN).unwrap()
    };
    // Empty, and signed all the same.
    let first = signer.sign(&precommit(b"", None)).unwrap();
    assert!(first.extension_signature.is_some());

    let second = signer.sign(&precommit(b"new extension", None)).unwrap();
    assert_eq!(second.signature, first.signature);
    assert_ne!(second.extension_signature, first.extension_signature);

    let third = signer
        .sign(&precommit(b"new extension", Some(later(first.timestamp))))
        .unwrap();
    assert_eq!(
        (third.signature, third.timestamp),
        (first.signature, first.timestamp)
    );
    assert!(third.extension_signature.is_some());
    assert_ne!(third.extension_signature, second.extension_signature);
    // One signature of the vote, three of extensions.
    assert_eq!(signer.uses, 4);

    // v1.0's `skip_extension_signing`: the repeat needs no key.
    let skipped = signer.sign(&common::vote(PRECOMMIT, 10, 1, Some(A))).unwrap();
    assert_eq!(
        (skipped.signature, skipped.extension_signature),
        (first.signature, None)
    );
    assert_eq!(signer.uses, 4);
}

fn raw_time(time: Timestamp) -> RawTimestamp {
    RawTimestamp {
        seconds: time.seconds(),
        nanos: time.nanos(),
    }
}
