//! Who holds the lock of a state, by the kernel's word. Nothing is taken or tried for it: that, for however short, could keep a `serve` from
//! starting.

use std::fmt;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use sigward_policies::model::text::one_line;

use crate::store::{OpenCode, OpenError};

/// Most characters of a command line that are shown.
const SHOWN: usize = 80;

/// A process that holds the lock.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Holder {
    /// Which one.
    pub pid: u32,
    /// What it was started with, as far as this user may see it; its arguments are its own words.
    line: String,
}

impl Holder {
    /// Of the state in `folder`. None where nobody holds it, and where it is not to be seen from here: in another container, or on a file
    /// system whose devices the kernel names in two ways.
    pub fn of(folder: &Path) -> Option<Self> {
        let about = std::fs::metadata(folder.join("guard.lock")).ok()?;
        let device = (rustix::fs::major(about.dev()), rustix::fs::minor(about.dev()));
        let pid = holder(&std::fs::read_to_string("/proc/locks").ok()?, device, about.ino())?;
        let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        Some(Self {
            pid,
            line: command_line(&line),
        })
    }
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "process {}", self.pid)?;
        if !self.line.is_empty() {
            write!(f, " ({})", self.line)?;
        }
        Ok(())
    }
}

/// The same error; where it is that somebody else has the state in `folder`, with his name.
pub(super) fn named(mut error: OpenError, folder: &Path) -> OpenError {
    if error.code == OpenCode::StoreLocked
        && let Some(holder) = Holder::of(folder)
    {
        error.remedy = format!("{holder} has it: {}", error.remedy);
    }
    error
}

/// Reads `/proc/locks` (proc_locks(5)): `1: FLOCK ADVISORY WRITE 4711 fd:01:262147 0 EOF`.
fn holder(locks: &str, device: (u32, u32), inode: u64) -> Option<u32> {
    locks.lines().find_map(|line| {
        let words: Vec<&str> = line.split_whitespace().collect();
        // A waiter has `->` for its second word.
        let [_, "FLOCK", _, _, pid, place, ..] = words.as_slice() else {
            return None;
        };
        let mut parts = place.split(':');
        let major = u32::from_str_radix(parts.next()?, 16).ok()?;
        let minor = u32::from_str_radix(parts.next()?, 16).ok()?;
        let same = (major, minor) == device && parts.next()?.parse() == Ok(inode);
        pid.parse().ok().filter(|_| same)
    })
}

/// Reads `/proc/PID/cmdline` (proc_pid_cmdline(5)): arguments, each with a zero behind it.
fn command_line(bytes: &[u8]) -> String {
    let words: Vec<_> = bytes
        .split(|byte| *byte == 0)
        .filter(|word| !word.is_empty())
        .map(String::from_utf8_lossy)
        .collect();
    let line = one_line(&words.join(" "));
    match line.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}…", line.get(..end).unwrap_or_default()),
        None => line,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_lock_table_is_read() {
        let locks = "1: POSIX  ADVISORY  WRITE 7 08:01:77 0 EOF\n2: FLOCK  ADVISORY  WRITE 8 fd:01:77 0 EOF\n\
                     2: -> FLOCK  ADVISORY  WRITE 10 08:01:77 0 EOF\n3: FLOCK  ADVISORY  WRITE 9 08:01:77 0 EOF\nrubbish\n4: FLOCK x";
        assert_eq!(holder(locks, (8, 1), 77), Some(9));
        assert_eq!(holder(locks, (0xfd, 1), 77), Some(8));
        assert_eq!(holder(locks, (8, 1), 78), None);
    }

    #[test]
    fn a_command_line_is_one_line_and_short() {
        assert_eq!(command_line(b"sigward\0audit\0verify\0"), "sigward audit verify");
        assert_eq!(command_line(b""), "");
        let hostile = command_line(&[b"sigward\0--reason\0x\x1b[2J\n".as_slice(), &[b'y'; 200]].concat());
        assert!(
            hostile.chars().count() == SHOWN + 1 && !hostile.chars().any(char::is_control),
            "{hostile:?}"
        );
    }
}
