//! API keys as the store keeps them: who made one, until when it counts, and a digest of its secret; never the secret. May use
//! `policies` only.
//!
//! *Invariants:* a row stays when its key is revoked or has ended, so that no name and no secret is ever that of another key; there are
//! at most [`MAX_KEPT`] rows, and [`MAX_LIVE`] keys that count. One value has one encoding, as in `encoding`.

use sigward_policies::model::id::{ApiKeyName, MAX_NAME, UnixSeconds};

use super::encoding::{DecodeError, Decoder, Encoder};
use super::record::MAX_SUBJECT;

/// How many keys may count at once: each of them is compared with at every request.
pub(crate) const MAX_LIVE: usize = 256;
/// How many there may ever be in one store.
pub(crate) const MAX_KEPT: usize = 8_192;
/// How long one may count, in seconds: a year.
pub const MAX_API_KEY_LIFE: i64 = 365 * 24 * 3600;
/// First byte of every encoded key.
const VERSION: u8 = 1;

/// An API key.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct StoredApiKey {
    /// What it is called.
    pub name: ApiKeyName,
    /// What its secret is known by.
    pub digest: [u8; 32],
    /// Who made it.
    pub created_by: String,
    /// When.
    pub created_at: UnixSeconds,
    /// From when on it counts no more.
    pub expires_at: UnixSeconds,
    /// Since when it does not count, and by whom.
    pub revoked: Option<(UnixSeconds, String)>,
}

impl StoredApiKey {
    /// Whether it counts.
    pub fn stands(&self, now: UnixSeconds) -> bool {
        self.revoked.is_none() && now < self.expires_at
    }
}

/// What a batch does to API keys.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ApiKeyChange {
    /// One more.
    Create(StoredApiKey),
    /// One counts no more, whatever it did before.
    Revoke {
        /// Which.
        name: ApiKeyName,
        /// Who says so.
        by: String,
    },
}

/// The encoding of a key.
pub(crate) fn encode_api_key(stored: &StoredApiKey) -> Vec<u8> {
    let mut to = Encoder::with_capacity(256);
    to.u8(VERSION);
    to.sized(stored.name.as_str().as_bytes());
    to.raw(&stored.digest);
    to.sized(stored.created_by.as_bytes());
    to.i64(stored.created_at.0);
    to.i64(stored.expires_at.0);
    to.flag(stored.revoked.is_some());
    if let Some((at, by)) = &stored.revoked {
        to.i64(at.0);
        to.sized(by.as_bytes());
    }
    to.finish()
}

/// Reads a key.
pub(crate) fn decode_api_key(bytes: &[u8]) -> Result<StoredApiKey, DecodeError> {
    let mut from = Decoder::new(bytes);
    from.version(VERSION)?;
    let stored = StoredApiKey {
        name: ApiKeyName::new(from.text(MAX_NAME, "name")?).map_err(|_| DecodeError::Value("name"))?,
        digest: from.array()?,
        created_by: from.text(MAX_SUBJECT, "creator")?.to_owned(),
        created_at: UnixSeconds(from.i64()?),
        expires_at: UnixSeconds(from.i64()?),
        revoked: if from.flag("revoked")? {
            Some((
                UnixSeconds(from.i64()?),
                from.text(MAX_SUBJECT, "revoker")?.to_owned(),
            ))
        } else {
            None
        },
    };
    from.finish()?;
    Ok(stored)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn keys() -> impl Strategy<Value = StoredApiKey> {
        let revoked = proptest::option::of((any::<i64>().prop_map(UnixSeconds), ".{0,40}"));
        let times = (any::<i64>(), any::<i64>());
        (
            "[a-z][a-z0-9._-]{0,60}",
            any::<[u8; 32]>(),
            ".{0,40}",
            times,
            revoked,
        )
            .prop_map(
                |(name, digest, created_by, (created, expires), revoked)| StoredApiKey {
                    name: ApiKeyName::new(&name).unwrap(),
                    digest,
                    created_by,
                    created_at: UnixSeconds(created),
                    expires_at: UnixSeconds(expires),
                    revoked,
                },
            )
    }

    proptest! {
        #[test]
        fn a_key_decodes_to_itself_and_every_cut_is_refused(stored in keys()) {
            let bytes = encode_api_key(&stored);
            prop_assert_eq!(decode_api_key(&bytes).unwrap(), stored);
            for end in 0..bytes.len() {
                prop_assert!(decode_api_key(&bytes[..end]).is_err());
            }
            let longer = [bytes.as_slice(), &[0]].concat();
            prop_assert_eq!(decode_api_key(&longer), Err(DecodeError::Trailing));
        }

        #[test]
        fn whatever_decodes_encodes_to_the_same_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..160)) {
            if let Ok(stored) = decode_api_key(&bytes) {
                prop_assert_eq!(encode_api_key(&stored), bytes);
            }
        }
    }
}
