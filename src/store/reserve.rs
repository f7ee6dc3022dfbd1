//! The file `reserve` in the state folder: room that nobody else on the file system can take, for an operator to give back by
//! deleting the file when everything else is full.
//!
//! *Invariant:* it is made only while space is plenty, so making it never brings on what it is for.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;

use rustix::fs::FallocateFlags;
use rustix::io::Errno;

use super::space::{Space, SpaceLimits};

/// Its name in the state folder.
pub const RESERVE: &str = "reserve";

/// Makes the reserve in the state folder `dir`, or makes it whole, if there is room for it and as much again as is low.
/// Says whether it is there, whole, now.
pub fn keep(dir: &Path, limits: SpaceLimits) -> io::Result<bool> {
    keep_of(dir, Space::of(dir)?, limits)
}

fn keep_of(dir: &Path, space: Space, limits: SpaceLimits) -> io::Result<bool> {
    let path = dir.join(RESERVE);
    let limits = space.limits(limits);
    let there = match std::fs::symlink_metadata(&path) {
        Ok(found) if !found.is_file() => return Err(io::Error::other("reserve is not a file")),
        Ok(found) => found.len(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => 0,
        Err(error) => return Err(error),
    };
    if there >= limits.reserve {
        return Ok(true);
    }
    if space.total != 0 && space.free < limits.low.saturating_add(limits.reserve) {
        return Ok(false);
    }
    let file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(&path)?;
    allocate(&file, limits.reserve)?;
    file.sync_all()?;
    Ok(true)
}

/// Blocks of its own; where the file system cannot promise any, bytes that it can neither compress nor leave out.
fn allocate(file: &File, len: u64) -> io::Result<()> {
    match rustix::fs::fallocate(file, FallocateFlags::empty(), 0, len) {
        Err(Errno::OPNOTSUPP | Errno::NOSYS) => {}
        other => return other.map_err(Into::into),
    }
    let mut chunk = vec![0; 64 * 1024];
    let mut at = 0;
    while at < len {
        getrandom::fill(&mut chunk).map_err(|error| io::Error::other(error.to_string()))?;
        let rest = usize::try_from(len.saturating_sub(at)).unwrap_or(usize::MAX);
        let part = chunk.get(..rest.min(chunk.len())).unwrap_or(&chunk);
        file.write_all_at(part, at)?;
        at = at.saturating_add(part.len() as u64);
    }
    Ok(())
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use std::os::unix::fs::MetadataExt;

    use super::*;

    #[test]
    fn it_is_made_once_whole_and_ours_and_never_in_want() {
        let dir = tempfile::tempdir().unwrap();
        let limits = |low, reserve| SpaceLimits { low, reserve };
        let path = dir.path().join(RESERVE);
        let low = Space {
            total: 100 << 20,
            free: 20 << 20,
        };
        assert!(!keep_of(dir.path(), low, limits(20 << 20, 1 << 20)).unwrap());
        assert!(!path.exists());
        // What a crash left half-made is made whole.
        std::fs::write(&path, [0; 100]).unwrap();
        assert!(keep(dir.path(), limits(0, 1 << 20)).unwrap());
        let made = std::fs::metadata(&path).unwrap();
        assert_eq!(made.len(), 1 << 20);
        assert!(made.blocks() * 512 >= 1 << 20, "it takes room");
        assert!(keep(dir.path(), limits(0, 1 << 20)).unwrap());
        // A link is somebody's trick.
        std::fs::remove_file(&path).unwrap();
        std::os::unix::fs::symlink("/dev/null", &path).unwrap();
        assert!(keep(dir.path(), limits(0, 1 << 20)).is_err());
    }
}
