//! What stops a signer works when little else does: with a configuration that cannot be read, beside a daemon that stands still, and
//! while one starts.

use std::process::Output;
use std::time::Duration;

use super::assert_refused;
use crate::crashes::armed;
use crate::support::fake_node::{Answer, Ask};
use crate::support::poll;
use crate::support::scene::{CHAIN, Scene};

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn signal(pid: u32, name: &str) {
    let sent = std::process::Command::new("kill")
        .args([name, &pid.to_string()])
        .status()
        .unwrap();
    assert!(sent.success());
}

#[test]
fn a_file_that_cannot_be_read_takes_no_command_away_that_only_needs_the_daemon() {
    let mut scene = Scene::new();
    scene.start();
    scene.sign(1..=1);
    let file = scene.signer.home().join("sigward.toml");
    let good = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, format!("{good}\nnonsense = \n")).unwrap();
    for command in [
        &["holds"][..],
        &["state", "show"],
        &["keys", "list"],
        &["node", "list"],
        &["stop-line", "list"],
        &["audit", "tail"],
        &["status"],
        &["top", "--once"],
        &["freeze", "--all"],
    ] {
        let output = scene.signer.attempt(command);
        assert!(output.status.success(), "{command:?}: {}", said(&output));
        assert!(
            said(&output).contains("warning: config_invalid"),
            "{}",
            said(&output)
        );
        assert!(said(&output).contains("admin.sock"), "{}", said(&output));
    }
    assert_refused(&mut scene, Ask::prevote(2, 1), "frozen");
    std::fs::remove_file(&file).unwrap();
    let output = scene
        .signer
        .attempt(&["unfreeze", "--all", "--reason", "drill over"]);
    assert!(output.status.success(), "{}", said(&output));
    assert!(
        said(&output).contains("warning: config_missing"),
        "{}",
        said(&output)
    );
    scene.sign(2..=2);

    // Nobody listens: the mistake, and the way that is left.
    std::fs::write(&file, "nonsense = \n").unwrap();
    scene.signer.kill();
    let output = scene.signer.attempt(&["freeze", "--all"]);
    assert_eq!(output.status.code(), Some(1));
    let said = said(&output);
    assert!(
        said.contains("config_invalid") && said.contains("kill -USR1"),
        "{said}"
    );
}

/// Whoever only waits for records would keep the signer from starting, and see none.
#[test]
fn nothing_is_followed_where_no_daemon_runs() {
    let scene = Scene::new();
    for command in [
        &["audit", "tail", "--follow"][..],
        &["audit", "tail", "-f", "-n", "1", "--json"],
    ] {
        let output = scene.signer.attempt(command);
        assert_eq!(output.status.code(), Some(3), "{command:?}: {}", said(&output));
        assert!(
            said(&output).contains("not_serving: ") && said(&output).contains("sigward serve"),
            "{}",
            said(&output)
        );
    }
    assert!(scene.signer.attempt(&["audit", "tail"]).status.success());
}

#[test]
fn whoever_has_the_state_is_named_and_no_other() {
    let scene = Scene::new();
    let file = std::fs::File::open(scene.signer.home().join("state/guard.lock")).unwrap();
    file.try_lock().unwrap();
    let me = std::process::id();
    for (command, words) in [
        (
            &["freeze", "--all"][..],
            format!("`kill -USR1 {me}` freezes everything"),
        ),
        (&["freeze", "--all"], format!("process {me} (")),
        (&["serve"], format!("process {me} (")),
    ] {
        let output = scene.signer.attempt(command);
        assert_eq!(output.status.code(), Some(1), "{command:?}: {}", said(&output));
        let said = said(&output);
        assert!(
            said.contains("store_locked: ") && said.contains(&words) && !said.contains("pgrep"),
            "{command:?}: {said}"
        );
    }
    // A file with a mistake in it does not say where the state is: it is looked for where it is by default.
    std::fs::write(scene.signer.home().join("sigward.toml"), "nonsense = \n").unwrap();
    let output = scene.signer.attempt(&["freeze", "--all"]);
    assert!(
        said(&output).contains(&format!("`kill -USR1 {me}`")),
        "{}",
        said(&output)
    );
    drop(file);
    let output = scene.signer.attempt(&["freeze", "--all"]);
    assert!(
        said(&output).contains("config_invalid: ") && said(&output).contains("`kill -USR1 PID`"),
        "{}",
        said(&output)
    );
}

#[test]
fn a_socket_elsewhere_is_found_in_a_file_with_a_mistake() {
    let mut scene = Scene::new();
    let socket = scene.home.socket("elsewhere.sock");
    scene.signer.configure(|config| {
        let mut admin = toml::Table::new();
        admin.insert("socket".to_owned(), socket.to_str().unwrap().into());
        config.insert("admin".to_owned(), admin.into());
    });
    scene.start();
    let file = scene.signer.home().join("sigward.toml");
    let good = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, good.replace("[admin]", "[admin]\nsokket = 1")).unwrap();
    scene.signer.run(&["freeze", "--chain", CHAIN]);
    assert_refused(&mut scene, Ask::prevote(1, 1), "frozen");
}

#[test]
fn a_daemon_that_stands_still_is_given_up_and_named() {
    let mut scene = Scene::new();
    scene.start();
    scene.sign(1..=1);
    scene.signer.freeze();
    let pid = scene.signer.pid();
    // One that is asked in a hurry, and one that may take its time while the daemon shows that it lives.
    for command in [&["freeze", "--all"][..], &["audit", "verify"]] {
        let output = scene.signer.attempt(command);
        assert_eq!(output.status.code(), Some(1));
        let text = said(&output);
        for words in [
            "does not answer",
            &format!("kill -USR1 {pid}"),
            &format!("kill -9 {pid}"),
        ] {
            assert!(text.contains(words), "{command:?}: {words} in {text}");
        }
    }
    // The advice holds: it is frozen as soon as it runs again.
    signal(pid, "-USR1");
    scene.signer.thaw();
    let frozen = poll(Duration::from_secs(20), || {
        let holds = scene.signer.run(&["holds"]);
        holds.contains("FROZEN everything").then_some(())
    });
    assert!(frozen.is_some(), "{}", scene.log());
    // It stood still for longer than a node may be silent: the node is dialled again.
    let dialled = scene.node.accept_unless(Duration::from_secs(20), || false);
    assert!(dialled, "{}", scene.log());
    assert_refused(&mut scene, Ask::prevote(2, 1), "frozen");
}

#[test]
fn a_kill_switch_thrown_during_the_start_freezes_before_a_node_is_dialled() {
    let mut scene = Scene::new();
    scene.start();
    scene.sign(1..=1);
    scene.signer.kill();
    // The tables lack what the witness holds, and the start that mends it takes its time.
    let command = armed(scene.signer.command(&["serve"]), "store_witness_written", 0);
    scene.try_start_command(command).unwrap();
    assert!(matches!(scene.ask(Ask::prevote(2, 1)), Answer::Lost));
    poll(Duration::from_secs(20), || scene.signer.ended()).expect("it has died");
    let mut command = scene.signer.command(&["serve"]);
    command.env("FAILPOINTS", "store_catching_up=sleep(5000)");
    scene.signer.start_command(command);
    let pid = scene.signer.pid();
    // The set of caught signals (proc(5), SigCgt); SIGUSR1 is the tenth.
    let heard = poll(Duration::from_secs(20), || {
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
        let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:"))?;
        let caught = u64::from_str_radix(caught.trim(), 16).ok()?;
        (caught & (1 << 9) != 0).then_some(())
    });
    assert!(heard.is_some());
    signal(pid, "-USR1");
    assert!(
        scene.node.accept_unless(Duration::from_secs(20), || false),
        "{}",
        scene.log()
    );
    assert_refused(&mut scene, Ask::prevote(3, 1), "frozen");
    assert!(scene.signer.run(&["holds"]).contains("SIGUSR1"));
    let records = crate::support::audit::records(&scene.signer);
    let frozen = records.iter().filter(|record| record.reason.contains("SIGUSR1"));
    assert_eq!(frozen.count(), 1, "{records:?}");
}

#[test]
fn a_reason_moves_no_cursor_and_forges_no_line() {
    let mut scene = Scene::new();
    scene.start();
    let hostile = "drill\nFROZEN nothing\x1b[2J\u{9b}31m";
    let long = format!("{hostile}{}", "ö".repeat(400));
    scene
        .signer
        .run(&["freeze", "--chain", CHAIN, "--reason", hostile]);
    scene.signer.run(&["freeze", "--all", "--reason", &long]);
    for command in [
        &["holds"][..],
        &["audit", "tail"],
        &["state", "show"],
        &["status"],
    ] {
        let text = scene.signer.run(command);
        assert!(
            text.chars().all(|c| c == '\n' || !c.is_control()),
            "{command:?}: {text:?}"
        );
        assert!(
            !text.lines().any(|line| line.starts_with("FROZEN nothing")),
            "{text}"
        );
    }
    assert_eq!(scene.signer.run(&["holds"]).lines().count(), 2);
    for refused in [
        &["unfreeze", "--all", "--reason", hostile][..],
        &[
            "stop-line",
            "set",
            "--chain",
            CHAIN,
            "--at",
            "5",
            "--reason",
            hostile,
        ],
    ] {
        let output = scene.signer.attempt(refused);
        assert_eq!(output.status.code(), Some(3), "{refused:?}");
        assert!(said(&output).contains("invalid_parameters"), "{}", said(&output));
    }
}
