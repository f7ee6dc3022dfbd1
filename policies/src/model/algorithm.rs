//! Signature algorithms of consensus keys, and the sizes of what they make.

use std::fmt;

use crate::decision::{Refusal, RefusalCode};

/// A signature algorithm that a key is made for; it never changes.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub enum Algorithm {
    /// Ed25519 (RFC 8032): public key 32 bytes, signature 64 bytes.
    Ed25519,
    /// ECDSA on secp256k1 over SHA-256: public key 33 bytes (compressed), signature 64 bytes r‖s with low s.
    Secp256k1,
}

impl Algorithm {
    /// The name on the wire, in files and in `pub_key_type` of CometBFT v1.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ed25519 => "ed25519",
            Self::Secp256k1 => "secp256k1",
        }
    }

    /// Size of a public key in bytes.
    pub const fn public_key_len(self) -> usize {
        match self {
            Self::Ed25519 => 32,
            Self::Secp256k1 => 33,
        }
    }

    /// Reads a name; an algorithm that exists elsewhere but not here is told apart from a word nobody knows.
    pub fn parse(name: &str) -> Result<Self, Refusal> {
        match name {
            "ed25519" => Ok(Self::Ed25519),
            "secp256k1" => Ok(Self::Secp256k1),
            "bls12_381" | "ml_dsa_65" | "secp256k1eth" => Err(Refusal::new(
                RefusalCode::UnsupportedAlgorithm,
                format!("{name} keys are unsupported yet; supported: ed25519, secp256k1"),
            )),
            other => Err(Refusal::new(
                RefusalCode::UnsupportedAlgorithm,
                format!("unknown algorithm {other:?}; supported: ed25519, secp256k1"),
            )),
        }
    }
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A public key: the identity of a key everywhere in sigward. 32 or 33 bytes after its algorithm.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PublicKey {
    algorithm: Algorithm,
    bytes: [u8; 33],
}

impl PublicKey {
    /// Takes the raw bytes of a key; the size must be the algorithm's. Whether they are a point is for `hsm` to say.
    pub fn new(algorithm: Algorithm, raw: &[u8]) -> Result<Self, Refusal> {
        let len = algorithm.public_key_len();
        if raw.len() != len {
            return Err(Refusal::new(
                RefusalCode::InvalidPublicKey,
                format!("an {algorithm} public key has {len} bytes, not {}", raw.len()),
            ));
        }
        let mut bytes = [0; 33];
        for (to, from) in bytes.iter_mut().zip(raw) {
            *to = *from;
        }
        Ok(Self { algorithm, bytes })
    }

    /// Reads what `Display` writes: the algorithm, a colon, and hex in small or capital letters.
    pub fn parse(text: &str) -> Result<Self, Refusal> {
        let refused = || {
            Refusal::new(
                RefusalCode::InvalidPublicKey,
                "a public key is written ed25519:HEX or secp256k1:HEX",
            )
        };
        let (algorithm, hex) = text.split_once(':').ok_or_else(refused)?;
        let algorithm = Algorithm::parse(algorithm)?;
        let digit = |byte: u8| {
            char::from(byte)
                .to_digit(16)
                .and_then(|value| u8::try_from(value).ok())
        };
        let (pairs, rest) = hex.as_bytes().as_chunks::<2>();
        if !rest.is_empty() || pairs.len() > algorithm.public_key_len() {
            return Err(refused());
        }
        let raw: Option<Vec<u8>> = pairs
            .iter()
            .map(|[high, low]| Some(digit(*high)? << 4 | digit(*low)?))
            .collect();
        Self::new(algorithm, &raw.ok_or_else(refused)?)
    }

    /// The algorithm of this key.
    pub const fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// The raw bytes: 32 (Ed25519) or 33 (secp256k1, compressed).
    pub fn as_bytes(&self) -> &[u8] {
        self.bytes
            .get(..self.algorithm.public_key_len())
            .unwrap_or(&self.bytes)
    }
}

impl fmt::Display for PublicKey {
    /// Algorithm and lower-case hex: `ed25519:0a1b…`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:", self.algorithm)?;
        self.as_bytes().iter().try_for_each(|b| write!(f, "{b:02x}"))
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A signature of a consensus key: 64 bytes, R‖S (Ed25519) or r‖s (secp256k1).
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Signature(pub [u8; 64]);

impl fmt::Debug for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().take(8).try_for_each(|b| write!(f, "{b:02x}"))?;
        f.write_str("…")
    }
}

/// The address of a consensus key: 20 bytes, derived from the public key by `hsm` (CometBFT `crypto/*/PubKey.Address`).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Address(pub [u8; 20]);

impl fmt::Display for Address {
    /// Upper-case hex, as CometBFT prints it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|b| write!(f, "{b:02X}"))
    }
}
