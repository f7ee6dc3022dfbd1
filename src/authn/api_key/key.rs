//! The secret, and how it is written: `sigward_`, 64 hexadecimal digits, and 8 of a checksum. Pure.
//!
//! *Invariants:* one key has one spelling; what is no whole key is refused for its form alone, which tells nothing of any key. No
//! `Debug`, no `Clone`; the bytes are zeroed when it goes.

use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;
use zeroize::Zeroizing;

/// What every key begins with, so that whoever finds one in a log or a commit knows what it is.
pub const PREFIX: &str = "sigward_";
/// Characters of a key.
pub const LENGTH: usize = PREFIX.len() + 2 * (SECRET + CHECKSUM);
const SECRET: usize = 32;
const CHECKSUM: usize = 4;
/// Two digests of one secret, of which neither leads to the other.
const OF_STORE: &[u8] = b"sigward api key v1";
const OF_CHECKSUM: &[u8] = b"sigward api key checksum v1";

/// The secret of an API key.
pub struct ApiKey(Zeroizing<[u8; SECRET]>);

impl ApiKey {
    /// A new one.
    ///
    /// # Errors
    /// Where the system has no randomness.
    pub fn random() -> Result<Self, getrandom::Error> {
        let mut secret = Zeroizing::new([0; SECRET]);
        getrandom::fill(secret.as_mut_slice())?;
        Ok(Self(secret))
    }

    /// Reads what [`text`](Self::text) writes; nothing, where it is not whole.
    pub fn parse(text: &str) -> Option<Self> {
        let digits = text.strip_prefix(PREFIX)?;
        let (secret, checksum) = digits.split_at_checked(2 * SECRET)?;
        let small = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
        if !digits.bytes().all(small) {
            return None;
        }
        let mut key = Self(Zeroizing::new([0; SECRET]));
        hex::decode_to_slice(secret, key.0.as_mut_slice()).ok()?;
        let mut said = [0; CHECKSUM];
        hex::decode_to_slice(checksum, &mut said).ok()?;
        bool::from(said.ct_eq(&key.checksum())).then_some(key)
    }

    /// As it is shown, once.
    pub fn text(&self) -> Zeroizing<String> {
        // All of its room at once: one that grew would leave its beginning behind.
        let mut text = String::with_capacity(LENGTH);
        text.push_str(PREFIX);
        for byte in self.0.iter().chain(&self.checksum()) {
            for digit in [byte >> 4, byte & 15] {
                text.extend(char::from_digit(digit.into(), 16));
            }
        }
        Zeroizing::new(text)
    }

    /// What it is known by. A fast digest: nobody tries 256 random bits one after the other.
    pub fn digest(&self) -> [u8; 32] {
        self.hash(OF_STORE)
    }

    fn checksum(&self) -> [u8; CHECKSUM] {
        let [a, b, c, d, ..] = self.hash(OF_CHECKSUM);
        [a, b, c, d]
    }

    fn hash(&self, domain: &[u8]) -> [u8; 32] {
        let hash = Sha256::new().chain_update(domain).chain_update(self.0.as_slice());
        hash.finalize().into()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_key_is_written_in_one_way_and_every_slip_shows() {
        let key = ApiKey::random().unwrap();
        let text = key.text();
        assert_eq!(text.len(), LENGTH);
        let again = ApiKey::parse(&text).unwrap();
        assert!(again.text() == text && again.digest() == key.digest());
        assert!(ApiKey::random().unwrap().text() != text);
        for at in 0..LENGTH {
            let mut bytes = text.as_bytes().to_vec();
            bytes[at] = if bytes[at] == b'0' { b'1' } else { b'0' };
            assert!(
                ApiKey::parse(std::str::from_utf8(&bytes).unwrap()).is_none(),
                "{at}"
            );
            bytes.truncate(at);
            assert!(
                ApiKey::parse(std::str::from_utf8(&bytes).unwrap()).is_none(),
                "{at}"
            );
        }
        for bad in [
            text.to_ascii_uppercase(),
            format!(" {}", *text),
            format!("{}0", *text),
            format!(
                "{PREFIX}{}",
                text.strip_prefix(PREFIX).unwrap().to_ascii_uppercase()
            ),
            format!("{PREFIX}{}", "\u{e9}".repeat(36)),
            String::new(),
        ] {
            assert!(ApiKey::parse(&bad).is_none(), "{bad}");
        }
        // What is stored is not what is written, in whole or in part.
        assert!(!text.contains(&hex::encode(key.digest())));
        assert!(!hex::encode(key.digest()).starts_with(&text[LENGTH - 8..]));
    }

    proptest! {
        #[test]
        fn whatever_is_taken_is_written_back_the_same(text in "sigward_[0-9a-f]{70,74}|.{0,90}") {
            if let Some(key) = ApiKey::parse(&text) {
                let again = key.text();
                prop_assert_eq!(again.as_str(), text);
            }
        }
    }
}
