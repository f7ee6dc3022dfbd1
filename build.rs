//! Tells the binary which commit it was made of: `SIGWARD_COMMIT` where that is set (a container, a package: no repository
//! there), else what git says. Only for releases: a development build would be made anew with each commit.

use std::env;
use std::process::Command;

fn main() {
    println!("cargo:rerun-if-env-changed=SIGWARD_COMMIT");
    println!("cargo:rerun-if-changed=build.rs");
    let given = env::var("SIGWARD_COMMIT").ok().filter(|commit| is_commit(commit));
    let release = env::var("PROFILE").is_ok_and(|profile| profile == "release");
    let commit = given.or_else(|| release.then(from_git).flatten());
    println!(
        "cargo:rustc-env=SIGWARD_COMMIT={}",
        commit.as_deref().unwrap_or("unknown")
    );
}

fn from_git() -> Option<String> {
    // The file that a new commit changes: in a worktree neither lies in `.git` itself.
    for name in ["HEAD", "logs/HEAD"] {
        if let Some(path) = git(&["rev-parse", "--git-path", name]) {
            println!("cargo:rerun-if-changed={path}");
        }
    }
    let commit = git(&["rev-parse", "--short=12", "HEAD"]).filter(|commit| is_commit(commit))?;
    let clean = git(&["status", "--porcelain", "--untracked-files=no"])?.is_empty();
    Some(if clean { commit } else { format!("{commit}-dirty") })
}

fn git(arguments: &[&str]) -> Option<String> {
    let output = Command::new("git").args(arguments).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| text.trim().to_owned())
}

/// It becomes a label and a line of `--version`.
fn is_commit(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= 64
        && text
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || "-._".contains(c))
}
