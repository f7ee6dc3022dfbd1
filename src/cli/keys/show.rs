//! How keys are shown: a line each, all about one, or JSON.

use std::fmt::Write as _;

use anyhow::Context as _;
use base64::prelude::{BASE64_STANDARD, Engine as _};
use serde_json::{Value, json};
use sigward_proto::v1::{Key, KeyOrigin, KeyState};

use crate::cli::audit::rfc3339;
use crate::cli::output::Output;

pub(super) fn list(keys: &[Key], prefix: &str, output: &Output) -> anyhow::Result<()> {
    if output.is_json() {
        let keys = keys
            .iter()
            .map(|key| describe(key, prefix))
            .collect::<anyhow::Result<Vec<_>>>()?;
        output.line(Value::Array(keys));
        return Ok(());
    }
    if keys.is_empty() {
        output.line("There is no key that you may see. `sigward keys create NAME` makes one.");
    }
    for key in keys {
        let chains = if key.chains.is_empty() {
            "no chain yet".to_owned()
        } else {
            chains(key)
        };
        output.line(format!(
            "{:20} {:10} {:10} {:10} {}  {chains}  {}",
            key.name,
            key.algorithm,
            word(key.state()),
            key.provider,
            valcons(key, prefix)?,
            match &key.backed_up_at {
                Some(at) => format!("backup of {}", rfc3339(at)),
                None if key.provider != crate::config::SOFTWARE => format!("in token {:?}", key.token_serial),
                None => "no backup".to_owned(),
            }
        ));
        if !key.protection.is_empty() {
            output.line(format!("  {}", key.protection));
        }
        if !key.fault.is_empty() {
            output.line(format!("  {}", key.fault));
        }
    }
    Ok(())
}

pub(super) fn show(key: &Key, prefix: &str, output: &Output) -> anyhow::Result<()> {
    let value = describe(key, prefix)?;
    let mut text = String::new();
    for (label, field) in [
        ("name", "name"),
        ("algorithm", "algorithm"),
        ("state", "state"),
        ("origin", "origin"),
        ("provider", "provider"),
        ("token serial", "token_serial"),
        ("CKA_ID", "cka_id"),
        ("protection", "protection"),
        ("cannot sign now", "fault"),
        ("address", "address"),
        ("valcons", "valcons"),
        ("public key (hex)", "public_key_hex"),
        ("for assign-consensus-key", "consensus_pubkey"),
        ("chains", "chains"),
        ("exported", "exported"),
        ("newest backup", "backed_up_at"),
        ("backup's bundle id", "backup_bundle_id"),
    ] {
        let shown = match value.get(field) {
            Some(Value::String(text)) => text.clone(),
            Some(Value::Array(items)) if items.is_empty() => {
                "none yet: name one in the configuration".to_owned()
            }
            Some(Value::Array(_)) => chains(key),
            Some(Value::Bool(false)) => continue,
            Some(Value::Bool(true)) => {
                "yes: it was moved out, restored or adopted once, and never begins as fresh again".to_owned()
            }
            Some(Value::Null) if field == "backed_up_at" && key.provider == crate::config::SOFTWARE => {
                "none known".to_owned()
            }
            Some(Value::Null) | None => continue,
            Some(other) => other.to_string(),
        };
        writeln!(text, "{label:26} {shown}")?;
    }
    output.result(&value, text.trim_end());
    Ok(())
}

/// Its chains, each with a word where the key signs no more: `active` says nothing of that, it is about the key's bytes.
fn chains(key: &Key) -> String {
    let one = |chain: &String| match key.stopped_chains.contains(chain) {
        true => format!("{chain} (signs no more here)"),
        false => chain.clone(),
    };
    key.chains.iter().map(one).collect::<Vec<_>>().join(", ")
}

pub(super) fn describe(key: &Key, prefix: &str) -> anyhow::Result<Value> {
    let base64 = BASE64_STANDARD.encode(&key.public_key);
    Ok(json!({
        "name": key.name,
        "algorithm": key.algorithm,
        "state": word(key.state()),
        "origin": match key.origin() {
            KeyOrigin::Generated => "generated",
            KeyOrigin::Imported => "imported",
            KeyOrigin::Restored => "restored",
            KeyOrigin::Unspecified => "unknown",
        },
        "provider": key.provider,
        "token_serial": (!key.token_serial.is_empty()).then_some(&key.token_serial),
        "cka_id": (!key.cka_id.is_empty()).then(|| hex::encode(&key.cka_id)),
        "protection": (!key.protection.is_empty()).then_some(&key.protection),
        "fault": (!key.fault.is_empty()).then_some(&key.fault),
        "address": hex::encode_upper(&key.address),
        "valcons": valcons(key, prefix)?,
        "public_key_hex": hex::encode(&key.public_key),
        "public_key_base64": base64,
        // What `tx provider assign-consensus-key` and `gentx --pubkey` take.
        "consensus_pubkey": json!({ "@type": format!("/cosmos.crypto.{}.PubKey", key.algorithm), "key": base64 }),
        "chains": key.chains,
        "stopped_chains": key.stopped_chains,
        "exported": key.exported,
        "backed_up_at": key.backed_up_at.as_ref().map(rfc3339),
        "backup_bundle_id": (!key.backup_bundle_id.is_empty()).then(|| hex::encode(&key.backup_bundle_id)),
    }))
}

fn valcons(key: &Key, prefix: &str) -> anyhow::Result<String> {
    let hrp = bech32::Hrp::parse(&format!("{prefix}valcons"))
        .with_context(|| format!("{prefix} is no bech32 prefix"))?;
    Ok(bech32::encode::<bech32::Bech32>(hrp, &key.address)?)
}

const fn word(state: KeyState) -> &'static str {
    match state {
        KeyState::Unspecified => "unknown",
        KeyState::Pending => "pending",
        KeyState::Staged => "staged",
        KeyState::Active => "active",
        KeyState::Deprecated => "deprecated",
        KeyState::Disabled => "disabled",
        KeyState::DestroyScheduled => "destroy_scheduled",
        KeyState::Destroyed => "destroyed",
        KeyState::Compromised => "compromised",
    }
}
