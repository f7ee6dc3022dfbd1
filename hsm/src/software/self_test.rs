//! The only signature made without an order: a key shows that it works before anybody hears of it.
//!
//! May import: `key`, `verify`.
//!
//! # Invariant
//! The message can never be canonical sign bytes: those begin with their own length as a varint (CometBFT `MarshalDelimited`),
//! and this begins with length 0 and goes on. The signature is dropped here.

use super::key::SoftwareKey;
use crate::verify::Verifier;

const SELF_TEST: &[u8] =
    b"\0sigward self-test: this is not a vote, a proposal, a vote extension or a transaction";

/// Why a key is not fit for use.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SelfTestError {
    /// Signing failed, or the public half is no valid key.
    #[error("the key does not sign")]
    DoesNotSign,
    /// The key made a signature that its public half does not verify.
    #[error("the key's signature does not verify with its public half")]
    DoesNotVerify,
}

/// Signs and verifies a test message.
pub(crate) fn self_test(key: &SoftwareKey) -> Result<(), SelfTestError> {
    let verifier = Verifier::new(key.public_key()).map_err(|_| SelfTestError::DoesNotSign)?;
    let signature = key.sign(SELF_TEST).ok_or(SelfTestError::DoesNotSign)?;
    verifier
        .verify(SELF_TEST, &signature)
        .map_err(|_| SelfTestError::DoesNotVerify)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::SELF_TEST;

    #[test]
    fn the_test_message_is_no_length_delimited_message() {
        let (length, rest) = SELF_TEST.split_first().unwrap();
        assert!(usize::from(*length) != rest.len() && *length < 0x80);
        assert_ne!(SELF_TEST.len(), 32, "nor a SecretConnection challenge");
    }
}
