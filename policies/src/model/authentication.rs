//! How it was established who asks. With the caller it is what `authn` could prove: the caller says who, this says by what.

use std::fmt;

use crate::decision::{Refusal, RefusalCode};

/// Longest name of a key that tokens are signed with, and of an API key.
pub const MAX_CREDENTIAL: usize = 128;

/// The name of what somebody has shown: never the thing itself.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct CredentialId(Box<str>);

impl CredentialId {
    /// Takes a name: 1 to 128 printable ASCII characters without spaces.
    pub fn new(name: &str) -> Result<Self, Refusal> {
        let good = (1..=MAX_CREDENTIAL).contains(&name.len()) && name.bytes().all(|b| b.is_ascii_graphic());
        if good {
            return Ok(Self(name.into()));
        }
        let why = "a credential is named by 1 to 128 printable ASCII characters without spaces";
        Err(Refusal::new(RefusalCode::InvalidName, why))
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// How it was established who asks.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Authentication {
    /// It is sigward itself, of its own accord or because its configuration says so.
    Service,
    /// sigward dialled the address that its configuration gives for this node.
    Dialled,
    /// The kernel named the process at the other end of a unix socket.
    PeerCredentials,
    /// This very process asks itself: the command line, where no daemon runs.
    ThisProcess,
    /// A TLS client certificate.
    Certificate {
        /// SHA-256 of it, as it came (DER).
        sha256: [u8; 32],
    },
    /// A token that an issuer has signed; the subject names the issuer.
    Token {
        /// The issuer's key (`kid`).
        key: CredentialId,
    },
    /// A key that was handed out once, and is kept as a digest.
    ApiKey {
        /// Which one.
        id: CredentialId,
    },
}

impl Authentication {
    /// The word on the wire and in files.
    pub const fn method(&self) -> &'static str {
        match self {
            Self::Service => "service",
            Self::Dialled => "dialled",
            Self::PeerCredentials => "peer_credentials",
            Self::ThisProcess => "this_process",
            Self::Certificate { .. } => "certificate",
            Self::Token { .. } => "token",
            Self::ApiKey { .. } => "api_key",
        }
    }
}

impl fmt::Display for Authentication {
    /// The method, and what names the credential where there is one: `certificate:3b6a…`, `token:2026-11`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.method())?;
        match self {
            Self::Service | Self::Dialled | Self::PeerCredentials | Self::ThisProcess => Ok(()),
            Self::Certificate { sha256 } => {
                f.write_str(":")?;
                sha256.iter().try_for_each(|b| write!(f, "{b:02x}"))
            }
            Self::Token { key: id } | Self::ApiKey { id } => write!(f, ":{}", id.as_str()),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_credential_is_shown_by_its_name() {
        let id = CredentialId::new("2026-11").unwrap();
        assert_eq!(Authentication::Token { key: id }.to_string(), "token:2026-11");
        let shown = Authentication::Certificate { sha256: [0xab; 32] }.to_string();
        assert_eq!(shown, format!("certificate:{}", "ab".repeat(32)));
        assert_eq!(Authentication::Dialled.to_string(), "dialled");
        let long = "a".repeat(MAX_CREDENTIAL + 1);
        for name in ["", "a b", "a\n", "\u{e9}", &long] {
            assert!(CredentialId::new(name).is_err(), "{name:?}");
        }
    }
}
