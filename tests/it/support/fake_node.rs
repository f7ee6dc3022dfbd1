//! The node's side of the remote-signer protocol on a unix socket, as little of it as it takes to ask for signatures in any
//! order, honest or not (CometBFT `privval/signer_listener_endpoint.go`; plain frames: a varint length, then the message).

use std::io::{Error, ErrorKind, Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::time::{Duration, Instant};

use prost::Message as _;
use sigward_proto::cometbft::message::Sum;
use sigward_proto::cometbft::{
    BlockId, Message, PartSetHeader, Proposal, PubKeyRequest, RemoteSignerError, SignProposalRequest,
    SignVoteRequest, Vote,
};

/// An answer takes a few milliseconds; sigward gives up by itself after 4 s.
const ANSWER: Duration = Duration::from_secs(8);

/// What a position is for.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(crate) enum Step {
    Proposal,
    Prevote,
    Precommit,
}

/// A message to be signed. Two that differ in `block` only are in conflict.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Ask {
    pub(crate) height: i64,
    pub(crate) round: i32,
    pub(crate) step: Step,
    pub(crate) block: u8,
}

impl Ask {
    pub(crate) const fn prevote(height: i64, block: u8) -> Self {
        Self {
            height,
            round: 0,
            step: Step::Prevote,
            block,
        }
    }

    /// Another message for the same position.
    pub(crate) const fn conflicting(self) -> Self {
        Self {
            block: self.block ^ 0x80,
            ..self
        }
    }

    /// As `audit tail` writes it.
    pub(crate) fn position(&self) -> String {
        let step = match self.step {
            Step::Proposal => "proposal",
            Step::Prevote => "prevote",
            Step::Precommit => "precommit",
        };
        format!("{}/{}/{step}", self.height, self.round)
    }
}

/// What came back.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Answer {
    /// The signature; of a precommit, its extension's behind it.
    Signed(Vec<u8>),
    Refused {
        code: i32,
        text: String,
    },
    /// The connection broke first: the node knows nothing.
    Lost,
}

impl Answer {
    pub(crate) fn signature(&self) -> &[u8] {
        match self {
            Self::Signed(signature) => signature,
            other => panic!("not signed: {other:?}"),
        }
    }

    /// The stable code at the beginning of the refusal's text.
    pub(crate) fn refusal(&self) -> &str {
        match self {
            Self::Refused { text, .. } => text.split(':').next().unwrap(),
            other => panic!("not refused: {other:?}"),
        }
    }
}

/// A listener that keeps listening while signers come and go.
pub(crate) struct FakeNode {
    chain: String,
    listener: UnixListener,
    address: String,
    connection: Option<UnixStream>,
}

impl FakeNode {
    pub(crate) fn listen(socket: &Path, chain: &str) -> Self {
        // The one before it, if there was one, is gone; its file is not.
        let _none = std::fs::remove_file(socket);
        let listener = UnixListener::bind(socket).unwrap();
        listener.set_nonblocking(true).unwrap();
        Self {
            chain: chain.to_owned(),
            listener,
            address: format!("unix://{}", socket.display()),
            connection: None,
        }
    }

    /// What goes into `sigward.toml`.
    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    /// Waits until a signer has dialled; the newest connection counts. False when `stop` says so first.
    pub(crate) fn accept_unless(&mut self, limit: Duration, mut stop: impl FnMut() -> bool) -> bool {
        self.connection = None;
        let end = Instant::now() + limit;
        loop {
            // Connections that a killed signer left in the queue are skipped: they answer nothing.
            while let Ok((stream, _)) = self.listener.accept() {
                stream.set_nonblocking(false).unwrap();
                stream.set_read_timeout(Some(ANSWER)).unwrap();
                self.connection = Some(stream);
                if self.public_key().is_some() {
                    return true;
                }
            }
            if stop() || Instant::now() >= end {
                return false;
            }
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    /// The key that the signer shows; None when the connection broke.
    pub(crate) fn public_key(&mut self) -> Option<Vec<u8>> {
        let request = PubKeyRequest {
            chain_id: self.chain.clone(),
        };
        match self.exchange(Sum::PubKeyRequest(request)).ok()? {
            Sum::PubKeyResponse(response) => Some(response.pub_key_bytes),
            other => panic!("an answer in a wrong arm: {other:?}"),
        }
    }

    /// Asks for a signature.
    pub(crate) fn ask(&mut self, ask: Ask) -> Answer {
        let answer = match ask.step {
            Step::Proposal => self.exchange(Sum::SignProposalRequest(self.proposal(ask))),
            Step::Prevote | Step::Precommit => self.exchange(Sum::SignVoteRequest(self.vote(ask))),
        };
        let (error, signature) = match answer {
            Err(_broken) => return Answer::Lost,
            Ok(Sum::SignedVoteResponse(reply)) => {
                let both = |vote: Vote| [vote.signature, vote.extension_signature].concat();
                (reply.error, reply.vote.map(both))
            }
            Ok(Sum::SignedProposalResponse(reply)) => {
                (reply.error, reply.proposal.map(|proposal| proposal.signature))
            }
            Ok(other) => panic!("an answer in a wrong arm: {other:?}"),
        };
        match (error, signature) {
            (Some(RemoteSignerError { code, description }), None) => Answer::Refused {
                code,
                text: description,
            },
            (None, Some(signature)) => Answer::Signed(signature),
            neither => panic!("both or neither: {neither:?}"),
        }
    }

    fn vote(&self, ask: Ask) -> SignVoteRequest {
        let vote = Vote {
            r#type: if ask.step == Step::Precommit { 2 } else { 1 },
            height: ask.height,
            round: ask.round,
            block_id: Some(block(ask.block)),
            timestamp: Some(time(ask)),
            ..Vote::default()
        };
        SignVoteRequest {
            vote: Some(vote),
            chain_id: self.chain.clone(),
            skip_extension_signing: false,
        }
    }

    fn proposal(&self, ask: Ask) -> SignProposalRequest {
        let proposal = Proposal {
            r#type: 32,
            height: ask.height,
            round: ask.round,
            pol_round: -1,
            block_id: Some(block(ask.block)),
            timestamp: Some(time(ask)),
            signature: Vec::new(),
        };
        SignProposalRequest {
            proposal: Some(proposal),
            chain_id: self.chain.clone(),
        }
    }

    fn exchange(&mut self, request: Sum) -> std::io::Result<Sum> {
        let stream = self
            .connection
            .as_mut()
            .ok_or_else(|| Error::from(ErrorKind::NotConnected))?;
        let outcome = round_trip(stream, request);
        if outcome.is_err() {
            self.connection = None;
        }
        outcome
    }
}

fn round_trip(stream: &mut UnixStream, request: Sum) -> std::io::Result<Sum> {
    stream.write_all(&Message { sum: Some(request) }.encode_length_delimited_to_vec())?;
    let mut length = 0_usize;
    for shift in (0..28).step_by(7) {
        let mut byte = [0];
        stream.read_exact(&mut byte)?;
        length |= usize::from(byte[0] & 0x7f) << shift;
        if byte[0] & 0x80 == 0 {
            break;
        }
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body)?;
    let message = Message::decode(&*body).map_err(Error::other)?;
    message.sum.ok_or_else(|| Error::other("an empty answer"))
}

fn block(content: u8) -> BlockId {
    BlockId {
        hash: vec![content; 32],
        part_set_header: Some(PartSetHeader {
            total: 1,
            hash: vec![content; 32],
        }),
    }
}

/// Always the same for one position, as a node's is not: a repeat is then the same message to the last byte.
fn time(ask: Ask) -> prost_types::Timestamp {
    prost_types::Timestamp {
        seconds: 1_700_000_000 + ask.height,
        nanos: 0,
    }
}
