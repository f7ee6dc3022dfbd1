//! A file that somebody named: read only if it is one with an end, and no other that this process has open.
//!
//! *Invariants:* nothing is opened that is no regular file (a device does things when it is opened, a pipe waits); nothing is opened that
//! sigward has open already: closing it would give up its POSIX locks, the database's too (fcntl(2), "Advisory record locking"); every
//! path that is not read is refused in the same words, so that nobody learns from them what there is.

use std::fs::{File, Metadata, OpenOptions};
use std::io::{self, BufReader, Read as _, Take};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::Path;

use rustix::fs::OFlags;
use sigward_policies::decision::{Refusal, RefusalCode};

/// The most bytes of such a file: two and a half million checkpoints, one a minute for five years.
const MOST: u64 = 1 << 30;

/// Opens `path`; what is appended from now on is not read.
pub(super) fn open(path: &Path) -> Result<BufReader<Take<File>>, Refusal> {
    opened(path).map_err(|cause| {
        tracing::info!("an anchor is not read: {}: {cause}", path.display());
        Refusal::new(
            RefusalCode::AnchorRefused,
            format!(
                "{} is not read: an anchor is a regular file of at most 1 GiB that the user can read as whom sigward runs, and none that it has open itself",
                path.display()
            ),
        )
    })
}

fn opened(path: &Path) -> io::Result<BufReader<Take<File>>> {
    fit(&std::fs::metadata(path)?)?;
    let flags = OFlags::NONBLOCK | OFlags::NOCTTY;
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(i32::from_ne_bytes(flags.bits().to_ne_bytes()))
        .open(path)?;
    // It may be another one by now.
    let metadata = file.metadata()?;
    let length = metadata.len();
    if !metadata.is_file() || length > MOST {
        return Err(io::Error::other("it was replaced meanwhile"));
    }
    Ok(BufReader::new(file.take(length)))
}

fn fit(metadata: &Metadata) -> io::Result<()> {
    if !metadata.is_file() {
        return Err(io::Error::other("it is no regular file"));
    }
    if metadata.len() > MOST {
        return Err(io::Error::other("it is too large"));
    }
    let same = |own: &Metadata| (own.dev(), own.ino()) == (metadata.dev(), metadata.ino());
    // What this process has open, by the kernel's word (proc(5), /proc/pid/fd). One that was closed meanwhile is not there.
    for own in std::fs::read_dir("/proc/self/fd")? {
        if std::fs::metadata(own?.path()).is_ok_and(|own| same(&own)) {
            return Err(io::Error::other("sigward has it open"));
        }
    }
    Ok(())
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use rustix::fs::{CWD, FileType, Mode, mknodat};

    use super::*;

    #[test]
    fn nothing_is_read_that_is_no_file_with_an_end_or_that_is_open_here() {
        let tmp = tempfile::tempdir().unwrap();
        let at = |name: &str| tmp.path().join(name);
        std::fs::write(at("anchor"), "line\n").unwrap();
        std::os::unix::fs::symlink(at("anchor"), at("link")).unwrap();
        for good in ["anchor", "link"] {
            let mut text = String::new();
            open(&at(good)).unwrap().read_to_string(&mut text).unwrap();
            assert_eq!(text, "line\n");
        }
        // What comes later is not read.
        let mut early = open(&at("anchor")).unwrap();
        std::fs::write(at("anchor"), "line\nand more\n").unwrap();
        let mut text = String::new();
        early.read_to_string(&mut text).unwrap();
        assert_eq!(text, "line\n");
        drop(early);

        // Opening it would wait for somebody who writes.
        mknodat(CWD, at("pipe"), FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
        File::create(at("large")).unwrap().set_len(MOST + 1).unwrap();
        let _own = File::open(at("anchor")).unwrap();
        std::fs::hard_link(at("anchor"), at("hard")).unwrap();
        let refused = |path: &Path| {
            let refusal = open(path).unwrap_err();
            assert_eq!(refusal.code, RefusalCode::AnchorRefused);
            refusal.message.replace(&path.display().to_string(), "PATH")
        };
        let words = refused(&at("nowhere"));
        for bad in ["pipe", "large", "anchor", "hard", "link", ""] {
            assert_eq!(refused(&at(bad)), words, "{bad}");
        }
        assert_eq!(refused(Path::new("/dev/zero")), words);
    }
}
