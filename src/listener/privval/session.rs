//! One connection to a node: requests in, replies out, one at a time (docs/privval.md).
//!
//! *Invariant:* a refusal is an answer in the arm of its request, and the connection stays open; a node whose connection is
//! closed is blind for up to 3.3 s (docs/privval.md, timers). Only bytes that are no message, or silence, end a session.

use std::time::Duration;

use sigward_policies::decision::{Refusal, RefusalCode, Refused};
use sigward_policies::model::text;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_util::sync::CancellationToken;

use super::convert;
use super::framing::{FramingError, Messages};
use super::wire::{Arm, Malformed, Reply, Request};
use crate::sign::ChainSigner;

/// A node pings every 3.3 s (CometBFT `privval/signer_listener_endpoint.go`): after this much silence it is gone.
pub const IDLE: Duration = Duration::from_secs(12);

/// A node that does not take a reply for this long is gone. Together with the deadline of a signature (4 s) it stays below the
/// grace of a shutdown, so that a node that reads nothing cannot make SIGTERM end hard.
const WRITE: Duration = Duration::from_secs(3);

/// Characters of a foreign chain id that are repeated: chain ids have 50 at most (CometBFT `types/genesis.go`).
const MAX_SHOWN: usize = 50;

/// Why a session ended.
#[derive(Debug, thiserror::Error)]
pub enum End {
    /// The node closed the connection.
    #[error("the node closed the connection")]
    Closed,
    /// No whole request came within [`IDLE`].
    #[error("no request came within {} s", IDLE.as_secs())]
    Silent,
    /// The node does not read its replies.
    #[error("the node did not take a reply within {} s", WRITE.as_secs())]
    Stuck,
    /// sigward is stopping, or the node was taken out of the configuration, or drained.
    #[error("sigward is stopping, or was told to leave this node")]
    Stopping,
    /// The node closed it after asking about another chain.
    #[error(transparent)]
    OtherChain(OtherChain),
    /// The bytes are no messages, or the socket failed.
    #[error(transparent)]
    Framing(#[from] FramingError),
    /// A message is no request.
    #[error(transparent)]
    Malformed(#[from] Malformed),
}

/// What a node asked for that is of another chain; cleaned and cut.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("it is a node of another chain: it asked for {0:?}; correct the id of the [[chain]], or the address")]
pub struct OtherChain(String);

/// Serves requests until the session ends. A request under way is finished before `stop` takes effect. `strange` hears once of a node
/// of another chain.
pub async fn serve<S>(
    messages: &mut Messages<S>,
    signer: &ChainSigner,
    stop: &CancellationToken,
    strange: impl Fn(&OtherChain) + Sync,
) -> End
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut other = None;
    loop {
        let known = other.is_some();
        let exchanged = exchange(messages, signer, stop, &mut other).await;
        match (exchanged, &other) {
            (Ok(()), Some(asked)) if !known => strange(asked),
            (Ok(()), _) => {}
            (Err(End::Closed), Some(asked)) => return End::OtherChain(asked.clone()),
            (Err(end), _) => return end,
        }
    }
}

async fn exchange<S>(
    messages: &mut Messages<S>,
    signer: &ChainSigner,
    stop: &CancellationToken,
    other: &mut Option<OtherChain>,
) -> Result<(), End>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let read = tokio::select! {
        biased;
        () = stop.cancelled() => return Err(End::Stopping),
        read = tokio::time::timeout(IDLE, messages.read()) => read,
    };
    let bytes = read.map_err(|_elapsed| End::Silent)??.ok_or(End::Closed)?;
    let request = Request::decode(bytes)?;
    signer.activity.asked(signer.clock.unix_seconds());
    if let Some(asked) = request.chain_id().filter(|asked| *asked != signer.chain.as_str()) {
        let asked = OtherChain(text::cut(asked, MAX_SHOWN));
        if other.is_none() {
            tracing::warn!(chain = %signer.chain, by = %signer.caller, "nothing is signed for this node: {asked}");
        }
        *other = Some(asked);
    }
    let reply = answer(signer, request).await;
    tokio::time::timeout(WRITE, messages.write(|out| reply.encode(out)))
        .await
        .map_err(|_elapsed| End::Stuck)??;
    Ok(())
}

async fn answer(signer: &ChainSigner, request: Request) -> Reply {
    let arm = request.arm();
    match request {
        Request::Ping => Ok(Reply::Pong),
        Request::PubKey(request) => {
            same_chain(signer, &request.chain_id).map(|()| convert::public_key(signer.public_key()))
        }
        Request::SignVote(request) => sign_vote(signer, *request).await,
        Request::SignProposal(request) => sign_proposal(signer, *request).await,
        Request::SignBytes(_) => Err(signer.refuse_at_edge(Refusal::new(
            RefusalCode::RawBytesRefused,
            "raw bytes could be anything, a vote included; they are never signed",
        ))),
        Request::Unknown(arm) => Err(signer.refuse_at_edge(Refusal::new(
            RefusalCode::UnsupportedRequest,
            format!("request {} is unknown to this version of sigward", arm.number()),
        ))),
    }
    .unwrap_or_else(|refused| refusal(arm, &refused))
}

async fn sign_vote(
    signer: &ChainSigner,
    request: sigward_proto::cometbft::SignVoteRequest,
) -> Result<Reply, Refused> {
    same_chain(signer, &request.chain_id)?;
    let own = &signer.key.key.version.address;
    let payload = convert::vote(&request, own).map_err(|refusal| signer.refuse_at_edge(refusal))?;
    let reply = signer.sign(payload).await?;
    Ok(convert::signed_vote(request.vote, &reply))
}

async fn sign_proposal(
    signer: &ChainSigner,
    request: sigward_proto::cometbft::SignProposalRequest,
) -> Result<Reply, Refused> {
    same_chain(signer, &request.chain_id)?;
    let payload = convert::proposal(&request).map_err(|refusal| signer.refuse_at_edge(refusal))?;
    let reply = signer.sign(payload).await?;
    Ok(convert::signed_proposal(request.proposal, &reply))
}

/// What is signed names the configured chain; a request for another one is somebody else's.
fn same_chain(signer: &ChainSigner, asked: &str) -> Result<(), Refused> {
    if asked == signer.chain.as_str() {
        return Ok(());
    }
    Err(signer.refuse_at_edge(Refusal::new(
        RefusalCode::ChainIdMismatch,
        format!(
            "this connection serves {}, and the node asked for {:?}",
            signer.chain,
            text::cut(asked, MAX_SHOWN)
        ),
    )))
}

/// `RemoteSignerError.code` is 2 for a conflict with what was signed before, 0 otherwise (as tmkms and FilePV have it).
fn refusal(arm: Arm, refused: &Refused) -> Reply {
    Reply::error(
        arm,
        if refused.is_conflict() { 2 } else { 0 },
        refused.to_string(),
    )
}
