//! ECDSA by a token: over a digest of ours, or over the message where the token hashes by itself.
//!
//! May import: `ecdsa` (the public half), `curve`. `CKM_ECDSA` takes a digest, `CKM_ECDSA_SHA256` the message (PKCS#11 v3.0, 6.3.11
//! and 6.3.12); tokens offer either or both. What they give has no recovery id, and any s.
//!
//! A bare digest is signed for the probe and for tests only, with keys of one session. For a stored key it would be an oracle: a
//! signature of one of those comes from an order (`provider::Sign`), and a recoverable one will come from an order whose payload has
//! recoverable signatures.

use cryptoki::{mechanism::Mechanism, object::ObjectHandle, session::Session};
use sha2::{Digest as _, Sha256};

use super::{
    curve,
    error::{Kind, TokenError},
    objects::{self, no_object},
};
use crate::ecdsa::{Curve, EcdsaKey, low_s};

/// Who hashes; found out by the first signature in a session.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Hashing {
    /// We do: `CKM_ECDSA`.
    #[default]
    Ours,
    /// The token does: `CKM_ECDSA_SHA256`.
    Tokens,
}

/// Signs the SHA-256 of `message`: r‖s with the lower s. `hashing` is what worked last, and what worked now.
pub(super) fn sign(
    session: &Session,
    private: ObjectHandle,
    curve: Curve,
    message: &[u8],
    hashing: &mut Hashing,
) -> Result<[u8; 64], TokenError> {
    let raw = match *hashing {
        Hashing::Ours => match session.sign(&Mechanism::Ecdsa, private, &Sha256::digest(message)) {
            Err(error) => {
                let error = TokenError::from(error).with("CKM_ECDSA");
                if error.kind != Kind::Unsupported {
                    return Err(error);
                }
                // The first refusal is the one to tell of: CKM_ECDSA is what most tokens have.
                let raw = session
                    .sign(&Mechanism::EcdsaSha256, private, message)
                    .map_err(|_| error)?;
                *hashing = Hashing::Tokens;
                raw
            }
            Ok(raw) => raw,
        },
        Hashing::Tokens => session
            .sign(&Mechanism::EcdsaSha256, private, message)
            .map_err(|error| TokenError::from(error).with("CKM_ECDSA_SHA256"))?,
    };
    low_s(curve, &raw).ok_or_else(|| no_object("signature of 64 bytes that is one"))
}

/// Signs `message` with a key of this session: r‖s‖v, recovered and compared with the key before it is given.
pub(super) fn sign_recoverable(
    session: &Session,
    (key, private): (&EcdsaKey, ObjectHandle),
    message: &[u8],
    hashing: &mut Hashing,
) -> Result<[u8; 65], TokenError> {
    let raw = sign(session, private, key.curve(), message, hashing)?;
    key.recoverable(&Sha256::digest(message).into(), &raw)
        .ok_or_else(|| no_object("signature from which its public key is recovered"))
}

/// A key pair that is gone with its session.
pub(super) fn generate_for_session(
    session: &Session,
    curve: Curve,
) -> Result<(EcdsaKey, ObjectHandle), TokenError> {
    let (point, private) = objects::generate_passing(session, curve::Params::from(curve))?;
    let key = curve::ecdsa_key(curve, &point).ok_or_else(|| no_object("public key that is a point"))?;
    Ok((key, private))
}

#[cfg(test)]
mod tests;
