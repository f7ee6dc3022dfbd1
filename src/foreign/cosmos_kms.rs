//! cosmos/kms: its YAML, with keys in files (github.com/cosmos/kms, `config/config.go`). Its state files are CometBFT's
//! `priv_validator_state.json`, below `state/` of its home unless named.

use std::path::Path;

use sigward_policies::decision::Refusal;

use super::tree::Fields;
use super::{
    ForeignChain, ForeignKey, ForeignKind, ForeignSigner, KeyFileFormat, StateFormat, chain_id, invalid,
    named, not_movable, yaml,
};

/// Reads its configuration; relative paths are below `home`.
pub fn parse(text: &[u8], home: &Path) -> Result<ForeignSigner, Refusal> {
    let text = std::str::from_utf8(text).map_err(|_| invalid("the configuration is not UTF-8"))?;
    let mut file = Fields::of(yaml::parse(text)?, "")?;
    let mut plan = ForeignSigner::new(ForeignKind::CosmosKms);

    let mut chains = Vec::new();
    for mut entry in file.tables("chains")? {
        let id = chain_id(&entry.needed("id")?)?;
        let state_file = entry
            .text("state_file")?
            .filter(|text| !text.is_empty())
            .unwrap_or_else(|| format!("state/{id}.json"));
        entry.rest(&mut plan.not_understood);
        chains.push(ForeignChain {
            id,
            state_file: home.join(state_file),
            state_format: StateFormat::FilePv,
            nodes: Vec::new(),
        });
    }
    for entry in file.tables("keys")? {
        key(entry, &chains, home, &mut plan)?;
    }
    for mut entry in file.tables("validators")? {
        let (chain, address) = (entry.needed("chain_id")?, entry.needed("addr")?);
        plan.add_node(&chain, &address);
        entry.ignore(&["identity_key", "reconnect"]);
        entry.rest(&mut plan.not_understood);
    }
    if file.has("grpc") {
        file.ignore(&["grpc"]);
        plan.warnings
            .push("grpc: the SignerService and its keys are not moved; they sign no blocks".to_owned());
    }
    file.rest(&mut plan.not_understood);
    plan.checked()
}

fn key(
    mut entry: Fields,
    chains: &[ForeignChain],
    home: &Path,
    plan: &mut ForeignSigner,
) -> Result<(), Refusal> {
    let place = entry.place("backend");
    match entry.text("backend")?.as_deref() {
        None | Some("" | "file") => {}
        Some(backend @ ("pkcs11" | "awskms")) => {
            return Err(not_movable(format!(
                "{place} is {backend}: the key cannot be taken out of it; make a new key here and rotate to it on the chain, where the chain can"
            )));
        }
        Some(other) => {
            return Err(invalid(format!(
                "{place} is {other:?}, which cosmos/kms does not have"
            )));
        }
    }
    let algorithm = entry.place("algorithm");
    match entry.text("algorithm")?.as_deref() {
        None | Some("" | "ed25519") => {}
        Some(other) => {
            return Err(not_movable(format!(
                "{algorithm} is {other:?}; consensus keys that sigward takes from cosmos/kms are ed25519"
            )));
        }
    }
    let key_file = home.join(entry.needed("key_file")?);
    let ids = entry.texts("chain_ids")?;
    entry.rest(&mut plan.not_understood);
    let own = named(ids, chains)
        .map_err(|id| invalid(format!("{place}: chains has no entry for chain_id {id:?}")))?;
    if own.is_empty() {
        return Err(invalid(format!("{place}: chain_ids is empty")));
    }
    // Either of two formats; which one, its bytes say (`signing/file/ed25519.go`).
    plan.keys.push(ForeignKey {
        file: key_file,
        format: KeyFileFormat::Base64,
        chains: own,
    });
    Ok(())
}
