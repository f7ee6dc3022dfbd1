//! Who showed a token: the issuer that vouches for them, by the name that the configuration gives it, and what it calls them.

use std::fmt;

use crate::decision::{Refusal, RefusalCode};

/// Longest name of an issuer, and of somebody it vouches for.
const MAX_ISSUER: usize = 64;
const MAX_SUBJECT: usize = 255;

/// The name of an issuer of tokens: small letters, digits, `.`, `-` and `_`, and no slash, so that what follows one is the subject.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct IssuerName(Box<str>);

impl IssuerName {
    /// Takes a name.
    pub fn new(name: &str) -> Result<Self, Refusal> {
        let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'.' | b'-' | b'_');
        if name.is_empty() || name.len() > MAX_ISSUER || !name.bytes().all(plain) {
            return Err(no_name(
                "an issuer is called by 1 to 64 of: small letters, digits, `.`, `-` and `_`",
            ));
        }
        Ok(Self(name.into()))
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for IssuerName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Somebody by the word of an issuer.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct TokenHolder {
    issuer: IssuerName,
    subject: Box<str>,
}

impl TokenHolder {
    /// `subject` as `issuer` calls it: printable ASCII without spaces, compared byte for byte.
    pub fn new(issuer: IssuerName, subject: &str) -> Result<Self, Refusal> {
        let good = !subject.is_empty() && subject.len() <= MAX_SUBJECT;
        if !good || !subject.bytes().all(|b| b.is_ascii_graphic()) {
            return Err(no_name(
                "a subject is 1 to 255 printable ASCII characters without spaces",
            ));
        }
        Ok(Self {
            issuer,
            subject: subject.into(),
        })
    }

    /// Reads what `Display` writes: `ISSUER/SUBJECT`.
    pub fn parse(text: &str) -> Result<Self, Refusal> {
        let (issuer, subject) = text
            .split_once('/')
            .ok_or_else(|| no_name("who shows a token is written jwt:ISSUER/SUBJECT"))?;
        Self::new(IssuerName::new(issuer)?, subject)
    }

    /// Who vouches.
    pub const fn issuer(&self) -> &IssuerName {
        &self.issuer
    }

    /// For whom.
    pub fn subject(&self) -> &str {
        &self.subject
    }
}

impl fmt::Display for TokenHolder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.issuer, self.subject)
    }
}

fn no_name(wanted: &str) -> Refusal {
    Refusal::new(RefusalCode::InvalidName, wanted)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_holder_is_written_in_one_way_only() {
        for text in ["ci/deploy", "a/b/c", "ci.example-1_x/spiffe://example.org/pod/7"] {
            assert_eq!(TokenHolder::parse(text).unwrap().to_string(), text);
        }
        let long = format!("ci/{}", "a".repeat(256));
        let issuer = format!("{}/a", "i".repeat(65));
        for text in [
            "",
            "ci",
            "ci/",
            "/a",
            "CI/a",
            "c i/a",
            "ci/a b",
            "ci/\u{e9}",
            "ci/a\n",
            &long,
            &issuer,
        ] {
            assert!(TokenHolder::parse(text).is_err(), "{text:?}");
        }
        let holder = TokenHolder::parse("a/b/c").unwrap();
        assert_eq!((holder.issuer().as_str(), holder.subject()), ("a", "b/c"));
    }
}
