//! What is refused changes nothing, is loud, and is over with the next good reload.

use super::stage::{Stage, accept, signed};

fn config_text(stage: &Stage) -> (std::path::PathBuf, String) {
    let path = stage.signer.home().join("sigward.toml");
    let text = std::fs::read_to_string(&path).unwrap();
    (path, text)
}

#[test]
fn a_bad_configuration_changes_nothing_and_says_so_everywhere() {
    let mut stage = Stage::with_keys(["one", "two"]);
    let mut node = stage.chain("c-1", "one");
    stage.signer.start();
    accept(&mut node);
    signed(&mut node, 1);
    assert!(stage.signer.comes_ready());
    let (path, good) = config_text(&stage);

    // By signal: a mistake in the file, together with a removal that must not happen.
    std::fs::write(&path, "[[chain]]\nid = 'c-2'\nkey = 'two'\nround_jmp = 1\n").unwrap();
    assert!(!stage.hang_up());
    signed(&mut node, 2);
    assert_eq!(stage.signer.check("config"), "failing");
    let (ready, report) = stage.signer.ready();
    assert!(!ready, "{report}");
    let log = stage.signer.log();
    assert!(
        log.contains("alarm=true") && log.contains("config_invalid"),
        "{log}"
    );
    let metrics = stage.signer.metrics();
    assert_eq!(
        metrics.sum("sigward_config_last_reload_successful", &[]),
        Some(0.0)
    );
    assert!(!stage.signer.log().contains("c-2 is not served"));

    // By command: the daemon hears of it, though the command line cannot read the file either.
    let before = stage.reloads().1;
    let said = stage.refused_with("config_invalid");
    assert!(
        said.contains("sigward.toml:4:1") && said.contains("round_jump"),
        "{said}"
    );
    assert_eq!(stage.reloads().1, before + 1);
    // A dry run asks, and disturbs nothing.
    assert_eq!(
        stage.signer.attempt(&["reload", "--dry-run"]).status.code(),
        Some(3)
    );
    assert_eq!(stage.reloads().1, before + 1);

    // Empty, as it is for a moment while somebody writes it.
    std::fs::write(&path, "").unwrap();
    stage.refused_with("reload_removes_all");
    signed(&mut node, 2);

    // Gone altogether.
    std::fs::remove_file(&path).unwrap();
    assert!(!stage.hang_up());
    signed(&mut node, 3);

    // A key that nobody knows.
    let unknown = format!("{good}\n[[chain]]\nid = 'c-2'\nkey = 'three'\n");
    std::fs::write(&path, unknown).unwrap();
    let said = stage.refused_with("key_not_found");
    assert!(said.contains("c-2") && said.contains("three"), "{said}");
    signed(&mut node, 4);

    std::fs::write(&path, good).unwrap();
    let reply = stage.reload();
    assert_eq!(reply["changes"].as_array().unwrap().len(), 0, "{reply}");
    assert_eq!(reply["applied"], true);
    signed(&mut node, 5);
    assert!(stage.signer.comes_ready());
    assert_eq!(stage.signer.check("config"), "ok");
    let metrics = stage.signer.metrics();
    assert_eq!(
        metrics.sum("sigward_config_last_reload_successful", &[]),
        Some(1.0)
    );
    assert_eq!(
        stage.listed("c-1", "a")["connections"],
        1,
        "the one connection, through all of it"
    );
}

#[test]
fn a_chain_keeps_its_key_when_the_other_one_cannot_serve_it() {
    let mut stage = Stage::with_keys(["one", "two"]);
    let (mut first, mut second) = (stage.chain("c-1", "one"), stage.chain("c-2", "two"));
    stage.signer.start();
    accept(&mut first);
    accept(&mut second);
    // The key of c-2 serves c-2 for its whole life, even where c-2 is taken out in the same breath.
    stage.remove("c-2");
    stage.edit("c-1", |chain| drop(chain.insert("key".to_owned(), "two".into())));
    let said = stage.refused_with("sharing_refused");
    assert!(said.contains("chain c-1"), "{said}");
    signed(&mut first, 1);
    signed(&mut second, 1);
}

#[test]
fn a_new_chain_that_waits_for_a_word_costs_the_others_nothing() {
    let mut stage = Stage::with_keys(["one", "two"]);
    let mut node = stage.chain("c-1", "one");
    stage.signer.start();
    accept(&mut node);
    // The state of `two` left with its first chain: what it signed since is not known here.
    stage.signer.run(&[
        "state",
        "init",
        "--key",
        "two",
        "--chain",
        "c-2",
        "--never-signed",
    ]);
    let file = stage.home.path("out.json");
    stage.signer.run(&[
        "state",
        "export",
        "--key",
        "two",
        "--chain",
        "c-2",
        "--file",
        file.to_str().unwrap(),
    ]);
    let mut other = stage.chain("c-3", "two");
    stage.signer.create_key("three");
    let mut good = stage.chain("c-4", "three");
    let reply = stage.reload();
    assert!(
        reply["warnings"].to_string().contains("chain c-3 is not served"),
        "{reply}"
    );
    assert_eq!(stage.signer.check("chain/c-3"), "failing");
    accept(&mut good);
    signed(&mut good, 1);
    signed(&mut node, 1);
    assert!(!other.accept_unless(std::time::Duration::from_millis(300), || false));
    assert!(
        !stage.signer.ready().0,
        "one chain of the configuration is not signed for"
    );
}

#[test]
fn loosening_the_guard_refuses_all_of_it_until_a_restart() {
    let mut stage = Stage::with_keys(["one", "two"]);
    let mut node = stage.chain("c-1", "one");
    stage.edit("c-1", |chain| {
        chain.insert("height_jump".to_owned(), 100.into());
        chain.insert("strict_extensions".to_owned(), true.into());
    });
    stage.signer.start();
    accept(&mut node);
    signed(&mut node, 1);

    stage.edit("c-1", |chain| {
        chain.insert("height_jump".to_owned(), 5_000.into());
        chain.remove("strict_extensions");
        chain.insert("round_jump".to_owned(), 5.into());
    });
    let mut second = stage.chain("c-2", "two");
    let said = stage.refused_with("reload_loosens_guard");
    for part in [
        "height_jump 100 -> 5000",
        "strict_extensions true -> false",
        "restart",
    ] {
        assert!(said.contains(part), "{said}");
    }
    assert!(!said.contains("round_jump"), "that one is stricter: {said}");
    assert!(!stage.hang_up());
    assert_eq!(stage.signer.check("config"), "failing");
    let far = crate::support::fake_node::Ask::prevote(1_500, 1);
    assert_eq!(node.ask(far).refusal(), "height_jump", "the guard is as it was");
    assert!(
        !second.accept_unless(std::time::Duration::from_millis(300), || false),
        "none of it is taken"
    );

    // Out and in again is no way around it.
    let (path, lax) = config_text(&stage);
    stage.remove("c-1");
    stage.reload();
    std::fs::write(&path, &lax).unwrap();
    stage.refused_with("reload_loosens_guard");

    stage.signer.terminate();
    stage.signer.start();
    accept(&mut node);
    assert!(
        matches!(node.ask(far), crate::support::fake_node::Answer::Signed(_)),
        "a restart takes it"
    );
}

#[test]
fn settings_that_wait_for_a_restart_are_named_and_left() {
    let mut stage = Stage::with_keys(["one"]);
    let mut node = stage.chain("c-1", "one");
    stage.signer.start();
    accept(&mut node);
    stage.signer.configure(|config| {
        let log = "format = 'json'\nlevel = 'debug'".parse::<toml::Table>().unwrap();
        config.insert("log".to_owned(), log.into());
    });
    let text = stage.signer.run(&["reload", "--dry-run"]);
    assert_eq!(
        text,
        "~ log.format: text -> json (needs a restart)\n~ log.level: info -> debug\nnothing was changed; `sigward reload` does it\n"
    );
    let reply = stage.reload();
    assert_eq!(reply["changes"][0]["effect"], "needs_restart");
    assert_eq!(reply["changes"][1]["effect"], "live");
    let reply = stage.reload();
    assert_eq!(
        reply["changes"].as_array().unwrap().len(),
        1,
        "the level is in force, the format waits: {reply}"
    );
    assert!(stage.signer.log().lines().all(|line| !line.starts_with('{')));
    signed(&mut node, 1);
}

#[test]
fn a_reload_is_on_record_with_the_digest_of_its_file() {
    use sha2::Digest as _;
    let mut stage = Stage::with_keys(["one", "two"]);
    let mut node = stage.chain("c-1", "one");
    stage.signer.start();
    accept(&mut node);
    let _second = stage.chain("c-2", "two");
    let reply = stage.reload();
    let (path, _) = config_text(&stage);
    let digest = hex::encode(sha2::Sha256::digest(std::fs::read(path).unwrap()));
    assert_eq!(reply["config_sha256"], digest.as_str());
    let tail = stage.signer.run(&["audit", "tail", "-n", "20", "--json"]);
    let record = tail
        .lines()
        .find(|line| line.contains("config.reload"))
        .unwrap_or_else(|| panic!("{tail}"));
    assert!(record.contains(&digest), "{record}");
    assert!(record.contains("chains +1 -0"), "{record}");
    stage.signer.run(&["audit", "verify"]);
}

#[test]
fn without_a_daemon_there_is_nothing_to_reload() {
    let stage = Stage::with_keys(["one"]);
    let said = stage.refused_with("not_serving");
    assert!(said.contains("sigward config check"), "{said}");
}
