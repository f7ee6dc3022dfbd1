//! Which keys a rule is about: by name, by the key itself, or by where it is kept.

use std::fmt;
use std::sync::Arc;

use super::glob::{Glob, MAX_PATTERN};
use crate::model::algorithm::PublicKey;
use crate::model::id::KeyName;
use crate::model::suggest;

const KINDS: [&str; 3] = ["ed25519", "secp256k1", "provider"];

/// What is known of the key that a question is about.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct KeyFacts {
    /// What it is called, or shall be.
    pub name: KeyName,
    /// What it is; none where there is no such key (yet).
    pub public_key: Option<PublicKey>,
    /// The provider that keeps it, or shall.
    pub provider: Option<Arc<str>>,
}

/// Keys that are alike.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum KeyPattern {
    /// A glob of names.
    Name(Glob),
    /// `ed25519:HEX`, `secp256k1:HEX`: one key, whatever it is called.
    Public(PublicKey),
    /// `provider:ID`: every key that it keeps.
    Provider(Glob),
}

impl KeyPattern {
    /// Reads a pattern; `Err` is the sentence and the advice.
    pub(super) fn parse(text: &str) -> Result<Self, (String, String)> {
        let plain = |text: &str| {
            let good = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-' | b'*' | b'?');
            !text.is_empty() && text.len() <= MAX_PATTERN && text.bytes().all(good)
        };
        match text.split_once(':') {
            None if plain(text) => Ok(Self::Name(Glob::new(text, None))),
            None => Err((
                "no key is called so".to_owned(),
                "write letters, digits, . _ - and * where names may differ".to_owned(),
            )),
            Some(("provider", id)) if plain(id) => Ok(Self::Provider(Glob::new(id, None))),
            Some((kind @ ("ed25519" | "secp256k1"), _)) => {
                PublicKey::parse(text).map(Self::Public).map_err(|_refused| {
                    (
                        format!("this is no {kind} public key"),
                        "write it as `sigward keys show` prints it: the algorithm, a colon, hex".to_owned(),
                    )
                })
            }
            Some((kind, _)) => Err((
                "this is no way to name keys".to_owned(),
                match suggest::nearest(kind, &KINDS) {
                    Some(near) => format!("did you mean `{near}:`?"),
                    None => "write a name such as validator-*, ed25519:HEX, secp256k1:HEX, or provider:ID"
                        .to_owned(),
                },
            )),
        }
    }

    pub(super) fn matches(&self, key: &KeyFacts) -> bool {
        match self {
            Self::Name(glob) => glob.matches(key.name.as_str()),
            Self::Public(public_key) => key.public_key.as_ref() == Some(public_key),
            Self::Provider(glob) => key.provider.as_deref().is_some_and(|id| glob.matches(id)),
        }
    }
}

impl fmt::Display for KeyPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(glob) => f.write_str(glob.as_str()),
            Self::Public(public_key) => public_key.fmt(f),
            Self::Provider(glob) => write!(f, "provider:{}", glob.as_str()),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;
    use crate::model::algorithm::Algorithm;

    #[test]
    fn a_key_is_known_by_name_by_itself_and_by_its_place() {
        let public_key = PublicKey::new(Algorithm::Ed25519, &[0xab; 32]).unwrap();
        let key = KeyFacts {
            name: KeyName::new("validator-1").unwrap(),
            public_key: Some(public_key),
            provider: Some("hsm-a".into()),
        };
        let unborn = KeyFacts {
            public_key: None,
            provider: None,
            ..key.clone()
        };
        for (pattern, wanted, of_unborn) in [
            ("validator-*", true, true),
            ("*", true, true),
            ("validator", false, false),
            (&public_key.to_string(), true, false),
            (&format!("ed25519:{}", "AB".repeat(32)), true, false),
            (&format!("ed25519:{}", "00".repeat(32)), false, false),
            ("provider:hsm-?", true, false),
            ("provider:software", false, false),
        ] {
            let parsed = KeyPattern::parse(pattern).unwrap();
            assert_eq!(
                (parsed.matches(&key), parsed.matches(&unborn)),
                (wanted, of_unborn),
                "{pattern}"
            );
        }
    }

    #[test]
    fn what_names_no_key_is_refused() {
        for bad in [
            "",
            "a b",
            "a/b",
            "ed25519:",
            "ed25519:zz",
            "ed25519:abc",
            "label:x",
            "purpose:consensus",
            "provider:",
        ] {
            assert!(KeyPattern::parse(bad).is_err(), "{bad}");
        }
        let multibyte = format!("ed25519:{}", "é".repeat(32));
        assert!(KeyPattern::parse(&multibyte).is_err());
        assert!(
            KeyPattern::parse("providr:x")
                .unwrap_err()
                .1
                .contains("`provider:`")
        );
    }
}
