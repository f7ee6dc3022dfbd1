//! Memory: whether secrets can be locked, here and in the daemon; whether they could reach a dump, a swap or a debugger.

use rustix::process::{Resource, getrlimit};

use super::finding::{Check, Finding};
use crate::app::LOCKED_BYTES_KEYS;

/// What the kernel says of the daemon's process.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct DaemonMemory {
    /// `VmLck` of `/proc/PID/status`, in bytes.
    pub(super) locked: Option<u64>,
    /// The soft limit of core files; `None` when unlimited or unknown.
    pub(super) core_limit: Option<u64>,
}

/// What was gathered.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Facts {
    /// `RLIMIT_MEMLOCK` of this process; `None` when unlimited.
    pub(super) limit: Option<u64>,
    /// What the arena of secrets takes.
    pub(super) needed: u64,
    /// Whether it could be locked just now, in this process.
    pub(super) lock: Result<(), String>,
    /// `keys.allow_unlocked_memory`.
    pub(super) unlocked_allowed: bool,
    pub(super) daemon: Option<DaemonMemory>,
    /// Whether any swap is on.
    pub(super) swap: Option<bool>,
    /// Yama's `ptrace_scope`, where there is one.
    pub(super) ptrace_scope: Option<u8>,
}

/// Locks as much memory as `serve` would, and lets it go.
pub(super) fn gather(unlocked_allowed: bool, daemon: Option<u32>) -> Facts {
    let (needed, lock) = crate::app::try_lock_memory();
    Facts {
        limit: getrlimit(Resource::Memlock).current,
        needed,
        lock,
        unlocked_allowed,
        daemon: daemon.map(daemon_memory),
        swap: read("/proc/swaps").map(|text| text.lines().count() > 1),
        ptrace_scope: read("/proc/sys/kernel/yama/ptrace_scope").and_then(|text| text.trim().parse().ok()),
    }
}

fn read(path: &str) -> Option<String> {
    std::fs::read_to_string(path).ok()
}

fn daemon_memory(pid: u32) -> DaemonMemory {
    let locked = read(&format!("/proc/{pid}/status")).and_then(|text| locked_bytes(&text));
    let core_limit = read(&format!("/proc/{pid}/limits")).and_then(|text| core_limit(&text));
    DaemonMemory { locked, core_limit }
}

/// `VmLck` (proc_pid_status(5)).
fn locked_bytes(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmLck:"))?;
    line.trim()
        .strip_suffix("kB")?
        .trim()
        .parse::<u64>()
        .ok()?
        .checked_mul(1024)
}

/// The soft limit (proc_pid_limits(5)).
fn core_limit(limits: &str) -> Option<u64> {
    let line = limits
        .lines()
        .find_map(|line| line.strip_prefix("Max core file size"))?;
    line.split_whitespace().next()?.parse().ok()
}

/// Judges.
pub(super) fn judge(facts: &Facts) -> Vec<Finding> {
    let mut found = vec![lock(facts)];
    if let Some(daemon) = &facts.daemon {
        found.extend(of_daemon(daemon, facts));
    }
    if let Some(swap) = facts.swap {
        found.push(match (swap, facts.lock.is_ok()) {
            (false, _) => Finding::ok(Check::MemorySwap, "no swap is on"),
            (true, true) => Finding::note(
                Check::MemorySwap,
                "swap is on; secrets are in locked memory and do not reach it",
            ),
            (true, false) => Finding::warning(
                Check::MemorySwap,
                "swap is on, and secrets could reach it",
                "let memory be locked (see memory.lock), or swapoff -a",
            ),
        });
    }
    match facts.ptrace_scope {
        Some(0) => found.push(
            Finding::note(
                Check::MemoryPtrace,
                "any process of a user may trace the user's others (yama.ptrace_scope = 0); `serve` forbids it for itself",
            )
            .remedy("sysctl -w kernel.yama.ptrace_scope=1"),
        ),
        Some(scope) => found.push(Finding::ok(Check::MemoryPtrace, format!("yama.ptrace_scope = {scope}"))),
        None => {}
    }
    found
}

fn lock(facts: &Facts) -> Finding {
    let limit = facts.limit.map_or_else(|| "unlimited".to_owned(), super::bytes);
    let needed = super::bytes(facts.needed);
    match &facts.lock {
        Ok(()) => Finding::ok(
            Check::MemoryLock,
            format!("{needed} for secrets ({LOCKED_BYTES_KEYS} keys) can be locked; the limit is {limit}"),
        ),
        Err(why) => {
            let fact = format!("{needed} for secrets cannot be locked ({why}); RLIMIT_MEMLOCK is {limit}");
            let remedy = format!(
                "LimitMEMLOCK={} in the systemd unit, or `ulimit -l {}` in the shell that starts it",
                facts.needed,
                facts.needed.div_ceil(1024)
            );
            if facts.unlocked_allowed {
                Finding::warning(
                    Check::MemoryLock,
                    fact + "; keys.allow_unlocked_memory accepts it",
                    remedy,
                )
            } else {
                Finding::failure(Check::MemoryLock, fact, remedy)
            }
        }
    }
}

fn of_daemon(daemon: &DaemonMemory, facts: &Facts) -> Vec<Finding> {
    let mut found = Vec::new();
    match daemon.locked {
        Some(locked) if locked >= facts.needed => found.push(Finding::ok(
            Check::MemoryDaemon,
            format!("the running daemon has locked {}", super::bytes(locked)),
        )),
        Some(locked) => found.push(Finding::warning(
            Check::MemoryDaemon,
            format!(
                "the running daemon has locked {} of the {} that secrets take: they may reach the swap",
                super::bytes(locked),
                super::bytes(facts.needed)
            ),
            "raise its LimitMEMLOCK, remove keys.allow_unlocked_memory, and restart it",
        )),
        None => found.push(Finding::note(
            Check::MemoryDaemon,
            "this user cannot see how much memory the daemon has locked",
        )),
    }
    match daemon.core_limit {
        Some(0) => found.push(Finding::ok(
            Check::MemoryDumps,
            "the running daemon writes no core dumps",
        )),
        Some(limit) => found.push(Finding::warning(
            Check::MemoryDumps,
            format!(
                "the running daemon could write a core dump of {}",
                super::bytes(limit)
            ),
            "restart it: `serve` forbids core dumps as it starts",
        )),
        None => {}
    }
    found
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::finding::Status::{self, Failure, Note, Ok as Good, Warning};
    use super::*;

    fn good() -> Facts {
        Facts {
            limit: Some(8 << 20),
            needed: 1 << 20,
            lock: Ok(()),
            unlocked_allowed: false,
            daemon: None,
            swap: Some(false),
            ptrace_scope: Some(1),
        }
    }

    fn status(facts: &Facts, check: Check) -> Option<Status> {
        judge(facts).iter().find(|f| f.check == check).map(|f| f.status)
    }

    #[test]
    fn each_fact_has_its_verdict() {
        let refused = || Err("mlock".to_owned());
        let daemon = |locked, core_limit| Some(DaemonMemory { locked, core_limit });
        for (facts, check, verdict) in [
            (good(), Check::MemoryLock, Some(Good)),
            (
                Facts {
                    lock: refused(),
                    ..good()
                },
                Check::MemoryLock,
                Some(Failure),
            ),
            (
                Facts {
                    lock: refused(),
                    unlocked_allowed: true,
                    ..good()
                },
                Check::MemoryLock,
                Some(Warning),
            ),
            (
                Facts {
                    swap: Some(true),
                    ..good()
                },
                Check::MemorySwap,
                Some(Note),
            ),
            (
                Facts {
                    swap: Some(true),
                    lock: refused(),
                    ..good()
                },
                Check::MemorySwap,
                Some(Warning),
            ),
            (Facts { swap: None, ..good() }, Check::MemorySwap, None),
            (
                Facts {
                    ptrace_scope: Some(0),
                    ..good()
                },
                Check::MemoryPtrace,
                Some(Note),
            ),
            (
                Facts {
                    ptrace_scope: None,
                    ..good()
                },
                Check::MemoryPtrace,
                None,
            ),
            (good(), Check::MemoryDaemon, None),
            (
                Facts {
                    daemon: daemon(Some(2 << 20), Some(0)),
                    ..good()
                },
                Check::MemoryDaemon,
                Some(Good),
            ),
            (
                Facts {
                    daemon: daemon(Some(0), Some(0)),
                    ..good()
                },
                Check::MemoryDaemon,
                Some(Warning),
            ),
            (
                Facts {
                    daemon: daemon(None, None),
                    ..good()
                },
                Check::MemoryDaemon,
                Some(Note),
            ),
            (
                Facts {
                    daemon: daemon(None, Some(0)),
                    ..good()
                },
                Check::MemoryDumps,
                Some(Good),
            ),
            (
                Facts {
                    daemon: daemon(None, Some(9)),
                    ..good()
                },
                Check::MemoryDumps,
                Some(Warning),
            ),
        ] {
            assert_eq!(status(&facts, check), verdict, "{check}: {facts:?}");
        }
    }

    #[test]
    fn the_kernels_texts_are_read() {
        assert_eq!(
            locked_bytes("VmPeak:\t 1 kB\nVmLck:\t    1064 kB\n"),
            Some(1064 * 1024)
        );
        assert_eq!(locked_bytes("VmLck: x"), None);
        let limits = "Limit  Soft  Hard  Units\nMax core file size        0                    unlimited            bytes\n";
        assert_eq!(core_limit(limits), Some(0));
        assert_eq!(core_limit("Max core file size unlimited unlimited bytes"), None);
    }
}
