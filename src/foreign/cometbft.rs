//! A CometBFT node's `config.toml`: where its own key and state are, and whether it uses them (CometBFT `config/config.go`,
//! `BaseConfig`).

use std::path::{Path, PathBuf};

use sigward_policies::decision::Refusal;

use super::invalid;

/// What a node's configuration says of its signer.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NodeSettings {
    /// The key file.
    pub key_file: PathBuf,
    /// The state file.
    pub state_file: PathBuf,
    /// The genesis, which has the chain id.
    pub genesis_file: PathBuf,
    /// Where it waits for a remote signer; `None` when it signs itself.
    pub laddr: Option<String>,
}

/// Reads the settings of the node whose home is `home`. A node's configuration has hundreds of fields: only these matter.
pub fn parse_config(text: &[u8], home: &Path) -> Result<NodeSettings, Refusal> {
    let text = std::str::from_utf8(text).map_err(|_| invalid("config.toml is not UTF-8"))?;
    let table: toml::Table = text
        .parse()
        .map_err(|error: toml::de::Error| invalid(format!("config.toml: {}", error.message())))?;
    let field = |name: &str, default: &str| -> Result<String, Refusal> {
        match table.get(name) {
            None => Ok(default.to_owned()),
            Some(toml::Value::String(text)) => Ok(text.clone()),
            Some(_) => Err(invalid(format!("config.toml: {name} is not text"))),
        }
    };
    Ok(NodeSettings {
        key_file: home.join(field(
            "priv_validator_key_file",
            "config/priv_validator_key.json",
        )?),
        state_file: home.join(field(
            "priv_validator_state_file",
            "data/priv_validator_state.json",
        )?),
        genesis_file: home.join(field("genesis_file", "config/genesis.json")?),
        laddr: Some(field("priv_validator_laddr", "")?).filter(|text| !text.is_empty()),
    })
}
