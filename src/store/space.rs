//! Free space: how much there is, and what that means. The daemon watches it once a second, the store before each commit.
//!
//! ```text
//! plenty │ low: not ready, the log is folded often │ tight: no signatures, acts only │ full: nothing is written
//!        low_space                            reserve / 2                      reserve / 4
//! ```
//!
//! A vote that is refused for want of space has no unknown outcome: nothing was written, the position is given back, and the
//! next vote after somebody made room is signed. A write that the disk refuses half-way is another matter, and stops the store.
//!
//! *Invariant:* judging is a pure function of two numbers and the settings; less free space is never a better [`Room`].

use std::fmt;
use std::io;
use std::path::Path;

/// One MiB.
pub const MIB: u64 = 1 << 20;
/// What one batch may write at the most before it is folded: some pages of the log.
const BATCH: u64 = 32 << 10;
/// Below this a share of a small file system is of no use.
const LEAST: u64 = MIB;

/// The settings, in bytes, for file systems that are large enough for them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SpaceLimits {
    /// Less free space than this is low. At most a fifth of the file system.
    pub low: u64,
    /// How long the file `reserve` is. At most a sixteenth of the file system.
    pub reserve: u64,
}

impl Default for SpaceLimits {
    fn default() -> Self {
        Self {
            low: 256 * MIB,
            reserve: 16 * MIB,
        }
    }
}

/// A file system's size and what an unprivileged user may still write to it, in bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Space {
    /// All of it. 0 where the file system knows no bound.
    pub total: u64,
    /// What is free.
    pub free: u64,
}

/// What free space allows. Ordered: more is better.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Room {
    /// Nothing is written any more.
    Full,
    /// An operator's acts are still recorded (stopping, exporting); no signature is.
    Tight,
    /// Everything works, and somebody should make room.
    Low,
    /// All is well.
    Plenty,
}

impl Space {
    /// The file system under `path`, which must exist.
    pub fn of(path: &Path) -> io::Result<Self> {
        let found = rustix::fs::statvfs(path)?;
        let unit = if found.f_frsize == 0 {
            found.f_bsize
        } else {
            found.f_frsize
        };
        Ok(Self {
            total: found.f_blocks.saturating_mul(unit),
            free: found.f_bavail.saturating_mul(unit),
        })
    }

    /// The settings, scaled to this file system.
    pub const fn limits(self, limits: SpaceLimits) -> SpaceLimits {
        if self.total == 0 {
            return limits;
        }
        SpaceLimits {
            low: least(limits.low, most(self.total / 5, LEAST)),
            reserve: least(limits.reserve, most(self.total / 16, LEAST)),
        }
    }

    /// What may be done, `batches` commits being asked for at once.
    pub fn room(self, limits: SpaceLimits, batches: usize) -> Room {
        // Without a bound there is no end: a tmpfs with size=0.
        if self.total == 0 {
            return Room::Plenty;
        }
        let scaled = self.limits(limits);
        let batches = u64::try_from(batches).unwrap_or(u64::MAX);
        let left = self.free.saturating_sub(batches.saturating_mul(BATCH));
        if left < scaled.reserve / 4 {
            Room::Full
        } else if left < scaled.reserve / 2 {
            Room::Tight
        } else if left < scaled.low {
            Room::Low
        } else {
            Room::Plenty
        }
    }

    /// Whether it is time to fold the log early: before what it holds makes the space low.
    pub const fn is_dear(self, limits: SpaceLimits) -> bool {
        self.total != 0 && self.free < self.limits(limits).low.saturating_mul(2)
    }
}

impl fmt::Display for Space {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (free, total) = (self.free / 1024, self.total / 1024);
        write!(f, "{free} KiB of {total} KiB free")
    }
}

const fn least(a: u64, b: u64) -> u64 {
    if a < b { a } else { b }
}

const fn most(a: u64, b: u64) -> u64 {
    if a > b { a } else { b }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    const fn space(total: u64, free: u64) -> Space {
        Space { total, free }
    }

    #[test]
    fn a_large_disk_is_judged_by_the_settings_as_they_stand() {
        let limits = SpaceLimits::default();
        let room = |free| space(1 << 40, free).room(limits, 0);
        assert_eq!(room(256 * MIB), Room::Plenty);
        assert_eq!(room(256 * MIB - 1), Room::Low);
        assert_eq!(room(8 * MIB), Room::Low);
        assert_eq!(room(8 * MIB - 1), Room::Tight);
        assert_eq!(room(4 * MIB - 1), Room::Full);
        assert_eq!(room(0), Room::Full);
    }

    #[test]
    fn a_small_disk_by_its_share() {
        let small = space(20 * MIB, 20 * MIB).limits(SpaceLimits::default());
        assert_eq!(
            small,
            SpaceLimits {
                low: 4 * MIB,
                reserve: 20 * MIB / 16
            }
        );
        // Of next to nothing, everything is needed.
        let tiny = space(3 * MIB, 3 * MIB).limits(SpaceLimits::default());
        assert_eq!((tiny.low, tiny.reserve), (MIB, MIB));
    }

    #[test]
    fn less_is_never_better_and_order_holds_for_every_size() {
        for total in [1, MIB, 20 * MIB, 100 * MIB, 1 << 30, 1 << 40] {
            for batches in [0, 1, 512] {
                let step = (total / 997).max(1);
                let mut last = Room::Full;
                let mut free = 0;
                while free <= total {
                    let room = space(total, free).room(SpaceLimits::default(), batches);
                    assert!(room >= last, "{total} {free}");
                    last = room;
                    free += step;
                }
            }
        }
    }

    #[test]
    fn low_comes_before_tight_whatever_the_settings() {
        for (low, reserve) in [(0, 0), (1, 1 << 40), (1 << 40, 1)] {
            let limits = SpaceLimits { low, reserve };
            let room = |free| space(1 << 40, free).room(limits, 0);
            assert!(room(1 << 40) >= Room::Low);
            assert!(room(0) <= Room::Low || reserve < 4);
        }
    }

    #[test]
    fn a_file_system_without_bounds_never_runs_low() {
        assert_eq!(space(0, 0).room(SpaceLimits::default(), 512), Room::Plenty);
        assert!(!space(0, 0).is_dear(SpaceLimits::default()));
    }

    #[test]
    fn it_reads_the_file_system() {
        let found = Space::of(Path::new(env!("CARGO_MANIFEST_DIR"))).unwrap();
        assert!(found.total == 0 || found.free <= found.total);
        assert!(Space::of(Path::new("/nowhere/at/all")).is_err());
    }
}
