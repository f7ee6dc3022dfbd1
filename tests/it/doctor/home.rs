//! Homes that are wrong, without any node.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use super::doctor;
use crate::support::home::Home;
use crate::support::signer::Signer;

fn mode(path: &Path, mode: u32) {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}

#[test]
fn open_files_foreign_folders_and_dead_nodes_are_named() {
    let home = Home::new();
    let signer = Signer::init(&home);
    signer.create_key("validator");
    let gone = format!("unix://{}", home.socket("none.sock").display());
    signer.add_chain_at("c-1", "validator", &[("a", gone.as_str())]);
    let seen = doctor(&signer, &["--offline"]);
    seen.assert("node.reachable", "failure");
    for check in [
        "files.seal",
        "files.store",
        "keys.seal",
        "keys.known",
        "state.opens",
        "state.row",
    ] {
        seen.assert(check, "ok");
    }
    seen.assert("daemon.running", "note");

    mode(&signer.home().join("seal.key"), 0o644);
    let seen = doctor(&signer, &["--offline"]);
    seen.assert("files.seal", "failure");
    seen.assert("keys.seal", "failure");
    let remedy = seen.of("files.seal").next().unwrap()["remedy"]
        .as_str()
        .unwrap()
        .to_owned();
    assert!(remedy.starts_with("chmod 0600 "), "{remedy}");
    let checked = signer.attempt(&["config", "check"]);
    assert_eq!(checked.status.code(), Some(4));
    assert!(String::from_utf8_lossy(&checked.stdout).contains("files.seal"));
    mode(&signer.home().join("seal.key"), 0o600);

    mode(&signer.home().join("state"), 0o755);
    doctor(&signer, &["--offline"]).assert("files.store", "failure");
    mode(&signer.home().join("state"), 0o700);
    // As root nothing is unwritable: a file in the place of the folder is.
    std::fs::rename(signer.home().join("state"), signer.home().join("aside")).unwrap();
    std::fs::write(signer.home().join("state"), "").unwrap();
    let seen = doctor(&signer, &["--offline"]);
    seen.assert("files.store", "failure");
    seen.assert("disk.fsync", "warning");
}

#[test]
fn a_key_that_is_not_there_and_a_file_that_is_none_are_named() {
    let home = Home::new();
    let signer = Signer::init(&home);
    signer.add_chain_at("c-1", "validator", &[("a", "unix:///nowhere")]);
    doctor(&signer, &["--offline"]).assert("keys.known", "failure");
    assert_eq!(signer.attempt(&["config", "check"]).status.code(), Some(4));
    assert!(
        signer
            .run(&["config", "check", "--file-only"])
            .contains("1 chain, 1 node")
    );
    std::fs::write(signer.home().join("sigward.toml"), "rubbish").unwrap();
    doctor(&signer, &[]).assert("config.valid", "failure");
}

#[test]
fn a_home_in_memory_is_named() {
    let folder = tempfile::tempdir_in("/dev/shm").unwrap();
    let at = folder.path().join("s");
    let run = |arguments: &[&str]| {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_sigward"));
        command.args(arguments).arg("--home").arg(&at).output().unwrap()
    };
    assert!(run(&["init", "--allow-volatile"]).status.success());
    let text = String::from_utf8(run(&["doctor", "--offline"]).stdout).unwrap();
    assert!(text.contains("! disk.kind") && text.contains("tmpfs"), "{text}");
    let file = at.join("sigward.toml");
    let config = std::fs::read_to_string(&file)
        .unwrap()
        .replace("allow_volatile = true", "");
    std::fs::write(&file, config).unwrap();
    let output = run(&["doctor", "--offline"]);
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(
        text.contains("x disk.kind") || text.contains("✗ disk.kind"),
        "{text}"
    );
    assert_eq!(output.status.code(), Some(4));
}
