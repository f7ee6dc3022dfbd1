//! The clock: whether something keeps it, whether it went back, and how far it is from the chain's.
//!
//! sigward decides nothing by the clock but how far a height may jump; a chain takes the time of votes from the node.

use std::path::Path;

use super::finding::{Check, Finding};
use super::others::Process;

/// Programs that keep a clock.
const KEEPERS: &[&str] = &[
    "chronyd",
    "ntpd",
    "systemd-timesyncd",
    "systemd-timesyn",
    "ptp4l",
    "phc2sys",
    "openntpd",
];

/// The age that a block may have at least, in seconds: it is made by other machines' clocks.
const AHEAD: i64 = -2;
const FAR_AHEAD: i64 = -30;
/// Seconds without a block after which the chain stands, or we are ahead.
const OLD: i64 = 60;

/// The latest block of a node that does not catch up.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Block {
    pub(super) about: String,
    /// Seconds by which its time is behind ours; negative when ahead.
    pub(super) age: i64,
}

/// What was gathered.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Facts {
    /// systemd-timesyncd says that it has set the clock.
    pub(super) timesyncd: bool,
    /// Which keepers run.
    pub(super) keepers: Vec<String>,
    /// Now, by this machine, in Unix seconds.
    pub(super) now: i64,
    /// The latest time of a signature here.
    pub(super) last_signed: Option<i64>,
    pub(super) blocks: Vec<Block>,
}

/// Looks at what can be seen without asking anybody.
pub(super) fn gather(processes: &[Process], now: i64, last_signed: Option<i64>, blocks: Vec<Block>) -> Facts {
    let keepers = processes
        .iter()
        .filter(|process| KEEPERS.contains(&process.name.as_str()))
        .map(|process| process.name.clone())
        .collect();
    Facts {
        // timesyncd touches it at each synchronisation (systemd-timesyncd.service(8)).
        timesyncd: Path::new("/run/systemd/timesync/synchronized").exists(),
        keepers,
        now,
        last_signed,
        blocks,
    }
}

/// Judges.
pub(super) fn judge(facts: &Facts) -> Vec<Finding> {
    let mut found = vec![match (facts.timesyncd, facts.keepers.first()) {
        (true, _) => Finding::ok(Check::ClockSynchronised, "systemd-timesyncd has set the clock"),
        (false, Some(keeper)) => Finding::ok(Check::ClockSynchronised, format!("{keeper} keeps the clock"))
            .remedy("chronyc tracking, or ntpq -p, says how well"),
        (false, None) => Finding::note(
            Check::ClockSynchronised,
            "no program that keeps the clock is to be seen from here; in a container the host does it",
        )
        .remedy("timedatectl, on the host"),
    }];
    if let Some(last) = facts.last_signed {
        let back = last.saturating_sub(facts.now);
        found.push(if back > -AHEAD {
            Finding::warning(
                Check::ClockBackwards,
                format!("the last signature here was made {back} s in the future: the clock went back"),
                "set the clock: chronyc makestep, or timedatectl set-ntp true",
            )
        } else {
            Finding::ok(Check::ClockBackwards, "not behind the last signature")
        });
    }
    found.extend(
        facts
            .blocks
            .iter()
            .map(|block| skew(block).about(block.about.clone())),
    );
    found
}

fn skew(block: &Block) -> Finding {
    let set = "set the clock here, or see whose is wrong: chronyc tracking on both machines";
    match block.age {
        age if age <= FAR_AHEAD => Finding::failure(
            Check::ClockSkew,
            format!("the latest block is {} s in the future", -block.age),
            set,
        ),
        age if age < AHEAD => Finding::warning(
            Check::ClockSkew,
            format!("the latest block is {} s in the future", -block.age),
            set,
        ),
        age if age <= OLD => Finding::ok(
            Check::ClockSkew,
            format!("the latest block is {} s old", block.age.max(0)),
        ),
        age => Finding::warning(
            Check::ClockSkew,
            format!(
                "the latest block is {age} s old: the chain stands, the node is cut off, or the clock here is ahead"
            ),
            "compare with another node of the chain, and date -u with any clock you trust",
        ),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::finding::Status::{self, Failure, Note, Ok as Good, Warning};
    use super::*;

    #[test]
    fn each_fact_has_its_verdict() {
        let base = Facts {
            now: 1000,
            ..Facts::default()
        };
        let block = |age| {
            vec![Block {
                about: "c/n".into(),
                age,
            }]
        };
        for (facts, check, verdict) in [
            (base.clone(), Check::ClockSynchronised, Some(Note)),
            (
                Facts {
                    timesyncd: true,
                    ..base.clone()
                },
                Check::ClockSynchronised,
                Some(Good),
            ),
            (
                Facts {
                    keepers: vec!["chronyd".into()],
                    ..base.clone()
                },
                Check::ClockSynchronised,
                Some(Good),
            ),
            (base.clone(), Check::ClockBackwards, None),
            (
                Facts {
                    last_signed: Some(1001),
                    ..base.clone()
                },
                Check::ClockBackwards,
                Some(Good),
            ),
            (
                Facts {
                    last_signed: Some(1003),
                    ..base.clone()
                },
                Check::ClockBackwards,
                Some(Warning),
            ),
            (
                Facts {
                    last_signed: Some(i64::MAX),
                    ..base.clone()
                },
                Check::ClockBackwards,
                Some(Warning),
            ),
            (
                Facts {
                    blocks: block(0),
                    ..base.clone()
                },
                Check::ClockSkew,
                Some(Good),
            ),
            (
                Facts {
                    blocks: block(-2),
                    ..base.clone()
                },
                Check::ClockSkew,
                Some(Good),
            ),
            (
                Facts {
                    blocks: block(-3),
                    ..base.clone()
                },
                Check::ClockSkew,
                Some(Warning),
            ),
            (
                Facts {
                    blocks: block(-30),
                    ..base.clone()
                },
                Check::ClockSkew,
                Some(Failure),
            ),
            (
                Facts {
                    blocks: block(60),
                    ..base.clone()
                },
                Check::ClockSkew,
                Some(Good),
            ),
            (
                Facts {
                    blocks: block(61),
                    ..base.clone()
                },
                Check::ClockSkew,
                Some(Warning),
            ),
        ] {
            let found = judge(&facts);
            let status: Option<Status> = found.iter().find(|f| f.check == check).map(|f| f.status);
            assert_eq!(status, verdict, "{check}: {facts:?}");
        }
    }
}
