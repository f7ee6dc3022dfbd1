//! Who asked, as it is kept: as it is, or its beginning with a digest of all of it.
//!
//! The alternative name of a certificate may be a URI of 2,048 bytes. Whatever keeps a name keeps it in this form, so that a long one
//! never keeps its holder from anything (least of all from stopping something), and two that begin alike are told apart.
//!
//! *Invariant:* no name looks like another's kept form: names are ASCII, and the mark of the cut is not.

use sha2::{Digest as _, Sha256};

/// Longest subject, in bytes.
pub const MAX_SUBJECT: usize = 192;
/// Stands where something was left out.
const CUT: char = '…';
/// Bytes of the digest that are kept, of SHA-256: nobody finds two names that share them.
const DIGEST: usize = 16;
/// Bytes of a long name that are kept as they are.
const BEGINNING: usize = MAX_SUBJECT - CUT.len_utf8() - 2 * DIGEST;

/// The form of `name` that is kept; of what is kept already, itself.
pub fn kept_subject(mut name: String) -> String {
    if name.len() > MAX_SUBJECT {
        let digest: [u8; 32] = Sha256::digest(&name).into();
        let (digest, _rest) = digest.split_at(DIGEST);
        name.truncate(name.floor_char_boundary(BEGINNING));
        name.push(CUT);
        name.push_str(&hex::encode(digest));
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_names_are_told_apart_and_short_ones_stay() {
        for short in ["", "uid:0", &"s".repeat(MAX_SUBJECT)] {
            assert_eq!(kept_subject(short.to_owned()), short);
        }
        let begin = "s".repeat(MAX_SUBJECT);
        let (one, other) = (
            kept_subject(format!("{begin}1")),
            kept_subject(format!("{begin}2")),
        );
        assert_ne!(one, other);
        for kept in [one, other] {
            assert_eq!(kept.len(), MAX_SUBJECT);
            assert!(kept.starts_with(&"s".repeat(BEGINNING)) && kept.contains(CUT));
            assert_eq!(kept_subject(kept.clone()), kept);
        }
        let odd = kept_subject("é".repeat(200));
        assert!(odd.len() <= MAX_SUBJECT && odd.len() > MAX_SUBJECT - 4, "{odd}");
    }
}
