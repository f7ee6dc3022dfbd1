//! Why nothing was made. Displays as what is wrong, and what to do.

use std::io;
use std::path::{Path, PathBuf};

use crate::tls::TlsError;

/// Why nothing was made.
#[derive(Debug, thiserror::Error)]
pub enum PkiError {
    /// A file is there already.
    #[error("file_exists: {} exists already and is not overwritten\nname another folder (--out DIR), or move it away", .0.display())]
    Exists(PathBuf),
    /// An authority, or a part of one, is there already.
    #[error("file_exists: {} exists already and is not overwritten\nthe authority that is there is used as it is (`sigward pki show`); another one is made in another folder: sigward pki init --dir DIR", .0.display())]
    AuthorityExists(PathBuf),
    /// The certificate that is there already stands.
    #[error("file_exists: {} exists already and is not overwritten\nthe same names and key for longer: sigward pki renew {}; another key beside it: name another folder, --out DIR", .0.display(), .0.display())]
    Stands(PathBuf),
    /// The certificate that is there already is revoked.
    #[error("file_exists: {} exists already and is not overwritten; it is revoked\nname another folder for the one that takes its place, --out DIR, or move this one and its key away", .0.display())]
    RevokedExists(PathBuf),
    /// A certificate that is revoked is not made anew with its key.
    #[error("pki_revoked: {} is not renewed: it is revoked, and its key with it\nmake another one with another key, by `sigward pki client` or `sigward pki server` with --out DIR, or move this one and its key away first", .0.display())]
    Revoked(PathBuf),
    /// An authority is not renewed.
    #[error("pki_not_issued: {} is an authority's certificate, which is not renewed\nbefore it ends make another authority, `sigward pki init --dir DIR`, and name both in `client_ca` until nobody shows certificates of the old one", .0.display())]
    NotRenewed(PathBuf),
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
    /// Certificates of two kinds, or with other names beside this one, are meant.
    #[error("pki_ambiguous: {name} may mean {} certificates, which are not alike\nname one by its serial number: {}", found.len(), found.join("; "))]
    Ambiguous {
        /// What was asked for.
        name: String,
        /// What it may be, each with its serial number, kind and names.
        found: Vec<String>,
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
