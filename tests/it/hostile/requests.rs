//! Requests that are well-formed and wrong: each gets a refusal in its own arm, the connection stays, and nothing changes.

use prost::Message as _;
use sigward_proto::cometbft::{BlockId, PartSetHeader, SignVoteRequest, Vote, message::Sum};

use super::fake_node::{Link, Listener};
use super::messages::{
    PRECOMMIT, PREVOTE, block, outcome, proposal, public_key, sign_proposal, sign_vote, signed_vote, vote,
};
use super::stage::{CHAIN, Stage};
use crate::support::standstill::replayed;

/// A request that must be refused: what is wrong, its bytes, and the arm of the answer.
type Case = (&'static str, Vec<u8>, u32);

const HEIGHT: i64 = 10;

fn bad_vote(kind: i32, spoil: impl FnOnce(&mut Vote)) -> Vec<u8> {
    let mut bad = vote(kind, HEIGHT, 1);
    spoil(&mut bad);
    sign_vote(CHAIN, bad)
}

fn bad_block(id: BlockId) -> Vec<u8> {
    bad_vote(PREVOTE, |vote| vote.block_id = Some(id))
}

fn header(total: u32, hash: usize) -> Option<PartSetHeader> {
    Some(PartSetHeader {
        total,
        hash: vec![1; hash],
    })
}

fn bad_votes() -> Vec<Case> {
    let mut cases = Vec::new();
    let mut add = |name, bytes| cases.push((name, bytes, 4));
    add("another chain", sign_vote("hostile-2", vote(PREVOTE, HEIGHT, 1)));
    add("no chain", sign_vote("", vote(PREVOTE, HEIGHT, 1)));
    add(
        "no vote",
        super::messages::encoded(Sum::SignVoteRequest(SignVoteRequest {
            chain_id: CHAIN.to_owned(),
            ..SignVoteRequest::default()
        })),
    );
    for kind in [0, 3, 32, -1, i32::MAX] {
        add("a type that is no vote", bad_vote(kind, |_| ()));
    }
    for height in [0, -1, i64::MIN, 1 << 62, i64::MAX] {
        add(
            "a height out of range",
            bad_vote(PREVOTE, |vote| vote.height = height),
        );
    }
    for round in [-1, i32::MIN] {
        add("a negative round", bad_vote(PREVOTE, |vote| vote.round = round));
    }
    add(
        "a height out of reach",
        bad_vote(PREVOTE, |vote| vote.height = 1 << 40),
    );
    add(
        "a round out of reach",
        bad_vote(PREVOTE, |vote| {
            (vote.height, vote.round) = (HEIGHT - 1, i32::MAX);
        }),
    );
    for hash in [1, 31, 33, 9000] {
        add(
            "a block hash of another length",
            bad_block(BlockId {
                hash: vec![1; hash],
                part_set_header: header(1, 32),
            }),
        );
        add(
            "a part hash of another length",
            bad_block(BlockId {
                hash: vec![1; 32],
                part_set_header: header(1, hash),
            }),
        );
    }
    add(
        "a block without parts",
        bad_block(BlockId {
            hash: vec![1; 32],
            part_set_header: None,
        }),
    );
    add(
        "a block of no parts",
        bad_block(BlockId {
            hash: vec![1; 32],
            part_set_header: header(0, 32),
        }),
    );
    add(
        "parts of no block",
        bad_block(BlockId {
            hash: Vec::new(),
            part_set_header: header(1, 32),
        }),
    );
    add(
        "a count of parts and nothing else",
        bad_block(BlockId {
            hash: Vec::new(),
            part_set_header: header(1, 0),
        }),
    );
    add("no timestamp", bad_vote(PREVOTE, |vote| vote.timestamp = None));
    for (seconds, nanos) in [(i64::MAX, 0), (i64::MIN, 0), (0, -1), (0, 1_000_000_000)] {
        add(
            "a timestamp out of range",
            bad_vote(PREVOTE, |vote| {
                vote.timestamp = Some(prost_types::Timestamp { seconds, nanos });
            }),
        );
    }
    for address in [vec![9; 20], vec![0; 19], vec![0; 21], vec![0; 20_000]] {
        add(
            "another validator",
            bad_vote(PREVOTE, |vote| vote.validator_address = address),
        );
    }
    add(
        "an extension on a prevote",
        bad_vote(PREVOTE, |vote| vote.extension = b"x".to_vec()),
    );
    add(
        "an extension on a nil precommit",
        bad_vote(PRECOMMIT, |vote| {
            (vote.block_id, vote.extension) = (None, b"x".to_vec());
        }),
    );
    add(
        "an extension without replay protection",
        bad_vote(PRECOMMIT, |vote| {
            vote.non_rp_extension = b"x".to_vec();
        }),
    );
    cases
}

fn bad_others() -> Vec<Case> {
    let bad = |spoil: &dyn Fn(&mut sigward_proto::cometbft::Proposal)| {
        let mut bad = proposal(HEIGHT, 1);
        spoil(&mut bad);
        sign_proposal(CHAIN, bad)
    };
    let raw = |field: u32| {
        let mut bytes = Vec::new();
        prost::encoding::bytes::encode(field, &b"\x0a\x03any".to_vec(), &mut bytes);
        bytes
    };
    vec![
        ("the key for another chain", public_key("hostile-2"), 2),
        (
            "a proposal for another chain",
            sign_proposal("x", proposal(HEIGHT, 1)),
            6,
        ),
        ("a proposal of another type", bad(&|p| p.r#type = 1), 6),
        ("a proposal of nothing", bad(&|p| p.block_id = None), 6),
        ("a proof-of-lock of its own round", bad(&|p| p.pol_round = 0), 6),
        ("a proof-of-lock below none", bad(&|p| p.pol_round = -2), 6),
        ("a proposal without a time", bad(&|p| p.timestamp = None), 6),
        ("a proposal at a negative height", bad(&|p| p.height = -5), 6),
        ("raw bytes", raw(9), 10),
    ]
}

/// Sends every case on one connection.
fn refuse_all(link: &mut Link) {
    let first = sign_vote(CHAIN, vote(PREVOTE, HEIGHT - 1, 1));
    signed_vote(link.ask(&first)).expect("a node that behaves is served");
    for (name, bytes, arm) in bad_votes().into_iter().chain(bad_others()) {
        let reply = link.ask(&bytes);
        let (answered, error) = outcome(&reply);
        assert_eq!(answered, arm, "{name}: {reply:?}");
        let error = error.unwrap_or_else(|| panic!("{name} is answered: {reply:?}"));
        assert_eq!(error.code, 0, "{name}: {error:?}");
        assert!(
            !error.description.is_empty() && error.description.len() <= 1024,
            "{name}"
        );
    }
    assert!(link.lives());
}

#[test]
fn a_wrong_request_is_refused_in_its_arm_and_changes_nothing() {
    replayed(|| {
        let stage = Stage::new(|home| vec![Listener::unix(home, "u"), Listener::tcp()]);
        for node in &stage.nodes {
            let mut link = node.connect();
            refuse_all(&mut link);
            let state = stage.state();
            assert_eq!(state_height(&state), HEIGHT - 1, "{state}");
            unknown_arms(&mut link);
            stage.unharmed();
            assert_eq!(stage.state(), state);
        }
        stage.finish();
    });
}

pub(super) fn state_height(state: &serde_json::Value) -> i64 {
    let row = state.as_array().map_or(state, |rows| &rows[0]);
    let row = row.get("states").map_or(row, |rows| &rows[0]);
    row["height"].as_i64().unwrap_or_else(|| panic!("{state}"))
}

/// An arm that nobody knows is answered with its own number plus one and an error in field 2; read by hand, because no
/// generated type has it.
fn unknown_arms(link: &mut Link) {
    let Link::Plain(_) = link else { return };
    for arm in [11_u32, 13, 99, 18_999, (1 << 29) - 2] {
        let mut request = Vec::new();
        prost::encoding::bytes::encode(arm, &b"\x08\x01".to_vec(), &mut request);
        link.send(&request).unwrap();
        let reply = link.receive_raw().expect("an answer");
        let mut rest = reply.as_slice();
        let (answered, _) = prost::encoding::decode_key(&mut rest).unwrap();
        assert_eq!(answered, arm + 1);
        prost::encoding::decode_varint(&mut rest).unwrap();
        let (field, _) = prost::encoding::decode_key(&mut rest).unwrap();
        assert_eq!(field, 2);
        let error = sigward_proto::cometbft::RemoteSignerError::decode_length_delimited(rest).unwrap();
        assert!(!error.description.is_empty());
    }
    assert!(link.lives());
}

#[test]
fn a_conflict_is_code_2_and_a_repeat_is_what_was_signed() {
    replayed(|| {
        let stage = Stage::new(|home| vec![Listener::unix(home, "u")]);
        let mut link = stage.nodes[0].connect();
        let first = signed_vote(link.ask(&sign_vote(CHAIN, vote(PREVOTE, HEIGHT, 1)))).unwrap();
        let again = signed_vote(link.ask(&sign_vote(CHAIN, vote(PREVOTE, HEIGHT, 1)))).unwrap();
        assert_eq!(first, again);
        let other = signed_vote(link.ask(&sign_vote(CHAIN, vote(PREVOTE, HEIGHT, 2)))).unwrap_err();
        assert_eq!(other.code, 2, "{other:?}");
        let precommit = signed_vote(link.ask(&sign_vote(CHAIN, vote(PRECOMMIT, HEIGHT, 2)))).unwrap();
        assert_eq!(
            precommit.block_id,
            Some(block(2)),
            "prevote A, precommit B is legal"
        );
        let back = signed_vote(link.ask(&sign_vote(CHAIN, vote(PREVOTE, HEIGHT, 1)))).unwrap_err();
        assert_eq!(back.code, 2, "{back:?}");
        stage.finish();
    });
}

/// The largest extension that a node takes, in a reply of a few hundred bytes; its signature is over
/// `CanonicalVoteExtension` (CometBFT `types/canonical.go`), encoded here by hand.
#[test]
fn an_extension_of_one_mebibyte_is_signed_and_not_sent_back() {
    replayed(|| {
        use ed25519_dalek::{Signature, VerifyingKey};

        let stage = Stage::new(|home| vec![Listener::unix(home, "u"), Listener::tcp()]);
        for (index, node) in stage.nodes.iter().enumerate() {
            let mut link = node.connect();
            let Sum::PubKeyResponse(key) = link.ask(&public_key(CHAIN)) else {
                panic!("no public key")
            };
            let key = VerifyingKey::try_from(key.pub_key_bytes.as_slice()).unwrap();
            let height = HEIGHT + index as i64;
            let mut precommit = vote(PRECOMMIT, height, 1);
            precommit.extension = vec![0xe5; 1 << 20];
            let signed = signed_vote(link.ask(&sign_vote(CHAIN, precommit.clone()))).unwrap();
            assert!(signed.extension.is_empty());

            let mut canonical = Vec::new();
            prost::encoding::bytes::encode(1, &precommit.extension, &mut canonical);
            prost::encoding::sfixed64::encode(2, &height, &mut canonical);
            prost::encoding::string::encode(4, &CHAIN.to_owned(), &mut canonical);
            let signature = Signature::from_slice(&signed.extension_signature).unwrap();
            key.verify_strict(&super::fake_node::framed(&canonical), &signature)
                .expect("the extension's signature verifies");
        }
        stage.finish();
    });
}
