//! A child process that ends with the demo, and whose output goes to a file.

use std::fs::OpenOptions;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child as Process, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use rustix::process::{Pid, Signal, kill_process};

/// How many lines of a log are shown when something went wrong.
const TAIL: usize = 12;

/// A running program; killed on drop.
#[derive(Debug)]
pub(super) struct Child {
    process: Process,
    name: &'static str,
}

impl Child {
    /// Starts it with its output in `log`, in a process group of its own: a Ctrl-C is for the demo, which ends them in order.
    pub(super) fn start(name: &'static str, mut command: Command, log: &Path) -> anyhow::Result<Self> {
        let log = OpenOptions::new().create(true).append(true).open(log)?;
        command
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .process_group(0);
        let process = command.spawn().with_context(|| format!("cannot start {name}"))?;
        Ok(Self { process, name })
    }

    /// An error if it ended by itself.
    pub(super) fn check(&mut self) -> anyhow::Result<()> {
        match self.process.try_wait()? {
            Some(status) => anyhow::bail!("{} ended by itself: {status}", self.name),
            None => Ok(()),
        }
    }

    /// SIGTERM, then 10 s of patience; whether it ended cleanly.
    pub(super) fn stop(mut self) -> anyhow::Result<()> {
        let pid = i32::try_from(self.process.id())
            .ok()
            .and_then(Pid::from_raw)
            .context("no process id")?;
        kill_process(pid, Signal::TERM).with_context(|| format!("cannot stop {}", self.name))?;
        let end = Instant::now() + Duration::from_secs(10);
        while Instant::now() < end {
            if let Some(status) = self.process.try_wait()? {
                anyhow::ensure!(
                    status.success(),
                    "{} ended with {status} after SIGTERM",
                    self.name
                );
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        anyhow::bail!("{} does not end after SIGTERM", self.name)
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        let _gone = self.process.kill();
        let _gone = self.process.wait();
    }
}

/// Runs a command to its end; its output, or an error with what it said.
pub(super) fn output(mut command: Command) -> anyhow::Result<String> {
    let program = command.get_program().to_string_lossy().into_owned();
    let output = command
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("cannot start {program}"))?;
    let said = String::from_utf8_lossy(&output.stderr);
    let said = if said.trim().is_empty() {
        "it said nothing"
    } else {
        said.trim()
    };
    anyhow::ensure!(
        output.status.success(),
        "{program} ended with {}: {said}",
        output.status
    );
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Shows the end of a log on standard error.
pub(super) fn print_tail(log: &Path) {
    let Ok(text) = std::fs::read_to_string(log) else {
        return;
    };
    let lines: Vec<&str> = text.lines().collect();
    eprintln!("--- the end of {}", log.display());
    lines
        .iter()
        .skip(lines.len().saturating_sub(TAIL))
        .for_each(|line| eprintln!("{line}"));
}
