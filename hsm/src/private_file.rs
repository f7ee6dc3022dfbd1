//! Files that hold secrets, sealed or not: read only when nobody else can, written so that a crash leaves the old or the
//! new one, whole.
//!
//! May import: rustix, the standard library.
//!
//! # Invariants
//! * A file is judged through the descriptor that is then read, never by its name.
//! * A file appears under its name only after its bytes are on disk, with mode 0600; an existing one is replaced only when
//!   the caller says so.

use std::{
    fs::{File, OpenOptions, Permissions},
    io::{self, Read as _, Write as _},
    os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
};

use rustix::fs::{CWD, OFlags, RenameFlags, renameat_with};

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
            Self::NotFound { .. }
            | Self::WrongType { .. }
            | Self::Size { .. }
            | Self::Exists { .. }
            | Self::Io { .. } => None,
        }
    }

    fn io(operation: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
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

/// Who may own a file and who else may read it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Trust {
    /// Ours, mode 0600 or 0400.
    OwnerOnly,
    /// Placed by the service manager: ours or root's, closed to others. systemd grants access by an ACL, whose mask shows as
    /// group-read (systemd.exec(5), "Credentials").
    ServiceManager,
}

/// What is already there under the name of a new file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Existing {
    /// Stays; writing is refused.
    Keep,
    /// Is replaced in one step.
    Replace,
}

/// Opens a file after the checks that `trust` names. Never blocks on a pipe that lies in its place.
pub(crate) fn open(path: &Path, trust: Trust) -> Result<(File, u64), FileError> {
    let nonblock = i32::try_from(OFlags::NONBLOCK.bits()).unwrap_or(0);
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(nonblock)
        .open(path)
        .map_err(FileError::io("open", path))?;
    let meta = file.metadata().map_err(FileError::io("inspect", path))?;
    if !meta.is_file() {
        return Err(FileError::WrongType {
            path: path.into(),
            expected: "file",
        });
    }
    let user = rustix::process::geteuid().as_raw();
    let (owned, forbidden) = match trust {
        Trust::OwnerOnly => (meta.uid() == user, 0o177),
        Trust::ServiceManager => (meta.uid() == user || meta.uid() == 0, 0o137),
    };
    if !owned {
        return Err(FileError::Owner {
            path: path.into(),
            owner: meta.uid(),
            user,
        });
    }
    let mode = meta.mode() & 0o7777;
    if mode & forbidden != 0 {
        return Err(FileError::Permissions {
            path: path.into(),
            mode,
        });
    }
    Ok((file, meta.len()))
}

/// Reads exactly N bytes, straight to where they will live; a longer or shorter file is refused.
pub(crate) fn read_exactly<const N: usize>(
    path: &Path,
    trust: Trust,
    into: &mut [u8; N],
) -> Result<(), FileError> {
    let (mut file, size) = open(path, trust)?;
    let wrong = |size| FileError::Size {
        path: path.into(),
        size,
        expected: format!("it must have {N}"),
    };
    if size != N as u64 {
        return Err(wrong(size));
    }
    file.read_exact(into).map_err(FileError::io("read", path))?;
    match file.read(&mut [0]).map_err(FileError::io("read", path))? {
        0 => Ok(()),
        more => Err(wrong(size.saturating_add(more as u64))),
    }
}

/// Reads at most N bytes, straight to where they will live; returns how many there were.
pub(crate) fn read_up_to<const N: usize>(
    path: &Path,
    trust: Trust,
    into: &mut [u8; N],
) -> Result<usize, FileError> {
    let (mut file, size) = open(path, trust)?;
    let mut len = 0;
    while let Some(rest) = into.get_mut(len..).filter(|rest| !rest.is_empty()) {
        match file.read(rest) {
            Ok(0) => return Ok(len),
            Ok(n) => len += n,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(FileError::io("read", path)(e)),
        }
    }
    match file.read(&mut [0]).map_err(FileError::io("read", path))? {
        0 => Ok(len),
        _ => Err(FileError::Size {
            path: path.into(),
            size,
            expected: format!("at most {N} are read"),
        }),
    }
}

/// Reads a file whose bytes are no secret by themselves (sealed), at most `limit` bytes.
pub(crate) fn read_sealed(path: &Path, limit: usize) -> Result<Vec<u8>, FileError> {
    let (file, size) = open(path, Trust::OwnerOnly)?;
    let mut bytes = Vec::with_capacity(usize::try_from(size).unwrap_or(limit).min(limit));
    let most = u64::try_from(limit).unwrap_or(u64::MAX).saturating_add(1);
    file.take(most)
        .read_to_end(&mut bytes)
        .map_err(FileError::io("read", path))?;
    if bytes.len() > limit {
        return Err(FileError::Size {
            path: path.into(),
            size,
            expected: format!("at most {limit} are read"),
        });
    }
    Ok(bytes)
}

/// Writes a file of mode 0600: temporary name, fsync, rename, fsync of the folder. When this returns, the file survives a
/// power cut; when it fails, the name is as it was.
pub(crate) fn write(path: &Path, bytes: &[u8], existing: Existing) -> Result<(), FileError> {
    let folder = folder_of(path);
    let mut tag = [0; 8];
    getrandom::fill(&mut tag)
        .map_err(|e| FileError::io("draw a temporary name beside", path)(io::Error::other(e)))?;
    let temporary = folder.join(format!(".tmp-{}", hex::encode(tag)));
    let written = fill(&temporary, bytes).and_then(|()| put(&temporary, path, existing));
    if written.is_err() {
        // Nobody refers to the temporary file; a failure to remove it must not hide why we are here.
        let _ = std::fs::remove_file(&temporary);
        return written;
    }
    sync_folder(folder)
}

/// Removes a file, and makes its absence durable.
pub(crate) fn remove(path: &Path) -> Result<(), FileError> {
    std::fs::remove_file(path).map_err(FileError::io("remove", path))?;
    sync_folder(folder_of(path))
}

/// Checks that a folder is ours and closed to everybody else.
pub(crate) fn check_folder(path: &Path) -> Result<(), FileError> {
    let meta = std::fs::metadata(path).map_err(FileError::io("inspect", path))?;
    if !meta.is_dir() {
        return Err(FileError::WrongType {
            path: path.into(),
            expected: "folder",
        });
    }
    let user = rustix::process::geteuid().as_raw();
    if meta.uid() != user {
        return Err(FileError::Owner {
            path: path.into(),
            owner: meta.uid(),
            user,
        });
    }
    let mode = meta.mode() & 0o7777;
    if mode & 0o077 != 0 {
        return Err(FileError::Permissions {
            path: path.into(),
            mode,
        });
    }
    Ok(())
}

/// Makes a folder of mode 0700; one that is there already must be ours and closed.
pub(crate) fn ensure_folder(path: &Path) -> Result<(), FileError> {
    use std::os::unix::fs::DirBuilderExt as _;
    match std::fs::DirBuilder::new().mode(0o700).create(path) {
        Ok(()) => sync_folder(folder_of(path)),
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists => check_folder(path),
        Err(e) => Err(FileError::io("create", path)(e)),
    }
}

fn fill(temporary: &Path, bytes: &[u8]) -> Result<(), FileError> {
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(temporary)
        .map_err(FileError::io("create", temporary))?;
    // The umask may have taken bits away.
    file.set_permissions(Permissions::from_mode(0o600))
        .map_err(FileError::io("protect", temporary))?;
    file.write_all(bytes).map_err(FileError::io("write", temporary))?;
    file.sync_all().map_err(FileError::io("sync", temporary))
}

fn put(temporary: &Path, path: &Path, existing: Existing) -> Result<(), FileError> {
    let io = FileError::io("rename a new file to", path);
    match existing {
        Existing::Replace => std::fs::rename(temporary, path).map_err(io),
        Existing::Keep => match renameat_with(CWD, temporary, CWD, path, RenameFlags::NOREPLACE) {
            Ok(()) => Ok(()),
            // A file system without RENAME_NOREPLACE: a hard link refuses an existing name just as well.
            Err(rustix::io::Errno::INVAL | rustix::io::Errno::NOSYS) => {
                std::fs::hard_link(temporary, path).map_err(io)?;
                std::fs::remove_file(temporary).map_err(FileError::io("remove", temporary))
            }
            Err(e) => Err(io(e.into())),
        },
    }
}

fn sync_folder(folder: &Path) -> Result<(), FileError> {
    File::open(folder)
        .and_then(|f| f.sync_all())
        .map_err(FileError::io("sync", folder))
}

fn folder_of(path: &Path) -> &Path {
    path.parent()
        .filter(|p| !p.as_os_str().is_empty())
        .unwrap_or(Path::new("."))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn mode(path: &Path, mode: u32) {
        std::fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
    }

    #[test]
    fn only_files_that_nobody_else_can_read_are_opened() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("kek");
        write(&path, &[7; 32], Existing::Keep).unwrap();
        let read = |trust| {
            let mut bytes = [0; 32];
            read_exactly(&path, trust, &mut bytes).map(|()| bytes)
        };
        assert_eq!(read(Trust::OwnerOnly).unwrap(), [7; 32]);
        for (bits, code) in [
            (0o400, None),
            (0o640, Some("file_permissions")),
            (0o604, Some("file_permissions")),
        ] {
            mode(&path, bits);
            assert_eq!(read(Trust::OwnerOnly).err().map(|e| e.code()), code, "{bits:o}");
        }
        for bits in [0o700, 0o610, 0o620, 0o666, 0o644] {
            mode(&path, bits);
            let error = read(Trust::OwnerOnly).unwrap_err();
            assert_eq!(error.code(), "file_permissions");
            assert!(error.remedy().unwrap().starts_with("chmod 0600"));
        }
        mode(&path, 0o440);
        assert!(read(Trust::ServiceManager).is_ok());
        mode(&path, 0o444);
        assert!(read(Trust::ServiceManager).is_err());
    }

    #[test]
    fn folders_pipes_and_other_sizes_are_refused_without_waiting() {
        let dir = tempfile::tempdir().unwrap();
        let code = |path: &Path| {
            read_exactly(path, Trust::OwnerOnly, &mut [0; 32])
                .unwrap_err()
                .code()
        };
        assert_eq!(code(dir.path()), "file_type");
        let pipe = dir.path().join("pipe");
        rustix::fs::mknodat(CWD, &pipe, rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();
        assert_eq!(code(&pipe), "file_type");
        assert_eq!(code(&dir.path().join("none")), "file_not_found");
        for size in [0usize, 31, 33, 4096] {
            let path = dir.path().join(size.to_string());
            write(&path, &vec![0; size], Existing::Keep).unwrap();
            assert_eq!(code(&path), "file_size");
            assert_eq!(read_sealed(&path, 32).is_err(), size > 32);
            assert_eq!(
                read_up_to(&path, Trust::OwnerOnly, &mut [0; 32]).is_err(),
                size > 32
            );
        }
    }

    #[test]
    fn a_new_file_never_replaces_another_unless_told() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("key");
        write(&path, b"first", Existing::Keep).unwrap();
        assert_eq!(
            write(&path, b"second", Existing::Keep).unwrap_err().code(),
            "file_exists"
        );
        assert_eq!(std::fs::read(&path).unwrap(), b"first");
        write(&path, b"third", Existing::Replace).unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"third");
        assert_eq!(std::fs::metadata(&path).unwrap().mode() & 0o7777, 0o600);
        assert_eq!(
            std::fs::read_dir(dir.path()).unwrap().count(),
            1,
            "no temporary file stays behind"
        );
    }

    #[test]
    fn an_open_folder_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let keys = dir.path().join("keys");
        ensure_folder(&keys).unwrap();
        ensure_folder(&keys).unwrap();
        mode(&keys, 0o750);
        let error = ensure_folder(&keys).unwrap_err();
        assert_eq!(error.code(), "file_permissions");
        assert!(error.remedy().unwrap().starts_with("chmod 0700"));
    }
}
