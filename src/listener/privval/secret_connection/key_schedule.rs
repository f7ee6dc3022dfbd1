//! From the shared secret to the two frame keys and the challenge that both sides sign.
//!
//! Invariant: nothing secret outlives this module but inside types that wipe themselves.

use hkdf::Hkdf;
use merlin::Transcript;
use sha2::Sha256;
use zeroize::Zeroizing;

use super::error::ProtocolError;
use super::frame::{Opener, Sealer};

// secret_connection.go:55-64 (v0.38.25)
const TRANSCRIPT: &[u8] = b"TENDERMINT_SECRET_CONNECTION_TRANSCRIPT_HASH";
const LOWER_KEY: &[u8] = b"EPHEMERAL_LOWER_PUBLIC_KEY";
const UPPER_KEY: &[u8] = b"EPHEMERAL_UPPER_PUBLIC_KEY";
const DH_SECRET: &[u8] = b"DH_SECRET";
const CHALLENGE: &[u8] = b"SECRET_CONNECTION_MAC";
const HKDF_INFO: &[u8] = b"TENDERMINT_SECRET_CONNECTION_KEY_AND_CHALLENGE_GEN";

/// Which side we are: the protocol has no client and server, the smaller ephemeral key decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    /// Our ephemeral key is the smaller one.
    Lower,
    /// Our ephemeral key is the greater one.
    Upper,
}

/// What both sides sign to prove who they are: 32 bytes that commit to the whole handshake.
pub(super) fn challenge(side: Side, local: &[u8; 32], remote: &[u8; 32], dh: &[u8; 32]) -> [u8; 32] {
    let (lower, upper) = match side {
        Side::Lower => (local, remote),
        Side::Upper => (remote, local),
    };
    let mut transcript = Transcript::new(TRANSCRIPT);
    transcript.append_message(LOWER_KEY, lower);
    transcript.append_message(UPPER_KEY, upper);
    transcript.append_message(DH_SECRET, dh);
    let mut challenge = [0; 32];
    transcript.challenge_bytes(CHALLENGE, &mut challenge);
    challenge
}

/// The two directions of a connection.
///
/// # Errors
/// [`ProtocolError::Internal`], which cannot happen: the lengths are constant.
pub(super) fn directions(side: Side, dh: &[u8; 32]) -> Result<(Sealer, Opener), ProtocolError> {
    let okm = expand(dh)?;
    let (first, rest) = okm.split_first_chunk::<32>().ok_or(ProtocolError::Internal)?;
    let (second, _legacy) = rest.split_first_chunk::<32>().ok_or(ProtocolError::Internal)?;
    Ok(match side {
        Side::Lower => (Sealer::new(second), Opener::new(first)),
        Side::Upper => (Sealer::new(first), Opener::new(second)),
    })
}

/// 96 bytes: two keys, and a challenge of the protocol's first version that nobody uses any more.
fn expand(dh: &[u8; 32]) -> Result<Zeroizing<[u8; 96]>, ProtocolError> {
    let mut okm = Zeroizing::new([0; 96]);
    Hkdf::<Sha256>::new(None, dh)
        .expand(HKDF_INFO, okm.as_mut_slice())
        .map_err(|_| ProtocolError::Internal)?;
    Ok(okm)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]
    use super::*;

    const GOLDEN: &str = include_str!(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/tests/vectors/cometbft@v0.38.25/TestDeriveSecretsAndChallengeGolden.golden"
    ));

    #[test]
    fn cometbft_golden_file_of_derived_secrets() {
        let mut lines = 0;
        for line in GOLDEN.lines().filter(|line| !line.is_empty()) {
            let columns: Vec<&str> = line.split(',').collect();
            let [secret, local_is_least, recv, send, legacy] = columns[..] else {
                panic!("{line}")
            };
            let dh: [u8; 32] = hex::decode(secret).unwrap().try_into().unwrap();
            let okm = expand(&dh).unwrap();
            let (first, second) = if local_is_least == "true" {
                (recv, send)
            } else {
                (send, recv)
            };
            assert_eq!(hex::encode(&okm[..32]), first);
            assert_eq!(hex::encode(&okm[32..64]), second);
            assert_eq!(hex::encode(&okm[64..]), legacy);

            // The keys are used in the direction that the file names.
            let side = if local_is_least == "true" {
                Side::Lower
            } else {
                Side::Upper
            };
            let (mut sealer, mut opener) = directions(side, &dh).unwrap();
            let key = |column: &str| -> [u8; 32] { hex::decode(column).unwrap().try_into().unwrap() };
            let mut out = Vec::new();
            sealer.seal(b"out", &mut out).unwrap();
            Sealer::new(&key(recv)).seal(b"in", &mut out).unwrap();
            let (sent, received) = out.split_at_mut(1044);
            assert_eq!(
                Opener::new(&key(send)).open(sent.try_into().unwrap()).unwrap(),
                b"out"
            );
            assert_eq!(opener.open(received.try_into().unwrap()).unwrap(), b"in");
            lines += 1;
        }
        assert_eq!(lines, 32);
    }
}
