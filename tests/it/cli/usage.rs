//! Usage: exit codes, help, completions, and a home that is there already.

use std::os::unix::fs::PermissionsExt as _;
use std::process::{Command, Stdio};

use super::{fails, text};
use crate::support::home::Home;
use crate::support::signer::Signer;

#[test]
fn init_makes_a_whole_home_once_and_touches_no_other() {
    let home = Home::new();
    let signer = Signer::init(&home);
    for (name, mode) in [
        ("sigward.toml", 0o600),
        ("seal.key", 0o600),
        ("identity.key", 0o600),
        ("keys", 0o700),
        ("state", 0o700),
        ("state/witness", 0o600),
        ("state/guard.db", 0o600),
        ("", 0o700),
    ] {
        let found = std::fs::metadata(signer.home().join(name)).unwrap();
        assert_eq!(found.permissions().mode() & 0o777, mode, "{name}");
    }
    assert_eq!(
        std::fs::metadata(signer.home().join("seal.key")).unwrap().len(),
        32
    );
    let config = std::fs::read(signer.home().join("sigward.toml")).unwrap();
    let seal = std::fs::read(signer.home().join("seal.key")).unwrap();
    let said = fails(&signer, 1, &["init"]);
    assert!(said.contains("exists already"), "{said}");
    assert_eq!(std::fs::read(signer.home().join("sigward.toml")).unwrap(), config);
    assert_eq!(std::fs::read(signer.home().join("seal.key")).unwrap(), seal);
}

/// Whoever moves in or restores must not be told to make a key: its name would be taken.
#[test]
fn init_says_the_three_ways_on_and_a_taken_name_says_what_to_do() {
    let home = Home::new();
    let signer = Signer::named(&home, "o");
    let made = signer.attempt(&["init", "--allow-volatile"]);
    let said = String::from_utf8_lossy(&made.stdout).into_owned();
    for way in [
        "sigward keys create",
        "sigward import",
        "sigward keys restore",
        "sigward serve",
    ] {
        assert!(said.contains(way), "{way}: {said}");
    }
    signer.run(&["keys", "create", "validator"]);
    let said = fails(&signer, 3, &["keys", "create", "validator"]);
    assert!(
        said.contains("key_exists: ")
            && said.contains("`sigward keys show validator`")
            && said.contains("another name"),
        "{said}"
    );
}

/// What opens the keys is refused as everything else is: what and why first, what to do indented below.
#[test]
fn a_seal_key_that_others_can_read_says_what_to_do_on_a_line_of_its_own() {
    let home = Home::new();
    let signer = Signer::init(&home);
    let seal = signer.home().join("seal.key");
    std::fs::set_permissions(&seal, std::fs::Permissions::from_mode(0o644)).unwrap();
    let said = fails(&signer, 1, &["keys", "list"]);
    let lines: Vec<_> = said.lines().collect();
    assert!(lines[0].contains("file_permissions: "), "{said}");
    assert!(lines[1].starts_with("  chmod 0600 "), "{said}");
    assert_eq!(lines.len(), 2, "{said}");
}

/// `man` fills and justifies what it is not told to leave alone.
#[test]
fn manual_pages_keep_examples_as_they_are() {
    let home = Home::new();
    let signer = Signer::not_yet(&home);
    let dir = home.path("man");
    signer.run(&["man", "--dir", dir.to_str().unwrap()]);
    let mut with_examples = 0;
    for entry in std::fs::read_dir(&dir).unwrap() {
        let path = entry.unwrap().path();
        let page = std::fs::read_to_string(&path).unwrap();
        assert!(page.starts_with(".ie") || page.contains(".TH "), "{page}");
        assert!(
            !page.contains("\"EXTRA\"") && !page.contains(".SH EXTRA"),
            "{}",
            path.display()
        );
        with_examples += usize::from(page.contains(".SH \"EXAMPLES\""));
    }
    assert!(with_examples >= 8, "{with_examples}");
    assert!(dir.join("sigward-keys-create.1").exists() && dir.join("sigward.1").exists());
    let page = std::fs::read_to_string(dir.join("sigward-keys-backup.1")).unwrap();
    assert!(
        page.contains("\nsigward keys backup \\-\\-all \\-\\-file all.backup \\-\\-passphrase\\-file pw\n"),
        "{page}"
    );
}

#[test]
fn a_home_that_may_forget_is_refused_unless_it_is_said() {
    let Ok(memory) = tempfile::tempdir_in("/dev/shm") else {
        eprintln!("SKIPPED: no /dev/shm here");
        return;
    };
    let run = |arguments: &[&str]| {
        Command::new(env!("CARGO_BIN_EXE_sigward"))
            .args(arguments)
            .arg("--home")
            .arg(memory.path().join("s"))
            .output()
            .unwrap()
    };
    let refused = run(&["init"]);
    assert_eq!(refused.status.code(), Some(1));
    assert!(text(&refused).contains("store_volatile: "), "{}", text(&refused));
    let made = run(&["init", "--allow-volatile"]);
    assert!(made.status.success(), "{}", text(&made));
    assert!(run(&["keys", "create", "k"]).status.success());
}

#[test]
fn wrong_usage_ends_with_two_and_help_with_zero() {
    let home = Home::new();
    let signer = Signer::not_yet(&home);
    for arguments in [
        &["frobnicate"][..],
        &["keys"],
        &["keys", "create"],
        &["keys", "create", "a", "b"],
        &["keys", "import", "a", "--file", "x", "--chain", "c"],
        &[
            "keys",
            "import",
            "a",
            "--file",
            "x",
            "--chain",
            "c",
            "--above",
            "1",
            "--never-signed",
        ],
        &[
            "keys", "import", "a", "--file", "x", "--chain", "c", "--above", "many",
        ],
        &["state", "init", "--key", "a", "--chain", "c"],
        &[
            "state",
            "init",
            "--key",
            "a",
            "--chain",
            "c",
            "--above",
            "1",
            "--never-signed",
        ],
        &["state", "adopt"],
        &["completions", "notashell"],
    ] {
        let output = signer.attempt(arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {}", text(&output));
    }
    for verb in [
        "init",
        "serve",
        "keys",
        "state",
        "audit",
        "config",
        "doctor",
        "demo",
        "completions",
    ] {
        let help = signer.run(&[verb, "--help"]);
        assert!(help.contains("Usage: sigward"), "{verb}: {help}");
    }
    let help = signer.run(&["--help"]);
    assert!(
        help.contains("Exit codes: 0 done · 1 failed · 2 wrong usage · 3 refused"),
        "{help}"
    );
    assert!(signer.run(&["--version"]).starts_with("sigward 0."));
}

#[test]
fn without_a_home_every_command_says_how_to_make_one() {
    let home = Home::new();
    let signer = Signer::not_yet(&home);
    for arguments in [
        &["serve"][..],
        &["keys", "list"],
        &["state", "show"],
        &["state", "adopt", "--above", "5"],
        &["audit", "verify"],
        &["config", "check"],
    ] {
        let said = fails(&signer, 1, arguments);
        assert!(
            said.starts_with("sigward: config_missing: "),
            "{arguments:?}: {said}"
        );
        assert!(said.contains("sigward init"), "{arguments:?}: {said}");
        let said = fails(&signer, 1, &[arguments, &["--json"]].concat());
        let value: serde_json::Value = serde_json::from_str(&said).unwrap();
        assert!(
            value["error"].as_str().unwrap().starts_with("config_missing: "),
            "{said}"
        );
    }
    assert!(!signer.home().exists(), "and none of them makes one");
}

#[test]
fn completions_are_scripts_of_their_shells() {
    let home = Home::new();
    let signer = Signer::not_yet(&home);
    for (shell, word) in [
        ("bash", "complete -F _sigward"),
        ("zsh", "#compdef sigward"),
        ("fish", "complete -c sigward"),
    ] {
        let script = signer.run(&["completions", shell]);
        assert!(
            script.contains(word),
            "{shell}: {}",
            &script[..200.min(script.len())]
        );
        assert!(script.contains("print-default"), "{shell} knows every verb");
    }
    // Bash is on every machine that builds this.
    let path = home.path("completions.bash");
    std::fs::write(&path, signer.run(&["completions", "bash"])).unwrap();
    let parsed = Command::new("bash")
        .arg("-n")
        .arg(&path)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert!(parsed.status.success(), "{}", text(&parsed));
}

/// `head` closes the pipe early: no panic, no noise.
#[test]
fn a_reader_that_goes_away_is_no_panic() {
    let home = Home::new();
    let signer = Signer::init(&home);
    for verb in [&["config", "print-default"][..], &["completions", "zsh"]] {
        let mut command = signer.command(verb);
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let output = command.stdout(writer).stderr(Stdio::piped()).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(!said.contains("panicked"), "{verb:?}: {said}");
    }
}
