//! What is wrong with a file of certificates: a stable code, the file, and what to do.

use std::path::{Path, PathBuf};

/// A file that cannot be used, or files that do not belong together.
#[derive(Debug, thiserror::Error)]
#[error("{}: {}: {why}\n{}", what.code(), file.display(), what.advice())]
pub struct TlsError {
    /// What kind of trouble.
    pub what: TlsWhat,
    /// Which file.
    pub file: PathBuf,
    /// What was found.
    pub why: String,
}

/// What kind of trouble a file is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum TlsWhat {
    /// It cannot be read.
    Unreadable,
    /// Others than its owner may read or change the private key.
    Permissions,
    /// Everybody on this machine may write it.
    Writable,
    /// It does not hold what it should.
    Invalid,
    /// It is a certificate, and none for this purpose.
    Purpose,
    /// The private key is not that of the certificate.
    Mismatch,
    /// It is of the past, or of the future.
    OutOfDate,
}

impl TlsWhat {
    /// The stable code.
    pub const fn code(self) -> &'static str {
        match self {
            Self::Unreadable => "tls_file_unreadable",
            Self::Permissions | Self::Writable => "tls_file_permissions",
            Self::Invalid | Self::Purpose => "tls_file_invalid",
            Self::Mismatch => "tls_key_mismatch",
            Self::OutOfDate => "tls_out_of_date",
        }
    }

    const fn advice(self) -> &'static str {
        match self {
            Self::Unreadable => "see that the file is there and that the user of sigward may read it",
            Self::Permissions => {
                "a private key is its owner's: chmod 0600, or 0640 where a group of its own reads it"
            }
            Self::Invalid => {
                "PEM is expected; `openssl x509 -in FILE -noout -text` or `openssl crl -in FILE -noout -text` shows what is in it"
            }
            Self::Writable => {
                "whoever writes it decides who is believed: chmod o-w, and see who has written it"
            }
            Self::Purpose => {
                "`openssl x509 -in FILE -noout -text` shows what it is for; `sigward pki server` makes one for sigward, `sigward pki init` an authority"
            }
            Self::Mismatch => "put the private key beside the certificate that was made with it",
            Self::OutOfDate => {
                "`sigward pki show` says until when; `sigward pki renew` and `sigward pki crl` make new ones"
            }
        }
    }
}

impl TlsError {
    pub(super) fn new(what: TlsWhat, file: &Path, why: impl ToString) -> Self {
        Self {
            what,
            file: file.to_owned(),
            why: why.to_string(),
        }
    }

    /// The stable code.
    pub const fn code(&self) -> &'static str {
        self.what.code()
    }
}
