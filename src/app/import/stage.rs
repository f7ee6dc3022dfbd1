//! A new home, made in a folder of its own and put in place only when it is whole: a crash leaves nothing that a daemon would take
//! for a home.
//!
//! Where there is nothing yet, the folder is made beside the place and gets the home's name in one rename. Where an empty folder
//! is there already (a package made it, whose parent is root's; a mount point; a link to one), it is made inside, and its entries
//! move up one by one, the configuration last: a home without one is none.
//!
//! *Invariants:* what a crash leaves is removed by the next import, and nothing else is: the folder in the making bears [`MARK`],
//! and lists in [`MOVING`] what it was about to move up. What is left are sealed keys with the key that opens them, watermarks,
//! no daemon that ever served it; the old signer still has all of it.

use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;

use super::super::{Durability, init};
use super::swap;
use crate::config;
use crate::crash::crash_point;

/// Marks a folder as one that an import makes.
const MARK: &str = ".importing";
/// Names the entries that move up into a home that is there already, one a line; part of the folder in the making.
const MOVING: &str = ".moving";
/// The folder in the making, within a home that is there already.
const INSIDE: &str = ".importing.d";
/// What an empty file system has.
const OF_THE_DISK: &str = "lost+found";

/// The folder in the making.
pub(super) struct Stage {
    home: PathBuf,
    folder: PathBuf,
    place: Place,
}

/// Where it is made.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Beside,
    Inside,
}

/// The configuration of a new home, before anything is added.
pub(super) fn config_text(durability: Durability) -> String {
    match durability {
        Durability::Demanded => config::DEFAULT.to_owned(),
        Durability::Volatile => config::DEFAULT.replace("#allow_volatile = false", "allow_volatile = true"),
    }
}

/// The path `.NAME.what` beside the home.
pub(super) fn beside(home: &Path, what: &str) -> anyhow::Result<PathBuf> {
    let (Some(parent), Some(name)) = (home.parent(), home.file_name()) else {
        anyhow::bail!("{} cannot be a home", home.display());
    };
    std::fs::create_dir_all(parent).with_context(|| format!("cannot make {}", parent.display()))?;
    Ok(parent.join(format!(".{}.{what}", name.to_string_lossy())))
}

/// A home is made where there is nothing, or an empty folder, or what an import left that was cut off.
pub(super) fn refuse_unless_empty(home: &Path) -> anyhow::Result<()> {
    match std::fs::symlink_metadata(home) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Ok(about) if about.is_symlink() && !home.exists() => {
            anyhow::bail!(
                "{} is a link to nothing: make the folder that it points to, or name another one with --home",
                home.display()
            );
        }
        _ => {}
    }
    anyhow::ensure!(
        !home.join(config::FILE_NAME).exists(),
        "{} was made meanwhile; nothing was written, run the same command again",
        home.display()
    );
    let left = left_inside(home)?;
    let entries = std::fs::read_dir(home).with_context(|| format!("cannot read {}", home.display()))?;
    for entry in entries {
        let name = entry?.file_name();
        let known = name == OF_THE_DISK || left.iter().any(|left| **left == *name);
        anyhow::ensure!(
            known,
            "{} has files and no {}: finish it with `sigward init`, or name another folder with --home",
            home.display(),
            config::FILE_NAME
        );
    }
    Ok(())
}

impl Stage {
    /// Begins one; the home's lock is held.
    pub(super) fn new(home: &Path, durability: Durability) -> anyhow::Result<Self> {
        let there = home.is_dir();
        if there {
            clear_inside(home)?;
        }
        refuse_unless_empty(home)?;
        let (place, folder) = if there {
            (Place::Inside, home.join(INSIDE))
        } else {
            let folder = beside(home, "importing")?;
            remove_left_over(&folder)?;
            (Place::Beside, folder)
        };
        make_private(&folder)?;
        let mark = folder.join(MARK);
        File::create_new(&mark).with_context(|| format!("cannot make {}", mark.display()))?;
        crash_point!("import_stage_begun");
        init(&folder, durability)?;
        Ok(Self {
            home: home.to_owned(),
            folder,
            place,
        })
    }

    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Gives it its configuration and its place.
    pub(super) fn finish(self, text: &str) -> anyhow::Result<()> {
        let file = self.folder.join(config::FILE_NAME);
        let old = std::fs::read_to_string(&file)?;
        swap::replace(&file, &old, text, "the same command again begins anew")?;
        crash_point!("import_staged");
        match self.place {
            Place::Beside => self.rename(),
            Place::Inside => self.move_up(),
        }
    }

    fn rename(self) -> anyhow::Result<()> {
        refuse_unless_empty(&self.home)?;
        std::fs::rename(&self.folder, &self.home)
            .with_context(|| format!("cannot move {} to {}", self.folder.display(), self.home.display()))?;
        crash_point!("import_renamed");
        if let Some(parent) = self.home.parent() {
            swap::sync_folder(parent)?;
        }
        // The mark went along, so that the folder bore it as long as it could be left behind. In a home it means nothing.
        let _harmless = std::fs::remove_file(self.home.join(MARK));
        Ok(())
    }

    fn move_up(self) -> anyhow::Result<()> {
        let mut names: Vec<_> = entries(&self.folder)?
            .into_iter()
            .filter(|name| name != MARK && name != config::FILE_NAME)
            .collect();
        names.sort();
        let list = self.folder.join(MOVING);
        let mut file = File::create_new(&list).with_context(|| format!("cannot make {}", list.display()))?;
        file.write_all(names.join("\n").as_bytes())?;
        file.sync_all()?;
        swap::sync_folder(&self.folder)?;
        for name in names.iter().map(String::as_str).chain([config::FILE_NAME]) {
            if name == config::FILE_NAME {
                // What it speaks of is in place, durably, before it is.
                swap::sync_folder(&self.home)?;
            }
            crash_point!("import_moving_up");
            let (from, to) = (self.folder.join(name), self.home.join(name));
            std::fs::rename(&from, &to)
                .with_context(|| format!("cannot move {} to {}", from.display(), to.display()))?;
        }
        swap::sync_folder(&self.home)?;
        crash_point!("import_moved_up");
        // Whole; what is left of the making means nothing now.
        let _harmless = remove_marked(&self.folder);
        Ok(())
    }
}

fn make_private(folder: &Path) -> anyhow::Result<()> {
    use std::os::unix::fs::DirBuilderExt as _;
    std::fs::DirBuilder::new()
        .mode(0o700)
        .create(folder)
        .with_context(|| format!("cannot make {}", folder.display()))
}

/// The names in a folder; those of a home are UTF-8.
fn entries(folder: &Path) -> anyhow::Result<Vec<String>> {
    std::fs::read_dir(folder)
        .with_context(|| format!("cannot read {}", folder.display()))?
        .map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()))
        .collect()
}

/// What an import that was cut off left in a home that was there: its folder, and what had moved up from it.
fn left_inside(home: &Path) -> anyhow::Result<Vec<String>> {
    let folder = home.join(INSIDE);
    if home.join(config::FILE_NAME).exists() || !is_ours(&folder)? {
        return Ok(Vec::new());
    }
    let mut left = match std::fs::read_to_string(folder.join(MOVING)) {
        Ok(list) => list.lines().map(ToOwned::to_owned).collect(),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Vec::new(),
        Err(error) => return Err(error).with_context(|| format!("cannot read {}", folder.display())),
    };
    // Names only: what a list that was tampered with names elsewhere is left alone.
    left.retain(|name| !name.is_empty() && !name.contains('/') && name != "." && name != "..");
    left.push(INSIDE.to_owned());
    Ok(left)
}

/// Removes that, the folder with its list last.
fn clear_inside(home: &Path) -> anyhow::Result<()> {
    for name in left_inside(home)? {
        let path = home.join(&name);
        let removed = if name == INSIDE {
            remove_marked(&path)
        } else {
            remove(&path)
        };
        removed.with_context(|| left_over(&path))?;
    }
    swap::sync_folder(home)
}

/// Whether a folder in the making is there, an import's: it has the mark, or nothing yet.
fn is_ours(folder: &Path) -> anyhow::Result<bool> {
    match std::fs::symlink_metadata(folder) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error).with_context(|| format!("cannot look at {}", folder.display())),
        Ok(about) => Ok(about.is_dir() && (folder.join(MARK).is_file() || entries(folder)?.is_empty())),
    }
}

/// Removes what an import left beside the home. Whatever else has that name is somebody's.
fn remove_left_over(folder: &Path) -> anyhow::Result<()> {
    if std::fs::symlink_metadata(folder).is_err() {
        return Ok(());
    }
    anyhow::ensure!(
        is_ours(folder)?,
        "{} is in the way, and no import made it: move it elsewhere, then run the same command again",
        folder.display()
    );
    remove_marked(folder).with_context(|| left_over(folder))
}

/// Its mark goes last: cut off in between, it is known for what it is.
fn remove_marked(folder: &Path) -> std::io::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_name() != MARK {
            remove(&entry.path())?;
        }
    }
    remove(&folder.join(MARK))?;
    std::fs::remove_dir(folder)
}

fn remove(path: &Path) -> std::io::Result<()> {
    match std::fs::symlink_metadata(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        Ok(about) if about.is_dir() => std::fs::remove_dir_all(path),
        _ => std::fs::remove_file(path),
    }
}

fn left_over(path: &Path) -> String {
    format!(
        "an import that was cut off left {}, and it cannot be removed; remove it yourself",
        path.display()
    )
}
