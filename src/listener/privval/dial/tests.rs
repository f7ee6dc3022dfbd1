//! A fault of ours in the middle of a request: the connection ends, and the next one is served.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use std::sync::atomic::{AtomicBool, Ordering};

use sigward_hsm::fixtures::arena;
use sigward_hsm::mock::{MockProvider, MockStorage};
use sigward_hsm::provider::{Done, KeyHandle, Sign};
use sigward_policies::model::payload::Consensus;
use sigward_policies::proof::SignOrder;
use sigward_proto::cometbft::{BlockId, Message, PartSetHeader, SignVoteRequest, Vote, message::Sum};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixListener;

use super::*;
use crate::sign::testing::Bench;
use crate::telemetry::readiness::{Readiness, Weight};

/// Panics once, with the position held; signs ever after.
struct PanicsOnce(Arc<MockProvider>, AtomicBool);

impl Sign<Consensus> for PanicsOnce {
    fn submit(&self, key: &KeyHandle, order: SignOrder<Consensus>, done: Done<Consensus>) {
        assert!(
            self.1.swap(true, Ordering::SeqCst),
            "the fault that this test is about"
        );
        self.0.submit(key, order, done);
    }
}

fn request() -> Vec<u8> {
    let vote = Vote {
        r#type: 1,
        height: 5,
        block_id: Some(BlockId {
            hash: vec![1; 32],
            part_set_header: Some(PartSetHeader {
                total: 1,
                hash: vec![1; 32],
            }),
        }),
        timestamp: Some(prost_types::Timestamp::default()),
        ..Vote::default()
    };
    let message = Message {
        sum: Some(Sum::SignVoteRequest(SignVoteRequest {
            vote: Some(vote),
            chain_id: "bench-1".to_owned(),
            skip_extension_signing: false,
        })),
    };
    prost::Message::encode_length_delimited_to_vec(&message)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_panic_costs_one_connection_and_frees_the_position() {
    let mock = Arc::new(MockProvider::open(&arena(8), &MockStorage::default()));
    let signer = Arc::new(PanicsOnce(mock.clone(), AtomicBool::new(false)));
    let bench = Bench::with(mock, signer).await;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("node.sock");
    let listener = UnixListener::bind(&path).unwrap();
    let node = NodeName::new("node").unwrap();
    let readiness = Readiness::default();
    let link = Link {
        metrics: bench.metrics.node(&bench.signer.chain, &node),
        check: readiness.check("node", Weight::Told, ""),
        node,
        address: NodeAddress::Unix(path),
        identity: Arc::new(NodeIdentity::generate(&arena(8)).unwrap()),
        signer: bench.signer,
    };
    let stop = CancellationToken::new();
    let running = tokio::spawn(link.run(stop.clone()));

    let (mut first, _) = listener.accept().await.unwrap();
    first.write_all(&request()).await.unwrap();
    assert_eq!(first.read_to_end(&mut Vec::new()).await.unwrap(), 0, "no answer");

    let (mut second, _) = listener.accept().await.unwrap();
    second.write_all(&request()).await.unwrap();
    let mut reply = vec![0; 4096];
    let len = second.read(&mut reply).await.unwrap();
    let reply = <Message as prost::Message>::decode_length_delimited(reply.get(..len).unwrap()).unwrap();
    let Some(Sum::SignedVoteResponse(reply)) = reply.sum else {
        panic!("{reply:?}")
    };
    assert_eq!(reply.vote.unwrap().signature.len(), 64);
    stop.cancel();
    running.await.unwrap();
}
