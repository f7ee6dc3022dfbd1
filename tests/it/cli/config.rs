//! `config check` and `config print-default`.

use std::path::{Path, PathBuf};

use super::{fails, keys_of};
use crate::support::home::Home;
use crate::support::signer::Signer;

#[test]
fn every_bad_configuration_is_refused_in_one_sentence_and_a_line_of_what_to_do() {
    let home = Home::new();
    let signer = Signer::init(&home);
    let files = toml_files("tests/bad-configs");
    assert!(files.len() >= 50, "{}", files.len());
    for file in files {
        std::fs::copy(&file, signer.home().join("sigward.toml")).unwrap();
        let said = fails(&signer, 1, &["config", "check"]);
        let name = file.display();
        assert!(said.starts_with("sigward: config_invalid: "), "{name}: {said}");
        assert!(said.contains("sigward.toml"), "{name}: the file is named: {said}");
        let advice = said.lines().nth(1).unwrap_or_default();
        assert!(
            advice.starts_with("  ") && advice.trim().len() > 10,
            "{name}: {said}"
        );
        assert!(said.lines().count() <= 3, "{name}: {said}");
        let json = fails(&signer, 1, &["config", "check", "--json"]);
        serde_json::from_str::<serde_json::Value>(&json)
            .unwrap_or_else(|error| panic!("{name}: {error}: {json}"));
        // The daemon and the acts read it with the same eyes.
        assert!(
            fails(&signer, 1, &["keys", "list"]).starts_with("sigward: config_invalid: "),
            "{name}"
        );
    }
    let said = fails(&signer, 1, &["serve"]);
    assert!(said.starts_with("sigward: config_invalid: "), "{said}");
}

#[test]
fn the_printed_default_is_what_init_writes_and_means_what_it_says() {
    let home = Home::new();
    let signer = Signer::not_yet(&home);
    let printed = signer.run(&["config", "print-default"]);
    std::fs::create_dir(signer.home()).unwrap();
    let file = signer.home().join("sigward.toml");
    std::fs::write(&file, &printed).unwrap();
    let checked = signer.json(&["config", "check", "--file-only", "--json"]);
    assert_eq!(keys_of(&checked), ["chains", "config", "nodes", "valid"]);
    assert_eq!(checked["valid"], true);
    assert_eq!(checked["chains"], 0);
    // With every field that is only mentioned written out, it is still a configuration.
    let whole: Vec<String> = printed
        .lines()
        .map(|line| match line.strip_prefix('#') {
            Some(rest) if !rest.starts_with(' ') => rest.to_owned(),
            _ => line.to_owned(),
        })
        .collect();
    std::fs::write(&file, whole.join("\n")).unwrap();
    let checked = signer.json(&["config", "check", "--file-only", "--json"]);
    assert_eq!(
        (&checked["chains"], &checked["nodes"]),
        (&1.into(), &1.into()),
        "{checked}"
    );
    let json = signer.json(&["config", "print-default", "--json"]);
    assert_eq!(json["config"].as_str().unwrap().trim_end(), printed.trim_end());
}

#[test]
fn every_example_is_a_configuration() {
    let home = Home::new();
    let signer = Signer::not_yet(&home);
    std::fs::create_dir(signer.home()).unwrap();
    for file in toml_files("docs/examples") {
        std::fs::copy(&file, signer.home().join("sigward.toml")).unwrap();
        let said = signer.run(&["config", "check", "--file-only"]);
        assert!(said.contains("is valid"), "{}: {said}", file.display());
    }
}

fn toml_files(folder: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "toml"))
        .collect();
    files.sort();
    files
}
