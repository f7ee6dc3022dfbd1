//! Why nothing was made. Displays as what is wrong, and what to do.

use std::io;
use std::path::{Path, PathBuf};

use crate::tls::TlsError;

/// Why nothing was made.
#[derive(Debug, thiserror::Error)]
pub enum PkiError {
    /// A file is there already.
    #[error("file_exists: {} exists already and is not overwritten\nname another folder, or `sigward pki renew` for a certificate that ends", .0.display())]
    Exists(PathBuf),
    /// There is no authority in the folder.
    #[error("pki_missing: there is no authority in {}\nmake one: sigward pki init --dir {}", .0.display(), .0.display())]
    Missing(PathBuf),
    /// A file of the authority that is not what it should be.
    #[error("{0}")]
    File(#[from] TlsError),
    /// A name that no certificate can have.
    #[error("invalid_name: {0}")]
    Name(String),
    /// Nothing that was issued here is meant.
    #[error(
        "pki_not_issued: nothing called {0} was issued by this authority\n`sigward pki show` lists what was"
    )]
    NotIssued(String),
    /// Certificates of two kinds are meant.
    #[error("pki_ambiguous: {name} is the name of a server's certificate and of a client's, {} in all\nname one by its serial number: {}", serials.len(), serials.join(", "))]
    Ambiguous {
        /// What was asked for.
        name: String,
        /// What it may be.
        serials: Vec<String>,
    },
    /// The operating system refused.
    #[error("file_io: {}: {why}\nsee to the folder and its disk; what was half made has another name and may be deleted", file.display())]
    Io {
        /// Which file.
        file: PathBuf,
        /// What it said.
        #[source]
        why: io::Error,
    },
    /// The certificate could not be made.
    #[error("pki_failed: {0}\nthe name that was given may not be one that certificates can hold")]
    Failed(String),
}

impl PkiError {
    pub(super) fn io(file: &Path) -> impl Fn(io::Error) -> Self {
        |why| match why.kind() {
            io::ErrorKind::AlreadyExists => Self::Exists(file.to_owned()),
            _ => Self::Io {
                file: file.to_owned(),
                why,
            },
        }
    }
}

impl From<rcgen::Error> for PkiError {
    fn from(error: rcgen::Error) -> Self {
        Self::Failed(error.to_string())
    }
}
