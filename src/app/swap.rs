//! One file for another: the old text or the new one, whole, whenever the machine stops.

use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::Path;

use anyhow::Context as _;

use crate::crash::crash_point;

/// Replaces `file`, which holds `old`, by `new`. A file that was edited meanwhile is left alone, and `then` says what now; of a link,
/// its target is replaced.
pub(super) fn replace(file: &Path, old: &str, new: &str, then: &str) -> anyhow::Result<()> {
    // Configuration management links files into place: a file instead of the link would part from what it manages.
    let file = &std::fs::canonicalize(file).with_context(|| format!("cannot read {}", file.display()))?;
    let now = std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
    anyhow::ensure!(
        now == old,
        "{} was edited meanwhile and is left as it is; {then}",
        file.display()
    );
    let mode = std::fs::metadata(file)?.mode() & 0o777;
    let beside = file.with_extension("toml.new");
    let write = || -> std::io::Result<()> {
        // What a replacement that was cut off left.
        match std::fs::remove_file(&beside) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut out = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(mode)
            .open(&beside)?;
        out.write_all(new.as_bytes())?;
        out.sync_all()?;
        crash_point!("import_config_written");
        std::fs::rename(&beside, file)
    };
    write().with_context(|| format!("cannot write {}", file.display()))?;
    match file.parent() {
        Some(folder) => sync_folder(folder),
        None => Ok(()),
    }
}

/// Makes the names in a folder durable.
pub(super) fn sync_folder(folder: &Path) -> anyhow::Result<()> {
    File::open(folder)
        .and_then(|folder| folder.sync_all())
        .with_context(|| format!("cannot sync {}", folder.display()))
}
