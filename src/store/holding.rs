//! What a hold looks like on disk. One row a place; a hold that was lifted leaves its row behind, marked so: nothing is deleted,
//! and the digest of the table covers what was lifted, too.
//!
//! *Invariant:* one value has one encoding, as in `encoding`.

use sigward_policies::holding::{Fact, Hold, Line, Note, Scope};
use sigward_policies::model::algorithm::PublicKey;
use sigward_policies::model::id::{ChainId, MAX_NAME, NodeName, UnixSeconds};

use super::encoding::{DecodeError, Decoder, Encoder};
use super::record::MAX_SUBJECT;

/// Longest reason of a hold, in bytes.
pub const MAX_HOLD_REASON: usize = 500;
/// First byte of every encoded hold.
const VERSION: u8 = 1;

/// A hold as the store keeps it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct StoredHold {
    pub(crate) hold: Hold,
    /// Whether it was lifted: then it forbids nothing, and is kept for the digest's sake.
    pub(crate) lifted: bool,
}

/// The encoding of a hold.
pub(crate) fn encode_hold(stored: &StoredHold) -> Vec<u8> {
    let mut to = Encoder::with_capacity(256);
    to.u8(VERSION);
    match &stored.hold.fact {
        Fact::Freeze(scope) => {
            to.u8(1);
            match scope {
                Scope::All => to.u8(0),
                Scope::Chain(chain) => {
                    to.u8(1);
                    to.chain(Some(chain));
                }
                Scope::Key(key) => {
                    to.u8(2);
                    to.public_key(Some(key));
                }
            }
        }
        Fact::StopLine(line, height) => {
            to.u8(2);
            match line {
                Line::Chain(chain) => {
                    to.u8(1);
                    to.chain(Some(chain));
                }
                Line::Row(key, chain) => {
                    to.u8(2);
                    to.public_key(Some(key));
                    to.chain(Some(chain));
                }
            }
            to.i64(height.value());
        }
        Fact::Drained(chain, node) => {
            to.u8(3);
            to.chain(Some(chain));
            to.sized(node.as_str().as_bytes());
        }
        Fact::Rebound(key, from, now) => {
            to.u8(4);
            to.public_key(Some(key));
            to.chain(Some(from));
            to.chain(Some(now));
        }
    }
    to.flag(stored.lifted);
    let note = &stored.hold.note;
    to.sized(note.reason.as_bytes());
    to.sized(note.by.as_bytes());
    to.i64(note.at.0);
    to.finish()
}

/// Reads a hold.
pub(crate) fn decode_hold(bytes: &[u8]) -> Result<StoredHold, DecodeError> {
    let mut from = Decoder::new(bytes);
    from.version(VERSION)?;
    let fact = match from.u8()? {
        1 => Fact::Freeze(match from.u8()? {
            0 => Scope::All,
            1 => Scope::Chain(chain(&mut from)?),
            2 => Scope::Key(public_key(&mut from)?),
            _ => return Err(DecodeError::Value("scope")),
        }),
        2 => {
            let line = match from.u8()? {
                1 => Line::Chain(chain(&mut from)?),
                2 => Line::Row(public_key(&mut from)?, chain(&mut from)?),
                _ => return Err(DecodeError::Value("stop line")),
            };
            Fact::StopLine(line, from.height()?)
        }
        3 => {
            let on = chain(&mut from)?;
            let node = from.text(MAX_NAME, "node")?;
            Fact::Drained(on, NodeName::new(node).map_err(|_| DecodeError::Value("node"))?)
        }
        4 => Fact::Rebound(public_key(&mut from)?, chain(&mut from)?, chain(&mut from)?),
        _ => return Err(DecodeError::Value("hold")),
    };
    let lifted = from.flag("lifted")?;
    let note = Note {
        reason: from.text(MAX_HOLD_REASON, "reason")?.to_owned(),
        by: from.text(MAX_SUBJECT, "by")?.to_owned(),
        at: UnixSeconds(from.i64()?),
    };
    from.finish()?;
    if lifted && fact.is_final() {
        return Err(DecodeError::Value("lifted"));
    }
    Ok(StoredHold {
        hold: Hold { fact, note },
        lifted,
    })
}

fn chain(from: &mut Decoder<'_>) -> Result<ChainId, DecodeError> {
    from.chain()?.ok_or(DecodeError::Value("chain id"))
}

fn public_key(from: &mut Decoder<'_>) -> Result<PublicKey, DecodeError> {
    from.public_key()?.ok_or(DecodeError::Value("public key"))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]
mod tests {
    use proptest::prelude::*;
    use sigward_policies::model::algorithm::Algorithm;
    use sigward_policies::model::id::Height;

    use super::*;

    fn facts() -> impl Strategy<Value = Fact> {
        let chain = || "[a-z0-9-]{1,50}".prop_map(|text| ChainId::new(&text).unwrap());
        let key = || any::<[u8; 32]>().prop_map(|raw| PublicKey::new(Algorithm::Ed25519, &raw).unwrap());
        let height = || (1i64..1 << 62).prop_map(|height| Height::new(height).unwrap());
        let node = "[a-z][a-z0-9-]{0,30}[a-z]".prop_map(|name| NodeName::new(&name).unwrap());
        prop_oneof![
            Just(Fact::Freeze(Scope::All)),
            chain().prop_map(|chain| Fact::Freeze(Scope::Chain(chain))),
            key().prop_map(|key| Fact::Freeze(Scope::Key(key))),
            (chain(), height()).prop_map(|(chain, height)| Fact::StopLine(Line::Chain(chain), height)),
            (key(), chain(), height())
                .prop_map(|(key, chain, height)| Fact::StopLine(Line::Row(key, chain), height)),
            (chain(), node).prop_map(|(chain, node)| Fact::Drained(chain, node)),
            (key(), chain(), chain()).prop_map(|(key, from, to)| Fact::Rebound(key, from, to)),
        ]
    }

    proptest! {
        #[test]
        fn a_hold_decodes_to_itself_and_every_cut_is_refused(
            fact in facts(), reason in ".{0,100}", by in ".{0,40}", at in any::<i64>(), lifted in any::<bool>()
        ) {
            let lifted = lifted && !fact.is_final();
            let hold = Hold { fact, note: Note { reason, by, at: UnixSeconds(at) } };
            let stored = StoredHold { hold, lifted };
            let bytes = encode_hold(&stored);
            prop_assert_eq!(decode_hold(&bytes).unwrap(), stored);
            for end in 0..bytes.len() {
                prop_assert!(decode_hold(&bytes[..end]).is_err());
            }
            let longer = [bytes.as_slice(), &[0]].concat();
            prop_assert_eq!(decode_hold(&longer), Err(DecodeError::Trailing));
        }

        #[test]
        fn whatever_decodes_encodes_to_the_same_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..120)) {
            if let Ok(hold) = decode_hold(&bytes) {
                prop_assert_eq!(encode_hold(&hold), bytes);
            }
        }
    }
}
