//! Why a private file was refused: one error for reading and writing, with what to do about it.
//!
//! May import: the standard library.

use std::{
    io,
    path::{Path, PathBuf},
};

/// Why a private file was refused, or could not be read or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FileError {
    /// No such file.
    #[error("{path} does not exist")]
    NotFound {
        /// The file.
        path: PathBuf,
    },
    /// Others may read or write it.
    #[error("{path} has mode {mode:04o}: others can read or change it")]
    Permissions {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// It belongs to another user.
    #[error("{path} belongs to user {owner}, and sigward runs as user {user}")]
    Owner {
        /// The file.
        path: PathBuf,
        /// Its owner's user id.
        owner: u32,
        /// Our effective user id.
        user: u32,
    },
    /// A folder, a pipe, a device or a socket.
    #[error("{path} is not a regular {expected}")]
    WrongType {
        /// The path.
        path: PathBuf,
        /// What it should be.
        expected: &'static str,
    },
    /// More or fewer bytes than such a file has.
    #[error("{path} has {size} bytes; {expected}")]
    Size {
        /// The file.
        path: PathBuf,
        /// Its size in bytes.
        size: u64,
        /// What it should have.
        expected: String,
    },
    /// A file of that name is there already.
    #[error("{path} exists already and is not overwritten")]
    Exists {
        /// The file.
        path: PathBuf,
    },
    /// The operating system refused.
    #[error("cannot {operation} {path}")]
    Io {
        /// What was being done.
        operation: &'static str,
        /// To which file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
}

impl FileError {
    /// The stable code of the error.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::NotFound { .. } => "file_not_found",
            Self::Permissions { .. } => "file_permissions",
            Self::Owner { .. } => "file_owner",
            Self::WrongType { .. } => "file_type",
            Self::Size { .. } => "file_size",
            Self::Exists { .. } => "file_exists",
            Self::Io { .. } => "file_io",
        }
    }

    /// One line of what to do about it.
    #[must_use]
    pub fn remedy(&self) -> Option<String> {
        match self {
            Self::Permissions { path, .. } if path.is_dir() => Some(format!(
                "chmod 0700 '{}', and consider what was in it as read",
                path.display()
            )),
            Self::Permissions { path, .. } => Some(format!(
                "chmod 0600 '{}', and consider what was in it as read",
                path.display()
            )),
            Self::Owner { path, user, .. } => Some(format!("chown {user} '{}'", path.display())),
            Self::NotFound { path } => Some(format!(
                "bring '{}' back from where a copy is kept, or correct the path to it; no other file does",
                path.display()
            )),
            Self::WrongType { .. } | Self::Size { .. } => Some(
                "bring it back from where a copy is kept, or correct the path to it; no other file does"
                    .to_owned(),
            ),
            Self::Exists { .. } | Self::Io { .. } => None,
        }
    }

    pub(crate) fn io(operation: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| match source.kind() {
            io::ErrorKind::NotFound => Self::NotFound { path: path.into() },
            io::ErrorKind::AlreadyExists => Self::Exists { path: path.into() },
            _ => Self::Io {
                operation,
                path: path.into(),
                source,
            },
        }
    }
}
