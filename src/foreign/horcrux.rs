//! horcrux in single-signer mode (strangelove-ventures/horcrux v3, `signer/config.go`, `signer/file.go`).
//!
//! Which chains it signs for stands nowhere but in the names of its key files, `CHAIN_priv_validator_key.json`. Its state is
//! CometBFT's, below `state/`, but for the sign bytes, which are base64 there.

use std::path::{Path, PathBuf};

use base64::prelude::{BASE64_STANDARD, Engine as _};
use sigward_policies::decision::Refusal;

use super::{
    ForeignChain, ForeignKey, ForeignKind, ForeignSigner, KeyFileFormat, StateFormat, chain_id, invalid,
    not_movable,
};
use super::{tree::Fields, yaml};

/// How the name of a key file ends.
const KEY_FILE: &str = "_priv_validator_key.json";

/// Reads `config.yaml` of the horcrux home `home`; `list` tells the names of the files in a folder.
pub fn parse(
    text: &[u8],
    home: &Path,
    list: impl FnOnce(&Path) -> Result<Vec<String>, Refusal>,
) -> Result<ForeignSigner, Refusal> {
    let text = std::str::from_utf8(text).map_err(|_| invalid("config.yaml is not UTF-8"))?;
    let mut file = Fields::of(yaml::parse(text)?, "")?;
    let mut plan = ForeignSigner::new(ForeignKind::Horcrux);
    match file.text("signMode")?.as_deref() {
        Some("single") => {}
        Some("threshold") => {
            return Err(not_movable(
                "signMode is threshold: each cosigner has a share, and the key is nowhere whole. Shares are not put together here; \
                 if you still have the key that they were made from, give it to `sigward keys import --above HEIGHT`",
            ));
        }
        other => {
            return Err(invalid(format!(
                "signMode is {:?}; horcrux has single and threshold",
                other.unwrap_or_default()
            )));
        }
    }
    if file.has("thresholdMode") {
        file.ignore(&["thresholdMode"]);
        plan.warnings
            .push("thresholdMode is there and not used, since signMode is single".to_owned());
    }
    let folder: PathBuf = match file.text("keyDir")?.filter(|text| !text.is_empty()) {
        Some(folder) => home.join(folder),
        None => home.to_owned(),
    };
    let mut names = list(&folder)?;
    names.sort();
    for name in &names {
        let Some(id) = name.strip_suffix(KEY_FILE) else {
            if name.ends_with("_shard.json") {
                plan.warnings
                    .push(format!("{name} is a share of a key and is not moved"));
            }
            continue;
        };
        let id = chain_id(id)?;
        plan.keys.push(ForeignKey {
            file: folder.join(name),
            format: KeyFileFormat::FilePv,
            chains: vec![ForeignChain {
                state_file: home.join("state").join(format!("{id}_priv_validator_state.json")),
                state_format: StateFormat::Horcrux,
                nodes: Vec::new(),
                id,
            }],
        });
    }
    if plan.keys.is_empty() {
        return Err(invalid(format!("{} has no CHAIN{KEY_FILE}", folder.display())));
    }
    let mut nodes = Vec::new();
    for mut node in file.tables("chainNodes")? {
        nodes.push(node.needed("privValAddr")?);
        node.rest(&mut plan.not_understood);
    }
    let only = match &*plan.keys {
        [key] => key.chains.first().map(|chain| chain.id.clone()),
        _ => None,
    };
    match only {
        Some(chain) => nodes.iter().for_each(|node| plan.add_node(chain.as_str(), node)),
        None => plan.warnings.extend(nodes.iter().map(|node| {
            format!("node {node}: horcrux's configuration does not say of which chain it is; name it with --node CHAIN={node}")
        })),
    }
    file.ignore(&["debugAddr", "grpcAddr", "maxReadSize"]);
    file.rest(&mut plan.not_understood);
    plan.checked()
}

/// A state file as CometBFT writes it: the sign bytes in hexadecimal.
pub fn filepv_state(json: &[u8]) -> Result<Vec<u8>, Refusal> {
    let mut state: serde_json::Map<String, serde_json::Value> = serde_json::from_slice(json)
        .map_err(|error| invalid(format!("not a state file of horcrux: {error}")))?;
    if let Some(bytes) = state.get_mut("signbytes") {
        let decoded = bytes
            .as_str()
            .and_then(|text| BASE64_STANDARD.decode(text).ok())
            .ok_or_else(|| invalid("signbytes of horcrux's state is not base64"))?;
        *bytes = hex::encode_upper(decoded).into();
    }
    serde_json::to_vec(&state).map_err(|error| invalid(error.to_string()))
}
