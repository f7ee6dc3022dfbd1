//! Byte encoding of what the store keeps: fixed order, big-endian numbers, lengths before texts. No I/O.
//!
//! *Invariant:* one value has one encoding. The decoder takes nothing else: an unknown tag, a length beyond its limit, a text
//! that is not UTF-8 and a byte too many are errors, never defaults.

use sigward_policies::model::algorithm::{Algorithm, PublicKey};
use sigward_policies::model::id::{ChainId, Height, MAX_CHAIN_ID, Round};
use sigward_policies::model::payload::{Position, Step};

/// Why bytes are not an encoding.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum DecodeError {
    /// The bytes end too early.
    #[error("the bytes end too early")]
    Truncated,
    /// Bytes follow the end.
    #[error("bytes follow the end")]
    Trailing,
    /// A version that this sigward does not know.
    #[error("unknown encoding version {0}")]
    Version(u8),
    /// A field holds a value that it cannot have.
    #[error("{0} holds a value that it cannot have")]
    Value(&'static str),
}

/// Builds an encoding.
#[derive(Debug, Default)]
pub(crate) struct Encoder(Vec<u8>);

impl Encoder {
    pub(crate) fn with_capacity(bytes: usize) -> Self {
        Self(Vec::with_capacity(bytes))
    }

    pub(crate) fn finish(self) -> Vec<u8> {
        self.0
    }

    pub(crate) fn raw(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }

    pub(crate) fn u8(&mut self, value: u8) {
        self.0.push(value);
    }

    pub(crate) fn u32(&mut self, value: u32) {
        self.raw(&value.to_be_bytes());
    }

    pub(crate) fn u64(&mut self, value: u64) {
        self.raw(&value.to_be_bytes());
    }

    pub(crate) fn i32(&mut self, value: i32) {
        self.raw(&value.to_be_bytes());
    }

    pub(crate) fn i64(&mut self, value: i64) {
        self.raw(&value.to_be_bytes());
    }

    pub(crate) fn flag(&mut self, value: bool) {
        self.u8(u8::from(value));
    }

    /// Up to 65,535 bytes after their length; the callers keep below it, and what were over would be cut.
    pub(crate) fn sized(&mut self, bytes: &[u8]) {
        let len = u16::try_from(bytes.len()).unwrap_or(u16::MAX);
        self.raw(&len.to_be_bytes());
        self.raw(bytes.get(..usize::from(len)).unwrap_or(bytes));
    }

    pub(crate) fn digest(&mut self, digest: Option<&[u8; 32]>) {
        self.flag(digest.is_some());
        if let Some(digest) = digest {
            self.raw(digest);
        }
    }

    /// 0 for none, else the algorithm's number and the raw bytes.
    pub(crate) fn public_key(&mut self, key: Option<&PublicKey>) {
        match key {
            None => self.u8(0),
            Some(key) => {
                self.u8(match key.algorithm() {
                    Algorithm::Ed25519 => 1,
                    Algorithm::Secp256k1 => 2,
                });
                self.raw(key.as_bytes());
            }
        }
    }

    /// A chain id after its length; an absent one is empty.
    pub(crate) fn chain(&mut self, chain: Option<&ChainId>) {
        self.sized(chain.map_or(&[], |chain| chain.as_str().as_bytes()));
    }

    pub(crate) fn position(&mut self, position: Position) {
        self.i64(position.height.value());
        self.i32(position.round.value());
        self.u8(position.step.value());
    }
}

/// Takes an encoding apart.
#[derive(Debug)]
pub(crate) struct Decoder<'a>(&'a [u8]);

type Decoded<T> = Result<T, DecodeError>;

impl<'a> Decoder<'a> {
    pub(crate) const fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// Whether nothing follows.
    pub(crate) const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Nothing may follow.
    pub(crate) const fn finish(self) -> Decoded<()> {
        if self.0.is_empty() {
            Ok(())
        } else {
            Err(DecodeError::Trailing)
        }
    }

    pub(crate) fn raw(&mut self, len: usize) -> Decoded<&'a [u8]> {
        let (head, rest) = self.0.split_at_checked(len).ok_or(DecodeError::Truncated)?;
        self.0 = rest;
        Ok(head)
    }

    pub(crate) fn array<const N: usize>(&mut self) -> Decoded<[u8; N]> {
        let (head, rest) = self.0.split_first_chunk().ok_or(DecodeError::Truncated)?;
        self.0 = rest;
        Ok(*head)
    }

    pub(crate) fn u8(&mut self) -> Decoded<u8> {
        Ok(u8::from_be_bytes(self.array()?))
    }

    pub(crate) fn u32(&mut self) -> Decoded<u32> {
        Ok(u32::from_be_bytes(self.array()?))
    }

    pub(crate) fn u64(&mut self) -> Decoded<u64> {
        Ok(u64::from_be_bytes(self.array()?))
    }

    pub(crate) fn i32(&mut self) -> Decoded<i32> {
        Ok(i32::from_be_bytes(self.array()?))
    }

    pub(crate) fn i64(&mut self) -> Decoded<i64> {
        Ok(i64::from_be_bytes(self.array()?))
    }

    pub(crate) fn version(&mut self, known: u8) -> Decoded<()> {
        match self.u8()? {
            version if version == known => Ok(()),
            other => Err(DecodeError::Version(other)),
        }
    }

    pub(crate) fn flag(&mut self, field: &'static str) -> Decoded<bool> {
        match self.u8()? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(DecodeError::Value(field)),
        }
    }

    pub(crate) fn sized(&mut self, max: usize, field: &'static str) -> Decoded<&'a [u8]> {
        let len = usize::from(u16::from_be_bytes(self.array()?));
        if len > max {
            return Err(DecodeError::Value(field));
        }
        self.raw(len)
    }

    pub(crate) fn text(&mut self, max: usize, field: &'static str) -> Decoded<&'a str> {
        std::str::from_utf8(self.sized(max, field)?).map_err(|_| DecodeError::Value(field))
    }

    pub(crate) fn digest(&mut self, field: &'static str) -> Decoded<Option<[u8; 32]>> {
        Ok(if self.flag(field)? {
            Some(self.array()?)
        } else {
            None
        })
    }

    pub(crate) fn public_key(&mut self) -> Decoded<Option<PublicKey>> {
        let algorithm = match self.u8()? {
            0 => return Ok(None),
            1 => Algorithm::Ed25519,
            2 => Algorithm::Secp256k1,
            _ => return Err(DecodeError::Value("public key")),
        };
        let raw = self.raw(algorithm.public_key_len())?;
        PublicKey::new(algorithm, raw)
            .map(Some)
            .map_err(|_| DecodeError::Value("public key"))
    }

    pub(crate) fn chain(&mut self) -> Decoded<Option<ChainId>> {
        match self.text(MAX_CHAIN_ID, "chain id")? {
            "" => Ok(None),
            text => ChainId::new(text)
                .map(Some)
                .map_err(|_| DecodeError::Value("chain id")),
        }
    }

    pub(crate) fn height(&mut self) -> Decoded<Height> {
        Height::new(self.i64()?).map_err(|_| DecodeError::Value("height"))
    }

    pub(crate) fn position(&mut self) -> Decoded<Position> {
        Ok(Position {
            height: self.height()?,
            round: Round::new(self.i32()?).map_err(|_| DecodeError::Value("round"))?,
            step: Step::from_value(self.u8()?).ok_or(DecodeError::Value("step"))?,
        })
    }
}
