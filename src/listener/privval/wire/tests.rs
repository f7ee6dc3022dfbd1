//! The wire vectors of CometBFT, and what hostile or newer nodes send.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

use proptest::prelude::*;
use prost::Message as _;
use sigward_proto::cometbft::{
    BlockId, Message, PartSetHeader, PingRequest, PingResponse, Proposal, PubKeyRequest, PubKeyResponse,
    RemoteSignerError, SignBytesRequest, SignProposalRequest, SignVoteRequest, Vote, message::Sum,
};

use super::*;

const VECTORS: &str = include_str!(concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/tests/vectors/cometbft@v0.38.25/privval_messages.txt"
));

fn vector(name: &str) -> Vec<u8> {
    VECTORS
        .lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
        .map(|bytes| hex::decode(bytes).unwrap())
        .unwrap()
}

fn encoded(reply: &Reply) -> Vec<u8> {
    let mut out = Vec::new();
    reply.encode(&mut out);
    out
}

fn decoded(reply: &Reply) -> Sum {
    Message::decode(encoded(reply).as_slice()).unwrap().sum.unwrap()
}

/// The vote of `exampleVote()` in msgs_test.go.
fn example_vote() -> Vote {
    Vote {
        r#type: 2,
        height: 3,
        round: 2,
        block_id: Some(example_block()),
        timestamp: Some(prost_types::Timestamp {
            seconds: 1_570_983_284,
            nanos: 0,
        }),
        validator_address: hex::decode("6af1f4111082efb388211bc72c55bcd61e9ac3d5").unwrap(),
        validator_index: 56_789,
        extension: b"extension".to_vec(),
        ..Default::default()
    }
}

fn example_block() -> BlockId {
    BlockId {
        hash: hex::decode("8b01023386c371778ecb6368573e539afc3cc860ec3a2f614e54fe5652f4fc80").unwrap(),
        part_set_header: Some(PartSetHeader {
            total: 1_000_000,
            hash: hex::decode("72db3d959635dff1bb567bedaa70573392c5159666a3f8caf11e413aac52207a").unwrap(),
        }),
    }
}

#[test]
fn cometbft_vectors_decode_and_encode_to_the_same_bytes() {
    let mut count = 0;
    for line in VECTORS.lines() {
        let (name, bytes) = line.split_once(": ").unwrap();
        let bytes = hex::decode(bytes).unwrap();
        let message = Message::decode(bytes.as_slice()).unwrap();
        // Go writes a message field that is not nullable even when it is empty; so do we when it is Some.
        assert_eq!(message.encode_to_vec(), bytes, "{name}");
        count += 1;
    }
    assert_eq!(count, 11);
}

#[test]
fn cometbft_request_vectors_are_read() {
    assert_eq!(Request::decode(&vector("ping request")), Ok(Request::Ping));
    assert_eq!(
        Request::decode(&vector("pubKey request")),
        Ok(Request::PubKey(PubKeyRequest::default()))
    );
    let Ok(Request::SignVote(vote)) = Request::decode(&vector("Vote Request")) else {
        panic!()
    };
    assert_eq!(vote.vote, Some(example_vote()));
    let Ok(Request::SignProposal(proposal)) = Request::decode(&vector("Proposal Request")) else {
        panic!()
    };
    let proposal = proposal.proposal.unwrap();
    assert_eq!(
        (
            proposal.r#type,
            proposal.height,
            proposal.round,
            proposal.pol_round
        ),
        (1, 3, 2, 2)
    );
    assert_eq!(proposal.block_id, Some(example_block()));
    assert_eq!(proposal.signature, b"it's a signature");
}

#[test]
fn cometbft_response_vectors_are_written() {
    assert_eq!(encoded(&Reply::Pong), vector("ping response"));
    let request = Message::decode(vector("Proposal Request").as_slice()).unwrap();
    let Some(Sum::SignProposalRequest(SignProposalRequest {
        proposal: Some(proposal),
        ..
    })) = request.sum
    else {
        panic!()
    };
    assert_eq!(encoded(&Reply::proposal(proposal)), vector("Proposal Response"));

    // The vote comes back as it went in, but for its extension.
    let Ok(Request::SignVote(request)) = Request::decode(&vector("Vote Request")) else {
        panic!()
    };
    let mut expected = request.vote.clone().unwrap();
    expected.extension.clear();
    let Sum::SignedVoteResponse(response) = decoded(&Reply::vote(request.vote.unwrap())) else {
        panic!()
    };
    assert_eq!(response.vote, Some(expected));
}

#[test]
fn a_public_key_is_in_the_v0_and_in_the_v1_encoding_at_once() {
    let key = hex::decode("556a436f1218d30942efe798420f51dc9b6a311b929c578257457d05c5fcf230").unwrap();
    let bytes = encoded(&Reply::pub_key(KeyType::Ed25519, &key));
    // v0.x: field 1 is what its own encoder writes; the rest are fields that it skips.
    let v0 = vector("pubKey response");
    assert_eq!(bytes[2..38], v0[2..]);
    let Sum::PubKeyResponse(response) = decoded(&Reply::pub_key(KeyType::Ed25519, &key)) else {
        panic!()
    };
    assert_eq!(
        (response.pub_key_bytes, response.pub_key_type.as_str()),
        (key, "ed25519")
    );

    let key = vec![2; 33];
    let Sum::PubKeyResponse(response) = decoded(&Reply::pub_key(KeyType::Secp256k1, &key)) else {
        panic!()
    };
    assert_eq!(
        response.pub_key.unwrap().sum,
        Some(sigward_proto::cometbft::public_key::Sum::Secp256k1(key.clone()))
    );
    assert_eq!(
        (response.pub_key_bytes, response.pub_key_type.as_str()),
        (key, "secp256k1")
    );
}

#[test]
fn an_error_comes_in_the_arm_of_its_request() {
    let expected = Some(RemoteSignerError {
        code: 2,
        description: "conflicting data".into(),
    });
    let error = |arm| decoded(&Reply::error(arm, 2, "conflicting data"));
    assert!(
        matches!(error(Arm::PUB_KEY), Sum::PubKeyResponse(PubKeyResponse { error, .. }) if error == expected)
    );
    assert!(
        matches!(error(Arm::SIGN_VOTE), Sum::SignedVoteResponse(r) if r.error == expected && r.vote.is_none())
    );
    assert!(matches!(error(Arm::SIGN_PROPOSAL), Sum::SignedProposalResponse(r) if r.error == expected));
    assert!(matches!(error(Arm::SIGN_BYTES), Sum::SignBytesResponse(r) if r.error == expected));
}

#[test]
fn an_unknown_arm_is_answered_in_the_next_one() {
    // Arm 77 (a tag of two bytes), a body that is not empty.
    let Ok(request) = Request::decode(&[0xea, 0x04, 0x02, 0x08, 0x01]) else {
        panic!()
    };
    assert_eq!((request.arm().number(), request.arm().answer()), (77, 78));
    // {78: {2: {code: 2, description: "no"}}}
    let bytes = encoded(&Reply::error(request.arm(), 2, "no"));
    assert_eq!(
        bytes,
        [0xf2, 0x04, 0x08, 0x12, 0x06, 0x08, 0x02, 0x12, 0x02, b'n', b'o']
    );
}

#[test]
fn both_bodies_of_arm_nine_are_read() {
    let v1 = [0x4a, 0x05, 0x0a, 0x03, 1, 2, 3];
    let expected = SignBytesRequest {
        value_or_chain_id: vec![1, 2, 3],
        ..Default::default()
    };
    assert_eq!(Request::decode(&v1), Ok(Request::SignBytes(expected)));
    let celestia = [0x4a, 0x09, 0x0a, 0x01, b'c', 0x12, 0x01, 9, 0x1a, 0x01, b'u'];
    let expected = SignBytesRequest {
        value_or_chain_id: b"c".into(),
        raw_bytes: vec![9],
        unique_id: b"u".into(),
    };
    assert_eq!(Request::decode(&celestia), Ok(Request::SignBytes(expected)));
}

#[test]
fn what_is_no_request_is_malformed() {
    assert_eq!(Request::decode(&[]), Err(Malformed::Empty));
    // Wire types other than length-delimited, arm 0, an arm without a successor.
    assert_eq!(Request::decode(&[0x38, 0x00]), Err(Malformed::NotARequest));
    assert!(matches!(
        Request::decode(&[0x02, 0x00]),
        Err(Malformed::Protobuf(_))
    ));
    assert_eq!(
        Request::decode(&[0xfa, 0xff, 0xff, 0xff, 0x0f, 0x00]),
        Err(Malformed::NotARequest)
    );
    // A body longer than the message, and one with something behind it.
    assert_eq!(Request::decode(&[0x3a, 0x01]), Err(Malformed::NotARequest));
    assert_eq!(
        Request::decode(&[0x3a, 0x00, 0x00]),
        Err(Malformed::SeveralFields)
    );
    assert_eq!(
        Request::decode(&[0x3a, 0x00, 0x3a, 0x00]),
        Err(Malformed::SeveralFields)
    );
    // Answers are ours to give.
    assert_eq!(
        Request::decode(&vector("ping response")),
        Err(Malformed::Response(8))
    );
    assert_eq!(
        Request::decode(&vector("Vote Response")),
        Err(Malformed::Response(4))
    );
    // A body that is not what its arm says; a chain id that is not UTF-8.
    assert!(matches!(
        Request::decode(&[0x1a, 0x02, 0x0a, 0x7f]),
        Err(Malformed::Protobuf(_))
    ));
    assert!(matches!(
        Request::decode(&[0x0a, 0x03, 0x0a, 0x01, 0xff]),
        Err(Malformed::Protobuf(_))
    ));
}

#[test]
fn unknown_enum_values_and_missing_fields_survive_decoding() {
    let odd = SignVoteRequest {
        vote: Some(Vote {
            r#type: 77,
            height: -1,
            round: -5,
            ..Default::default()
        }),
        chain_id: "c".into(),
        skip_extension_signing: true,
    };
    let message = Message {
        sum: Some(Sum::SignVoteRequest(odd.clone())),
    };
    let Ok(Request::SignVote(got)) = Request::decode(&message.encode_to_vec()) else {
        panic!()
    };
    assert_eq!(*got, odd);
    assert!(
        got.vote
            .as_ref()
            .is_some_and(|vote| vote.timestamp.is_none() && vote.block_id.is_none())
    );
}

#[test]
fn every_reply_stays_far_below_ten_kilobytes() {
    let full = Vote {
        extension: vec![0xee; 1 << 20],
        signature: vec![1; 64],
        extension_signature: vec![2; 64],
        validator_index: i32::MAX,
        round: i32::MAX,
        height: i64::MAX,
        ..example_vote()
    };
    assert!(encoded(&Reply::vote(full)).len() < 300);
    let text = "é".repeat(50_000);
    assert!(encoded(&Reply::error(Arm::SIGN_VOTE, 0, text)).len() < 1100);
    let proposal = Proposal {
        block_id: Some(example_block()),
        signature: vec![1; 64],
        ..Default::default()
    };
    assert!(encoded(&Reply::proposal(proposal)).len() < 300);
    assert_eq!(PingRequest {}.encoded_len() + PingResponse {}.encoded_len(), 0);
}

proptest! {
    #[test]
    fn any_bytes_decode_or_are_refused_without_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        if let Ok(request) = Request::decode(&bytes) {
            let reply = encoded(&Reply::error(request.arm(), 0, "refused"));
            // Whatever it was, the answer is one field, numbered one more.
            let (number, _) = prost::encoding::decode_key(&mut reply.as_slice()).unwrap();
            prop_assert_eq!(number, request.arm().number() + 1);
        }
    }

    #[test]
    fn a_mangled_vote_request_never_panics(position in 0_usize..130, byte in any::<u8>()) {
        let mut bytes = vector("Vote Request");
        if let Some(old) = bytes.get_mut(position) {
            *old = byte;
        }
        let _ = Request::decode(&bytes);
    }
}
