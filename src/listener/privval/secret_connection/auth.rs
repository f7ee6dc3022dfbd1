//! Who is at the other end: the signed challenge, its one legal encoding, and the peer's key.

use std::fmt;

use ed25519_dalek::{Signature, VerifyingKey};
use sha2::{Digest as _, Sha256};

use super::error::ProtocolError;

/// Bytes of the authentication message, its length prefix included.
pub(super) const AUTH_LEN: usize = 103;

/// Length 102; field 1, 34 bytes (`PublicKey`), in it field 1, 32 bytes (ed25519).
const HEAD: [u8; 5] = [0x66, 0x0a, 0x22, 0x0a, 0x20];
/// Field 2, 64 bytes (the signature).
const MIDDLE: [u8; 2] = [0x12, 0x40];

/// Our side's long-lived Ed25519 key, wherever it is kept.
///
/// It signs challenges of handshakes and nothing else: the 32 bytes come out of a transcript hash, so a
/// peer cannot choose them. Never give it a consensus key.
pub trait Identity {
    /// The public key, 32 bytes (RFC 8032).
    fn public_key(&self) -> [u8; 32];
    /// The Ed25519 signature over the challenge.
    fn sign_challenge(&self, challenge: &[u8; 32]) -> [u8; 64];
}

/// The Ed25519 key that the peer proved to hold. With a CometBFT node it is a new one at every start.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct PeerKey([u8; 32]);

impl PeerKey {
    /// The public key's 32 bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

/// CometBFT's peer id: the first 20 bytes of SHA-256 of the key, in lower-case hex (p2p/key.go).
impl fmt::Display for PeerKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Sha256::digest(self.0)
            .iter()
            .take(20)
            .try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for PeerKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PeerKey({self})")
    }
}

/// Our authentication message.
pub(super) fn encode(identity: &impl Identity, challenge: &[u8; 32]) -> Vec<u8> {
    [
        HEAD.as_slice(),
        &identity.public_key(),
        &MIDDLE,
        &identity.sign_challenge(challenge),
    ]
    .concat()
}

/// The peer's authentication message, collected from as many frames as it comes in.
pub(super) struct PeerAuth {
    bytes: Vec<u8>,
}

impl PeerAuth {
    pub(super) fn new() -> Self {
        Self {
            bytes: Vec::with_capacity(AUTH_LEN),
        }
    }

    /// Takes one frame's data; the key once the message is whole and its signature verifies.
    ///
    /// # Errors
    /// As soon as the bytes cannot become the one legal encoding; when the signature does not verify.
    pub(super) fn absorb(
        &mut self,
        data: &[u8],
        challenge: &[u8; 32],
    ) -> Result<Option<PeerKey>, ProtocolError> {
        self.bytes.extend_from_slice(data);
        let Some((head, rest)) = self.bytes.split_first_chunk::<5>() else {
            return Ok(None);
        };
        match head {
            &HEAD => {}
            // A public key is there, but its oneof arm is another algorithm's.
            [_, 0x0a, _, 0x12 | 0x1a | 0x22 | 0x2a, _] => return Err(ProtocolError::AuthKeyType),
            _ => return Err(ProtocolError::AuthMalformed),
        }
        if self.bytes.len() > AUTH_LEN {
            return Err(ProtocolError::AuthMalformed);
        }
        let Some((key, rest)) = rest.split_first_chunk::<32>() else {
            return Ok(None);
        };
        let Some((middle, rest)) = rest.split_first_chunk::<2>() else {
            return Ok(None);
        };
        if *middle != MIDDLE {
            return Err(ProtocolError::AuthMalformed);
        }
        let Some((signature, _)) = rest.split_first_chunk::<64>() else {
            return Ok(None);
        };
        verify(key, challenge, signature).map(Some)
    }
}

/// Strict verification: no small-order keys, no malleable encodings. Go's verifier accepts more, but a
/// node that signs honestly passes both.
fn verify(key: &[u8; 32], challenge: &[u8; 32], signature: &[u8; 64]) -> Result<PeerKey, ProtocolError> {
    VerifyingKey::from_bytes(key)
        .and_then(|verifier| verifier.verify_strict(challenge, &Signature::from_bytes(signature)))
        .map_err(|_| ProtocolError::AuthSignature)?;
    Ok(PeerKey(*key))
}
