//! An Ed25519 key in software (RFC 8032), opened once and used in place.
//!
//! May import: `secret`, ed25519-dalek.
//!
//! # Invariant
//! The public half is computed from the seed, here, and never taken from a caller: signing with somebody else's public half
//! leaks the key (RUSTSEC-2022-0093).

use ed25519_dalek::{Signer as _, SigningKey};
use sigward_policies::{
    decision::Refusal,
    model::algorithm::{Algorithm, PublicKey, Signature},
};

use crate::secret::{Arena, Placed, SecretBytes, SecretError, scrubbed};

/// The expanded key object (224 bytes) lives in a slot: expanding it anew for each signature would cost a base-point
/// multiplication, about 10 µs of 14.
pub(crate) struct Ed25519Key {
    key: Placed<SigningKey>,
}

impl Ed25519Key {
    /// Opens the key of a 32-byte seed. Every seed is a key.
    pub(crate) fn from_seed(arena: &Arena, seed: &SecretBytes<32>) -> Result<Self, SecretError> {
        let key = arena.place(|| Ok::<_, SecretError>(SigningKey::from_bytes(seed.expose())))?;
        Ok(Self { key })
    }

    /// The public key, 32 bytes.
    pub(crate) fn public_key(&self) -> Result<PublicKey, Refusal> {
        PublicKey::new(Algorithm::Ed25519, self.key.get().verifying_key().as_bytes())
    }

    /// The seed, in place.
    pub(crate) fn seed(&self) -> &[u8; 32] {
        self.key.get().as_bytes()
    }

    /// Signs `message` (pure Ed25519); about 14 µs. `None` only if the library fails.
    pub(crate) fn sign(&self, message: &[u8]) -> Option<Signature> {
        scrubbed(|| self.key.get().try_sign(message).ok()).map(|s| Signature(s.to_bytes()))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::{
        secret::{ArenaSize, Unlocked},
        verify::Verifier,
    };

    /// RFC 8032 section 7.1, TEST 1, 2, 3 and SHA(abc): seed, public key, message, signature.
    const RFC_8032: [[&str; 4]; 4] = [
        [
            "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
            "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
            "",
            "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b",
        ],
        [
            "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
            "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
            "72",
            "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00",
        ],
        [
            "c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
            "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
            "af82",
            "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a",
        ],
        [
            "833fe62409237b9d62ec77587520911e9a759cec1d19755b7da901b96dca3d42",
            "ec172b93ad5e563bf4932c70e1245034c35467ef2efd4d64ebf819683467e2bf",
            "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f",
            "dc2a4459e7369633a52b1bf277839a00201009a3efbf3ecb69bea2186c26b58909351fc9ac90b3ecfdfbc7c66431e0303dca179c138ac17ad9bef1177331a704",
        ],
    ];

    #[test]
    fn the_vectors_of_rfc_8032_come_out_byte_for_byte() {
        let arena = Arena::new(ArenaSize::for_keys(8), Unlocked::Allow).unwrap();
        for [seed, public_key, message, signature] in RFC_8032 {
            let seed =
                SecretBytes::<32>::init_with(&arena, |b| hex::decode_to_slice(seed, b).unwrap()).unwrap();
            let message = hex::decode(message).unwrap();
            let key = Ed25519Key::from_seed(&arena, &seed).unwrap();
            let signed = key.sign(&message).unwrap();
            assert_eq!(hex::encode(key.public_key().unwrap().as_bytes()), public_key);
            assert_eq!(hex::encode(signed.0), signature);
            assert_eq!(key.seed(), seed.expose());
            Verifier::new(&key.public_key().unwrap())
                .unwrap()
                .verify(&message, &signed)
                .unwrap();
        }
    }
}
