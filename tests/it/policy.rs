//! Policies from the outside: checked and explained on the command line, read at start, replaced by a reload.

use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::support::fake_node::Ask;
use crate::support::home::Home;
use crate::support::scene::Scene;
use crate::support::signer::Signer;

const GOOD: &str = "version = 1\n[[rule]]\nid = \"look\"\neffect = \"allow\"\nsubjects = [\"dns:*.example.org\"]\noperations = [\"status.read\"]\n";

fn examples() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("policies/examples");
    let mut files: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    files
}

/// Exit code, standard output, standard error.
fn attempt(signer: &Signer, arguments: &[&str]) -> (Option<i32>, String, String) {
    let output = signer.attempt(arguments);
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

fn named(signer: &Signer, text: &str) {
    std::fs::write(signer.home().join("policy.toml"), text).unwrap();
    signer.configure(|config| {
        let mut policy = toml::Table::new();
        policy.insert("file".to_owned(), "policy.toml".into());
        config.insert("policy".to_owned(), policy.into());
    });
}

#[test]
fn every_example_is_checked_without_a_home() {
    let home = Home::new();
    let signer = Signer::not_yet(&home);
    for file in examples() {
        let file = file.to_str().unwrap();
        let checked = signer.json(&["policy", "check", file, "--json"]);
        assert_eq!(checked["valid"], true);
        assert_eq!(checked["version"].as_str().unwrap().len(), 64);
        assert_eq!(checked["warnings"], Value::Array(vec![]));
        let (code, said, _) = attempt(&signer, &["policy", "check", file]);
        assert_eq!(code, Some(0));
        assert!(said.contains(" is valid: ") && said.contains(&checked["version"].as_str().unwrap()[..12]));
    }
    assert!(!signer.home().exists(), "nothing is made to answer a question");
}

#[test]
fn a_question_is_answered_with_every_rule_that_was_looked_at() {
    let home = Home::new();
    let signer = Signer::not_yet(&home);
    let file = home.path("policy.toml");
    std::fs::write(&file, GOOD).unwrap();
    let file = file.to_str().unwrap();
    let ask = |more: &[&str]| {
        let mut arguments = vec!["policy", "explain", "--as", "dns:a.example.org", "--op"];
        arguments.extend(more);
        arguments.push(file);
        attempt(&signer, &arguments)
    };
    let (code, said, _) = ask(&["status.read"]);
    assert_eq!(
        (code, said.as_str()),
        (
            Some(0),
            "1. look (allow): all of it matches\nallowed by rule look\n"
        )
    );
    let (code, said, _) = ask(&["freeze"]);
    assert_eq!(
        (code, said.as_str()),
        (
            Some(0),
            "1. look (allow): freeze is not among its operations\ndenied: no rule allows it\n"
        )
    );
    assert_eq!(ask(&["freeze", "--expect", "deny"]).0, Some(0));
    let (code, _, said) = ask(&["freeze", "--expect", "allow"]);
    assert_eq!(
        (code, said.as_str()),
        (Some(4), "sigward: expected allow: denied: no rule allows it\n")
    );
    let (code, _, said) = ask(&["frieze"]);
    assert!(
        code == Some(2) && said.contains("did you mean `freeze`?"),
        "{said}"
    );
    let (_, json, _) = ask(&["status.read", "--json"]);
    let answer: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(
        (&answer["allowed"], &answer["rule"]),
        (&Value::Bool(true), &Value::from("look"))
    );
    assert_eq!(answer["looked_at"][0]["line"], 3);

    let (code, _, said) = attempt(&signer, &["policy", "check", "/nonexistent/policy.toml"]);
    assert!(
        code == Some(1) && said.starts_with("sigward: policy_missing: "),
        "{said}"
    );
    std::fs::write(file, GOOD.replace("allow", "alow")).unwrap();
    let (code, _, said) = attempt(&signer, &["policy", "check", file]);
    assert!(
        code == Some(4) && said.contains(":4:10: rule[0].effect: ") && said.contains("did you mean `allow`?"),
        "{said}"
    );
}

#[test]
fn a_home_without_a_policy_says_how_to_name_one() {
    let home = Home::new();
    let signer = Signer::init(&home);
    let (code, _, said) = attempt(&signer, &["policy", "check"]);
    assert!(
        code == Some(1) && said.contains("names no policy") && said.contains("[policy]"),
        "{said}"
    );
    named(&signer, GOOD);
    assert_eq!(signer.json(&["policy", "check", "--json"])["rules"], 1);
}

#[test]
fn a_document_that_is_none_keeps_sigward_from_starting() {
    let mut scene = Scene::new();
    named(&scene.signer, &GOOD.replace("status.read", "status.raed"));
    let refused = scene.try_start().unwrap_err();
    assert_eq!(refused.status.code(), Some(1));
    assert!(
        refused.log.contains("policy_invalid: ") && refused.log.contains("did you mean `status.read`?"),
        "{}",
        refused.log
    );
    let (code, said, _) = attempt(&scene.signer, &["config", "check"]);
    assert!(code == Some(4) && said.contains("config.policy"), "{said}");
    std::fs::remove_file(scene.signer.home().join("policy.toml")).unwrap();
    let refused = scene.try_start().unwrap_err();
    assert!(refused.log.contains("policy_missing: "), "{}", refused.log);

    named(&scene.signer, GOOD);
    scene.start();
    scene.sign(1..=2);
    assert!(scene.log().contains("policy="), "{}", scene.log());
}

#[test]
fn a_reload_takes_another_document_and_keeps_the_running_one_over_a_bad_one() {
    let mut scene = Scene::new();
    scene.start();
    scene.sign(1..=1);
    let signer = &scene.signer;

    named(signer, GOOD);
    let reloaded = signer.json(&["reload", "--json"]);
    let settings = |reloaded: &Value| -> Vec<String> {
        let changes = reloaded["changes"].as_array().unwrap();
        changes
            .iter()
            .map(|change| change["setting"].as_str().unwrap().to_owned())
            .collect()
    };
    assert_eq!(settings(&reloaded), ["policy.file", "policy"]);

    // The document alone has changed: that is a difference too, and on record.
    named(signer, &GOOD.replace("status.read", "key.list"));
    let reloaded = signer.json(&["reload", "--json"]);
    assert_eq!(settings(&reloaded), ["policy"]);
    let version = signer.json(&["policy", "check", "--json"])["version"]
        .as_str()
        .unwrap()
        .to_owned();
    assert_eq!(reloaded["changes"][0]["new"].as_str().unwrap(), &version[..12]);
    let records = signer.run(&["audit", "tail", "--lines", "50"]);
    assert!(records.contains(&format!("policy {version}")), "{records}");

    named(signer, "version = 1\n[[rules]]\n");
    let (code, _, said) = attempt(signer, &["reload"]);
    assert!(code == Some(3) && said.contains("policy_invalid: "), "{said}");
    assert_eq!(signer.check("config"), "failing");
    assert!(signer.log().contains("alarm=true"));
    scene.sign(2..=2);

    let signer = &scene.signer;
    named(signer, &GOOD.replace("status.read", "key.list"));
    let (code, said, _) = attempt(signer, &["reload"]);
    assert_eq!((code, said.trim()), (Some(0), "nothing differs from what runs"));
    assert_eq!(signer.check("config"), "ok");

    // None at all, or one that only logs, would refuse less.
    signer.configure(|config| {
        config["policy"]
            .as_table_mut()
            .unwrap()
            .insert("dry_run".to_owned(), true.into());
    });
    let (code, _, said) = attempt(signer, &["reload"]);
    assert!(
        code == Some(3) && said.contains("reload_loosens_guard: ") && said.contains("policy.dry_run"),
        "{said}"
    );
    signer.configure(|config| {
        config.remove("policy");
    });
    let (code, _, said) = attempt(signer, &["reload"]);
    assert!(code == Some(3) && said.contains("policy.file"), "{said}");
    scene.sign(3..=3);
}

#[test]
fn what_a_rule_denies_no_node_gets_and_not_even_the_administrator() {
    let mut scene = Scene::new();
    scene.start();
    scene.sign(1..=1);
    let deny = "version = 1\n\
        [[rule]]\nid = \"quiet\"\neffect = \"deny\"\nsubjects = [\"node:*/*\"]\noperations = [\"sign.cometbft.*\"]\n\
        [[rule]]\nid = \"no-keys\"\neffect = \"deny\"\nsubjects = [\"uid:*\"]\noperations = [\"key.create\"]\n";
    named(&scene.signer, deny);
    scene.signer.run(&["reload"]);
    assert_eq!(scene.ask(Ask::prevote(2, 1)).refusal(), "not_permitted");
    let (code, _, said) = attempt(&scene.signer, &["keys", "create", "another"]);
    assert!(
        code == Some(3) && said.contains("not_permitted") && said.contains("no-keys"),
        "{said}"
    );
    scene.signer.run(&["keys", "list"]);
    // The denial costs nothing: another document, and the same position is signed.
    named(&scene.signer, GOOD);
    scene.signer.run(&["reload"]);
    scene.sign(2..=2);
    let records = scene.signer.run(&["audit", "tail", "--lines", "50"]);
    assert!(records.contains("not_permitted"), "{records}");
}
