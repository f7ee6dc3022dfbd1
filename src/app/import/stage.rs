//! A new home, made beside where it will be and moved there at once: a crash leaves nothing that a daemon would take for a home.
//!
//! What a crash leaves is the folder `.NAME.importing`: sealed keys with the key that opens them, watermarks, no daemon that ever
//! served it. The old signer still has all of it. The next import removes it, unless another import holds its lock now.

use std::fs::File;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use rustix::fs::{FlockOperation, flock};

use super::super::{Durability, init};
use super::swap;
use crate::config;
use crate::crash::crash_point;

/// Marks a folder as one that is being made; locked while it is.
const MARK: &str = "IMPORTING";

/// The folder in the making.
pub(super) struct Stage {
    home: PathBuf,
    folder: PathBuf,
    parent: PathBuf,
    _lock: File,
}

/// The configuration of a new home, before anything is added.
pub(super) fn config_text(durability: Durability) -> String {
    match durability {
        Durability::Demanded => config::DEFAULT.to_owned(),
        Durability::Volatile => config::DEFAULT.replace("#allow_volatile = false", "allow_volatile = true"),
    }
}

/// A home is made where there is nothing, or an empty folder.
pub(super) fn refuse_unless_empty(home: &Path) -> anyhow::Result<()> {
    match std::fs::read_dir(home) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error).with_context(|| format!("cannot read {}", home.display())),
        Ok(mut entries) => {
            anyhow::ensure!(
                entries.next().is_none(),
                "{} has files and no {}: finish it with `sigward init`, or name another folder with --home",
                home.display(),
                config::FILE_NAME
            );
            Ok(())
        }
    }
}

impl Stage {
    pub(super) fn new(home: &Path, durability: Durability) -> anyhow::Result<Self> {
        let (Some(parent), Some(name)) = (home.parent(), home.file_name()) else {
            anyhow::bail!("{} cannot be a home", home.display());
        };
        std::fs::create_dir_all(parent).with_context(|| format!("cannot make {}", parent.display()))?;
        let folder = parent.join(format!(".{}.importing", name.to_string_lossy()));
        remove_left_over(&folder)?;
        make_private(&folder)?;
        let mark = folder.join(MARK);
        let lock = File::create_new(&mark).with_context(|| format!("cannot make {}", mark.display()))?;
        flock(&lock, FlockOperation::NonBlockingLockExclusive)
            .with_context(|| format!("cannot lock {}", mark.display()))?;
        crash_point!("import_stage_begun");
        init(&folder, durability)?;
        Ok(Self {
            home: home.to_owned(),
            folder,
            parent: parent.to_owned(),
            _lock: lock,
        })
    }

    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Gives it its configuration and its name.
    pub(super) fn finish(self, text: &str) -> anyhow::Result<()> {
        let file = self.folder.join(config::FILE_NAME);
        let old = std::fs::read_to_string(&file)?;
        swap::replace(&file, &old, text, "the same command again begins anew")?;
        std::fs::remove_file(self.folder.join(MARK))?;
        swap::sync_folder(&self.folder)?;
        crash_point!("import_staged");
        refuse_unless_empty(&self.home)?;
        std::fs::rename(&self.folder, &self.home)
            .with_context(|| format!("cannot move {} to {}", self.folder.display(), self.home.display()))?;
        crash_point!("import_renamed");
        swap::sync_folder(&self.parent)
    }
}

fn make_private(folder: &Path) -> anyhow::Result<()> {
    use std::os::unix::fs::DirBuilderExt as _;
    std::fs::DirBuilder::new()
        .mode(0o700)
        .create(folder)
        .with_context(|| format!("cannot make {}", folder.display()))
}

/// Only what an import made: its mark, or (between the mark's end and the new name) a whole home under a name that nobody else gives.
fn remove_left_over(folder: &Path) -> anyhow::Result<()> {
    if !std::fs::symlink_metadata(folder).is_ok_and(|about| about.is_dir()) {
        return Ok(());
    }
    let mark = folder.join(MARK);
    if let Ok(lock) = File::open(&mark) {
        flock(&lock, FlockOperation::NonBlockingLockExclusive).map_err(|_| {
            anyhow::anyhow!(
                "another import is writing {}; wait until it has ended",
                folder.display()
            )
        })?;
    }
    std::fs::remove_dir_all(folder).with_context(|| {
        format!(
            "an import that was cut off left {}, and it cannot be removed; remove it yourself",
            folder.display()
        )
    })
}
