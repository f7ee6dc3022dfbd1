//! Where a page is played: machines that are folders, each with a shell, its ports, and stand-ins for `systemctl`, `ssh`, `sudo`
//! and `journalctl`, so that a page's commands run as an operator types them.
//!
//! What is replaced in a page's text before it runs, and put back in what it prints: `/var/lib/`, `/etc/`, `/run/`, `/mnt/` and
//! `/root/` lie below the machine's folder; ports 26650 to 26669 are free ones, for each machine its own; ports from 26670 on are the
//! same from everywhere; 192.0.2.x (RFC 5737) is 127.0.2.x, unless machines have networks of their own.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use super::root;
use crate::support::genesis::Version;
use crate::support::home::Home;
use crate::support::node::peer;
use crate::support::ports::free_port;
use crate::support::process::tail;

/// No block takes this long; a shell that hangs is ended.
const SHELL_SECONDS: &str = "240";
/// Ports above this one are shared by all machines.
const SHARED_PORTS: u16 = 26_670;

const DOCUMENTATION_NET: &str = "192.0.2.";
const LOOPBACK_NET: &str = "127.0.2.";
/// The first line of a scene whose machines have a network, mounts or processes of their own (`net mount pid`, unshare(1)): needs root.
const APART: &str = "# apart: ";

/// All machines of a page; everything that they started ends on drop, the folder goes last.
pub(super) struct Stage {
    machines: BTreeMap<String, Machine>,
    shared: BTreeMap<u16, u16>,
    volatile: bool,
    /// What each machine made from now on has of its own: `net`, `mount`, `pid`.
    apart: Vec<String>,
    blocks: usize,
    home: Home,
}

struct Machine {
    /// What stands for `/`.
    root: PathBuf,
    /// What stands for `/run`: short, for sockets.
    run: PathBuf,
    ports: BTreeMap<u16, u16>,
    shell: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Stage {
    pub(super) fn new() -> Self {
        let home = Home::new();
        let volatile = forgets(&home);
        Self {
            machines: BTreeMap::new(),
            shared: BTreeMap::new(),
            volatile,
            apart: Vec::new(),
            blocks: 0,
            home,
        }
    }

    /// Runs the script that makes what the page says is there.
    pub(super) fn set(&mut self, scene: &str) {
        let read = |name: &str| {
            let path = root().join(format!("tests/it/docs/stage/{name}.sh"));
            std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
        };
        let (functions, text) = (read("functions"), read(scene));
        if let Some(what) = text.lines().next().and_then(|line| line.strip_prefix(APART)) {
            self.apart = what.split(' ').map(str::to_owned).collect();
        }
        // `# on: MACHINE` begins what is for another machine.
        for part in text.split("# on: ").skip(1) {
            let (machine, script) = part.split_once('\n').unwrap();
            // In a subshell: a page's blocks do not get to know what made their machines.
            let script = format!("(\n{functions}\n{script}\n)\nexport SIGWARD_HOME=/var/lib/sigward\n");
            let (status, said) = self.run(machine, &script, 0, scene);
            assert_eq!(
                status,
                Some(0),
                "scene {scene}, on {machine}:\n{said}\n{}",
                self.logs()
            );
        }
    }

    /// Runs a piece of script that should end with `exit` in a machine's shell; how it ended, and what was printed.
    pub(super) fn run(
        &mut self,
        machine: &str,
        script: &str,
        exit: i32,
        place: &str,
    ) -> (Option<i32>, String) {
        self.blocks += 1;
        let stem = self.home.path(&format!("block-{}", self.blocks));
        if !self.machines.contains_key(machine) {
            let made = self.make(machine);
            self.machines.insert(machine.to_owned(), made);
        }
        let script = self.localize(machine, script);
        let (file, out) = (stem.with_extension("sh"), stem.with_extension("out"));
        std::fs::write(&file, format!("# {place}\n{script}")).unwrap();
        let machine = self.machines.get_mut(machine).unwrap();
        let (file, out) = (file.display(), out.display());
        let line = match exit {
            // Its variables stay for the next block; a failure ends the shell.
            0 => format!("source '{file}' >'{out}' 2>&1 </dev/null; echo $?"),
            // Its failure is what the page shows, and must not end the shell.
            _ => format!("set +e; (set -e; source '{file}') >'{out}' 2>&1 </dev/null; echo $?; set -e"),
        };
        let status = match machine.ask(&line) {
            Some(answer) => answer.parse().ok(),
            None => machine.shell.wait().unwrap().code(),
        };
        let printed = std::fs::read(stem.with_extension("out")).unwrap_or_default();
        let printed = globalize(machine, &self.shared, &String::from_utf8_lossy(&printed));
        (status, printed)
    }

    /// The ends of the logs of everything that runs, for failures.
    pub(super) fn logs(&self) -> String {
        let mut text = String::new();
        for machine in self.machines.values() {
            let Ok(logs) = std::fs::read_dir(machine.root.join("log")) else {
                continue;
            };
            for log in logs {
                text.push_str(&tail(&log.unwrap().path()));
                text.push('\n');
            }
        }
        text
    }

    fn has_own(&self, what: &str) -> bool {
        self.apart.iter().any(|own| own == what)
    }

    fn make(&self, name: &str) -> Machine {
        let letter = char::from(b'a' + u8::try_from(self.machines.len()).unwrap());
        let root = self.home.path(&letter.to_string());
        let run = self.home.socket(&letter.to_string()).join("run");
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
        let stage = super::root().join("tests/it/docs/stage");
        for tool in ["systemctl", "journalctl", "ssh", "sudo"] {
            link(&stage.join(tool), &root.join("bin").join(tool));
        }
        link(&peer(Version::V038, "cometbft"), &root.join("bin/cometbft"));
        let names = self.home.path("machines");
        std::fs::create_dir_all(&names).unwrap();
        link(&root, &names.join(name));
        link(&run, &names.join(format!("{name}.run")));
        if let Some(tmkms) = tmkms() {
            link(&tmkms, &root.join("bin/tmkms"));
        }
        let mut apart = Vec::new();
        for what in &self.apart {
            apart.push(format!("--{what}"));
            if what == "pid" {
                // Its shell is the first of its processes: all of them end with it.
                apart.extend(["--fork".to_owned(), "--mount-proc".to_owned()]);
            }
        }
        if !apart.is_empty() {
            apart.insert(0, "unshare".to_owned());
        }
        let mut shell = Command::new("timeout")
            .arg(SHELL_SECONDS)
            .args(apart)
            .args(["bash", "-euo", "pipefail"])
            .current_dir(root.join("root"))
            .env_clear()
            .env("HOME", root.join("root"))
            .env("LANG", "C.UTF-8")
            .env("MACHINE", &root)
            .env("MACHINES", &names)
            .env("STAGE", &stage)
            .env(
                "PATH",
                format!(
                    "{}:/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin",
                    root.join("bin").display()
                ),
            )
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .spawn()
            .unwrap();
        let mut machine = Machine {
            input: shell.stdin.take().unwrap(),
            output: BufReader::new(shell.stdout.take().unwrap()),
            shell,
            ports: (26_650..SHARED_PORTS).map(|port| (port, free_port())).collect(),
            run,
            root,
        };
        self.install_sigward(&machine);
        // Whoever wants to reach into its network needs to know its process.
        let id = machine.ask("echo $$").unwrap_or_default();
        assert!(
            !id.is_empty(),
            "{name} has no shell{}",
            if self.apart.is_empty() {
                ""
            } else {
                ": unshare needs root"
            }
        );
        std::fs::write(names.join(format!("{name}.pid")), id).unwrap();
        if self.has_own("net") {
            let network = machine.ask("readlink /proc/$$/ns/net").unwrap();
            std::fs::write(machine.root.join("network"), network).unwrap();
        }
        machine
    }

    /// `sigward` on the PATH: itself, but for what a test's machine lacks.
    fn install_sigward(&self, machine: &Machine) {
        let program = env!("CARGO_BIN_EXE_sigward");
        let stage = super::root().join("tests/it/docs/stage/sigward");
        let script = format!(
            "#!/bin/bash\nPROGRAM='{program}' PORT={} VOLATILE={}\n{}",
            machine.ports[&26_650],
            if self.volatile { "yes" } else { "" },
            std::fs::read_to_string(stage).unwrap(),
        );
        let file = machine.root.join("bin/sigward");
        std::fs::write(&file, script).unwrap();
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o755)).unwrap();
    }

    fn localize(&mut self, machine: &str, text: &str) -> String {
        let machine = &self.machines[machine];
        let mut text = replace_paths(text, &folders(machine));
        if !self.has_own("net") {
            text = text.replace(DOCUMENTATION_NET, LOOPBACK_NET);
        }
        for port in SHARED_PORTS..SHARED_PORTS + 30 {
            if text.contains(&format!(":{port}")) {
                self.shared.entry(port).or_insert_with(free_port);
            }
        }
        for (global, local) in machine.ports.iter().chain(&self.shared) {
            text = text.replace(&format!(":{global}"), &format!(":{local}"));
        }
        text
    }
}

/// The reader of a page does not see where the test was.
fn globalize(machine: &Machine, shared: &BTreeMap<u16, u16>, printed: &str) -> String {
    let mut text = printed.replace(LOOPBACK_NET, DOCUMENTATION_NET);
    for (global, local) in folders(machine) {
        text = text.replace(&local, &global);
    }
    for (global, local) in machine.ports.iter().chain(shared) {
        text = text.replace(&format!(":{local}"), &format!(":{global}"));
    }
    text
}

/// Folders of a page, and where they are.
fn folders(machine: &Machine) -> Vec<(String, String)> {
    let below = |name: &str| (format!("/{name}"), format!("{}/{name}", machine.root.display()));
    vec![
        below("var/lib"),
        below("etc"),
        below("mnt"),
        below("root"),
        ("/run".to_owned(), machine.run.display().to_string()),
    ]
}

/// Replaces folders where a path begins with one; in one pass, because what is put in may look like one again.
fn replace_paths(text: &str, folders: &[(String, String)]) -> String {
    let mut done = String::new();
    let mut rest = text;
    while let Some(next) = rest.chars().next() {
        let inside = done
            .chars()
            .next_back()
            .is_some_and(|c| goes_on(c) || matches!(c, '}' | '~' | '*'));
        let folder = folders.iter().find(|(from, _)| {
            let after = rest
                .strip_prefix(from.as_str())
                .and_then(|after| after.chars().next());
            !inside && rest.starts_with(from) && !after.is_some_and(goes_on)
        });
        let taken = match folder {
            Some((from, to)) => {
                done.push_str(to);
                from.len()
            }
            None => {
                done.push(next);
                next.len_utf8()
            }
        };
        rest = &rest[taken..];
    }
    done
}

/// Whether a name of a path goes on with this.
fn goes_on(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, '.' | '_' | '-')
}

fn link(target: &Path, at: &Path) {
    std::os::unix::fs::symlink(target, at).unwrap();
}

/// Whether the build's disk is one that sigward refuses.
fn forgets(home: &Home) -> bool {
    let output = Command::new(env!("CARGO_BIN_EXE_sigward"))
        .args(["init", "--home"])
        .arg(home.path("probe"))
        .output()
        .unwrap();
    let volatile = String::from_utf8_lossy(&output.stderr).contains("store_volatile");
    if volatile {
        eprintln!(
            "ATTENTION: {} may forget; init runs with --allow-volatile",
            home.path("").display()
        );
    }
    volatile
}

impl Machine {
    /// Has its shell run a line that prints one line; `None` when the shell is gone.
    fn ask(&mut self, line: &str) -> Option<String> {
        self.input.write_all(format!("{line}\n").as_bytes()).ok()?;
        let mut answer = String::new();
        let read = self.output.read_line(&mut answer).ok()?;
        (read > 0).then(|| answer.trim().to_owned())
    }
}

/// Where `make peers` puts tmkms.
fn tmkms() -> Option<PathBuf> {
    let node = peer(Version::V038, "cometbft");
    let path = node.parent()?.parent()?.join("tmkms/bin/tmkms");
    path.is_file().then_some(path)
}

impl Drop for Stage {
    fn drop(&mut self) {
        let own_processes = self.has_own("pid");
        for mut machine in std::mem::take(&mut self.machines).into_values() {
            // A shell without input ends, also one that is the first process of its machine.
            drop(machine.input);
            if !own_processes {
                let _ = machine.shell.kill();
            }
            let _ = machine.shell.wait();
            if own_processes {
                continue;
            }
            let stopped = Command::new(machine.root.join("bin/systemctl"))
                .arg("stop-everything")
                .env("MACHINE", &machine.root)
                .status();
            if !stopped.is_ok_and(|status| status.success()) {
                eprintln!("ATTENTION: something of {} may still run", machine.root.display());
            }
        }
    }
}
