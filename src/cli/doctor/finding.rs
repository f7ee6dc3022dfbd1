//! What a check says: its stable name, how bad it is, the measured fact, and what to do. May import nothing.
//!
//! *Invariant:* a finding names a check of the catalogue below, and docs/doctor.md has every one of them (a test compares).

use std::fmt;

/// How bad it is; ordered.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum Status {
    /// As it should be.
    Ok,
    /// Nothing wrong; worth knowing.
    Note,
    /// Works, and should not stay so.
    Warning,
    /// Does not work, or puts the stake at risk.
    Failure,
}

impl Status {
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Note => "note",
            Self::Warning => "warning",
            Self::Failure => "failure",
        }
    }
}

/// What one check found about one thing.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Finding {
    pub(super) check: Check,
    /// The chain, node or file that it is about; empty when there is one only.
    pub(super) about: String,
    pub(super) status: Status,
    /// What was measured, in a sentence.
    pub(super) fact: String,
    /// What to do about it, as a command where one does it.
    pub(super) remedy: Option<String>,
}

impl Finding {
    pub(super) fn ok(check: Check, fact: impl Into<String>) -> Self {
        Self::of(check, Status::Ok, fact)
    }

    pub(super) fn note(check: Check, fact: impl Into<String>) -> Self {
        Self::of(check, Status::Note, fact)
    }

    pub(super) fn warning(check: Check, fact: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self::of(check, Status::Warning, fact).remedy(remedy)
    }

    pub(super) fn failure(check: Check, fact: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self::of(check, Status::Failure, fact).remedy(remedy)
    }

    /// The same, no worse than that.
    pub(super) fn at_most(mut self, status: Status) -> Self {
        self.status = self.status.min(status);
        self
    }

    pub(super) fn about(mut self, about: impl Into<String>) -> Self {
        self.about = about.into();
        self
    }

    pub(super) fn remedy(mut self, remedy: impl Into<String>) -> Self {
        self.remedy = Some(remedy.into()).filter(|remedy| !remedy.trim().is_empty());
        self
    }

    fn of(check: Check, status: Status, fact: impl Into<String>) -> Self {
        Self {
            check,
            about: String::new(),
            status,
            fact: fact.into(),
            remedy: None,
        }
    }
}

macro_rules! checks {
    ($($name:ident = $text:literal,)*) => {
        /// Every check, by its stable name.
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
        pub(super) enum Check { $(#[doc = $text] $name,)* }

        impl Check {
            /// All of them, in the order of the screen.
            #[cfg(test)]
            pub(super) const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// The name, as scripts see it.
            pub(super) const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }
        }
    };
}

checks! {
    ConfigValid = "config.valid",
    ConfigRisk = "config.risk",
    ConfigInForce = "config.in_force",
    ConfigPolicy = "config.policy",
    ConfigTraces = "config.traces",
    FilesUser = "files.user",
    FilesHome = "files.home",
    FilesConfig = "files.config",
    FilesSeal = "files.seal",
    FilesIdentity = "files.identity",
    FilesKeys = "files.keys",
    FilesSealed = "files.sealed",
    FilesStore = "files.store",
    FilesWitness = "files.witness",
    FilesAdminSocket = "files.admin_socket",
    ListenFiles = "listen.files",
    ListenEnds = "listen.ends",
    ListenClients = "listen.clients",
    ListenAddress = "listen.address",
    ListenIssuers = "listen.issuers",
    MemoryLock = "memory.lock",
    MemoryDaemon = "memory.daemon",
    MemoryDumps = "memory.dumps",
    MemorySwap = "memory.swap",
    MemoryPtrace = "memory.ptrace",
    DiskKind = "disk.kind",
    DiskSpace = "disk.space",
    DiskInodes = "disk.inodes",
    DiskFsync = "disk.fsync",
    DiskWitness = "disk.witness",
    ClockSynchronised = "clock.synchronised",
    ClockBackwards = "clock.backwards",
    ClockSkew = "clock.skew",
    DaemonRunning = "daemon.running",
    DaemonVersion = "daemon.version",
    DaemonReady = "daemon.ready",
    DaemonService = "daemon.service",
    OthersSigward = "others.sigward",
    OthersSigner = "others.signer",
    KeysSeal = "keys.seal",
    KeysIdentity = "keys.identity",
    KeysSealed = "keys.sealed",
    KeysKnown = "keys.known",
    KeysToken = "keys.token",
    StateOpens = "state.opens",
    StateRow = "state.row",
    NodeLink = "node.link",
    NodeReachable = "node.reachable",
    NodeConnected = "node.connected",
    NodeOtherSigner = "node.other_signer",
    ChainRpc = "chain.rpc",
    ChainId = "chain.id",
    ChainVersion = "chain.version",
    ChainSyncing = "chain.syncing",
    ChainKey = "chain.key",
    ChainValidator = "chain.validator",
    ChainOtherSigner = "chain.other_signer",
    ChainWatermark = "chain.watermark",
}

impl Check {
    /// The part before the dot.
    pub(super) fn group(self) -> &'static str {
        self.as_str().split('.').next().unwrap_or_default()
    }
}

impl fmt::Display for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn the_page_lists_every_check_and_no_other() {
        let page = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/doctor.md"));
        let mut listed: Vec<&str> = page
            .lines()
            .filter_map(|line| line.strip_prefix("| `")?.split('`').next())
            .collect();
        let mut known: Vec<&str> = Check::ALL.iter().map(|check| check.as_str()).collect();
        listed.sort_unstable();
        known.sort_unstable();
        assert_eq!(listed, known);
    }

    #[test]
    fn checks_stand_together_by_group() {
        let mut groups: Vec<&str> = Check::ALL.iter().map(|check| check.group()).collect();
        groups.dedup();
        let distinct: std::collections::BTreeSet<&str> = groups.iter().copied().collect();
        assert_eq!(groups.len(), distinct.len(), "{groups:?}");
    }
}
