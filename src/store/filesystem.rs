//! Where a store may live: a local disk that keeps what it was told to sync, in a folder that is nobody else's.
//!
//! *Invariant:* a file system that is not known to be local and durable is refused; `allow_volatile` is the one way around it.

use std::fs::{DirBuilder, File};
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::Path;

use super::error::{OpenCode, OpenError};

/// Local file systems with a working fsync, by the magic number of statfs(2) (`linux/magic.h`).
const DURABLE: &[(u64, &str)] = &[
    (0xef53, "ext2/ext3/ext4"),
    (0x5846_5342, "xfs"),
    (0x9123_683e, "btrfs"),
    (0x2fc1_2fc1, "zfs"),
    (0xf2f5_2010, "f2fs"),
    (0xca45_1a4e, "bcachefs"),
    (0x3153_464a, "jfs"),
];

/// Those that forget, that are a layer over something unknown, or that several machines share: refused by name.
const VOLATILE: &[(u64, &str)] = &[
    (0x0102_1994, "tmpfs"),
    (0x8584_58f6, "ramfs"),
    (0x794c_7630, "overlayfs"),
    (0x6175_6673, "aufs"),
    (0x7371_7368, "squashfs"),
    (0x6969, "nfs"),
    (0x517b, "smb"),
    (0xfe53_4d42, "smb2"),
    (0xff53_4d42, "cifs"),
    (0x6573_5546, "fuse"),
    (0x0102_1997, "9p"),
    (0x00c3_6400, "ceph"),
    (0x0116_1970, "gfs2"),
    (0x7461_636f, "ocfs2"),
    (0x0bd0_0bd0, "lustre"),
    (0x5346_414f, "afs"),
    (0x7375_7245, "coda"),
    (0x786f_4256, "vboxsf"),
];

/// A file system, as the store sees it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FileSystem {
    /// What people call it.
    pub name: String,
    /// Whether the store lives on it without `allow_volatile`.
    pub durable: bool,
}

/// The file system under `path`.
pub fn file_system(path: &Path) -> std::io::Result<FileSystem> {
    let found = rustix::fs::statfs(path)?;
    let magic = magic(i128::from(found.f_type));
    Ok(match judge(magic) {
        Ok(()) => FileSystem {
            name: name_of(DURABLE, magic).unwrap_or_default().to_owned(),
            durable: true,
        },
        Err(name) => FileSystem { name, durable: false },
    })
}

/// Makes the folder with mode 0700 if it is not there.
pub(crate) fn make_folder(dir: &Path) -> Result<(), OpenError> {
    if dir.is_dir() {
        return Ok(());
    }
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(dir)
        .map_err(|cause| OpenError::io("make the folder", dir, cause))?;
    match dir.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        Some(parent) => sync_folder(parent),
        None => Ok(()),
    }
}

/// Makes entries of the folder durable: a new or renamed file is there only when its folder is synced.
pub(crate) fn sync_folder(dir: &Path) -> Result<(), OpenError> {
    File::open(dir)
        .and_then(|folder| folder.sync_all())
        .map_err(|cause| OpenError::io("sync the folder", dir, cause))
}

/// The folder is ours alone: our user's, and no bit for anybody else.
pub(crate) fn check_private(dir: &Path) -> Result<(), OpenError> {
    let found = std::fs::metadata(dir).map_err(|cause| OpenError::io("stat", dir, cause))?;
    let refuse = |what: String| Err(OpenError::new(OpenCode::StorePermissions, what));
    if !found.is_dir() {
        return refuse(format!("{} is no folder", dir.display()));
    }
    let us = rustix::process::geteuid().as_raw();
    if found.uid() != us {
        return refuse(format!(
            "{} belongs to uid {}, and this is uid {us}",
            dir.display(),
            found.uid()
        ));
    }
    let mode = found.mode() & 0o7777;
    if mode & 0o077 != 0 {
        return refuse(format!("{} has mode {mode:04o}, open to others", dir.display()));
    }
    Ok(())
}

/// The file system under `dir` keeps what it is told to keep.
pub(crate) fn check_durable(dir: &Path, allow_volatile: bool) -> Result<(), OpenError> {
    if allow_volatile {
        return Ok(());
    }
    let found = rustix::fs::statfs(dir)
        .map_err(|cause| OpenError::io("find the file system of", dir, cause.into()))?;
    judge(magic(i128::from(found.f_type)))
        .map_err(|kind| OpenError::new(OpenCode::StoreVolatile, format!("{} is on {kind}", dir.display())))
}

/// `f_type` is signed on some machines: the same 32 bits either way.
fn magic(f_type: i128) -> u64 {
    u64::try_from(f_type & 0xffff_ffff).unwrap_or(u64::MAX)
}

/// Durable or the name of what is not.
fn judge(magic: u64) -> Result<(), String> {
    match (name_of(DURABLE, magic), name_of(VOLATILE, magic)) {
        (Some(_), _) => Ok(()),
        (None, Some(kind)) => Err(kind.to_owned()),
        (None, None) => Err(format!("an unknown file system (statfs type {magic:#x})")),
    }
}

fn name_of(list: &[(u64, &'static str)], magic: u64) -> Option<&'static str> {
    list.iter()
        .find(|(known, _)| *known == magic)
        .map(|(_, name)| *name)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn what_is_not_known_to_be_durable_is_refused() {
        assert!(judge(0xef53).is_ok());
        assert_eq!(judge(0x0102_1994).unwrap_err(), "tmpfs");
        assert_eq!(judge(0x6969).unwrap_err(), "nfs");
        assert!(judge(0xdead).unwrap_err().contains("0xdead"));
        assert_eq!(magic(i128::from(0xff53_4d42_u32 as i32)), 0xff53_4d42);
        if let Ok(found) = rustix::fs::statfs("/dev/shm")
            && magic(i128::from(found.f_type)) == 0x0102_1994
        {
            let refused = check_durable(Path::new("/dev/shm"), false).unwrap_err();
            assert_eq!(refused.code, OpenCode::StoreVolatile);
            assert!(check_durable(Path::new("/dev/shm"), true).is_ok());
        }
    }

    #[test]
    fn a_folder_that_others_can_enter_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let at = |mode| std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(mode)).unwrap();
        at(0o700);
        check_private(dir.path()).unwrap();
        for mode in [0o710, 0o701, 0o750, 0o777] {
            at(mode);
            assert_eq!(
                check_private(dir.path()).unwrap_err().code,
                OpenCode::StorePermissions
            );
        }
    }
}
