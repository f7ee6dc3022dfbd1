//! `sigward demo` as a stranger runs it: blocks come, and nothing is left behind, however it ends.

use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::support::genesis::Version;
use crate::support::home::Home;
use crate::support::node::peer;
use crate::support::{poll, turn};

#[test]
fn the_demo_makes_blocks_and_leaves_nothing_behind() {
    let _turn = turn::take();
    let home = Home::new();
    let output = demo(&home, &["--blocks", "5", "--json"]).output().unwrap();
    let said = text(&output);
    assert!(output.status.success(), "{said}");
    let lines: Vec<Value> = String::from_utf8(output.stdout)
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let heights: Vec<u64> = lines.iter().filter_map(|line| line["height"].as_u64()).collect();
    assert_eq!(heights, [1, 2, 3, 4, 5], "{said}");
    assert!(
        lines[0]["block_hash"]
            .as_str()
            .is_some_and(|hash| hash.len() == 64),
        "{said}"
    );
    let summary = lines.last().unwrap();
    assert!(
        summary["signatures"].as_u64() >= Some(15),
        "three signatures a block: {said}"
    );
    assert!(summary["sign_p50_seconds"].as_f64() > Some(0.0), "{said}");
    assert_left_nothing(&home);
}

#[test]
fn an_interrupted_demo_leaves_nothing_behind() {
    let _turn = turn::take();
    let home = Home::new();
    let mut child = demo(&home, &["--blocks", "100000"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    // At whatever it is doing by then: its first block, or still the preparations.
    std::thread::sleep(Duration::from_secs(2));
    let pid = Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap();
    kill_process(pid, Signal::INT).unwrap();
    let status = poll(Duration::from_secs(30), || child.try_wait().unwrap());
    if status.is_none() {
        child.kill().unwrap();
        child.wait().unwrap();
    }
    assert!(
        status.is_some_and(|status| status.success()),
        "ends by itself after Ctrl-C: {status:?}"
    );
    assert_left_nothing(&home);
}

#[test]
fn a_demo_without_cometbft_says_what_to_do() {
    let home = Home::new();
    let output = demo(&home, &[])
        .env("SIGWARD_PEERS", home.path("nowhere"))
        .env("PATH", "")
        .output()
        .unwrap();
    assert!(!output.status.success());
    assert!(text(&output).contains("make peers"), "{}", text(&output));
    assert_left_nothing(&home);
}

/// Runs where no build folder is, with temporary files inside the test's home.
fn demo(home: &Home, arguments: &[&str]) -> Command {
    let peers = peer(Version::V038, "cometbft");
    let peers = peers.parent().and_then(Path::parent).unwrap();
    std::fs::create_dir_all(home.path("d")).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_sigward"));
    command
        .arg("demo")
        .args(arguments)
        .current_dir(home.path("d"))
        .stdin(Stdio::null());
    command.env("TMPDIR", home.path("d")).env("SIGWARD_PEERS", peers);
    command
}

/// No file, and no process that works in the folder or names it.
fn assert_left_nothing(home: &Home) {
    let folder = home.path("d");
    let files: Vec<_> = std::fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    assert!(files.is_empty(), "left behind: {files:?}");
    let name = folder.to_str().unwrap();
    let processes: Vec<String> = std::fs::read_dir("/proc")
        .unwrap()
        .filter_map(|entry| std::fs::read(entry.ok()?.path().join("cmdline")).ok())
        .map(|line| String::from_utf8_lossy(&line).replace('\0', " "))
        .filter(|line| line.contains(name))
        .collect();
    assert!(processes.is_empty(), "still running: {processes:?}");
}

fn text(output: &Output) -> String {
    format!(
        "{}\n{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}
