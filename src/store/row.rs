//! What a guard row and a key look like on disk, and the evidence that they are as they were written.
//!
//! Every row's checksum is SHA-256 over a domain, the store's id and the encoded row: a flipped bit, a row of another store and
//! a row under another name all show. The XOR of all checksums is the table's digest: it shows a row that is missing, doubled
//! or older, and costs one checksum a change.
//!
//! *Caveat:* neither has a key. They show damage and mix-ups, not an attacker who can compute SHA-256.

use sha2::{Digest, Sha256};
use sigward_policies::double_sign::{GuardRow, LastSigned, Watermark};
use sigward_policies::model::algorithm::{Address, Signature};
use sigward_policies::model::id::{BundleId, KeyName, MAX_NAME, StoreId, UnixSeconds};
use sigward_policies::model::key::{BackupMark, Key, KeyVersion, Origin, VersionState};
use sigward_policies::model::payload::Timestamp;

use super::encoding::{DecodeError, Decoder, Encoder};
use super::{Sharing, StoredRow};

/// Longest sign bytes that a row holds; canonical ones are below it (whole, and below 250 bytes).
pub const MAX_SIGN_BYTES: usize = 255;
/// Longest name of a provider, in bytes.
pub const MAX_PROVIDER: usize = 64;
/// First byte of every encoded row and key.
const VERSION: u8 = 1;
/// First byte of a key that has a backup; a key without one is written as it always was, so that there is one encoding of each.
const VERSION_WITH_BACKUP: u8 = 2;
const GUARD_DOMAIN: &[u8] = b"sigward guard row v1";
const KEY_DOMAIN: &[u8] = b"sigward key row v1";
const HOLD_DOMAIN: &[u8] = b"sigward hold row v1";
const API_KEY_DOMAIN: &[u8] = b"sigward api key row v1";
const APPROVAL_DOMAIN: &[u8] = b"sigward approval row v1";

/// The encoding of a guard row.
pub fn encode_guard(stored: &StoredRow) -> Vec<u8> {
    let row = &stored.row;
    let mut to = Encoder::with_capacity(512);
    to.u8(VERSION);
    to.public_key(Some(&stored.public_key));
    to.chain(Some(&stored.chain));
    to.u8(match stored.sharing {
        Sharing::OneChain => 0,
        Sharing::Shared => 1,
    });
    to.flag(row.allow_until.is_some());
    if let Some(until) = row.allow_until {
        to.i64(until.value());
    }
    to.i64(row.touched.0);
    to.flag(row.stopped);
    match &row.watermark {
        Watermark::Fresh => to.u8(0),
        Watermark::Closed { height } => {
            to.u8(1);
            to.i64(height.value());
        }
        Watermark::Signed(last) => {
            to.u8(2);
            to.position(last.position);
            to.i64(last.timestamp.seconds());
            to.i32(last.timestamp.nanos());
            to.sized(&last.sign_bytes);
            to.raw(&last.signature.0);
            to.digest(last.extension_digest.as_ref());
        }
    }
    to.finish()
}

/// Reads a guard row.
pub fn decode_guard(bytes: &[u8]) -> Result<StoredRow, DecodeError> {
    let mut from = Decoder::new(bytes);
    from.version(VERSION)?;
    let public_key = from.public_key()?.ok_or(DecodeError::Value("public key"))?;
    let chain = from.chain()?.ok_or(DecodeError::Value("chain id"))?;
    let sharing = if from.flag("sharing")? {
        Sharing::Shared
    } else {
        Sharing::OneChain
    };
    let allow_until = if from.flag("allow until")? {
        Some(from.height()?)
    } else {
        None
    };
    let touched = UnixSeconds(from.i64()?);
    let stopped = from.flag("stopped")?;
    let watermark = match from.u8()? {
        0 => Watermark::Fresh,
        1 => Watermark::Closed {
            height: from.height()?,
        },
        2 => Watermark::Signed(last_signed(&mut from)?),
        _ => return Err(DecodeError::Value("watermark")),
    };
    from.finish()?;
    Ok(StoredRow {
        public_key,
        chain,
        sharing,
        row: GuardRow {
            watermark,
            allow_until,
            touched,
            stopped,
        },
    })
}

fn last_signed(from: &mut Decoder<'_>) -> Result<LastSigned, DecodeError> {
    let position = from.position()?;
    let timestamp = Timestamp::new(from.i64()?, from.i32()?).map_err(|_| DecodeError::Value("timestamp"))?;
    let sign_bytes = from.sized(MAX_SIGN_BYTES, "sign bytes")?.to_vec();
    if sign_bytes.is_empty() {
        return Err(DecodeError::Value("sign bytes"));
    }
    Ok(LastSigned {
        position,
        sign_bytes,
        timestamp,
        signature: Signature(from.array()?),
        extension_digest: from.digest("extension digest")?,
    })
}

/// The encoding of a key.
pub fn encode_key(key: &Key) -> Vec<u8> {
    let version = &key.version;
    let mut to = Encoder::with_capacity(256);
    to.u8(match version.backup {
        None => VERSION,
        Some(_) => VERSION_WITH_BACKUP,
    });
    to.sized(key.name.as_str().as_bytes());
    to.u32(version.version);
    to.public_key(Some(&version.public_key));
    to.raw(&version.address.0);
    to.sized(version.provider.as_bytes());
    to.u8(match version.origin {
        Origin::Generated => 1,
        Origin::Imported => 2,
        Origin::Restored => 3,
    });
    to.sized(version.state.as_str().as_bytes());
    to.i64(version.created_at.0);
    to.flag(version.exported);
    if let Some(backup) = &version.backup {
        to.raw(&backup.bundle.0);
        to.i64(backup.at.0);
    }
    to.finish()
}

/// Reads a key.
pub fn decode_key(bytes: &[u8]) -> Result<Key, DecodeError> {
    let mut from = Decoder::new(bytes);
    let with_backup = bytes.first() == Some(&VERSION_WITH_BACKUP);
    from.version(if with_backup { VERSION_WITH_BACKUP } else { VERSION })?;
    let name = KeyName::new(from.text(MAX_NAME, "name")?).map_err(|_| DecodeError::Value("name"))?;
    let version = KeyVersion {
        version: from.u32()?,
        public_key: from.public_key()?.ok_or(DecodeError::Value("public key"))?,
        address: Address(from.array()?),
        provider: from.text(MAX_PROVIDER, "provider")?.to_owned(),
        origin: match from.u8()? {
            1 => Origin::Generated,
            2 => Origin::Imported,
            3 => Origin::Restored,
            _ => return Err(DecodeError::Value("origin")),
        },
        state: VersionState::parse(from.text(32, "state")?).ok_or(DecodeError::Value("state"))?,
        created_at: UnixSeconds(from.i64()?),
        exported: from.flag("exported")?,
        backup: if with_backup {
            Some(BackupMark {
                bundle: BundleId(from.array()?),
                at: UnixSeconds(from.i64()?),
            })
        } else {
            None
        },
    };
    from.finish()?;
    Ok(Key { name, version })
}

/// The evidence of one row: SHA-256, 32 bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Checksum(pub(crate) [u8; 32]);

impl Checksum {
    pub(crate) fn of_guard(store: &StoreId, encoded: &[u8]) -> Self {
        Self::of(GUARD_DOMAIN, store, encoded)
    }

    pub(crate) fn of_key(store: &StoreId, encoded: &[u8]) -> Self {
        Self::of(KEY_DOMAIN, store, encoded)
    }

    pub(crate) fn of_hold(store: &StoreId, encoded: &[u8]) -> Self {
        Self::of(HOLD_DOMAIN, store, encoded)
    }

    pub(crate) fn of_api_key(store: &StoreId, encoded: &[u8]) -> Self {
        Self::of(API_KEY_DOMAIN, store, encoded)
    }

    pub(crate) fn of_approval(store: &StoreId, encoded: &[u8]) -> Self {
        Self::of(APPROVAL_DOMAIN, store, encoded)
    }

    /// No domain is the beginning of another, and the id has a fixed size: no two inputs meet.
    fn of(domain: &[u8], store: &StoreId, encoded: &[u8]) -> Self {
        let hash = Sha256::new()
            .chain_update(domain)
            .chain_update(store.0)
            .chain_update(encoded);
        Self(hash.finalize().into())
    }
}

/// The evidence of all rows and keys together: the XOR of their checksums.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct TableDigest(pub(crate) [u8; 32]);

impl TableDigest {
    /// Puts a row in, or takes out one that is in.
    pub(crate) fn toggle(&mut self, row: Checksum) {
        for (to, from) in self.0.iter_mut().zip(row.0) {
            *to ^= from;
        }
    }
}
