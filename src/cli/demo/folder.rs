//! The demo's folder: below `target/demo` of a build, else in the system's folder for temporary files; gone afterwards.

use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;

/// Longest socket name below it, and the longest path of a unix socket (unix(7): 108 bytes with the final zero).
const SOCKET_NAME: usize = "/s/admin.sock".len();
const SUN_PATH: usize = 107;

/// A folder that is removed on drop, unless it is to be kept.
#[derive(Debug)]
pub(super) struct Folder {
    path: PathBuf,
    keep: bool,
}

impl Folder {
    /// Makes an empty one that nobody else can enter.
    pub(super) fn new(keep: bool) -> anyhow::Result<Self> {
        let here = std::env::current_dir().context("cannot find the current folder")?;
        let name = std::process::id().to_string();
        let build = here.join("target/demo").join(&name);
        let fits = build.as_os_str().len() + SOCKET_NAME <= SUN_PATH;
        let path = if here.join("target").is_dir() && fits {
            build
        } else {
            std::env::temp_dir().join(format!("sigward-demo-{name}"))
        };
        if let Some(parent) = path.parent() {
            std::fs::create_dir_all(parent).with_context(|| format!("cannot make {}", parent.display()))?;
        }
        // `create` refuses what exists: nobody can have put something there before.
        std::fs::DirBuilder::new()
            .mode(0o700)
            .create(&path)
            .with_context(|| format!("cannot make {}", path.display()))?;
        Ok(Self { path, keep })
    }

    /// Where it is.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// What will become of it.
    pub(super) const fn fate(&self) -> &'static str {
        if self.keep {
            "it stays there afterwards"
        } else {
            "it is removed afterwards (--keep leaves it)"
        }
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if !self.keep
            && let Err(error) = std::fs::remove_dir_all(&self.path)
        {
            eprintln!("sigward: cannot remove {}: {error}", self.path.display());
        }
    }
}
