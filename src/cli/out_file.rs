//! Files that a command makes for somebody else: never over one that is there, and with advice where the folder is not.

use std::ffi::OsString;
use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use rustix::fs::{CWD, RenameFlags, renameat_with};
use rustix::io::Errno;

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

/// A file that has its name only when it is whole: until then it is beside it, as `.NAME.PID`, and is removed where nothing comes of it.
#[derive(Debug)]
pub(super) struct Unfinished<'a> {
    wanted: &'a Path,
    fresh: PathBuf,
    into: BufWriter<File>,
}

impl<'a> Unfinished<'a> {
    /// Begins one with these permission bits; refuses where `file` is there already.
    pub(super) fn begin(file: &'a Path, mode: u32) -> anyhow::Result<Self> {
        may_be_made(file)?;
        let mut name = OsString::from(".");
        name.push(file.file_name().unwrap_or_default());
        name.push(format!(".{}", std::process::id()));
        let fresh = folder(file).join(name);
        let into = BufWriter::new(create(&fresh, mode)?);
        Ok(Self {
            wanted: file,
            fresh,
            into,
        })
    }

    /// It is whole: syncs it and gives it its name.
    pub(super) fn finish(mut self) -> anyhow::Result<()> {
        self.into
            .flush()
            .and_then(|()| self.into.get_ref().sync_all())
            .with_context(|| self.writing())?;
        named_once(&self.fresh, self.wanted).map_err(|error| match error.kind() {
            ErrorKind::AlreadyExists => exists(self.wanted),
            _ => anyhow::Error::new(error).context(self.writing()),
        })?;
        File::open(folder(self.wanted))
            .and_then(|folder| folder.sync_all())
            .with_context(|| self.writing())
    }

    fn writing(&self) -> String {
        format!("file_io: cannot write {}", self.wanted.display())
    }
}

impl Write for Unfinished<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.into.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.into.flush()
    }
}

impl Drop for Unfinished<'_> {
    fn drop(&mut self) {
        // Not there any more, once it has its name.
        let _gone = std::fs::remove_file(&self.fresh);
    }
}

/// A rename that refuses where something is (rename(2), RENAME_NOREPLACE). Some file systems cannot; there the look before it must do.
fn named_once(from: &Path, to: &Path) -> io::Result<()> {
    match renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
        Err(Errno::INVAL | Errno::NOSYS) if std::fs::symlink_metadata(to).is_ok() => {
            Err(ErrorKind::AlreadyExists.into())
        }
        Err(Errno::INVAL | Errno::NOSYS) => std::fs::rename(from, to),
        done => Ok(done?),
    }
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
