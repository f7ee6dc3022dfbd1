//! The bytes of a bundle, version 1. A pure function both ways; numbers are big-endian.
//!
//! ```text
//! bytes
//!     8  magic "SGWDBKUP"
//!     2  version = 1
//!     2  suite = 1 (HKDF-SHA256, XChaCha20-Poly1305)
//!    16  bundle id
//!     8  made at, seconds since 1970
//!    16  id of the guard store that the keys were in
//!     1  lock: 1 Argon2id of a passphrase: 4 memory in KiB, 4 passes, 4 lanes, 16 salt
//!              2 age: 2 length, 1–16384 the data key as age wrapped it
//!   4+n  length and text of the configuration, 0 to 256 KiB; 0: not in it
//!     2  number of keys, 1 to 1024; for each, no name and no public key twice:
//!          1 algorithm: 1 Ed25519, 2 secp256k1 · 1 origin: 1 generated, 2 imported, 3 restored · 8 made at
//!          1+n name · 32|33 public key
//!          1 number of chains; for each, in order and none twice:
//!            1+n chain id · 1 flags: 1 shared, 2 moved out, 4 left for another id · 1+n that id, where it was left
//!            1 how far: 0 fresh · 1 closed: 8 height · 2 signed: 8 height, 4 round, 1 step
//!    32  salt of the keys' keys
//!    24  nonce
//!    ↑ all of the above: its SHA-256 is associated data of every key below
//!  48·n  for each key in the same order: 32 the secret, encrypted; 16 tag
//! ```
//!
//! *Invariant:* one value has one encoding: parsing and encoding again yields the same bytes; whatever else is refused.

use std::collections::BTreeSet;

use sigward_policies::model::{
    algorithm::{Algorithm, PublicKey},
    id::{BundleId, ChainId, Height, KeyName, Round, StoreId, UnixSeconds},
    key::Origin,
    payload::{Position, Step},
};

use super::BackupError;
use crate::envelope::{ArgonParams, SALT};

/// Longest bundle of any version, in bytes; readers stop there.
pub const MAX_BUNDLE: usize = 2 << 20;
/// Most keys in a bundle.
pub const MAX_KEYS: usize = 1024;
/// Longest configuration in a bundle, in bytes.
pub const MAX_CONFIG: usize = 256 * 1024;
/// Longest wrapped data key, in bytes: room for many recipients.
pub const MAX_WRAPPED: usize = 16 * 1024;

const MAGIC: &[u8; 8] = b"SGWDBKUP";
const VERSION: u16 = 1;
const SUITE: u16 = 1;
/// Bytes of the salt that makes the keys' keys.
pub(super) const KEYS_SALT: usize = 32;
/// Bytes of the nonce of XChaCha20.
pub(super) const NONCE: usize = 24;
/// A secret and its tag.
pub(super) const SEALED: usize = 48;

/// How the data key of a bundle is come by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Lock {
    /// Argon2id of a passphrase.
    Argon2id {
        /// The cost, within bounds.
        params: ArgonParams,
        /// The salt.
        salt: [u8; SALT],
    },
    /// An age file that holds it; age says for whom.
    Age {
        /// The bytes of the age file.
        wrapped: Vec<u8>,
    },
}

/// How far a key had come on a chain when the bundle was made: at least so far. **Never a watermark.**
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AtLeast {
    /// It had signed nothing there.
    Fresh,
    /// Every height up to this one was closed.
    Closed(Height),
    /// It had signed this.
    Signed(Position),
}

impl AtLeast {
    /// The height, or 0.
    #[must_use]
    pub const fn height(self) -> i64 {
        match self {
            Self::Fresh => 0,
            Self::Closed(height) => height.value(),
            Self::Signed(position) => position.height.value(),
        }
    }
}

/// A chain that a key had state on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChainNote {
    /// The chain.
    pub chain: ChainId,
    /// Whether the key served other chains too.
    pub shared: bool,
    /// Whether it had been moved out from there.
    pub moved_out: bool,
    /// The id that the chain has since a hard fork: the key never signs for the old one again. One of the key's chains.
    pub left_for: Option<ChainId>,
    /// How far it had come, at least.
    pub at_least: AtLeast,
}

/// What a bundle says of a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyNote {
    /// What people call it.
    pub name: KeyName,
    /// The public half.
    pub public_key: PublicKey,
    /// Where it came from.
    pub origin: Origin,
    /// When it was made or brought in.
    pub created_at: UnixSeconds,
    /// Its chains, in order.
    pub chains: Vec<ChainNote>,
}

/// What a bundle says of itself; authenticated once a key came out of it, not secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Manifest {
    /// Which bundle.
    pub id: BundleId,
    /// When it was made.
    pub made_at: UnixSeconds,
    /// The guard store that the keys were in.
    pub store: StoreId,
    /// How it opens.
    pub lock: Lock,
    /// The configuration as it was, if it is in it.
    pub config: Option<String>,
    /// The keys.
    pub keys: Vec<KeyNote>,
}

/// Salt and nonce of one bundle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Drawn {
    pub(super) salt: [u8; KEYS_SALT],
    pub(super) nonce: [u8; NONCE],
}

/// A parsed bundle: nothing in it is believed before a key came out.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Parsed {
    pub(super) manifest: Manifest,
    pub(super) drawn: Drawn,
    pub(super) head_len: usize,
    pub(super) sealed: Vec<[u8; SEALED]>,
}

impl Manifest {
    /// Refuses what no bundle may hold, before anything is sealed.
    pub(super) fn check(&self) -> Result<(), BackupError> {
        let bad = |what| Err(BackupError::Malformed(what));
        if !(1..=MAX_KEYS).contains(&self.keys.len()) {
            return bad("a bundle holds 1 to 1024 keys");
        }
        if self
            .config
            .as_ref()
            .is_some_and(|text| text.is_empty() || text.len() > MAX_CONFIG)
        {
            return bad("the configuration has 1 to 262144 bytes");
        }
        if let Lock::Age { wrapped } = &self.lock
            && !(1..=MAX_WRAPPED).contains(&wrapped.len())
        {
            return bad("a wrapped data key has 1 to 16384 bytes");
        }
        let names: BTreeSet<_> = self.keys.iter().map(|key| &key.name).collect();
        let public: BTreeSet<_> = self.keys.iter().map(|key| key.public_key).collect();
        if names.len() != self.keys.len() || public.len() != self.keys.len() {
            return bad("a key is in it twice");
        }
        let in_order = |key: &KeyNote| {
            key.chains
                .windows(2)
                .all(|pair| matches!(pair, [a, b] if a.chain < b.chain))
        };
        if !self
            .keys
            .iter()
            .all(|key| key.chains.len() <= 255 && in_order(key))
        {
            return bad("the chains of a key are out of order, or too many");
        }
        Ok(())
    }

    /// Everything up to the first sealed key.
    pub(super) fn encode(&self, drawn: &Drawn) -> Vec<u8> {
        let mut out = Vec::with_capacity(4096);
        out.extend_from_slice(MAGIC);
        out.extend_from_slice(&VERSION.to_be_bytes());
        out.extend_from_slice(&SUITE.to_be_bytes());
        out.extend_from_slice(&self.id.0);
        out.extend_from_slice(&self.made_at.0.to_be_bytes());
        out.extend_from_slice(&self.store.0);
        match &self.lock {
            Lock::Argon2id { params, salt } => {
                out.push(1);
                for cost in [params.memory_kib(), params.passes(), params.lanes()] {
                    out.extend_from_slice(&cost.to_be_bytes());
                }
                out.extend_from_slice(salt);
            }
            Lock::Age { wrapped } => {
                out.push(2);
                out.extend_from_slice(&u16::try_from(wrapped.len()).unwrap_or(0).to_be_bytes());
                out.extend_from_slice(wrapped);
            }
        }
        let config = self.config.as_deref().unwrap_or_default().as_bytes();
        out.extend_from_slice(&u32::try_from(config.len()).unwrap_or(0).to_be_bytes());
        out.extend_from_slice(config);
        out.extend_from_slice(&u16::try_from(self.keys.len()).unwrap_or(0).to_be_bytes());
        self.keys.iter().for_each(|key| encode_key(key, &mut out));
        out.extend_from_slice(&drawn.salt);
        out.extend_from_slice(&drawn.nonce);
        out
    }
}

fn encode_key(key: &KeyNote, out: &mut Vec<u8>) {
    out.push(match key.public_key.algorithm() {
        Algorithm::Ed25519 => 1,
        Algorithm::Secp256k1 => 2,
    });
    out.push(match key.origin {
        Origin::Generated => 1,
        Origin::Imported => 2,
        Origin::Restored => 3,
    });
    out.extend_from_slice(&key.created_at.0.to_be_bytes());
    short(key.name.as_str(), out);
    out.extend_from_slice(key.public_key.as_bytes());
    out.push(u8::try_from(key.chains.len()).unwrap_or(0));
    for note in &key.chains {
        short(note.chain.as_str(), out);
        out.push(
            u8::from(note.shared) | u8::from(note.moved_out) << 1 | u8::from(note.left_for.is_some()) << 2,
        );
        if let Some(to) = &note.left_for {
            short(to.as_str(), out);
        }
        match note.at_least {
            AtLeast::Fresh => out.push(0),
            AtLeast::Closed(height) => {
                out.push(1);
                out.extend_from_slice(&height.value().to_be_bytes());
            }
            AtLeast::Signed(position) => {
                out.push(2);
                out.extend_from_slice(&position.height.value().to_be_bytes());
                out.extend_from_slice(&position.round.value().to_be_bytes());
                out.push(position.step.value());
            }
        }
    }
}

/// A text of at most 64 bytes (`KeyName`, `ChainId`) after its length.
fn short(text: &str, out: &mut Vec<u8>) {
    out.push(u8::try_from(text.len()).unwrap_or(0));
    out.extend_from_slice(text.as_bytes());
}

/// Reads untrusted bytes; anything but the one encoding of a value is refused.
pub(super) fn parse(bytes: &[u8]) -> Result<Parsed, BackupError> {
    if bytes.len() > MAX_BUNDLE {
        return Err(BackupError::Malformed("too long"));
    }
    let mut rest = bytes.strip_prefix(MAGIC).ok_or(BackupError::NotABundle)?;
    let read = &mut rest;
    let (version, suite) = (u16::from_be_bytes(take(read)?), u16::from_be_bytes(take(read)?));
    if (version, suite) != (VERSION, SUITE) {
        return Err(BackupError::Unsupported { version, suite });
    }
    let manifest = Manifest {
        id: BundleId(take(read)?),
        made_at: UnixSeconds(i64::from_be_bytes(take(read)?)),
        store: StoreId(take(read)?),
        lock: lock(read)?,
        config: config(read)?,
        keys: keys(read)?,
    };
    manifest.check()?;
    let drawn = Drawn {
        salt: take(read)?,
        nonce: take(read)?,
    };
    let head_len = bytes.len() - read.len();
    let sealed = manifest
        .keys
        .iter()
        .map(|_| take(read))
        .collect::<Result<_, _>>()?;
    if !rest.is_empty() {
        return Err(BackupError::Malformed("bytes after the end"));
    }
    Ok(Parsed {
        manifest,
        drawn,
        head_len,
        sealed,
    })
}

fn lock(read: &mut &[u8]) -> Result<Lock, BackupError> {
    match take::<1>(read)? {
        [1] => {
            let mut cost = || take(read).map(u32::from_be_bytes);
            let params = ArgonParams::new(cost()?, cost()?, cost()?)
                .ok_or(BackupError::Malformed("Argon2id parameters out of bounds"))?;
            Ok(Lock::Argon2id {
                params,
                salt: take(read)?,
            })
        }
        [2] => {
            let len = u16::from_be_bytes(take(read)?);
            Ok(Lock::Age {
                wrapped: slice(read, len.into())?.to_vec(),
            })
        }
        _ => Err(BackupError::Malformed("unknown lock")),
    }
}

fn config(read: &mut &[u8]) -> Result<Option<String>, BackupError> {
    let bad = || BackupError::Malformed("the configuration is too long, or no text");
    let len = usize::try_from(u32::from_be_bytes(take(read)?)).map_err(|_| bad())?;
    if len > MAX_CONFIG {
        return Err(bad());
    }
    let text = std::str::from_utf8(slice(read, len)?).map_err(|_| bad())?;
    Ok((!text.is_empty()).then(|| text.to_owned()))
}

fn keys(read: &mut &[u8]) -> Result<Vec<KeyNote>, BackupError> {
    // A count that the bytes do not bear out ends at "cut short"; nothing is allocated by it.
    let count = u16::from_be_bytes(take(read)?);
    (0..count).map(|_| key(read)).collect()
}

fn key(read: &mut &[u8]) -> Result<KeyNote, BackupError> {
    let algorithm = match take::<1>(read)? {
        [1] => Algorithm::Ed25519,
        [2] => Algorithm::Secp256k1,
        _ => return Err(BackupError::Malformed("unknown algorithm")),
    };
    let origin = match take::<1>(read)? {
        [1] => Origin::Generated,
        [2] => Origin::Imported,
        [3] => Origin::Restored,
        _ => return Err(BackupError::Malformed("unknown origin")),
    };
    let created_at = UnixSeconds(i64::from_be_bytes(take(read)?));
    let name = KeyName::new(text(read)?).map_err(|_| BackupError::Malformed("not a key name"))?;
    let public_key = PublicKey::new(algorithm, slice(read, algorithm.public_key_len())?)
        .map_err(|_| BackupError::Malformed("not a public key"))?;
    let [count] = take::<1>(read)?;
    let chains = (0..count).map(|_| chain(read)).collect::<Result<Vec<_>, _>>()?;
    if !lead_somewhere(&chains) {
        return Err(BackupError::Malformed(
            "a chain was left for none of the key's chains",
        ));
    }
    Ok(KeyNote {
        name,
        public_key,
        origin,
        created_at,
        chains,
    })
}

fn chain(read: &mut &[u8]) -> Result<ChainNote, BackupError> {
    let chain = chain_id(read)?;
    let [flags] = take::<1>(read)?;
    if flags > 7 {
        return Err(BackupError::Malformed("unknown flags"));
    }
    let left_for = if flags & 4 != 0 {
        Some(chain_id(read)?)
    } else {
        None
    };
    let at_least = match take::<1>(read)? {
        [0] => AtLeast::Fresh,
        [1] => AtLeast::Closed(height(read)?),
        [2] => AtLeast::Signed(Position {
            height: height(read)?,
            round: Round::new(i32::from_be_bytes(take(read)?))
                .map_err(|_| BackupError::Malformed("not a round"))?,
            step: Step::from_value(u8::from_be_bytes(take(read)?))
                .ok_or(BackupError::Malformed("not a step"))?,
        }),
        _ => return Err(BackupError::Malformed("unknown kind of state")),
    };
    Ok(ChainNote {
        chain,
        shared: flags & 1 != 0,
        moved_out: flags & 2 != 0,
        left_for,
        at_least,
    })
}

fn chain_id(read: &mut &[u8]) -> Result<ChainId, BackupError> {
    ChainId::new(text(read)?).map_err(|_| BackupError::Malformed("not a chain id"))
}

/// Ids are left for ids of the same key, no two for one, and in no circle: from wherever one begins, one arrives.
fn lead_somewhere(chains: &[ChainNote]) -> bool {
    let next = |from: &ChainNote| {
        from.left_for
            .as_ref()
            .map(|to| chains.iter().find(|note| note.chain == *to))
    };
    let targets: BTreeSet<_> = chains.iter().filter_map(|note| note.left_for.as_ref()).collect();
    let left = chains.iter().filter(|note| note.left_for.is_some()).count();
    targets.len() == left
        && chains.iter().all(|begin| {
            let mut at = begin;
            for _ in chains {
                match next(at) {
                    None => return true,
                    Some(None) => return false,
                    Some(Some(note)) => at = note,
                }
            }
            false
        })
}

fn height(read: &mut &[u8]) -> Result<Height, BackupError> {
    Height::new(i64::from_be_bytes(take(read)?)).map_err(|_| BackupError::Malformed("not a height"))
}

fn text<'a>(read: &mut &'a [u8]) -> Result<&'a str, BackupError> {
    let [len] = take::<1>(read)?;
    std::str::from_utf8(slice(read, len.into())?).map_err(|_| BackupError::Malformed("not a text"))
}

fn slice<'a>(read: &mut &'a [u8], len: usize) -> Result<&'a [u8], BackupError> {
    let (head, tail) = read
        .split_at_checked(len)
        .ok_or(BackupError::Malformed("cut short"))?;
    *read = tail;
    Ok(head)
}

fn take<const N: usize>(read: &mut &[u8]) -> Result<[u8; N], BackupError> {
    let (head, tail) = read
        .split_first_chunk::<N>()
        .ok_or(BackupError::Malformed("cut short"))?;
    *read = tail;
    Ok(*head)
}
