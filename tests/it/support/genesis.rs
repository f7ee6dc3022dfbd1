//! What all nodes of one test chain agree on: its genesis, with one validator whose key only sigward holds, and timers short
//! enough for a test.

use std::path::Path;

use serde_json::{Value, json};
use toml::Table;

/// A release line of CometBFT, as it is installed below `target/peers`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Version {
    /// v0.38.25: `tendermint.privval` on the wire.
    V038,
    /// v1.0.1: `cometbft.privval.v1` on the wire.
    V1,
}

impl Version {
    pub(crate) const fn tag(self) -> &'static str {
        match self {
            Self::V038 => "v0.38.25",
            Self::V1 => "v1.0.1",
        }
    }
}

/// Whether precommits carry extensions, from height 1 on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Extensions {
    Off,
    FromHeightOne,
}

/// An Ed25519 validator key as a genesis names it.
#[derive(Clone, Debug)]
pub(crate) struct Validator {
    /// RFC 4648 base64 of the 32 bytes.
    pub(crate) public_key: String,
    /// 40 upper-case hex digits.
    pub(crate) address: String,
}

impl Validator {
    /// Reads the public half of CometBFT's `priv_validator_key.json`.
    pub(crate) fn of_key_file(path: &Path) -> Self {
        let file: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        Self {
            public_key: text(&file["pub_key"]["value"]),
            address: text(&file["address"]),
        }
    }
}

/// A chain with one validator.
#[derive(Clone, Debug)]
pub(crate) struct Chain {
    pub(crate) version: Version,
    pub(crate) id: String,
    pub(crate) validator: Validator,
    pub(crate) extensions: Extensions,
}

impl Chain {
    /// Turns the genesis that `cometbft init` wrote into this chain's.
    pub(crate) fn write_genesis(&self, path: &Path) {
        let mut genesis: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
        genesis["chain_id"] = json!(self.id);
        // Two homes of one chain must agree to the byte.
        genesis["genesis_time"] = json!("2025-01-01T00:00:00Z");
        genesis["validators"] = json!([{
            "address": self.validator.address,
            "pub_key": { "type": "tendermint/PubKeyEd25519", "value": self.validator.public_key },
            "power": "10",
            "name": "sigward",
        }]);
        if self.extensions == Extensions::FromHeightOne {
            let section = match self.version {
                Version::V038 => "abci",
                Version::V1 => "feature",
            };
            let height = &mut genesis["consensus_params"][section]["vote_extensions_enable_height"];
            assert!(
                height.is_string(),
                "{}: no {section}.vote_extensions_enable_height",
                self.version.tag()
            );
            *height = json!("1");
        }
        std::fs::write(path, serde_json::to_vec_pretty(&genesis).unwrap()).unwrap();
    }
}

/// Edits `config.toml` in place; every setting must exist already, so that a renamed one is noticed.
pub(crate) fn edit_config(path: &Path, settings: &[(&str, &str, toml::Value)]) {
    let mut config: Table = std::fs::read_to_string(path).unwrap().parse().unwrap();
    for (section, name, value) in settings {
        let table = match *section {
            "" => &mut config,
            section => config[section].as_table_mut().unwrap(),
        };
        let old = table.insert((*name).to_owned(), value.clone());
        assert!(old.is_some(), "CometBFT has no setting [{section}] {name}");
    }
    std::fs::write(path, toml::to_string(&config).unwrap()).unwrap();
}
