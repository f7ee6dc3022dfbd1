//! The bytes of a sealed file, version 1. A pure function both ways; numbers are big-endian.
//!
//! ```text
//! offset  bytes
//!      0      8  magic "SGWDSEAL"
//!      8      2  version = 1
//!     10      2  suite = 1 (HKDF-SHA256, XChaCha20-Poly1305)
//!     12      1  kind of key-encryption key: 1 raw, 2 Argon2id
//!          if 2: 4 memory in KiB, 4 passes, 4 lanes, 16 salt
//!      +     16  id of the guard store that the key belongs to
//!      +      1  algorithm: 1 Ed25519, 2 secp256k1
//!      +      1  origin: 1 generated, 2 imported, 3 restored
//!      +      8  made at, seconds since 1970
//!      +      1  length of the name, 1 to 64
//!      +    1–64 name
//!      +  32|33  public key, as long as the algorithm says
//!      +     32  salt of the file key
//!      +     24  nonce
//!      ↑ all of the above is associated data
//!      +     32  the secret, encrypted
//!      +     16  tag
//! ```
//!
//! *Invariant:* one value has one encoding: parsing and encoding again yields the same bytes; whatever else is refused.

use sigward_policies::model::{
    algorithm::{Algorithm, PublicKey},
    id::{KeyName, StoreId, UnixSeconds},
    key::Origin,
};

use super::argon::{ArgonParams, SALT};

/// Longest sealed file of any version, in bytes; readers stop there.
pub const MAX_SEALED: usize = 1024;

const MAGIC: &[u8; 8] = b"SGWDSEAL";
const VERSION: u16 = 1;
const SUITE: u16 = 1;

/// Bytes of the salt that makes the file key.
pub(super) const FILE_SALT: usize = 32;
/// Bytes of the nonce of XChaCha20.
pub(super) const NONCE: usize = 24;
/// Bytes of a sealed secret.
pub(super) const SECRET: usize = 32;
/// Bytes of the tag of Poly1305.
pub(super) const TAG: usize = 16;

/// Why bytes are no sealed file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FormatError {
    /// The magic is missing: some other file.
    #[error("not a sealed sigward key")]
    NotSealed,
    /// A version or suite of a later sigward.
    #[error("sealed in format version {version}, suite {suite}, which this sigward does not know")]
    Unsupported {
        /// Version of the format.
        version: u16,
        /// Cipher suite.
        suite: u16,
    },
    /// Cut short, too long, or a field outside its bounds.
    #[error("the sealed file is malformed: {0}")]
    Malformed(&'static str),
}

impl FormatError {
    /// The stable code of the error.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::NotSealed => "not_sealed",
            Self::Unsupported { .. } => "sealed_format_unsupported",
            Self::Malformed(_) => "sealed_file_malformed",
        }
    }
}

/// What seals a file, by its kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KekKind {
    /// 32 bytes as they are (key file, systemd credential).
    Raw,
    /// Argon2id of a passphrase.
    Passphrase,
}

/// How the key-encryption key of a file is come by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sealing {
    /// It is the configured 32 bytes.
    Raw,
    /// It is derived from the configured passphrase.
    Argon2id {
        /// The cost.
        params: ArgonParams,
        /// The salt.
        salt: [u8; SALT],
    },
}

impl Sealing {
    /// The kind of key-encryption key it takes.
    #[must_use]
    pub const fn kind(&self) -> KekKind {
        match self {
            Self::Raw => KekKind::Raw,
            Self::Argon2id { .. } => KekKind::Passphrase,
        }
    }
}

/// What a sealed file says of its key; authenticated, not secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    /// The guard store that the key belongs to.
    pub store: StoreId,
    /// What people call the key.
    pub name: KeyName,
    /// The public half; its algorithm is the key's.
    pub public_key: PublicKey,
    /// Where the key came from.
    pub origin: Origin,
    /// When it was made or brought in.
    pub created_at: UnixSeconds,
}

/// A parsed, still sealed file. Nothing in it is to be believed before it opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sealed {
    pub(super) sealing: Sealing,
    pub(super) header: Header,
    pub(super) file_salt: [u8; FILE_SALT],
    pub(super) nonce: [u8; NONCE],
    pub(super) ciphertext: [u8; SECRET],
    pub(super) tag: [u8; TAG],
}

impl Sealed {
    /// Reads untrusted bytes.
    ///
    /// # Errors
    /// [`FormatError`]; anything but the one encoding of a value is refused.
    pub fn parse(bytes: &[u8]) -> Result<Self, FormatError> {
        if bytes.len() > MAX_SEALED {
            return Err(FormatError::Malformed("too long"));
        }
        let mut rest = bytes.strip_prefix(MAGIC).ok_or(FormatError::NotSealed)?;
        let read = &mut rest;
        let (version, suite) = (u16::from_be_bytes(take(read)?), u16::from_be_bytes(take(read)?));
        if (version, suite) != (VERSION, SUITE) {
            return Err(FormatError::Unsupported { version, suite });
        }
        let sealed = Self {
            sealing: sealing(read)?,
            header: header(read)?,
            file_salt: take(read)?,
            nonce: take(read)?,
            ciphertext: take(read)?,
            tag: take(read)?,
        };
        if rest.is_empty() {
            Ok(sealed)
        } else {
            Err(FormatError::Malformed("bytes after the end"))
        }
    }

    /// The bytes of the file.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut out = self.associated_data();
        out.extend_from_slice(&self.ciphertext);
        out.extend_from_slice(&self.tag);
        out
    }

    /// What the file says of its key, before anything was checked.
    #[must_use]
    pub const fn unchecked_header(&self) -> &Header {
        &self.header
    }

    /// How the key-encryption key of the file is come by.
    #[must_use]
    pub const fn sealing(&self) -> &Sealing {
        &self.sealing
    }

    /// Everything up to the ciphertext.
    pub(super) fn associated_data(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(256);
        out.extend_from_slice(MAGIC);
        out.extend_from_slice(&VERSION.to_be_bytes());
        out.extend_from_slice(&SUITE.to_be_bytes());
        match &self.sealing {
            Sealing::Raw => out.push(1),
            Sealing::Argon2id { params, salt } => {
                out.push(2);
                for cost in [params.memory_kib(), params.passes(), params.lanes()] {
                    out.extend_from_slice(&cost.to_be_bytes());
                }
                out.extend_from_slice(salt);
            }
        }
        let header = &self.header;
        out.extend_from_slice(&header.store.0);
        out.push(match header.public_key.algorithm() {
            Algorithm::Ed25519 => 1,
            Algorithm::Secp256k1 => 2,
        });
        out.push(match header.origin {
            Origin::Generated => 1,
            Origin::Imported => 2,
            Origin::Restored => 3,
        });
        out.extend_from_slice(&header.created_at.0.to_be_bytes());
        let name = header.name.as_str().as_bytes();
        // A name has 1 to 64 bytes (`KeyName`).
        out.push(u8::try_from(name.len()).unwrap_or(0));
        out.extend_from_slice(name);
        out.extend_from_slice(header.public_key.as_bytes());
        out.extend_from_slice(&self.file_salt);
        out.extend_from_slice(&self.nonce);
        out
    }
}

fn sealing(read: &mut &[u8]) -> Result<Sealing, FormatError> {
    match take::<1>(read)? {
        [1] => Ok(Sealing::Raw),
        [2] => {
            let mut cost = || take(read).map(u32::from_be_bytes);
            let params = ArgonParams::new(cost()?, cost()?, cost()?)
                .ok_or(FormatError::Malformed("Argon2id parameters out of bounds"))?;
            Ok(Sealing::Argon2id {
                params,
                salt: take(read)?,
            })
        }
        _ => Err(FormatError::Malformed("unknown kind of key-encryption key")),
    }
}

fn header(read: &mut &[u8]) -> Result<Header, FormatError> {
    let store = StoreId(take(read)?);
    let algorithm = match take::<1>(read)? {
        [1] => Algorithm::Ed25519,
        [2] => Algorithm::Secp256k1,
        _ => return Err(FormatError::Malformed("unknown algorithm")),
    };
    let origin = match take::<1>(read)? {
        [1] => Origin::Generated,
        [2] => Origin::Imported,
        [3] => Origin::Restored,
        _ => return Err(FormatError::Malformed("unknown origin")),
    };
    let created_at = UnixSeconds(i64::from_be_bytes(take(read)?));
    let [len] = take::<1>(read)?;
    let name = std::str::from_utf8(slice(read, len.into())?)
        .ok()
        .and_then(|name| KeyName::new(name).ok())
        .ok_or(FormatError::Malformed("not a key name"))?;
    let public_key = PublicKey::new(algorithm, slice(read, algorithm.public_key_len())?)
        .map_err(|_| FormatError::Malformed("not a public key"))?;
    Ok(Header {
        store,
        name,
        public_key,
        origin,
        created_at,
    })
}

fn slice<'a>(read: &mut &'a [u8], len: usize) -> Result<&'a [u8], FormatError> {
    let (head, tail) = read
        .split_at_checked(len)
        .ok_or(FormatError::Malformed("cut short"))?;
    *read = tail;
    Ok(head)
}

fn take<const N: usize>(read: &mut &[u8]) -> Result<[u8; N], FormatError> {
    let (head, tail) = read
        .split_first_chunk::<N>()
        .ok_or(FormatError::Malformed("cut short"))?;
    *read = tail;
    Ok(*head)
}
