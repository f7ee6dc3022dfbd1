//! The disk of the sign state: its file system, its room, and how long a sync takes. Every signature waits for one.
//!
//! The syncs go to a file without a name (`O_TMPFILE`): whatever happens to this process, nothing stays behind. Beside a running
//! daemon they are few and far between, so that none of its own waits long behind one of ours.

mod shown;

use std::fs::File;
use std::io;
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::fs::{CWD, Mode, OFlags, openat};

use super::finding::{Check, Finding};
use crate::config::StoreConfig;
use crate::store::{FileSystem, file_system};
pub(super) use shown::show_and_gather;

/// Syncs without a daemon, and beside one.
const SYNCS: (u32, u32) = (200, 50);
/// Pause between two syncs beside a daemon.
const PAUSE: Duration = Duration::from_millis(10);
/// A disk that is slow beyond use is not measured to the end.
const LIMIT: Duration = Duration::from_secs(4);

const SLOW: Duration = Duration::from_millis(10);
/// A vote that waits this long is late on chains of a second's blocks.
const TOO_SLOW: Duration = Duration::from_millis(200);

const LOW: u64 = 1 << 30;
const OUT: u64 = 64 << 20;
const FEW_INODES: u64 = 1000;

/// How long syncs took.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Syncs {
    pub(super) count: usize,
    pub(super) p50: Duration,
    pub(super) p99: Duration,
}

/// One place that the state is on.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Place {
    pub(super) path: PathBuf,
    pub(super) kind: Result<FileSystem, String>,
    /// Bytes free to this user.
    pub(super) free: Option<u64>,
    /// Inodes free and in all; file systems without a fixed number have none.
    pub(super) inodes: Option<(u64, u64)>,
    pub(super) syncs: Result<Syncs, String>,
}

/// What was gathered.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Facts {
    /// The state's folder; and the witness's where that is on another file system.
    pub(super) places: Vec<Place>,
    pub(super) witness_apart: bool,
    pub(super) allow_volatile: bool,
}

/// Looks, and measures; `tick` is told how far it is, from 0 to 1.
fn gather(store: &StoreConfig, daemon: bool, tick: &dyn Fn(f64)) -> Facts {
    let witness_folder = store.witness.parent().unwrap_or(&store.dir);
    let device = |path: &Path| std::fs::metadata(path).map(|about| about.dev()).ok();
    let witness_apart = device(witness_folder) != device(&store.dir);
    let mut places = vec![place(&store.dir, daemon, tick)];
    if witness_apart {
        places.push(place(witness_folder, daemon, tick));
    }
    Facts {
        places,
        witness_apart,
        allow_volatile: store.allow_volatile,
    }
}

fn place(path: &Path, daemon: bool, tick: &dyn Fn(f64)) -> Place {
    let room = rustix::fs::statvfs(path).ok();
    Place {
        kind: file_system(path).map_err(|error| error.to_string()),
        free: room
            .as_ref()
            .map(|room| room.f_bavail.saturating_mul(room.f_frsize)),
        inodes: room
            .as_ref()
            .filter(|room| room.f_files > 0)
            .map(|room| (room.f_favail, room.f_files)),
        syncs: measure(path, daemon, tick).map_err(|error| error.to_string()),
        path: path.to_owned(),
    }
}

/// Overwrites a page of a file that has its blocks already and syncs it, as the witness is written.
fn measure(folder: &Path, daemon: bool, tick: &dyn Fn(f64)) -> io::Result<Syncs> {
    let file: File = openat(
        CWD,
        folder,
        OFlags::TMPFILE | OFlags::RDWR | OFlags::CLOEXEC,
        Mode::RUSR | Mode::WUSR,
    )?
    .into();
    let page = [0_u8; 4096];
    for at in 0..16 {
        file.write_all_at(&page, at * 4096)?;
    }
    file.sync_all()?;
    let syncs = if daemon { SYNCS.1 } else { SYNCS.0 };
    let (began, mut times) = (Instant::now(), Vec::new());
    for round in 0..syncs {
        let start = Instant::now();
        file.write_all_at(&page, u64::from(round % 16) * 4096)?;
        file.sync_data()?;
        times.push(start.elapsed());
        tick(f64::from(round + 1) / f64::from(syncs));
        if began.elapsed() > LIMIT {
            break;
        }
        if daemon {
            std::thread::sleep(PAUSE);
        }
    }
    times.sort_unstable();
    let at = |part: usize| {
        let index = (times.len() * part / 100).min(times.len().saturating_sub(1));
        times.get(index).copied().unwrap_or_default()
    };
    Ok(Syncs {
        count: times.len(),
        p50: at(50),
        p99: at(99),
    })
}

/// Judges.
pub(super) fn judge(facts: &Facts) -> Vec<Finding> {
    let mut found: Vec<Finding> = facts
        .places
        .iter()
        .flat_map(|place| {
            let about = place.path.display().to_string();
            judge_place(place, facts.allow_volatile)
                .into_iter()
                .map(move |finding| finding.about(about.clone()))
        })
        .collect();
    found.push(if facts.witness_apart {
        Finding::ok(Check::DiskWitness, "the witness is on a file system of its own")
    } else {
        Finding::note(
            Check::DiskWitness,
            "the witness is on the state's own file system: a snapshot of that one, put back, takes both back and nobody notices",
        )
        .remedy("another disk is better: `witness = \"/other/disk/sigward/witness\"` under [store]; docs/operating.md says how to move it")
    });
    found
}

fn judge_place(place: &Place, allow_volatile: bool) -> Vec<Finding> {
    let mut found = vec![match &place.kind {
        Ok(FileSystem { name, durable: true }) => Finding::ok(Check::DiskKind, name.clone()),
        Ok(FileSystem { name, .. }) => {
            let fact = format!(
                "{name} may forget what it was told to keep, and a state that forgets is a double sign"
            );
            let remedy = "put store.dir on a local ext4, xfs, btrfs or zfs; in a container, on a volume";
            if allow_volatile {
                Finding::warning(
                    Check::DiskKind,
                    fact + "; store.allow_volatile accepts it",
                    remedy,
                )
            } else {
                Finding::failure(Check::DiskKind, fact, remedy)
            }
        }
        Err(why) => Finding::failure(
            Check::DiskKind,
            format!("cannot be asked: {why}"),
            "see that the folder exists and can be entered",
        ),
    }];
    if let Some(free) = place.free {
        let fact = format!("{} free", super::bytes(free));
        let remedy = "make room: the store grows by a few hundred bytes for each signature, and a full disk signs nothing";
        found.push(match free {
            free if free < OUT => Finding::failure(Check::DiskSpace, fact, remedy),
            free if free < LOW => Finding::warning(Check::DiskSpace, fact, remedy),
            _ => Finding::ok(Check::DiskSpace, fact),
        });
    }
    if let Some((free, all)) = place.inodes {
        let fact = format!("{free} of {all} inodes free");
        found.push(if free < FEW_INODES {
            Finding::warning(
                Check::DiskInodes,
                fact,
                "remove files: without a free inode no log file and no segment can be made",
            )
        } else {
            Finding::ok(Check::DiskInodes, fact)
        });
    }
    found.push(match &place.syncs {
        Ok(syncs) => {
            let ms = |time: Duration| format!("{:.2} ms", time.as_secs_f64() * 1000.0);
            let fact = format!("{} syncs: p50 {}, p99 {}", syncs.count, ms(syncs.p50), ms(syncs.p99));
            let remedy = "each signature waits for one sync: use an NVMe disk with power-loss protection, and keep other writers off it";
            if syncs.p99 >= TOO_SLOW {
                Finding::failure(Check::DiskFsync, fact, remedy)
            } else if syncs.p99 >= SLOW || syncs.p50 >= SLOW {
                Finding::warning(Check::DiskFsync, fact, remedy)
            } else {
                Finding::ok(Check::DiskFsync, fact)
            }
        }
        Err(why) => Finding::warning(
            Check::DiskFsync,
            format!("could not be measured: {why}"),
            "see that this user may write to the folder: ls -ld it, and df",
        ),
    });
    found
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::finding::Status::{self, Failure, Note, Ok as Good, Warning};
    use super::*;

    fn good() -> Place {
        Place {
            path: "/state".into(),
            kind: Ok(FileSystem {
                name: "xfs".into(),
                durable: true,
            }),
            free: Some(9 << 30),
            inodes: Some((100_000, 200_000)),
            syncs: syncs(1, 2),
        }
    }

    fn syncs(p50: u64, p99: u64) -> Result<Syncs, String> {
        Ok(Syncs {
            count: 200,
            p50: Duration::from_millis(p50),
            p99: Duration::from_millis(p99),
        })
    }

    #[test]
    fn each_fact_has_its_verdict() {
        let tmpfs = || {
            Ok(FileSystem {
                name: "tmpfs".into(),
                durable: false,
            })
        };
        let no = || "no".to_owned();
        let table: Vec<(Place, bool, Check, Option<Status>)> = vec![
            (good(), false, Check::DiskKind, Some(Good)),
            (
                Place {
                    kind: tmpfs(),
                    ..good()
                },
                false,
                Check::DiskKind,
                Some(Failure),
            ),
            (
                Place {
                    kind: tmpfs(),
                    ..good()
                },
                true,
                Check::DiskKind,
                Some(Warning),
            ),
            (
                Place {
                    kind: Err(no()),
                    ..good()
                },
                false,
                Check::DiskKind,
                Some(Failure),
            ),
            (
                Place {
                    free: Some(OUT - 1),
                    ..good()
                },
                false,
                Check::DiskSpace,
                Some(Failure),
            ),
            (
                Place {
                    free: Some(OUT),
                    ..good()
                },
                false,
                Check::DiskSpace,
                Some(Warning),
            ),
            (
                Place {
                    free: Some(LOW),
                    ..good()
                },
                false,
                Check::DiskSpace,
                Some(Good),
            ),
            (Place { free: None, ..good() }, false, Check::DiskSpace, None),
            (
                Place {
                    inodes: Some((3, 9)),
                    ..good()
                },
                false,
                Check::DiskInodes,
                Some(Warning),
            ),
            (
                Place {
                    inodes: None,
                    ..good()
                },
                false,
                Check::DiskInodes,
                None,
            ),
            (
                Place {
                    syncs: syncs(1, 9),
                    ..good()
                },
                false,
                Check::DiskFsync,
                Some(Good),
            ),
            (
                Place {
                    syncs: syncs(1, 10),
                    ..good()
                },
                false,
                Check::DiskFsync,
                Some(Warning),
            ),
            (
                Place {
                    syncs: syncs(20, 200),
                    ..good()
                },
                false,
                Check::DiskFsync,
                Some(Failure),
            ),
            (
                Place {
                    syncs: Err(no()),
                    ..good()
                },
                false,
                Check::DiskFsync,
                Some(Warning),
            ),
        ];
        for (place, allow_volatile, check, verdict) in table {
            let found = judge_place(&place, allow_volatile);
            let status = found.iter().find(|f| f.check == check).map(|f| f.status);
            assert_eq!(status, verdict, "{check}: {place:?}");
        }
        let of = |witness_apart| {
            let found = judge(&Facts {
                places: vec![good()],
                witness_apart,
                allow_volatile: false,
            });
            found
                .iter()
                .find(|f| f.check == Check::DiskWitness)
                .unwrap()
                .status
        };
        assert_eq!((of(true), of(false)), (Good, Note));
    }

    #[test]
    fn measuring_leaves_nothing_behind() {
        let folder = tempfile::tempdir().unwrap();
        let last = std::cell::Cell::new(0.0);
        if let Ok(syncs) = measure(folder.path(), true, &|part| last.set(part)) {
            assert!(syncs.p50 <= syncs.p99 && syncs.count > 0);
            assert!(last.get() > 0.0);
        }
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    }
}
