//! A machine of a page: a folder, a shell that stays, and on its PATH stand-ins for `systemctl`, `ssh`, `sudo` and `journalctl`.

use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use super::names::Names;
use super::root;
use crate::support::genesis::Version;
use crate::support::home::Home;
use crate::support::node::peer;
use crate::support::process::tail;

/// No block takes this long; a shell that hangs is ended.
const SHELL_SECONDS: &str = "240";

/// What a machine has of its own (unshare(1), as root): `net`, `mount`, `pid`.
#[derive(Clone, Default, Debug)]
pub(super) struct Apart(Vec<String>);

impl Apart {
    pub(super) fn parse(words: &str) -> Self {
        Self(words.split(' ').map(str::to_owned).collect())
    }

    fn has(&self, what: &str) -> bool {
        self.0.iter().any(|own| own == what)
    }

    /// The command in front of the shell.
    fn command(&self) -> Vec<String> {
        let mut words = Vec::new();
        for what in &self.0 {
            words.push(format!("--{what}"));
            if what == "pid" {
                // The shell is the first of its processes: all of them end with it.
                words.extend(["--fork".to_owned(), "--mount-proc".to_owned()]);
            }
        }
        if !words.is_empty() {
            words.insert(0, "unshare".to_owned());
        }
        words
    }
}

/// The machine; what it started is ended on drop.
pub(super) struct Machine {
    pub(super) names: Names,
    /// What stands for `/`.
    root: PathBuf,
    apart: Apart,
    shell: Child,
    /// None once the shell is to end.
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
}

impl Machine {
    /// A machine called `name`, below `home` under one letter: paths of sockets are short.
    pub(super) fn new(home: &Home, name: &str, letter: char, apart: &Apart, volatile: bool) -> Self {
        let root = home.path(&letter.to_string());
        let run = home.socket(&letter.to_string()).join("run");
        for folder in [
            "bin",
            "log",
            "units",
            "root",
            "var/lib",
            "etc/systemd/system",
            "mnt",
        ] {
            std::fs::create_dir_all(root.join(folder)).unwrap();
        }
        for folder in ["sigward", "cometbft"] {
            std::fs::create_dir_all(run.join(folder)).unwrap();
        }
        let all = home.path("machines");
        std::fs::create_dir_all(&all).unwrap();
        link(&root, &all.join(name));
        link(&run, &all.join(format!("{name}.run")));
        let names = Names::new(&root, &run, apart.has("net"));
        install(&root, &names, volatile);
        let mut shell = shell(&root, &all, apart);
        let mut machine = Self {
            names,
            root,
            apart: apart.clone(),
            input: shell.stdin.take(),
            output: BufReader::new(shell.stdout.take().unwrap()),
            shell,
        };
        // Whoever wants to reach into its network needs to know its process.
        let id = machine.ask("echo $$");
        let id = id.unwrap_or_else(|| panic!("{name} has no shell; with {apart:?} of its own it needs root"));
        std::fs::write(all.join(format!("{name}.pid")), id).unwrap();
        if machine.apart.has("net") {
            let network = machine.ask("readlink /proc/$$/ns/net").unwrap();
            std::fs::write(machine.root.join("network"), network).unwrap();
        }
        machine
    }

    /// Has its shell run a line that prints one line; `None` when the shell is gone.
    pub(super) fn ask(&mut self, line: &str) -> Option<String> {
        self.input
            .as_mut()?
            .write_all(format!("{line}\n").as_bytes())
            .ok()?;
        let mut answer = String::new();
        let read = self.output.read_line(&mut answer).ok()?;
        (read > 0).then(|| answer.trim().to_owned())
    }

    /// How its shell ended; `None` by a signal.
    pub(super) fn ended(&mut self) -> Option<i32> {
        self.shell.wait().unwrap().code()
    }

    /// The ends of the logs of its services.
    pub(super) fn logs(&self) -> String {
        let logs = std::fs::read_dir(self.root.join("log")).unwrap();
        logs.map(|log| tail(&log.unwrap().path()) + "\n").collect()
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        // A shell without input ends.
        drop(self.input.take());
        if self.apart.has("pid") {
            let _ = self.shell.wait();
            return;
        }
        let _ = self.shell.kill();
        let _ = self.shell.wait();
        let stopped = Command::new(self.root.join("bin/systemctl"))
            .arg("stop-everything")
            .env("MACHINE", &self.root)
            .status();
        if !stopped.is_ok_and(|status| status.success()) {
            eprintln!("ATTENTION: something of {} may still run", self.root.display());
        }
    }
}

fn stage() -> PathBuf {
    root().join("tests/it/docs/stage")
}

/// The programs on its PATH.
fn install(root: &Path, names: &Names, volatile: bool) {
    let bin = root.join("bin");
    for tool in ["systemctl", "journalctl", "ssh", "sudo"] {
        link(&stage().join(tool), &bin.join(tool));
    }
    let cometbft = peer(Version::V038, "cometbft");
    let tmkms = cometbft.parent().unwrap().with_file_name("tmkms/bin/tmkms");
    link(&cometbft, &bin.join("cometbft"));
    link(&tmkms, &bin.join("tmkms"));
    let script = format!(
        "#!/bin/bash\nPROGRAM='{}' PORT={} VOLATILE={}\n{}",
        env!("CARGO_BIN_EXE_sigward"),
        names.port(26_650),
        if volatile { "yes" } else { "" },
        std::fs::read_to_string(stage().join("sigward")).unwrap(),
    );
    let file = bin.join("sigward");
    std::fs::write(&file, script).unwrap();
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o755)).unwrap();
}

fn shell(root: &Path, all: &Path, apart: &Apart) -> Child {
    let path = format!(
        "{}:/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin",
        root.join("bin").display()
    );
    Command::new("timeout")
        .arg(SHELL_SECONDS)
        .args(apart.command())
        .args(["bash", "-euo", "pipefail"])
        .current_dir(root.join("root"))
        .env_clear()
        .env("HOME", root.join("root"))
        .env("LANG", "C.UTF-8")
        .env("MACHINE", root)
        .env("MACHINES", all)
        .env("PATH", path)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .spawn()
        .unwrap()
}

fn link(target: &Path, at: &Path) {
    std::os::unix::fs::symlink(target, at).unwrap();
}
