//! Runs a page: its `sh` blocks in order, in one fresh home, with `sigward` on the PATH.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Stdio};

use super::blocks::blocks;
use super::root;
use crate::support::home::Home;

/// The pages whose blocks run.
pub(super) const RUN: &[&str] = &[
    "README.md",
    "docs/operating.md",
    "docs/doctor.md",
    "docs/backup.md",
];

#[test]
fn the_commands_of_the_readme_work_as_they_stand() {
    run_page("README.md");
}

#[test]
fn the_commands_of_the_operators_page_work_as_they_stand() {
    run_page("docs/operating.md");
}

#[test]
fn the_commands_of_the_doctors_page_work_as_they_stand() {
    run_page("docs/doctor.md");
}

#[test]
fn the_commands_of_the_page_on_backups_work_as_they_stand() {
    run_page("docs/backup.md");
}

#[test]
fn the_configuration_in_the_readme_is_one() {
    let home = Home::new();
    let user = user(&home);
    run(&home, &user, "sigward init && sigward keys create validator");
    let file = user.join(".sigward/sigward.toml");
    let written = std::fs::read_to_string(&file).unwrap();
    let ours = blocks(&root().join("README.md"))
        .into_iter()
        .find(|block| block.info == "toml" && block.text.contains("[[chain]]"))
        .expect("the README shows a chain");
    std::fs::write(&file, written + "\n" + &ours.text).unwrap();
    let (good, said) = run(&home, &user, "sigward config check");
    assert!(good && said.contains("1 chain, 1 node"), "{said}");
}

fn run_page(page: &str) {
    let home = Home::new();
    let user = user(&home);
    let blocks = blocks(&root().join(page));
    let shell: Vec<_> = blocks.iter().filter(|block| block.info == "sh").collect();
    assert!(!shell.is_empty(), "{page} has blocks to run");
    for block in shell {
        let (good, said) = run(&home, &user, &block.text);
        assert!(good, "{page}:{}:\n{}\n{said}", block.line, block.text);
    }
}

/// A user's folder, and a `sigward` on the PATH.
fn user(home: &Home) -> std::path::PathBuf {
    let (user, bin) = (home.path("user"), home.path("bin"));
    std::fs::create_dir(&user).unwrap();
    std::fs::create_dir(&bin).unwrap();
    let program = env!("CARGO_BIN_EXE_sigward");
    std::os::unix::fs::symlink(program, bin.join("sigward")).unwrap();
    // The pages ask for a local disk. Where the build's own is none, `init` is told so.
    let (_, said) = run(home, &home.path("user"), "sigward --home \"$HOME/probe\" init");
    let _none = std::fs::remove_dir_all(user.join("probe"));
    if said.contains("store_volatile") {
        eprintln!(
            "ATTENTION: {} may forget; init runs with --allow-volatile",
            user.display()
        );
        let script = format!(
            "#!/bin/sh\n[ \"$1\" = init ] && set -- init --allow-volatile\nexec '{program}' \"$@\"\n"
        );
        std::fs::remove_file(bin.join("sigward")).unwrap();
        std::fs::write(bin.join("sigward"), script).unwrap();
        std::fs::set_permissions(bin.join("sigward"), std::fs::Permissions::from_mode(0o755)).unwrap();
    }
    user
}

fn run(home: &Home, user: &Path, script: &str) -> (bool, String) {
    let output = Command::new("bash")
        .args(["-euo", "pipefail", "-c", script])
        .current_dir(user)
        .env_clear()
        .env("HOME", user)
        .env("SIGWARD_HOME", user.join(".sigward"))
        .env("PATH", format!("{}:/usr/bin:/bin", home.path("bin").display()))
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let said = format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    (output.status.success(), said)
}
