//! Blocks that are pieces of files are read by whoever reads the file: sigward, CometBFT's own defaults, systemd.

use std::path::Path;
use std::process::Command;

use toml::{Table, Value};

use super::blocks::{Block, blocks};
use super::{name, pages};
use crate::support::genesis::Version;
use crate::support::home::Home;
use crate::support::node::peer;
use crate::support::signer::Signer;

/// The first line of a block of `toml` that is the node's, not sigward's.
const OF_THE_NODE: &str = "# config/config.toml";

fn each(language: &str, mut check: impl FnMut(&Block) -> Result<(), String>) {
    let mut wrong = Vec::new();
    for page in pages() {
        for block in blocks(&page).iter().filter(|block| block.is(language, None)) {
            if let Err(why) = check(block) {
                wrong.push(format!("{}:{}: {why}", name(&page), block.line));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_block_of_json_parses() {
    each("json", |block| {
        serde_json::from_str::<serde_json::Value>(&block.text)
            .map_or_else(|error| Err(error.to_string()), |_| Ok(()))
    });
}

#[test]
fn every_block_of_toml_is_accepted_by_its_reader() {
    let home = Home::new();
    let signer = Signer::init(&home);
    signer.create_key("validator");
    let file = signer.home().join("sigward.toml");
    let ours: Table = std::fs::read_to_string(&file).unwrap().parse().unwrap();
    let theirs = node_defaults(&home.path("node"));
    each("toml", |block| {
        let piece: Table = block.text.parse().map_err(|error| format!("{error}"))?;
        if block.text.starts_with(OF_THE_NODE) {
            return known(&piece, &theirs);
        }
        let mut whole = ours.clone();
        merge(&mut whole, piece);
        std::fs::write(&file, toml::to_string(&whole).unwrap()).unwrap();
        let output = signer.attempt(&["config", "check"]);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        if output.status.success() {
            Ok(())
        } else {
            Err(said)
        }
    });
}

/// `config.toml` as `cometbft init` writes it.
fn node_defaults(dir: &Path) -> Table {
    let made = Command::new(peer(Version::V038, "cometbft"))
        .arg("init")
        .arg("--home")
        .arg(dir)
        .output()
        .unwrap();
    assert!(made.status.success());
    let file = dir.join("config/config.toml");
    std::fs::read_to_string(file).unwrap().parse().unwrap()
}

/// Every setting of `piece` is one that `defaults` has.
fn known(piece: &Table, defaults: &Table) -> Result<(), String> {
    for (key, value) in piece {
        match (value, defaults.get(key)) {
            (_, None) => return Err(format!("CometBFT has no setting {key}")),
            (Value::Table(inner), Some(Value::Table(known_inner))) => known(inner, known_inner)?,
            _ => {}
        }
    }
    Ok(())
}

/// Puts a piece over the defaults. Two ways of one choice (`key_file`, `credential`) do not stand beside each other.
fn merge(whole: &mut Table, piece: Table) {
    for (key, value) in piece {
        match (whole.get_mut(&key), value) {
            (Some(Value::Table(old)), Value::Table(new)) if key != "seal" => merge(old, new),
            (_, value) => {
                whole.insert(key, value);
            }
        }
    }
}

#[test]
fn every_unit_is_one_to_systemd() {
    let home = Home::new();
    each("ini", |block| {
        let unit = block.text.contains("[Service]") || block.text.contains("[Unit]");
        if !unit {
            return Err("not a unit: mark it `norun`, with the reason".to_owned());
        }
        // The program of the unit is not installed here; one that is stands in for it. A drop-in has none.
        let own = block.text.lines().filter(|line| !line.starts_with("ExecStart="));
        let text: String = own.map(|line| format!("{line}\n")).collect();
        let text = text.replace("[Service]\n", "[Service]\nExecStart=/bin/true\n");
        let file = home.path("checked.service");
        std::fs::write(&file, text).unwrap();
        let output = Command::new("systemd-analyze")
            .args(["verify", "--man=no", "--recursive-errors=no"])
            .arg(&file)
            .output()
            .map_err(|error| format!("systemd-analyze: {error}"))?;
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        let about_it = said.lines().any(|line| line.contains("checked.service"));
        if output.status.success() && !about_it {
            Ok(())
        } else {
            Err(said)
        }
    });
}
