//! Canonical sign bytes against CometBFT's own (vectors/cometbft@v0.38.25, see its PROVENANCE.md), and `parse` as their inverse.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

mod common;

use proptest::prelude::*;
use serde_json::Value;
use sigward_policies::model::id::ChainId;
use sigward_policies::model::parse::{RawBlockId, RawExtension, RawProposal, RawTimestamp, RawVote};
use sigward_policies::model::payload::Consensus;
use sigward_policies::model::sign_bytes::{MAX_MESSAGE, of_extension, of_message, parse};

const VECTORS: &str = include_str!("vectors/cometbft@v0.38.25/sign_bytes.jsonl");

#[test]
fn sign_bytes_are_those_of_cometbft_v0_38_25() {
    let mut seen = [0; 4];
    for line in VECTORS.lines() {
        let vector: Value = serde_json::from_str(line).unwrap();
        let number = |name: &str| vector[name].as_i64().unwrap();
        let bytes = |name: &str| hex::decode(vector[name].as_str().unwrap()).unwrap();
        let chain = ChainId::new(vector["chain_id"].as_str().unwrap()).unwrap();
        let id = &vector["block_id"];
        let hashes = (!id.is_null()).then(|| {
            let of = |name: &str| hex::decode(id[name].as_str().unwrap()).unwrap();
            (
                of("hash"),
                u32::try_from(id["total"].as_u64().unwrap()).unwrap(),
                of("part_hash"),
            )
        });
        let block_id = hashes.as_ref().map(|(hash, total, part_hash)| RawBlockId {
            hash,
            total: *total,
            part_hash,
        });
        let timestamp = Some(RawTimestamp {
            seconds: number("seconds"),
            nanos: i32::try_from(number("nanos")).unwrap(),
        });
        let extension: Vec<u8> = (0..number("extension_len")).map(|i| (i % 251) as u8).collect();
        let (kind, height, round) = (number("kind") as i32, number("height"), number("round") as i32);
        let request = match kind {
            32 => Consensus::from_proposal(&RawProposal {
                kind,
                height,
                round,
                pol_round: number("pol_round") as i32,
                block_id,
                timestamp,
            }),
            _ => Consensus::from_vote(
                &RawVote {
                    kind: kind.min(2),
                    height,
                    round,
                    block_id,
                    timestamp,
                    validator_address: &[],
                    extension: if kind == 100 {
                        common::extension(&extension)
                    } else {
                        common::NO_EXTENSION
                    },
                },
                &common::OWN,
            ),
        }
        .unwrap();
        if kind == 100 {
            let position = request.message().position();
            let signed = of_extension(request.extension().unwrap(), position, &chain);
            let expected = [bytes("head"), extension, bytes("tail")].concat();
            assert!(signed == expected, "extension of {line}");
            assert!(parse(&signed).is_err(), "an extension is no message: {line}");
        } else {
            let signed = of_message(request.message(), &chain);
            assert_eq!(hex::encode(&signed), vector["head"].as_str().unwrap(), "{line}");
            assert!(signed.len() < MAX_MESSAGE);
            assert_eq!(parse(&signed).unwrap(), (*request.message(), chain), "{line}");
        }
        seen[match kind {
            1 => 0,
            2 => 1,
            32 => 2,
            _ => 3,
        }] += 1;
    }
    assert_eq!((seen[0] + seen[1], seen[2], seen[3]), (140, 140, 27), "{seen:?}");
    assert!(seen[0] > 0 && seen[1] > 0);
}

/// `TestVoteSignBytesTestVectors` of `types/vote_test.go`: height 1, round 1, no block, Go's zero time.
#[test]
fn the_vectors_of_vote_test_go() {
    let time = "2a0b088092b8c398feffffff01";
    let position = "110100000000000000190100000000000000";
    let chain = "320d746573745f636861696e5f6964";
    // 4 and 5 have no type, 0 to 3 no chain id: what cannot be asked for cannot be read back either.
    for vector in [
        format!("0d{time}"),
        format!("210802{position}{time}"),
        format!("210801{position}{time}"),
        format!("1f{position}{time}"),
        format!("2e{position}{time}{chain}"),
    ] {
        let bytes = hex::decode(&vector).unwrap();
        assert_eq!(usize::from(bytes[0]), bytes.len() - 1, "{vector}");
        assert!(parse(&bytes).is_err(), "{vector}");
    }
    // 1 and 2 with the chain id of 4 are asked for every day.
    for (kind, vector) in [
        (2, format!("300802{position}{time}{chain}")),
        (1, format!("300801{position}{time}{chain}")),
    ] {
        let mut raw = common::raw_vote(kind, 1, 1, None);
        raw.timestamp = Some(RawTimestamp {
            seconds: -62_135_596_800,
            nanos: 0,
        });
        let vote = Consensus::from_vote(&raw, &common::OWN).unwrap();
        let signed = of_message(vote.message(), &ChainId::new("test_chain_id").unwrap());
        assert_eq!(hex::encode(signed), vector);
    }
}

#[test]
fn other_encodings_of_a_vote_are_not_canonical() {
    let vote = common::vote(1, 1, 1, Some(common::A));
    let good = of_message(vote.message(), &common::chain());
    assert!(parse(&good).is_ok());
    for cut in 0..good.len() {
        assert!(parse(&good[..cut]).is_err(), "cut at {cut}");
    }
    let mut longer = good.clone();
    longer.push(0);
    assert!(parse(&longer).is_err());
    // A length in two bytes where one does, an unknown field, a field twice, a zero spelled out.
    for extra in [&[0x3a, 0][..], &[0x08, 1], &[0x50, 1], &[0x18, 0]] {
        let mut body = good[1..].to_vec();
        body.extend_from_slice(extra);
        let mut bytes = vec![body.len() as u8];
        bytes.extend(body);
        assert!(parse(&bytes).is_err(), "{extra:?}");
    }
    let body = &good[1..];
    assert!(body.len() < 0x80 && body.len() > 0x60);
    let overlong = [&[good[0] | 0x80, 0], body].concat();
    assert!(parse(&overlong).is_err());
    assert!(parse(&[]).is_err());
    assert!(parse(&[0]).is_err());
    assert!(parse(&[0xff; 300]).is_err());
}

prop_compose! {
    fn any_request()(
        kind in prop_oneof![Just(1), Just(2), Just(32)],
        height in 1_i64..1 << 62,
        round in prop_oneof![0..4, 0..i32::MAX],
        pol in any::<prop::sample::Index>(),
        hash in any::<[u8; 32]>(),
        part_hash in any::<[u8; 32]>(),
        total in prop_oneof![Just(0_u32), 1..=u32::MAX],
        seconds in prop_oneof![-62_135_596_800_i64..=253_402_300_799, -2_i64..3],
        nanos in prop_oneof![0..1_000_000_000, 0..2],
        ext in proptest::collection::vec(any::<u8>(), 0..64),
    ) -> Consensus {
        let timestamp = Some(RawTimestamp { seconds, nanos });
        let id = RawBlockId { hash: &hash, total: total.max(1), part_hash: &part_hash };
        if kind == 32 {
            let pol_round = pol.index(round as usize + 1) as i32 - 1;
            return Consensus::from_proposal(&RawProposal {
                kind, height, round, pol_round, block_id: Some(id), timestamp,
            }).unwrap();
        }
        let block_id = (total > 0).then_some(id);
        let bytes: &[u8] = if kind == 2 && block_id.is_some() { &ext } else { &[] };
        let extension = RawExtension { bytes, ..common::extension(bytes) };
        let raw = RawVote { kind, height, round, block_id, timestamp, validator_address: &[], extension };
        Consensus::from_vote(&raw, &common::OWN).unwrap()
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(2_000) })]

    #[test]
    fn parse_is_the_inverse_of_of_message(request in any_request(), chain in "[!-~]{1,50}") {
        let chain = ChainId::new(&chain).unwrap();
        let signed = of_message(request.message(), &chain);
        prop_assert!(signed.len() < MAX_MESSAGE);
        prop_assert_eq!(parse(&signed).unwrap(), (*request.message(), chain));
    }

    #[test]
    fn parse_bears_anything(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        if let Ok((message, chain)) = parse(&bytes) {
            prop_assert_eq!(of_message(&message, &chain), bytes);
        }
    }

    /// Random bytes are rarely near a message; these are.
    #[test]
    fn parse_bears_damaged_messages(
        request in any_request(),
        damage in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        cut in proptest::option::of(any::<prop::sample::Index>()),
    ) {
        let mut bytes = of_message(request.message(), &common::chain());
        for (at, with) in damage {
            let at = at.index(bytes.len());
            bytes[at] = with;
        }
        if let Some(cut) = cut {
            bytes.truncate(cut.index(bytes.len()));
        }
        if let Ok((message, chain)) = parse(&bytes) {
            prop_assert_eq!(of_message(&message, &chain), bytes);
        }
    }

    /// Two messages have the same sign bytes only if they are the same: what the guard compares is what is signed.
    #[test]
    fn different_messages_have_different_sign_bytes(one in any_request(), other in any_request()) {
        let (a, b) = (of_message(one.message(), &common::chain()), of_message(other.message(), &common::chain()));
        prop_assert_eq!(a == b, one.message() == other.message());
    }
}
