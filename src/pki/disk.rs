//! Files that appear whole or not at all.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use super::error::PkiError;

/// Readable by everybody: certificates and CRLs are public.
pub(super) const PUBLIC: u32 = 0o644;
/// Its owner's.
pub(super) const SECRET: u32 = 0o600;

/// A new file; one that is there refuses.
pub(super) fn create(path: &Path, mode: u32, bytes: &[u8]) -> Result<(), PkiError> {
    put(path, mode, bytes, |from, to| {
        // A hard link, unlike a rename, refuses where something is (link(2)).
        std::fs::hard_link(from, to)?;
        std::fs::remove_file(from)
    })
}

/// The old bytes or the new ones, whole.
pub(super) fn replace(path: &Path, mode: u32, bytes: &[u8]) -> Result<(), PkiError> {
    put(path, mode, bytes, |from, to| std::fs::rename(from, to))
}

fn put(
    path: &Path,
    mode: u32,
    bytes: &[u8],
    into_place: impl FnOnce(&Path, &Path) -> io::Result<()>,
) -> Result<(), PkiError> {
    let folder = path.parent().unwrap_or(Path::new("."));
    let mut name = std::ffi::OsString::from(".");
    name.push(path.file_name().unwrap_or_default());
    name.push(format!(".{}", std::process::id()));
    let fresh = folder.join(name);
    let write = || -> io::Result<()> {
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(mode)
            .open(&fresh)?;
        file.write_all(bytes)?;
        file.sync_all()
    };
    let written = write().and_then(|()| into_place(&fresh, path));
    if written.is_err() {
        let _left_over = std::fs::remove_file(&fresh);
    }
    written
        .and_then(|()| File::open(folder)?.sync_all())
        .map_err(PkiError::io(path))
}

/// Refuses where something is already, before anything is made.
pub(super) fn all_free(paths: &[&Path]) -> Result<(), PkiError> {
    match paths.iter().find(|path| path.symlink_metadata().is_ok()) {
        Some(taken) => Err(PkiError::Exists((*taken).to_owned())),
        None => Ok(()),
    }
}

/// A folder for its owner alone, and its parents; one that is there is left as it is.
pub(super) fn folder(path: &Path) -> Result<(), PkiError> {
    if path.is_dir() {
        return Ok(());
    }
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .map_err(PkiError::io(path))?;
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    File::open(parent.unwrap_or(Path::new(".")))
        .and_then(|parent| parent.sync_all())
        .map_err(PkiError::io(path))
}

/// One process at a time changes an authority; released when the file is dropped.
pub(super) fn lock(folder: &Path) -> Result<File, PkiError> {
    let path: PathBuf = folder.join(".lock");
    let file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(SECRET)
        .open(&path)
        .map_err(PkiError::io(&path))?;
    file.lock().map_err(PkiError::io(&path))?;
    Ok(file)
}
