//! Wrapping keys in a token that no file names: what an `init`, a `move` or a `rewrap` left that was cut off.
//!
//! *Invariants:* a wrapping key goes only when it is named by its id, and never one that a file of this home names; a file that does not
//! read may name any. Another sigward that seals with the same token and label has its keys under the same label: only its operator
//! knows of them.

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::Context as _;
use sigward_hsm::pkcs11::{TokenSeal, WrappedKek};

use super::{open_token, told};
use crate::admin::SealAct;
use crate::app::parts;
use crate::audit::Asker;
use crate::authn;
use crate::config::{self, Config, ProviderId, SEAL_LABEL, SealSource};

/// How files of wrapped keys end, unless the configuration names one otherwise.
const WRAPPED: &str = "wrapped";

/// What there was, and what is gone.
#[derive(Clone, Debug)]
pub struct Pruned {
    /// The provider.
    pub provider: ProviderId,
    /// The label that was looked for.
    pub key_label: String,
    /// `CKA_ID` in hex of the keys that files of this home name.
    pub named: Vec<String>,
    /// Of those that none names, before.
    pub unnamed: Vec<String>,
    /// Of those that were destroyed.
    pub destroyed: Vec<String>,
}

/// Lists wrapping keys that no file of the home names, and destroys those of them that `ids` names. `provider` and `key_label` are those
/// of the seal unless they are given.
pub async fn prune(
    home: &Path,
    provider: Option<ProviderId>,
    key_label: Option<String>,
    ids: &[String],
) -> anyhow::Result<Pruned> {
    let config = config::load(home)?;
    let of_seal = match &config.seal {
        SealSource::Pkcs11(token) => Some(token),
        _ => None,
    };
    let provider = provider
        .or_else(|| of_seal.map(|token| token.provider.clone()))
        .context("seal_no_token: no token is the seal\nname the token with --provider, by the id of its [[provider]]")?;
    anyhow::ensure!(
        config.providers.iter().any(|known| known.id == provider),
        "provider_not_found: there is no [[provider]] {provider} in the configuration"
    );
    let key_label = key_label.unwrap_or_else(|| match of_seal {
        Some(token) if token.provider == provider => token.key_label.clone(),
        _ => SEAL_LABEL.to_owned(),
    });
    // Under the lock: a `rewrap` that is under way has a key that its file does not name yet.
    let parts = parts::open(&config)?;
    let outcome = under_lock(&config, home, &parts, provider, key_label, ids).await;
    parts.store.close();
    outcome
}

async fn under_lock(
    config: &Config,
    home: &Path,
    parts: &parts::Parts,
    provider: ProviderId,
    key_label: String,
    ids: &[String],
) -> anyhow::Result<Pruned> {
    let named = named(config, home)?;
    let seal = open_token(config, &provider, &parts.arena).map_err(|error| anyhow::anyhow!(error.told()))?;
    let mut pruned = split(&seal, provider, key_label, &named)?;
    let ids: BTreeSet<_> = ids.iter().map(|id| id.to_ascii_lowercase()).collect();
    for id in &ids {
        anyhow::ensure!(
            !named.contains(id),
            "wrapping_key_in_use: a file of this home names the key {id}; nothing was destroyed"
        );
        anyhow::ensure!(
            pruned.unnamed.contains(id),
            "wrapping_key_not_found: the token shows no key {id} with the label {:?}; nothing was destroyed",
            pruned.key_label
        );
    }
    if ids.is_empty() {
        return Ok(pruned);
    }
    let listed: Vec<_> = ids.iter().map(String::as_str).collect();
    let detail = format!("{}: destroys {}", pruned.provider, listed.join(", "));
    parts
        .admin
        .record_seal(
            &Asker::of_this_process(authn::this_process()),
            SealAct::Prune,
            &detail,
        )
        .await?;
    for id in ids {
        seal.destroy_key(&pruned.key_label, &id).map_err(told)?;
        pruned.destroyed.push(id);
    }
    Ok(pruned)
}

fn split(
    seal: &TokenSeal,
    provider: ProviderId,
    key_label: String,
    named: &BTreeSet<String>,
) -> anyhow::Result<Pruned> {
    let keys = seal.keys_called(&key_label).map_err(told)?;
    let (named, unnamed) = keys.into_iter().partition(|id| named.contains(id));
    Ok(Pruned {
        provider,
        key_label,
        named,
        unnamed,
        destroyed: Vec::new(),
    })
}

/// The `CKA_ID`s that files of wrapped keys name: the one of the configuration, and whatever lies beside it or in the home and ends
/// like one.
pub(super) fn named(config: &Config, home: &Path) -> anyhow::Result<BTreeSet<String>> {
    let mut files = BTreeSet::new();
    let mut folders = vec![std::path::absolute(home)?];
    if let SealSource::Pkcs11(token) = &config.seal {
        files.insert(token.file.clone());
        folders.extend(token.file.parent().map(Path::to_owned));
    }
    for folder in folders {
        let entries =
            std::fs::read_dir(&folder).with_context(|| format!("cannot read {}", folder.display()))?;
        for entry in entries {
            let path = entry?.path();
            if path.extension().is_some_and(|end| end == WRAPPED) {
                files.insert(path);
            }
        }
    }
    files
        .into_iter()
        .map(|file| {
            let wrapped = WrappedKek::read(&file)
                .map_err(told)
                .with_context(|| format!("which key {} names is not known", file.display()))?;
            Ok(wrapped.wrapping_key().to_ascii_lowercase())
        })
        .collect()
}
