//! tmkms: `tmkms.toml` with softsign keys, and its state files (iqlusioninc/tmkms v0.15.0, `src/config`, `src/chain/state.rs`).
//!
//! Its paths are relative to the folder that it is started in. Its state is `{"height":"5","round":"0","step":2,"block_id":…}`:
//! steps count from 0 (proposal) to 2 (precommit), and there are no sign bytes, so nothing can be answered again: the whole height
//! is closed.

use std::path::Path;

use serde::Deserialize;
use sigward_policies::decision::Refusal;
use sigward_policies::double_sign::Beginning;
use sigward_policies::model::id::{Height, Round};

use super::tree::{Fields, Tree};
use super::{
    ForeignChain, ForeignKey, ForeignKind, ForeignSigner, KeyFileFormat, StateFormat, chain_id, invalid,
    named, not_movable,
};

/// Reads `tmkms.toml`; relative paths are below `base`.
pub fn parse(text: &[u8], base: &Path) -> Result<ForeignSigner, Refusal> {
    let text = std::str::from_utf8(text).map_err(|_| invalid("tmkms.toml is not UTF-8"))?;
    let table: toml::Table = text
        .parse()
        // The message, not the excerpt: configurations of tokens hold passwords.
        .map_err(|error: toml::de::Error| invalid(format!("tmkms.toml: {}", error.message())))?;
    let mut file = Fields::of(Tree::of_toml(toml::Value::Table(table)), "")?;
    let mut plan = ForeignSigner::new(ForeignKind::Tmkms);

    let mut chains = Vec::new();
    for mut entry in file.tables("chain")? {
        let id = chain_id(&entry.needed("id")?)?;
        let state_file = entry
            .text("state_file")?
            .unwrap_or_else(|| format!("{id}_priv_validator_state.json"));
        entry.ignore(&["key_format", "sign_extensions"]);
        if entry.has("state_hook") {
            entry.ignore(&["state_hook"]);
            plan.warnings.push(format!(
                "chain {id}: state_hook is not taken over; `sigward import --rpc URL` asks the chain once, now"
            ));
        }
        entry.rest(&mut plan.not_understood);
        chains.push(ForeignChain {
            id,
            state_file: base.join(state_file),
            state_format: StateFormat::Tmkms,
            nodes: Vec::new(),
        });
    }
    let mut providers = file.table("providers")?;
    softsign(&mut providers, &chains, base, &mut plan)?;
    let others: Vec<_> = [
        ("yubihsm", "a YubiHSM"),
        ("ledgertm", "a Ledger"),
        ("fortanixdsm", "Fortanix DSM"),
    ]
    .into_iter()
    .filter(|(name, _)| providers.has(name))
    .collect();
    for (name, words) in &others {
        providers.ignore(&[name]);
        plan.warnings.push(format!(
            "providers.{name}: a key in {words} does not leave it and is not moved"
        ));
    }
    providers.rest(&mut plan.not_understood);
    if plan.keys.is_empty()
        && let Some((name, words)) = others.first()
    {
        return Err(not_movable(format!(
            "providers.{name}: the key is inside {words} and cannot be taken out; make a new key here and rotate to it on the chain, where the chain can"
        )));
    }
    for mut entry in file.tables("validator")? {
        let (chain, address) = (entry.needed("chain_id")?, entry.needed("addr")?);
        plan.add_node(&chain, &address);
        if let Some(height) = entry.text("max_height")? {
            plan.warnings.push(format!(
                "chain {chain}: max_height = {height} is not taken over; set a stop line here if the chain still needs it"
            ));
        }
        // How tmkms dials; sigward has its own timers, and makes its own identity.
        entry.ignore(&["reconnect", "timeout", "secret_key", "protocol_version"]);
        entry.rest(&mut plan.not_understood);
    }
    file.rest(&mut plan.not_understood);
    plan.checked()
}

fn softsign(
    providers: &mut Fields,
    chains: &[ForeignChain],
    base: &Path,
    plan: &mut ForeignSigner,
) -> Result<(), Refusal> {
    for mut entry in providers.tables("softsign")? {
        let (place, path) = (entry.place("key_type"), entry.needed("path")?);
        let ids = entry.texts("chain_ids")?;
        let kind = entry.text("key_type")?;
        let format = match entry.text("key_format")?.as_deref() {
            None | Some("base64") => KeyFileFormat::Base64,
            Some("json") => KeyFileFormat::FilePv,
            Some(other) => {
                return Err(invalid(format!(
                    "{} is {other:?}, which tmkms does not have",
                    entry.place("key_format")
                )));
            }
        };
        entry.rest(&mut plan.not_understood);
        match kind.as_deref() {
            None | Some("consensus") => {}
            Some("account") => {
                plan.warnings.push(format!(
                    "{place} = \"account\": {path} signs transactions, not blocks, and is not moved"
                ));
                continue;
            }
            Some(other) => {
                return Err(invalid(format!(
                    "{place} is {other:?}, which tmkms does not have"
                )));
            }
        }
        let own = named(ids, chains)
            .map_err(|id| invalid(format!("{place}: there is no [[chain]] for chain_id {id:?}")))?;
        if own.is_empty() {
            plan.warnings.push(format!(
                "{path} signs for no chain (chain_ids is empty) and is not moved"
            ));
            continue;
        }
        plan.keys.push(ForeignKey {
            file: base.join(path),
            format,
            chains: own,
        });
    }
    Ok(())
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct State {
    height: String,
    round: String,
    step: i8,
    // What was voted for: without the sign bytes it proves nothing, and is not looked at.
    #[serde(rename = "block_id")]
    _block_id: Option<serde::de::IgnoredAny>,
}

/// Reads a state file.
pub fn parse_state(json: &[u8]) -> Result<Beginning, Refusal> {
    let state: State = serde_json::from_slice(json)
        .map_err(|error| invalid(format!("not a state file of tmkms: {error}")))?;
    let round: i32 = state
        .round
        .parse()
        .map_err(|_| invalid("the round of tmkms's state is not a number"))?;
    Round::new(round).map_err(|refusal| invalid(refusal.message))?;
    if !(0..=2).contains(&state.step) {
        return Err(invalid("the step of tmkms's state is not 0, 1 or 2"));
    }
    match state.height.parse::<i64>() {
        Ok(0) => Ok(Beginning::NeverSigned),
        Ok(height) => Ok(Beginning::Unproven(
            Height::new(height).map_err(|refusal| invalid(refusal.message))?,
        )),
        Err(_) => Err(invalid("the height of tmkms's state is not a number")),
    }
}
