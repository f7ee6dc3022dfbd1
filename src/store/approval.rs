//! Requests for approval as the store keeps them: what a batch does to them, and what they look like on disk. May use `policies` only.
//!
//! There are at most [`MAX_KEPT`] of them: a new one takes the row of the oldest that ended. So nothing is deleted, the table does not
//! grow, and its digest covers every row there is.
//!
//! *Invariant:* one value has one encoding, as in `encoding`; what was used, rejected or has expired never waits again.

use std::fmt;

use sha2::{Digest as _, Sha256};
use sigward_policies::authz::{ApprovalRequest, Person, PolicyVersion, RequestDigest, Said, Vote};
use sigward_policies::holding::Place;
use sigward_policies::model::algorithm::PublicKey;
use sigward_policies::model::id::{ChainId, StoreId, UnixSeconds};
use sigward_policies::model::operation::Operation;

use super::encoding::{DecodeError, Decoder, Encoder};

/// How many wait at once, and how many of one person.
pub(crate) const MAX_OPEN: usize = 64;
/// How many of one person wait at once.
pub(crate) const MAX_OPEN_EACH: usize = 8;
/// How many are kept, those that ended included.
pub(crate) const MAX_KEPT: usize = 256;
/// How long one may wait: a day.
pub const MAX_WAIT: i64 = 24 * 3600;
/// Longest description of an act, in bytes.
pub const MAX_WHAT: usize = 1024;

const MAX_SAID: u8 = 32;
const MAX_PERSON: usize = 512;
const VERSION: u8 = 1;

/// The random name of a request.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct ApprovalId(pub [u8; 16]);

impl ApprovalId {
    /// Reads what `Display` writes: 32 hexadecimal digits.
    pub fn parse(text: &str) -> Option<Self> {
        let mut id = [0; 16];
        hex::decode_to_slice(text, &mut id).ok()?;
        Some(Self(id))
    }
}

impl fmt::Display for ApprovalId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

/// How a request ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum End {
    /// The act was done, in the same commit.
    Used,
    /// Somebody said no.
    Rejected,
    /// Its time was over.
    Expired,
}

/// A request for approval.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct StoredApproval {
    /// Its name.
    pub id: ApprovalId,
    /// Who asked for what, and what was said on it.
    pub request: ApprovalRequest,
    /// What it is, for those who are to approve it.
    pub what: String,
    /// SHA-256 of the exact parameters.
    pub parameters: [u8; 32],
    /// SHA-256 of what the act changes, as it was when it was asked.
    pub before: [u8; 32],
    /// The key that it is about, where it is about one.
    pub key: Option<PublicKey>,
    /// The chain that it is about, where it is about one.
    pub chain: Option<ChainId>,
    /// When it was asked.
    pub created_at: UnixSeconds,
    /// How and when it ended.
    pub ended: Option<(End, UnixSeconds)>,
}

impl StoredApproval {
    /// What those who approve agree to.
    pub fn digest(
        store: &StoreId,
        id: &ApprovalId,
        operation: Operation,
        parameters: &[u8; 32],
        before: &[u8; 32],
    ) -> RequestDigest {
        let mut to = Encoder::with_capacity(192);
        to.raw(b"sigward approval v1");
        to.raw(&store.0);
        to.raw(&id.0);
        to.sized(operation.as_str().as_bytes());
        to.raw(parameters);
        to.raw(before);
        RequestDigest(Sha256::digest(to.finish()).into())
    }
}

/// What an act is about: what must be as it was when it was asked.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum About {
    /// What is held back at a place.
    Hold(Place),
    /// A key on a chain: the key, and its row without the watermark, which every signature moves.
    Row(PublicKey, ChainId),
    /// These keys and all their rows, without the watermarks.
    Keys(Vec<PublicKey>),
}

/// What a batch does to requests for approval.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ApprovalChange {
    /// One more waits.
    Open(StoredApproval),
    /// Somebody says yes or no.
    Say {
        /// To which.
        id: ApprovalId,
        /// Who.
        who: Person,
        /// What.
        vote: Vote,
        /// What they have seen.
        digest: RequestDigest,
        /// The policy in force.
        in_force: Option<PolicyVersion>,
    },
    /// The act is done: it comes first in the act's own batch, so that the state before is judged.
    Use(Use),
    /// Its time is over.
    Expire(ApprovalId),
    /// Its time is over whatever the clock says: the store went back to an older one, and what waits in it may have been used.
    Abandon(ApprovalId),
}

/// An act that rests on a request.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Use {
    /// Which.
    pub id: ApprovalId,
    /// Who acts.
    pub who: Person,
    /// What is done.
    pub operation: Operation,
    /// SHA-256 of the exact parameters.
    pub parameters: [u8; 32],
    /// What it changes.
    pub about: About,
    /// The policy in force.
    pub in_force: PolicyVersion,
}

/// The encoding of a request.
pub(crate) fn encode_approval(stored: &StoredApproval) -> Vec<u8> {
    let request = &stored.request;
    let mut to = Encoder::with_capacity(512);
    to.u8(VERSION);
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
    from.version(VERSION)?;
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

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]
mod tests {
    use proptest::prelude::*;
    use sigward_policies::model::algorithm::Algorithm;

    use super::*;

    fn people() -> impl Strategy<Value = Person> {
        "[a-z:.]{1,60}".prop_map(|name| Person::named(&name).unwrap())
    }

    fn words() -> impl Strategy<Value = Said> {
        (people(), any::<bool>(), any::<i64>()).prop_map(|(who, yes, at)| Said {
            who,
            vote: if yes { Vote::Approve } else { Vote::Reject },
            at: UnixSeconds(at),
        })
    }

    fn requests() -> impl Strategy<Value = StoredApproval> {
        let request = (
            people(),
            proptest::sample::select(Operation::ALL),
            any::<[u8; 32]>(),
            1_u8..=16,
            any::<i64>(),
            proptest::collection::vec(words(), 0..5),
        );
        let end = prop_oneof![
            Just(None),
            (
                proptest::sample::select(&[End::Used, End::Rejected, End::Expired][..]),
                any::<i64>()
            )
                .prop_map(|(end, at)| Some((end, UnixSeconds(at)))),
        ];
        let more = (any::<[u8; 16]>(), ".{0,80}", any::<bool>(), any::<i64>(), end);
        (request, more).prop_map(
            |((who, operation, bytes, needed, at, said), (id, what, some, created, ended))| {
                let key = PublicKey::new(Algorithm::Ed25519, &bytes).unwrap();
                StoredApproval {
                    id: ApprovalId(id),
                    request: ApprovalRequest::new(
                        who,
                        operation,
                        RequestDigest(bytes),
                        PolicyVersion(bytes),
                        needed,
                        UnixSeconds(at),
                    )
                    .with_said(said),
                    what,
                    parameters: bytes,
                    before: bytes,
                    key: some.then_some(key),
                    chain: some.then(|| ChainId::new("a-1").unwrap()),
                    created_at: UnixSeconds(created),
                    ended,
                }
            },
        )
    }

    proptest! {
        #[test]
        fn a_request_decodes_to_itself_and_every_cut_is_refused(stored in requests()) {
            let bytes = encode_approval(&stored);
            prop_assert_eq!(decode_approval(&bytes).unwrap(), stored);
            for end in 0..bytes.len() {
                prop_assert!(decode_approval(&bytes[..end]).is_err());
            }
            let longer = [bytes.as_slice(), &[0]].concat();
            prop_assert_eq!(decode_approval(&longer), Err(DecodeError::Trailing));
        }

        #[test]
        fn whatever_decodes_encodes_to_the_same_bytes(stored in requests(), at in any::<usize>(), to in any::<u8>()) {
            let mut bytes = encode_approval(&stored);
            let at = at % bytes.len();
            bytes[at] = to;
            if let Ok(read) = decode_approval(&bytes) {
                prop_assert_eq!(encode_approval(&read), bytes);
            }
        }
    }

    #[test]
    fn an_id_is_32_digits() {
        let id = ApprovalId([0xa5; 16]);
        assert_eq!(ApprovalId::parse(&id.to_string()), Some(id));
        for text in ["", "a5", &"a5".repeat(17), &"g5".repeat(16), " "] {
            assert_eq!(ApprovalId::parse(text), None, "{text:?}");
        }
    }
}
