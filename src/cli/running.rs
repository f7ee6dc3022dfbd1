//! Whether the old signer still runs on this machine, by /proc (proc(5)). It sees this machine only: what runs elsewhere, the chain
//! shows (`--wait-blocks`).
//!
//! A node is known by the databases that it has open, or by a command line that starts it in its home. Of other users' processes
//! only root sees the first, and where processes are hidden nobody sees any: *not seen* is never taken for *not there*.

use std::io;
use std::path::{Path, PathBuf};

use sigward_policies::decision::{Refusal, RefusalCode};

use super::exit::RefusedByRule;
use crate::admin::state_file;
use crate::foreign::ForeignKind;

/// What begins a node's command line after its program: `cometbft start`, `gaiad start`, `cosmovisor run start`.
const STARTS: &[&str] = &["start", "node"];

/// What an old signer is known by.
pub(super) struct OldSigner {
    kind: ForeignKind,
    /// Its key and state files.
    files: Vec<PathBuf>,
    /// A node's homes, as far as its files tell.
    homes: Vec<PathBuf>,
    /// The folders of their databases.
    data: Vec<PathBuf>,
}

/// What was seen.
pub(super) struct Looked {
    /// Processes that look like the old signer.
    pub(super) running: Vec<Running>,
    /// Why it may run unseen, if so.
    pub(super) blind: Option<String>,
}

/// A process that looks like the old signer.
pub(super) struct Running {
    pid: u32,
    what: String,
}

/// What one process is.
enum Is {
    Running,
    NotThis,
    /// It cannot be looked into.
    Hidden,
}

impl OldSigner {
    /// The signer of these files, whose homes may be named.
    pub(super) fn of<'a>(
        kind: ForeignKind,
        files: impl IntoIterator<Item = &'a Path>,
        homes: &[PathBuf],
    ) -> Self {
        let files: Vec<_> = files.into_iter().map(real).collect();
        let mut found: Vec<_> = homes
            .iter()
            .filter(|path| path.is_dir())
            .map(|path| real(path))
            .collect();
        if kind == ForeignKind::CometBft {
            found.extend(files.iter().filter_map(|file| home_of(file)));
        }
        found.sort();
        found.dedup();
        let data = found.iter().map(|home| data_of(home)).collect();
        Self {
            kind,
            files,
            homes: found,
            data,
        }
    }

    /// Looks at every process but this one.
    pub(super) fn look(&self) -> Looked {
        let hidden = |why: &str| Looked {
            running: Vec::new(),
            blind: Some(why.to_owned()),
        };
        let Ok(entries) = std::fs::read_dir("/proc") else {
            return hidden("/proc cannot be read");
        };
        // Process 1 is always there: who does not see it sees no other user's (hidepid, proc(5)).
        if std::fs::read("/proc/1/comm").is_err() {
            return hidden("other users' processes are hidden (hidepid)");
        }
        let own = std::process::id();
        let (mut running, mut hidden) = (Vec::new(), 0_usize);
        let pids = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<u32>().ok());
        for pid in pids.filter(|pid| *pid != own) {
            let folder = PathBuf::from(format!("/proc/{pid}"));
            let line = CommandLine::of(&folder);
            // A kernel thread, or what ended and waits for its parent.
            if line.arguments.is_empty() {
                continue;
            }
            match self.is(&folder, &line) {
                Is::NotThis => {}
                // The init, which some machines close even to root: it runs nothing itself. In a container it may be a node, and says so.
                Is::Hidden if pid == 1 && !line.starts_something() => {}
                Is::Hidden => hidden += 1,
                Is::Running => running.push(Running {
                    pid,
                    what: line.shown(),
                }),
            }
        }
        running.sort_by_key(|running| running.pid);
        Looked {
            running,
            blind: (hidden > 0).then(|| {
                format!(
                    "{hidden} process(es) cannot be looked into; which files others have open only root sees"
                )
            }),
        }
    }

    fn is(&self, folder: &Path, line: &CommandLine) -> Is {
        let program = match self.kind {
            ForeignKind::CometBft => return self.is_node(folder, line),
            ForeignKind::Tmkms => "tmkms",
            ForeignKind::CosmosKms => "kms",
            ForeignKind::Horcrux => "horcrux",
        };
        let comm = std::fs::read_to_string(folder.join("comm")).unwrap_or_default();
        if comm.trim_end() == program || line.program() == program {
            Is::Running
        } else {
            Is::NotThis
        }
    }

    fn is_node(&self, folder: &Path, line: &CommandLine) -> Is {
        if line.starts_something() && self.homes.iter().any(|home| line.names(home)) {
            return Is::Running;
        }
        match self.has_open(folder) {
            Ok(true) => Is::Running,
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                // Without --home it is in its user's home, which may be the one.
                let node = matches!(line.program(), "cometbft" | "tendermint") && !line.has_home();
                if node && line.starts_something() {
                    Is::Running
                } else {
                    Is::Hidden
                }
            }
            // It has ended meanwhile.
            Ok(false) | Err(_) => Is::NotThis,
        }
    }

    /// A node has its databases open as long as it runs.
    fn has_open(&self, process: &Path) -> io::Result<bool> {
        for entry in std::fs::read_dir(process.join("fd"))? {
            let open = match std::fs::read_link(entry?.path()) {
                Ok(open) => open,
                // Closed meanwhile. What must not be seen is an error: root without its capabilities sees the names only.
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => return Err(error),
            };
            let data = self.data.iter().any(|data| open.starts_with(data));
            if data || self.files.contains(&open) {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

/// For commands that take files of a signer one by one: refuses while the signer that they are of runs, as far as they tell which
/// one that is. Files that were copied somewhere tell nothing.
pub(super) fn refuse(files: &[&Path], state: Option<&[u8]>) -> anyhow::Result<()> {
    let kind = match state {
        Some(json) if state_file::is_of_tmkms(json) => ForeignKind::Tmkms,
        _ => ForeignKind::CometBft,
    };
    let old = OldSigner::of(kind, files.iter().copied(), &[]);
    if kind == ForeignKind::CometBft && old.homes.is_empty() {
        return Ok(());
    }
    let looked = old.look();
    let refusal = match looked.blind {
        _ if !looked.running.is_empty() => {
            Refusal::new(RefusalCode::OldSignerRuns, sentence(&looked.running))
        }
        Some(why) => Refusal::new(
            RefusalCode::OldSignerUnseen,
            format!(
                "whether the signer that these files are of still runs cannot be seen from here: {why}. Run this as root, or add \
                 --ignore-running if you have seen yourself that it is stopped"
            ),
        ),
        None => return Ok(()),
    };
    Err(RefusedByRule(refusal.to_string()).into())
}

/// What to say of them.
pub(super) fn sentence(running: &[Running]) -> String {
    let list: Vec<_> = running
        .iter()
        .map(|running| format!("process {} ({})", running.pid, running.what))
        .collect();
    format!(
        "the signer that is moved from still runs on this machine: {}. Stop it and see that nothing starts it again; --ignore-running if it is another one",
        list.join(", ")
    )
}

/// The node's home that this file is a part of: `HOME/config/priv_validator_key.json`, `HOME/data/priv_validator_state.json`.
fn home_of(file: &Path) -> Option<PathBuf> {
    let folder = file.parent()?;
    let home = folder.parent()?;
    let usual = matches!(folder.file_name()?.to_str()?, "config" | "data") && home.join("config").is_dir();
    (usual || home.join("config/config.toml").is_file()).then(|| home.to_owned())
}

/// Where its databases are: `db_dir` of its `config.toml`, `data` if nothing is said.
fn data_of(home: &Path) -> PathBuf {
    let named = std::fs::read_to_string(home.join("config/config.toml"))
        .ok()
        .and_then(|text| text.parse::<toml::Table>().ok())
        .and_then(|table| table.get("db_dir")?.as_str().map(ToOwned::to_owned));
    real(&home.join(named.as_deref().unwrap_or("data")))
}

/// As /proc names it.
fn real(path: &Path) -> PathBuf {
    std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned())
}

/// A process's arguments, its program first.
struct CommandLine {
    arguments: Vec<String>,
}

impl CommandLine {
    fn of(folder: &Path) -> Self {
        let bytes = std::fs::read(folder.join("cmdline")).unwrap_or_default();
        let arguments = bytes
            .split(|byte| *byte == 0)
            .filter(|argument| !argument.is_empty())
            .map(|argument| String::from_utf8_lossy(argument).into_owned())
            .collect();
        Self { arguments }
    }

    fn program(&self) -> &str {
        let first = self.arguments.first().map_or("", String::as_str);
        first.rsplit('/').next().unwrap_or(first)
    }

    fn starts_something(&self) -> bool {
        self.arguments
            .iter()
            .skip(1)
            .any(|argument| STARTS.contains(&argument.as_str()))
    }

    /// `--home DIR`, `--home=DIR`, or a folder anywhere: some start their node by a script of their own.
    fn names(&self, home: &Path) -> bool {
        self.arguments.iter().skip(1).any(|argument| {
            let path = argument
                .split_once('=')
                .map_or(argument.as_str(), |(_, value)| value);
            path.starts_with('/') && real(Path::new(path)) == home
        })
    }

    fn has_home(&self) -> bool {
        self.arguments
            .iter()
            .any(|argument| argument.starts_with("--home"))
    }

    fn shown(&self) -> String {
        self.arguments
            .join(" ")
            .chars()
            .map(|c| if c.is_control() { ' ' } else { c })
            .take(120)
            .collect::<String>()
            .trim_end()
            .to_owned()
    }
}
