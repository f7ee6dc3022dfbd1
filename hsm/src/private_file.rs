//! Files that hold secrets, sealed or not: read only when nobody else can, written so that a crash leaves the old or the
//! new one, whole.
//!
//! `error`: why one was refused. May import: rustix, getrandom, the standard library.
//!
//! # Invariants
//! * A file is judged through the descriptor that is then read, never by its name.
//! * A file appears under its name only after its bytes are on disk, with mode 0600; an existing one is replaced only when
//!   the caller says so.

mod error;

use std::{
    fs::{File, OpenOptions, Permissions},
    io::{self, Read as _, Write as _},
    os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
};

use rustix::fs::{CWD, OFlags, RenameFlags, renameat_with};

pub use error::FileError;

/// Who may own a file and who else may read it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Trust {
    /// Ours, mode 0600 or 0400.
    OwnerOnly,
    /// Placed by the service manager: ours or root's, closed to others. systemd grants access by an ACL, whose mask shows as
    /// group-read (systemd.exec(5), "Credentials").
    ServiceManager,
    /// Opened by whoever started us and handed over as a descriptor: theirs to protect. May be a pipe.
    Handed,
    /// Sealed as it is: mode and owner do not matter (a stick has neither).
    Sealed,
    /// Of whoever it is, mode 0600 or 0400: a key file of another signer, which runs as a user of its own.
    Stranger,
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
    if !meta.is_file() && trust != Trust::Handed {
        return Err(FileError::WrongType {
            path: path.into(),
            expected: "file",
        });
    }
    let user = rustix::process::geteuid().as_raw();
    let (owned, forbidden) = match trust {
        Trust::OwnerOnly => (meta.uid() == user, 0o177),
        Trust::Stranger => (true, 0o177),
        Trust::ServiceManager => (meta.uid() == user || meta.uid() == 0, 0o137),
        Trust::Handed | Trust::Sealed => (true, 0),
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
    Draft::write(path, bytes)?.put(existing)
}

/// A file that is whole and on disk under a temporary name; dropped before [`Draft::put`], it is gone.
pub(crate) struct Draft {
    temporary: PathBuf,
    path: PathBuf,
    placed: bool,
}

impl Draft {
    /// Writes and syncs `bytes` beside `path`.
    pub(crate) fn write(path: &Path, bytes: &[u8]) -> Result<Self, FileError> {
        let mut tag = [0; 8];
        getrandom::fill(&mut tag)
            .map_err(|e| FileError::io("draw a temporary name beside", path)(io::Error::other(e)))?;
        let draft = Self {
            temporary: folder_of(path).join(format!(".tmp-{}", hex::encode(tag))),
            path: path.to_owned(),
            placed: false,
        };
        fill(&draft.temporary, bytes)?;
        Ok(draft)
    }

    /// What the disk gives back, at most `limit` bytes.
    pub(crate) fn read_back(&self, limit: usize) -> Result<Vec<u8>, FileError> {
        read_sealed(&self.temporary, limit)
    }

    /// Gives the file its name, durably.
    pub(crate) fn put(mut self, existing: Existing) -> Result<(), FileError> {
        put(&self.temporary, &self.path, existing)?;
        self.placed = true;
        sync_folder(folder_of(&self.path))
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        if !self.placed {
            // Nobody refers to the temporary file; a failure to remove it must not hide why we are here.
            let _ = std::fs::remove_file(&self.temporary);
        }
    }
}

/// Gives a file of this folder the name of another, which it replaces in one step; durable when this returns.
pub(crate) fn replace(file: &Path, by_name: &Path) -> Result<(), FileError> {
    put(file, by_name, Existing::Replace)?;
    sync_folder(folder_of(by_name))
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
mod tests;
