//! `import` that is cut off: either nothing of it is there or all, and the same command again finishes it.

use super::dying::{armed, assert_aborted, dies};
use crate::moving::{imported, nothing_is_there, staging, write_private};
use crate::support::home::Home;
use crate::support::keys::KeyFile;
use crate::support::signer::Signer;

/// The steps of an import, in order: the first and the last three are those of a new home only, or of both, as the tests say.
pub(super) const POINTS: &[&str] = &[
    "admin_moving_sealed",
    "import_committed",
    "import_config_written",
    "import_moved_up",
    "import_moving_up",
    "import_renamed",
    "import_stage_begun",
    "import_staged",
];

const CHAIN: &str = "chain-1";

fn files(home: &Home) -> [String; 2] {
    let (key, state) = (home.path("key.json"), home.path("state.json"));
    write_private(&key, "");
    KeyFile::of_seed([11; 32]).write(&key);
    write_private(&state, r#"{"height":"40","round":0,"step":3}"#);
    [key, state].map(|path| path.to_str().unwrap().to_owned())
}

fn arguments(files: &[String; 2]) -> Vec<&str> {
    vec![
        "--from",
        "cometbft",
        &files[0],
        &files[1],
        "--chain",
        CHAIN,
        "--node",
        "tcp://127.0.0.1:26659",
        "--apply",
    ]
}

fn assert_moved(signer: &Signer, point: &str) {
    signer.run(&["config", "check"]);
    let keys = signer.json(&["keys", "list", "--json"]);
    assert_eq!(keys.as_array().unwrap().len(), 1, "{point}: {keys}");
    assert_eq!(
        keys[0]["address"],
        KeyFile::of_seed([11; 32]).address(),
        "{point}"
    );
    assert_eq!(keys[0]["chains"][0], CHAIN, "{point}");
    let state = signer.json(&["state", "show", "--json"]).to_string();
    assert!(state.contains("40"), "{point}: {state}");
    let config = std::fs::read_to_string(signer.home().join("sigward.toml")).unwrap();
    assert_eq!(config.matches("\n[[chain]]\n").count(), 1, "{point}: {config}");
    signer.run(&["audit", "verify"]);
}

#[test]
fn an_import_into_a_new_home_that_dies_leaves_nothing_or_all() {
    for point in [
        "import_stage_begun",
        "store_create_database_built",
        "admin_moving_sealed",
        "import_config_written",
        "import_staged",
        "import_renamed",
    ] {
        let home = Home::new();
        let signer = Signer::not_yet(&home);
        let files = files(&home);
        let mut all = vec!["import", "--allow-volatile"];
        all.extend(arguments(&files));
        dies(signer.command(&all), point);
        if point == "import_renamed" {
            assert_moved(&signer, point);
            continue;
        }
        assert!(!signer.home().exists(), "{point}: there is no home");
        let refused = signer.attempt(&["serve"]);
        assert_eq!(refused.status.code(), Some(1), "{point}: nothing serves");
        imported(&signer, &arguments(&files));
        assert!(!staging(&signer).exists(), "{point}: what was left is gone");
        assert_moved(&signer, point);
    }
}

#[test]
fn an_import_into_a_home_that_dies_is_finished_by_the_same_command() {
    for point in [
        "admin_moving_sealed",
        "store_before_begin",
        "store_before_witness",
        "store_witness_written",
        "store_witness_synced",
        "import_committed",
        "import_config_written",
    ] {
        let home = Home::new();
        let signer = Signer::init(&home);
        let before = std::fs::read(signer.home().join("sigward.toml")).unwrap();
        let files = files(&home);
        let mut all = vec!["import"];
        all.extend(arguments(&files));
        dies(signer.command(&all), point);
        let after = std::fs::read(signer.home().join("sigward.toml")).unwrap();
        assert_eq!(before, after, "{point}: nothing signs for the chain yet");
        imported(&signer, &arguments(&files));
        assert_moved(&signer, point);
    }
    let home = Home::new();
    assert!(nothing_is_there(&Signer::not_yet(&home)));
}

/// As a package makes a home: an empty folder. It is filled from within, one entry after the other.
#[test]
fn an_import_into_an_empty_home_that_dies_leaves_nothing_or_all() {
    for (point, skip) in [
        ("import_stage_begun", 0),
        ("admin_moving_sealed", 0),
        ("import_staged", 0),
        ("import_moving_up", 0),
        ("import_moving_up", 1),
        ("import_moving_up", 2),
        ("import_moving_up", 3),
        ("import_moved_up", 0),
    ] {
        let home = Home::new();
        let signer = Signer::not_yet(&home);
        std::fs::create_dir(signer.home()).unwrap();
        let files = files(&home);
        let mut all = vec!["import", "--allow-volatile"];
        all.extend(arguments(&files));
        let output = armed(signer.command(&all), point, skip)
            .stdin(std::process::Stdio::null())
            .output()
            .unwrap();
        assert_aborted(output.status, point, &String::from_utf8_lossy(&output.stderr));
        if point == "import_moved_up" {
            assert_moved(&signer, point);
            continue;
        }
        assert!(
            !signer.home().join("sigward.toml").exists(),
            "{point}: it is no home"
        );
        let refused = signer.attempt(&["serve"]);
        assert_eq!(refused.status.code(), Some(1), "{point}: nothing serves");
        imported(&signer, &arguments(&files));
        let left: Vec<_> = std::fs::read_dir(signer.home())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .filter(|name| name.starts_with('.'))
            .collect();
        assert!(left.is_empty(), "{point}: what was left is gone: {left:?}");
        assert_moved(&signer, point);
    }
}
