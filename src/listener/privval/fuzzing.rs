//! What the fuzz targets call: the parsers that face a node's socket, as the session uses them.

use sigward_policies::model::algorithm::Address;
use sigward_policies::model::id::ChainId;
use sigward_policies::model::payload::Consensus;
use sigward_policies::model::sign_bytes;

use super::convert;
use super::framing::Messages;
use super::secret_connection::{Identity, SecretConnection};
use super::transport::Transport;
use super::wire::{Reply, Request};

/// A message: decoded, judged, written as sign bytes that parse back, answered.
pub fn request(bytes: &[u8]) {
    let Ok(request) = Request::decode(bytes) else {
        return;
    };
    let arm = request.arm();
    let payload = match &request {
        Request::SignVote(vote) => convert::vote(vote, &Address([7; 20])),
        Request::SignProposal(proposal) => convert::proposal(proposal),
        Request::PubKey(_) | Request::Ping | Request::SignBytes(_) | Request::Unknown(_) => return,
    };
    match payload {
        Ok(payload) => canonical(&payload),
        Err(refusal) => Reply::error(arm, 0, refusal.to_string()).encode(&mut Vec::new()),
    }
}

fn canonical(payload: &Consensus) {
    let Ok(chain) = ChainId::new("chain-1") else {
        return;
    };
    let bytes = sign_bytes::of_message(payload.message(), &chain);
    assert!(bytes.len() < sign_bytes::MAX_MESSAGE);
    assert_eq!(sign_bytes::parse(&bytes), Ok((*payload.message(), chain)));
}

/// A stream of messages in the clear.
pub fn framing(bytes: &[u8]) {
    run(async {
        let mut messages = Messages::new(Transport::plain(tokio::io::join(bytes, tokio::io::sink())));
        while let Ok(Some(_message)) = messages.read().await {}
    });
}

/// A peer that says `bytes` in the handshake and after it.
pub fn secret_connection(bytes: &[u8]) {
    run(async {
        let peer = tokio::io::join(bytes, tokio::io::sink());
        if let Ok(connection) = SecretConnection::handshake(peer, &NoIdentity).await {
            let mut messages = Messages::new(Transport::secret(connection));
            while let Ok(Some(_message)) = messages.read().await {}
        }
    });
}

fn run(work: impl Future<Output = ()>) {
    if let Ok(runtime) = tokio::runtime::Builder::new_current_thread().build() {
        runtime.block_on(work);
    }
}

struct NoIdentity;

impl Identity for NoIdentity {
    fn public_key(&self) -> [u8; 32] {
        [1; 32]
    }

    fn sign_challenge(&self, _challenge: &[u8; 32]) -> [u8; 64] {
        [2; 64]
    }
}
