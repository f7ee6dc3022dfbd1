//! What a request for approval looks like on disk.
//!
//! *Invariant:* one value has one encoding, as in `encoding`.

use sigward_policies::authz::{ApprovalRequest, Person, PolicyVersion, RequestDigest, Said, Vote};
use sigward_policies::model::id::UnixSeconds;
use sigward_policies::model::operation::Operation;

use super::{ApprovalId, End, MAX_WHAT, StoredApproval};
use crate::store::encoding::{DecodeError, Decoder, Encoder};

/// More than the greatest number of approvals that a rule asks for, and one who says no.
const MAX_SAID: u8 = 32;
const MAX_PERSON: usize = 512;
/// First byte of a request about one chain at most, and of one about a state that moves from one to another.
const ONE_CHAIN: u8 = 1;
const TWO_CHAINS: u8 = 2;

/// The encoding of a request.
pub(crate) fn encode_approval(stored: &StoredApproval) -> Vec<u8> {
    let request = &stored.request;
    let mut to = Encoder::with_capacity(512);
    to.u8(if stored.to.is_some() {
        TWO_CHAINS
    } else {
        ONE_CHAIN
    });
    to.raw(&stored.id.0);
    to.sized(request.requester.as_str().as_bytes());
    to.sized(request.operation.as_str().as_bytes());
    to.raw(&request.digest.0);
    to.raw(&request.policy.0);
    to.u8(request.needed);
    to.i64(request.expires_at.0);
    to.u8(u8::try_from(request.said().len()).unwrap_or(u8::MAX));
    for said in request.said() {
        to.sized(said.who.as_str().as_bytes());
        to.flag(said.vote == Vote::Approve);
        to.i64(said.at.0);
    }
    to.sized(stored.what.as_bytes());
    to.raw(&stored.parameters);
    to.raw(&stored.before);
    to.public_key(stored.key.as_ref());
    to.chain(stored.chain.as_ref());
    if stored.to.is_some() {
        to.chain(stored.to.as_ref());
    }
    to.i64(stored.created_at.0);
    match stored.ended {
        None => to.u8(0),
        Some((end, at)) => {
            to.u8(match end {
                End::Used => 1,
                End::Rejected => 2,
                End::Expired => 3,
            });
            to.i64(at.0);
        }
    }
    to.finish()
}

/// Reads a request.
pub(crate) fn decode_approval(bytes: &[u8]) -> Result<StoredApproval, DecodeError> {
    let mut from = Decoder::new(bytes);
    let moves = match from.u8()? {
        ONE_CHAIN => false,
        TWO_CHAINS => true,
        _ => return Err(DecodeError::Value("version")),
    };
    let id = ApprovalId(from.array()?);
    let requester = person(&mut from)?;
    let operation = Operation::parse(from.text(64, "operation")?).ok_or(DecodeError::Value("operation"))?;
    let (digest, policy) = (RequestDigest(from.array()?), PolicyVersion(from.array()?));
    let (needed, expires_at) = (from.u8()?, UnixSeconds(from.i64()?));
    let count = from.u8()?;
    if needed == 0 || count > MAX_SAID {
        return Err(DecodeError::Value("approvals"));
    }
    let said = (0..count).map(|_| said(&mut from)).collect::<Result<_, _>>()?;
    let request =
        ApprovalRequest::new(requester, operation, digest, policy, needed, expires_at).with_said(said);
    let stored = StoredApproval {
        id,
        request,
        what: from.text(MAX_WHAT, "description")?.to_owned(),
        parameters: from.array()?,
        before: from.array()?,
        key: from.public_key()?,
        chain: from.chain()?,
        to: match moves {
            true => Some(from.chain()?.ok_or(DecodeError::Value("chain"))?),
            false => None,
        },
        created_at: UnixSeconds(from.i64()?),
        ended: match from.u8()? {
            0 => None,
            1 => Some((End::Used, UnixSeconds(from.i64()?))),
            2 => Some((End::Rejected, UnixSeconds(from.i64()?))),
            3 => Some((End::Expired, UnixSeconds(from.i64()?))),
            _ => return Err(DecodeError::Value("end")),
        },
    };
    from.finish()?;
    Ok(stored)
}

fn person(from: &mut Decoder<'_>) -> Result<Person, DecodeError> {
    Person::named(from.text(MAX_PERSON, "person")?).ok_or(DecodeError::Value("person"))
}

fn said(from: &mut Decoder<'_>) -> Result<Said, DecodeError> {
    Ok(Said {
        who: person(from)?,
        vote: if from.flag("vote")? {
            Vote::Approve
        } else {
            Vote::Reject
        },
        at: UnixSeconds(from.i64()?),
    })
}
