//! Whether the old signer still runs on this machine, by /proc (proc(5)). It sees this machine only: what runs elsewhere, the chain
//! shows (`--wait-blocks`).

use std::path::{Path, PathBuf};

use crate::foreign::ForeignKind;

/// A process that looks like the old signer.
pub(super) struct Running {
    pid: u32,
    what: String,
}

/// Processes of the old signer's name; for a node also whoever has its data open.
pub(super) fn find(from: ForeignKind, sources: &[PathBuf], paths: &[PathBuf]) -> Vec<Running> {
    let Ok(entries) = std::fs::read_dir("/proc") else {
        return Vec::new();
    };
    let own = std::process::id();
    let mut found: Vec<_> = entries
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<u32>().ok())
        .filter(|pid| *pid != own)
        .filter_map(|pid| {
            let folder = PathBuf::from(format!("/proc/{pid}"));
            let is = match from {
                ForeignKind::CometBft => uses_node(&folder, sources, paths),
                ForeignKind::Tmkms => is_named(&folder, "tmkms"),
                ForeignKind::CosmosKms => is_named(&folder, "kms"),
                ForeignKind::Horcrux => is_named(&folder, "horcrux"),
            };
            is.then(|| Running {
                pid,
                what: command_line(&folder),
            })
        })
        .collect();
    found.sort_by_key(|running| running.pid);
    found
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

/// Not what ended and waits for its parent: a zombie has no executable and no command line.
fn is_named(folder: &Path, name: &str) -> bool {
    let comm = std::fs::read_to_string(folder.join("comm")).unwrap_or_default();
    comm.trim_end() == name
        && !std::fs::read(folder.join("cmdline"))
            .unwrap_or_default()
            .is_empty()
}

/// A node has its databases open as long as it runs. Of other users' processes only root sees that.
fn uses_node(folder: &Path, sources: &[PathBuf], paths: &[PathBuf]) -> bool {
    let Some(home) = paths.iter().find(|path| path.is_dir()) else {
        return sources.iter().any(|source| is_open(folder, source));
    };
    let data = home.join("data");
    is_open(folder, &std::fs::canonicalize(&data).unwrap_or(data))
}

fn is_open(process: &Path, path: &Path) -> bool {
    std::fs::read_dir(process.join("fd")).is_ok_and(|entries| {
        entries
            .flatten()
            .filter_map(|entry| std::fs::read_link(entry.path()).ok())
            .any(|open| open.starts_with(path))
    })
}

fn command_line(folder: &Path) -> String {
    let bytes = std::fs::read(folder.join("cmdline")).unwrap_or_default();
    String::from_utf8_lossy(&bytes)
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .take(120)
        .collect::<String>()
        .trim_end()
        .to_owned()
}
