//! Files that a command makes for somebody else: never over one that is there, and with advice where the folder is not.

use std::fs::{File, OpenOptions};
use std::io::ErrorKind;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

/// The folder that `file` is in.
pub(super) fn folder(file: &Path) -> &Path {
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty());
    folder.unwrap_or(Path::new("."))
}

/// Refuses where `file` is there already, or its folder is not. Before anything is asked, stopped or written.
pub(super) fn may_be_made(file: &Path) -> anyhow::Result<()> {
    if std::fs::symlink_metadata(file).is_ok() {
        return Err(exists(file));
    }
    match std::fs::metadata(folder(file)) {
        Ok(found) if found.is_dir() => Ok(()),
        Ok(_) => Err(anyhow::anyhow!(
            "file_type: {} is no folder, so {} cannot be in it\nname a file in a folder",
            folder(file).display(),
            file.display()
        )),
        Err(error) if error.kind() == ErrorKind::NotFound => Err(no_folder(file)),
        Err(error) => Err(anyhow::Error::new(error).context(format!(
            "file_io: cannot look at the folder {}",
            folder(file).display()
        ))),
    }
}

/// A new file with these permission bits.
pub(super) fn create(file: &Path, mode: u32) -> anyhow::Result<File> {
    may_be_made(file)?;
    let made = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(mode)
        .open(file);
    made.map_err(|error| match error.kind() {
        ErrorKind::AlreadyExists => exists(file),
        ErrorKind::NotFound => no_folder(file),
        _ => anyhow::Error::new(error).context(format!("file_io: cannot create {}", file.display())),
    })
}

fn exists(file: &Path) -> anyhow::Error {
    anyhow::anyhow!(
        "file_exists: {} exists already and is not overwritten\nname another file",
        file.display()
    )
}

fn no_folder(file: &Path) -> anyhow::Error {
    let folder = folder(file).display();
    anyhow::anyhow!(
        "file_not_found: there is no folder {folder}, so {} cannot be made\nmake it: mkdir -p '{folder}'",
        file.display()
    )
}
