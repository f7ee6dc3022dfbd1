//! Profiles of tokens (`hsm/profiles`) are data for people: here they are held to their form, to sigward's own reader, and, where
//! they claim to have been run, to the token itself. And the script that makes a development token makes one.
//!
//! *Invariant:* nothing is called `seen` that no test of this repository runs.

mod script;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use toml::{Table, Value};

use crate::support::home::Home;
use crate::support::signer::Signer;

/// A profile, as `hsm/profiles/README.md` describes it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Profile {
    token: String,
    maker: String,
    page: PathBuf,
    run_here: bool,
    facts_of: String,
    serves: BTreeMap<String, Serves>,
    provider: Vec<Table>,
    mechanisms: Option<Mechanisms>,
    fact: Vec<Fact>,
}

#[derive(Deserialize, PartialEq, Eq, Debug)]
#[serde(rename_all = "lowercase")]
enum Serves {
    Seen,
    Documented,
    No,
    Unknown,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Mechanisms {
    offered: Vec<String>,
    missing: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Fact {
    about: String,
    says: String,
    source: String,
}

const PURPOSES: [&str; 4] = ["consensus_ed25519", "p256", "seal", "secp256k1"];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn profiles() -> BTreeMap<String, Profile> {
    let entries = std::fs::read_dir(root().join("hsm/profiles")).unwrap();
    let mut profiles = BTreeMap::new();
    for path in entries.map(|entry| entry.unwrap().path()) {
        if path.extension().is_some_and(|extension| extension == "toml") {
            let name = path.file_name().unwrap().to_str().unwrap().to_owned();
            let text = std::fs::read_to_string(&path).unwrap();
            let profile = toml::from_str(&text).unwrap_or_else(|error| panic!("{name}: {error}"));
            profiles.insert(name, profile);
        }
    }
    assert!(profiles.len() >= 6);
    profiles
}

#[test]
fn every_profile_is_whole_and_every_fact_has_a_source() {
    let lists = ["hsm/profiles/README.md", "docs/tokens/README.md"]
        .map(|list| std::fs::read_to_string(root().join(list)).unwrap());
    for (name, profile) in profiles() {
        for text in [&profile.token, &profile.maker, &profile.facts_of] {
            assert!(!text.is_empty(), "{name}");
        }
        assert!(profile.serves.keys().eq(PURPOSES), "{name}: {:?}", profile.serves);
        for (purpose, serves) in &profile.serves {
            assert!(
                *serves != Serves::Seen || profile.run_here,
                "{name}: who saw {purpose}?"
            );
        }
        for fact in &profile.fact {
            let public = fact.source.starts_with("https://");
            let ours = profile.run_here && fact.source.starts_with("seen here");
            assert!(public || ours, "{name}: {}: {}", fact.about, fact.source);
            assert!(fact.says.ends_with('.'), "{name}: {}", fact.says);
        }
        assert!(
            lists[0].contains(&format!("]({name})")),
            "{name} is not in hsm/profiles/README.md"
        );
        let page = profile.page.file_name().unwrap().to_str().unwrap();
        assert!(
            lists[1].contains(&format!("]({page})")),
            "{page} is not in docs/tokens/README.md"
        );
    }
}

#[test]
fn every_page_shows_the_section_and_says_whether_it_was_run() {
    for (name, profile) in profiles() {
        let page = std::fs::read_to_string(root().join(&profile.page)).unwrap();
        let shown = page.split("```toml\n").skip(1).any(|rest| {
            let block: Table = rest.split("```").next().unwrap().parse().unwrap();
            block.get("provider").and_then(Value::as_array) == Some(&sections(&profile))
        });
        assert!(shown, "{name}: {} shows another section", profile.page.display());
        assert_eq!(page.contains("**Not run here.**"), !profile.run_here, "{name}");
        assert!(
            page.contains(&format!("hsm/profiles/{name}")),
            "{name}: no link to it"
        );
    }
}

fn sections(profile: &Profile) -> Vec<Value> {
    profile.provider.iter().cloned().map(Value::Table).collect()
}

#[test]
fn every_section_is_one_to_sigward() {
    let home = Home::new();
    let signer = Signer::init(&home);
    for (name, profile) in profiles() {
        signer.configure(|config| {
            config.insert("provider".to_owned(), Value::Array(sections(&profile)));
        });
        let output = signer.attempt(&["config", "check", "--file-only"]);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{name}: {said}");
    }
}
