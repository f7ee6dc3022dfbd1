//! `sigward top` in a real terminal: tmux is one that can be asked what it shows.

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use super::stage::{CHAIN, Stage};
use crate::support::home::Home;
use crate::support::poll;

const PATIENCE: Duration = Duration::from_secs(20);

/// A tmux server of its own with one window; killed on drop.
struct Terminal {
    socket: PathBuf,
}

impl Terminal {
    fn open(home: &Home, size: (u16, u16), command: &str) -> Self {
        let terminal = Self {
            socket: home.socket("tmux"),
        };
        let (columns, lines) = (size.0.to_string(), size.1.to_string());
        let script = format!(
            "stty -a > {0}/before; {command}; echo left with $?; stty -a > {0}/after; cat",
            home.path("").display()
        );
        terminal.tmux(&[
            "-f",
            "/dev/null",
            "new-session",
            "-d",
            "-x",
            &columns,
            "-y",
            &lines,
            "sh",
            "-c",
            &script,
        ]);
        terminal
    }

    fn tmux(&self, arguments: &[&str]) -> String {
        let output = Command::new("tmux")
            .arg("-S")
            .arg(&self.socket)
            .args(arguments)
            .env("LC_ALL", "C.UTF-8")
            .env_remove("NO_COLOR")
            .env_remove("TMUX")
            .output()
            .expect("tmux is there: scripts/setup.sh monitoring");
        assert!(
            output.status.success(),
            "tmux {arguments:?}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8(output.stdout).unwrap()
    }

    fn press(&self, key: &str) {
        self.tmux(&["send-keys", key]);
    }

    fn wait_for(&self, words: &str) -> String {
        let mut seen = String::new();
        let found = poll(PATIENCE, || {
            seen = self.tmux(&["capture-pane", "-p"]);
            seen.contains(words).then_some(())
        });
        assert!(found.is_some(), "no {words:?} on the screen:\n{seen}");
        seen
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _gone = Command::new("tmux")
            .arg("-S")
            .arg(&self.socket)
            .arg("kill-server")
            .output();
    }
}

fn top(stage: &Stage) -> String {
    format!(
        "'{}' top --home '{}'",
        env!("CARGO_BIN_EXE_sigward"),
        stage.signer.home().display()
    )
}

#[test]
fn it_draws_follows_survives_a_restart_and_gives_the_terminal_back() {
    let mut stage = Stage::new();
    stage.ten_heights();
    let terminal = Terminal::open(&stage.home, (80, 24), &top(&stage));
    let screen = terminal.wait_for("10/0/precommit");
    assert!(
        screen.contains(CHAIN) && screen.contains("███▁█▄█x██"),
        "{screen}"
    );
    stage.height(11);
    terminal.wait_for("11/0/precommit");
    stage.signer.terminate();
    let gone = terminal.wait_for("no daemon is running; waiting for it");
    assert!(
        gone.contains("11/0/precommit"),
        "what was heard last stays in sight:\n{gone}"
    );
    stage.start();
    stage.height(12);
    terminal.wait_for("12/0/precommit");
    terminal.press("q");
    let after = terminal.wait_for("left with 0");
    assert!(!after.contains("precommit"), "the screen is as it was:\n{after}");
    let modes = |name: &str| std::fs::read_to_string(stage.home.path(name)).unwrap();
    assert!(poll(PATIENCE, || stage.home.path("after").exists().then_some(())).is_some());
    assert_eq!(
        modes("before"),
        modes("after"),
        "the terminal's modes are as they were"
    );
}

#[test]
fn ctrl_c_leaves_and_a_narrow_terminal_is_enough() {
    let mut stage = Stage::new();
    stage.ten_heights();
    let terminal = Terminal::open(&stage.home, (34, 10), &format!("{} --ascii", top(&stage)));
    let screen = terminal.wait_for("sigward");
    assert!(screen.lines().all(|line| line.chars().count() <= 34), "{screen}");
    // What does not fit is below.
    for _ in 0..30 {
        terminal.press("Down");
    }
    terminal.wait_for("# precommit");
    terminal.press("C-c");
    terminal.wait_for("left with 0");
}

#[test]
fn without_a_terminal_it_says_what_to_use() {
    let stage = Stage::new();
    let output = stage.signer.attempt(&["top"]);
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(
        said.contains("top needs a terminal") && said.contains("--once"),
        "{said}"
    );
}
