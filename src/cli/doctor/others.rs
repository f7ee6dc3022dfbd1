//! Who else is on this machine: other signers, other sigwards, and whoever holds the lock of this state.

use std::path::Path;

use super::finding::{Check, Finding};

/// Remote signers by the names of their programs.
const SIGNERS: &[(&str, &str)] = &[
    ("tmkms", "tmkms"),
    ("horcrux", "horcrux"),
    ("cosmos-kms", "cosmos/kms"),
    ("kms", "cosmos/kms, by its name"),
    ("priv_val_server", "CometBFT's example signer"),
];

/// A process of this machine, as far as this user can see it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Process {
    pub(super) pid: u32,
    /// The program's name: of the first argument or, where that cannot be read, the kernel's (15 bytes).
    pub(super) name: String,
    pub(super) arguments: Vec<String>,
}

/// What was gathered.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Facts {
    pub(super) processes: Vec<Process>,
    /// Who holds the lock of the state folder.
    pub(super) lock_holder: Option<u32>,
    /// The daemon that answers on the admin socket.
    pub(super) daemon: Option<u32>,
    /// This process.
    pub(super) me: u32,
}

/// All processes that this user can see.
pub(super) fn processes() -> Vec<Process> {
    let Ok(entries) = std::fs::read_dir("/proc") else {
        return Vec::new();
    };
    entries
        .filter_map(|entry| {
            let pid = entry.ok()?.file_name().to_str()?.parse().ok()?;
            let kernel = std::fs::read_to_string(format!("/proc/{pid}/comm")).ok()?;
            let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            Some(process(pid, kernel.trim(), &line))
        })
        .collect()
}

fn process(pid: u32, kernel: &str, line: &[u8]) -> Process {
    let arguments: Vec<String> = line
        .split(|byte| *byte == 0)
        .map(|argument| String::from_utf8_lossy(argument).into_owned())
        .collect();
    let program = arguments
        .first()
        .and_then(|first| Path::new(first).file_name())
        .and_then(|name| name.to_str());
    Process {
        pid,
        name: program
            .filter(|name| !name.is_empty())
            .unwrap_or(kernel)
            .to_owned(),
        arguments,
    }
}

/// Judges.
pub(super) fn judge(facts: &Facts) -> Vec<Finding> {
    let mut found = Vec::new();
    if let Some(holder) = facts
        .lock_holder
        .filter(|holder| Some(*holder) != facts.daemon && *holder != facts.me)
    {
        found.push(match facts.daemon {
            Some(daemon) => Finding::warning(
                Check::OthersSigward,
                format!("process {holder} holds the lock of this state, and process {daemon} answers on its admin socket"),
                format!("ps -fp {holder},{daemon}: stop the one that should not run"),
            ),
            None => Finding::failure(
                Check::OthersSigward,
                format!("process {holder} uses this state and does not answer on the admin socket"),
                format!("ps -fp {holder}: where it is `sigward serve`, see its log; it may still be starting, or stand still"),
            ),
        });
    }
    for process in &facts.processes {
        let known = SIGNERS.iter().find(|(name, _)| *name == process.name);
        if let Some((_, signer)) = known {
            found.push(
                Finding::note(
                    Check::OthersSigner,
                    format!("{signer} runs here, process {}", process.pid),
                )
                .remedy(
                    "where it has a key that sigward has too, stop it, for ever: two signers double-sign",
                ),
            );
        }
        let ours = [Some(facts.me), facts.daemon, facts.lock_holder].contains(&Some(process.pid));
        if process.name == "sigward" && !ours && process.arguments.iter().any(|argument| argument == "serve")
        {
            let home = home_of(&process.arguments).map_or_else(String::new, |home| format!(" for {home}"));
            found.push(
                Finding::note(
                    Check::OthersSigward,
                    format!("another `sigward serve` runs here{home}, process {}", process.pid),
                )
                .remedy("no key of this home may be in the other, as a copy or otherwise"),
            );
        }
    }
    if found.is_empty() {
        found.push(Finding::ok(
            Check::OthersSigner,
            "no other signer is to be seen on this machine",
        ));
    }
    found
}

fn home_of(arguments: &[String]) -> Option<&str> {
    arguments
        .iter()
        .enumerate()
        .find_map(|(index, argument)| match argument.strip_prefix("--home") {
            Some("") => arguments.get(index + 1).map(String::as_str),
            Some(rest) => rest.strip_prefix('='),
            None => None,
        })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::finding::Status::{self, Failure, Note, Ok as Good, Warning};
    use super::*;

    fn run(pid: u32, line: &[&str]) -> Process {
        process(pid, "kernel", line.join("\0").as_bytes())
    }

    #[test]
    fn each_fact_has_its_verdict() {
        let facts = |processes, lock_holder, daemon| Facts {
            processes,
            lock_holder,
            daemon,
            me: 1,
        };
        let serve = || run(9, &["/usr/bin/sigward", "serve", "--home", "/other"]);
        for (facts, check, verdict) in [
            (facts(vec![], None, None), Check::OthersSigner, Some(Good)),
            (facts(vec![], Some(5), Some(5)), Check::OthersSigward, None),
            (facts(vec![], Some(1), None), Check::OthersSigward, None),
            (facts(vec![], Some(5), None), Check::OthersSigward, Some(Failure)),
            (
                facts(vec![], Some(5), Some(6)),
                Check::OthersSigward,
                Some(Warning),
            ),
            (facts(vec![serve()], None, None), Check::OthersSigward, Some(Note)),
            (facts(vec![serve()], Some(9), Some(9)), Check::OthersSigward, None),
            (
                facts(vec![run(9, &["sigward", "doctor"])], None, None),
                Check::OthersSigward,
                None,
            ),
            (
                facts(vec![run(9, &["/opt/tmkms", "start"])], None, None),
                Check::OthersSigner,
                Some(Note),
            ),
            (
                facts(vec![run(9, &["horcrux", "start"])], None, None),
                Check::OthersSigner,
                Some(Note),
            ),
            (
                facts(vec![run(9, &["vi", "tmkms.toml"])], None, None),
                Check::OthersSigner,
                Some(Good),
            ),
        ] {
            let found = judge(&facts);
            let status: Option<Status> = found.iter().find(|f| f.check == check).map(|f| f.status);
            assert_eq!(status, verdict, "{check}: {facts:?}");
        }
        assert!(
            judge(&facts(vec![serve()], None, None))
                .iter()
                .any(|f| f.fact.contains("for /other"))
        );
        assert_eq!(home_of(&["a".into(), "--home=/x".into()]), Some("/x"));
    }

    #[test]
    fn a_process_without_a_command_line_has_the_kernels_name() {
        assert_eq!(process(2, "chronyd", b"").name, "chronyd");
        assert_eq!(run(2, &["/x/y/tmkms"]).name, "tmkms");
    }
}
