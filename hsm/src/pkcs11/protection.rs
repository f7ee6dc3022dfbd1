//! What a token says of a private key: whether its bytes can leave the token, or could once.
//!
//! PKCS#11 v2.40, 4.9: `CKA_LOCAL` is true of a key that was made in the token, `CKA_ALWAYS_SENSITIVE` of one whose bytes could never be
//! read in clear, `CKA_NEVER_EXTRACTABLE` of one that could never be wrapped for elsewhere. The token alone sets these three.
//!
//! # Invariant
//! What a token does not say counts against the key.

use cryptoki::object::{Attribute, AttributeType};
use serde::{Deserialize, Serialize};

/// What was read of a private key's object when it was made or taken in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(clippy::struct_excessive_bools, reason = "they are PKCS#11's attributes")]
pub struct Protection {
    /// `CKA_LOCAL`.
    pub local: bool,
    /// `CKA_PRIVATE`: nobody sees or uses it without the PIN.
    pub private: bool,
    /// `CKA_SENSITIVE`.
    pub sensitive: bool,
    /// `CKA_ALWAYS_SENSITIVE`.
    pub always_sensitive: bool,
    /// `CKA_EXTRACTABLE`.
    pub extractable: bool,
    /// `CKA_NEVER_EXTRACTABLE`.
    pub never_extractable: bool,
}

impl Protection {
    /// A key that was made in the token and is confined to it.
    pub(super) const CONFINED: Self = Self {
        local: true,
        private: true,
        sensitive: true,
        always_sensitive: true,
        extractable: false,
        never_extractable: true,
    };

    /// What to ask for.
    pub(super) const ASKED: [AttributeType; 6] = [
        AttributeType::Local,
        AttributeType::Private,
        AttributeType::Sensitive,
        AttributeType::AlwaysSensitive,
        AttributeType::Extractable,
        AttributeType::NeverExtractable,
    ];

    pub(super) fn of(found: &[Attribute]) -> Self {
        Self {
            local: found.contains(&Attribute::Local(true)),
            private: found.contains(&Attribute::Private(true)),
            sensitive: found.contains(&Attribute::Sensitive(true)),
            always_sensitive: found.contains(&Attribute::AlwaysSensitive(true)),
            extractable: !found.contains(&Attribute::Extractable(false)),
            never_extractable: found.contains(&Attribute::NeverExtractable(true)),
        }
    }

    /// Whether its bytes never left the token, nor can, and nobody uses it without the PIN.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        *self == Self::CONFINED
    }

    /// For people, in a sentence.
    #[must_use]
    pub fn told(&self) -> String {
        let left: Vec<_> = [
            (!self.local, "CKA_LOCAL is false"),
            (!self.sensitive, "CKA_SENSITIVE is false"),
            (!self.always_sensitive, "CKA_ALWAYS_SENSITIVE is false"),
            (self.extractable, "CKA_EXTRACTABLE is true"),
            (!self.never_extractable, "CKA_NEVER_EXTRACTABLE is false"),
        ]
        .into_iter()
        .filter_map(|(is, what)| is.then_some(what))
        .collect();
        let mut told = if left.is_empty() {
            "never left the token".to_owned()
        } else {
            format!("may have left the token: {}", left.join(", "))
        };
        if !self.private {
            told.push_str("; signs without a PIN: CKA_PRIVATE is false");
        }
        told
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_token_does_not_say_counts_against_the_key() {
        assert_eq!(Protection::CONFINED.told(), "never left the token");
        let silent = Protection::of(&[]);
        assert!(!silent.is_whole() && silent.extractable);
        let could = Protection {
            never_extractable: false,
            ..Protection::CONFINED
        };
        assert_eq!(
            could.told(),
            "may have left the token: CKA_NEVER_EXTRACTABLE is false"
        );
        let open = Protection {
            private: false,
            ..Protection::CONFINED
        };
        assert!(!open.is_whole() && open.told().contains("CKA_PRIVATE"));
    }
}
