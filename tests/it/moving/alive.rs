//! The old signer lives: it is noticed by its databases, its command line, its state file, until right before anything is written;
//! and what cannot be seen is not taken for absent.

use std::fs::File;
use std::io::{BufRead as _, BufReader, Read as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use super::rpc::FakeChain;
use super::{imported, nothing_is_there, refused, tmkms_files, write_private};
use crate::support::home::Home;
use crate::support::keys::KeyFile;
use crate::support::poll;
use crate::support::signer::Signer;

/// A process that does nothing until it is dropped.
struct Idle(Child);

impl Idle {
    /// As a node: its command line starts something in that folder.
    fn node(folder: &Path) -> Self {
        let mut command = Command::new("sh");
        command
            .args(["-c", "read never", "cometbft", "start", "--home"])
            .arg(folder)
            .stdin(Stdio::piped());
        Self::begun(&mut command)
    }

    /// A parent goes on a moment before its child has its command line (execve(2) after vfork(2)): who looks then sees none.
    fn begun(command: &mut Command) -> Self {
        let idle = Self(command.spawn().unwrap());
        let line = format!("/proc/{}/cmdline", idle.0.id());
        let has_line = || {
            std::fs::read(&line)
                .is_ok_and(|line| !line.is_empty())
                .then_some(())
        };
        poll(Duration::from_secs(30), has_line).expect("the process has a command line");
        idle
    }

    /// With that file open.
    fn holding(file: &Path) -> Self {
        let mut command = Command::new("sleep");
        command.arg("600").stdin(File::open(file).unwrap());
        Self::begun(&mut command)
    }
}

impl Drop for Idle {
    fn drop(&mut self) {
        let _ended = self.0.kill();
        let _reaped = self.0.wait();
    }
}

/// A CometBFT home, as far as a signer needs it.
struct Files {
    home: PathBuf,
    key: String,
    state: String,
}

fn cometbft(home: &Home) -> Files {
    let folder = home.path("node");
    let (key, state) = (
        folder.join("config/priv_validator_key.json"),
        folder.join("data/priv_validator_state.json"),
    );
    write_private(&state, r#"{"height":"40","round":0,"step":3}"#);
    write_private(&folder.join("data/blockstore.db"), "");
    write_private(&folder.join("config/genesis.json"), r#"{"chain_id":"c-1"}"#);
    write_private(&folder.join("config/config.toml"), "db_dir = \"data\"\n");
    let key = KeyFile::of_seed([5; 32]).write(&key);
    Files {
        home: folder,
        key,
        state: state.to_str().unwrap().to_owned(),
    }
}

#[test]
fn a_running_node_is_noticed_whichever_files_of_it_are_named() {
    let home = Home::new();
    let files = cometbft(&home);
    let signer = Signer::not_yet(&home);
    let folder = files.home.to_str().unwrap();
    let by_home = ["--from", "cometbft", folder, "--apply"];
    let by_files = [
        "--from",
        "cometbft",
        &files.key,
        &files.state,
        "--chain",
        "c-1",
        "--apply",
    ];
    for arguments in [&by_home[..], &by_files] {
        let node = Idle::node(&files.home);
        let said = refused(&signer, 3, "old_signer_runs", arguments);
        assert!(said.contains("cometbft start --home"), "{said}");
        drop(node);
        let holder = Idle::holding(&files.home.join("data/blockstore.db"));
        refused(&signer, 3, "old_signer_runs", arguments);
        drop(holder);
    }
    assert!(nothing_is_there(&signer));
    // A node of another home is another's.
    let other = Idle::node(&home.path("another"));
    imported(&signer, &by_files);
    drop(other);
}

/// What may not look into others' processes: root without its capabilities is enough.
fn short_sighted(signer: &Signer, arguments: &[&str]) -> Command {
    let sigward = signer.command(arguments);
    let mut command = Command::new("setpriv");
    command
        .arg("--bounding-set=-sys_ptrace,-net_raw,-mknod")
        .arg(sigward.get_program())
        .args(sigward.get_args());
    for (name, value) in sigward.get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    command
}

#[test]
fn what_cannot_be_seen_is_not_taken_for_absent() {
    let home = Home::new();
    let files = cometbft(&home);
    let signer = Signer::not_yet(&home);
    let folder = files.home.to_str().unwrap();
    let base = [
        "import",
        "--allow-volatile",
        "--from",
        "cometbft",
        folder,
        "--apply",
    ];
    let run = |more: &[&str]| {
        short_sighted(&signer, &[&base[..], more].concat())
            .output()
            .unwrap()
    };
    let output = run(&[]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(3), "{said}");
    assert!(
        said.contains("old_signer_unseen")
            && said.contains("--wait-blocks")
            && said.contains("--ignore-running"),
        "{said}"
    );
    assert!(nothing_is_there(&signer));
    // A command line is seen by everybody.
    let node = Idle::node(&files.home);
    let said = String::from_utf8_lossy(&run(&[]).stderr).into_owned();
    assert!(said.contains("old_signer_runs"), "{said}");
    drop(node);
    // The chain can say it instead.
    let rpc = FakeChain {
        signed_until: 40,
        latest: 60,
        pace: 1,
        ..FakeChain::of(&KeyFile::of_seed([5; 32]))
    }
    .serve();
    let output = run(&["--rpc", &rpc, "--wait-blocks", "1"]);
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

/// Runs an import that looks once more before it writes, and does `meanwhile` when it says so. What it said to standard error.
fn meanwhile(signer: &Signer, arguments: &[&str], meanwhile: impl FnOnce()) -> String {
    let all = [&["import", "--allow-volatile"], arguments].concat();
    let mut child = signer
        .command(&all)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    assert!(
        lines.any(|line| line.unwrap().contains("Looking once more")),
        "it looks once more"
    );
    meanwhile();
    lines.for_each(drop);
    let mut said = String::new();
    child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(3), "{said}");
    said
}

#[test]
fn a_signer_that_comes_to_life_while_import_waits_is_noticed() {
    let home = Home::new();
    let tmkms = tmkms_files(&home, 100);
    let files = cometbft(&home);
    let signer = Signer::not_yet(&home);
    // Nothing excuses a state that moves.
    let base = ["--from", "tmkms", tmkms.folder(), "--ignore-running", "--apply"];
    let said = meanwhile(&signer, &base, || tmkms.state(101));
    assert!(
        said.contains("old_signer_runs") && said.contains("has changed"),
        "{said}"
    );
    let said = meanwhile(&signer, &base, || {
        std::fs::remove_file(tmkms.state_file()).unwrap()
    });
    assert!(said.contains("has changed"), "{said}");

    let folder = files.home.to_str().unwrap();
    let mut node = None;
    let said = meanwhile(&signer, &["--from", "cometbft", folder, "--apply"], || {
        node = Some(Idle::node(&files.home));
    });
    assert!(said.contains("cometbft start"), "{said}");
    assert!(!signer.home().exists());
    drop(node);
    imported(&signer, &["--from", "cometbft", folder, "--apply"]);
}

#[test]
fn single_files_are_taken_under_the_same_rules() {
    let home = Home::new();
    let files = cometbft(&home);
    let signer = Signer::init(&home);
    let import = [
        "keys",
        "import",
        "validator",
        "--chain",
        "c-1",
        "--file",
        &files.key,
        "--state",
        &files.state,
    ];
    let fails = |code: &str, arguments: &[&str]| {
        let output = signer.attempt(arguments);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(3), "{said}");
        assert!(said.contains(code), "{said}");
        said
    };
    let node = Idle::node(&files.home);
    fails("old_signer_runs", &import);
    drop(node);
    use std::os::unix::fs::PermissionsExt as _;
    let mode = |mode| std::fs::set_permissions(&files.key, std::fs::Permissions::from_mode(mode)).unwrap();
    mode(0o644);
    let said = fails("invalid_key_file", &import);
    assert!(said.contains("chmod 0600"), "{said}");
    mode(0o600);
    let wrong = [&import[..8], &[&files.key]].concat();
    let said = fails("invalid_state_file", &wrong);
    assert!(said.contains("this is a key file"), "{said}");
    signer.run(&import);
    let node = Idle::node(&files.home);
    let newer = [
        "state",
        "import",
        "--key",
        "validator",
        "--chain",
        "c-1",
        "--file",
        &files.state,
    ];
    fails("old_signer_runs", &newer);
    drop(node);

    // tmkms's own state is read wherever CometBFT's is.
    let tmkms = tmkms_files(&home, 70);
    let state = tmkms.state_file();
    signer.run(&[&newer[..7], &[state.to_str().unwrap(), "--ignore-running"]].concat());
    let rows = signer.json(&["state", "show", "--json"]);
    assert_eq!(rows[0]["height"], 70, "{rows}");
    let other = KeyFile::of_seed([9; 32]).write(&home.path("other.json"));
    signer.run(&[
        "keys",
        "import",
        "other",
        "--chain",
        "d-1",
        "--file",
        &other,
        "--state",
        state.to_str().unwrap(),
        "--ignore-running",
    ]);
}
