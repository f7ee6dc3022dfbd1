//! Keys and sign states: what opens them, whether each chain's key is there, may sign, and has a past to stand on.

mod gather;

use std::collections::HashSet;

use sigward_proto::v1::{Key, KeyOrigin, KeyState, SignState, SignStateKind};

use super::finding::{Check, Finding};
use crate::admin::unnamed_chain;
use crate::app::{Inspection, Trouble};
use crate::config::Config;
pub(super) use gather::gather;

/// What the admin services say.
#[derive(Clone, PartialEq, Debug, Default)]
pub(super) struct Services {
    pub(super) keys: Vec<Key>,
    pub(super) states: Vec<SignState>,
}

/// What was gathered.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Facts {
    /// Seal, identity and sealed files, opened in this process. `None` where another user owns them.
    pub(super) inspection: Option<Inspection>,
    /// Keys and states, of the daemon or of the store opened in this process.
    pub(super) services: Asked,
}

/// Whether the services could be asked.
#[derive(Clone, PartialEq, Debug)]
pub(super) enum Asked {
    Answered(Services),
    /// What `serve` would say too, first line, and what to do.
    Failed(String),
    /// A failure above makes it idle.
    Skipped,
}

impl Asked {
    pub(super) const fn services(&self) -> Option<&Services> {
        match self {
            Self::Answered(services) => Some(services),
            Self::Failed(_) | Self::Skipped => None,
        }
    }
}

impl Services {
    pub(super) fn key(&self, name: &str) -> Option<&Key> {
        self.keys.iter().find(|key| key.name == name)
    }

    pub(super) fn row(&self, key: &Key, chain: &str) -> Option<&SignState> {
        self.states
            .iter()
            .find(|state| state.public_key == key.public_key && state.chain_id == chain)
    }

    /// When the last signature of all was made, in Unix seconds.
    pub(super) fn last_signed(&self) -> Option<i64> {
        self.states
            .iter()
            .filter_map(|state| state.last_signed_at.as_ref())
            .map(|at| at.seconds)
            .max()
    }
}

/// Judges.
pub(super) fn judge(facts: &Facts, config: &Config) -> Vec<Finding> {
    let mut found = Vec::new();
    if let Some(inspection) = &facts.inspection {
        found.push(opened(
            Check::KeysSeal,
            &inspection.seal,
            "what opens sealed keys is good",
        ));
        found.push(opened(
            Check::KeysIdentity,
            &inspection.identity,
            "the node identity opens",
        ));
        found.extend(sealed(inspection));
    }
    match &facts.services {
        Asked::Answered(services) => {
            found.push(Finding::ok(
                Check::StateOpens,
                format!(
                    "{}, {}",
                    super::count(services.keys.len(), "key"),
                    super::count(services.states.len(), "sign state")
                ),
            ));
            for chain in &config.chains {
                let (id, name) = (chain.id.as_str(), chain.key.as_str());
                found.extend(
                    known(services, facts.inspection.as_ref(), config, id, name)
                        .into_iter()
                        .map(|f| f.about(id)),
                );
            }
        }
        Asked::Failed(why) => {
            let (fact, remedy) = why
                .split_once('\n')
                .unwrap_or((why, "see the sentence itself, and docs/errors-at-start.md"));
            found.push(Finding::failure(Check::StateOpens, fact.trim(), remedy.trim()));
            if let Some(inspection) = &facts.inspection {
                found.extend(by_name(inspection, config));
            }
        }
        Asked::Skipped => {
            if let Some(inspection) = &facts.inspection {
                found.extend(by_name(inspection, config));
            }
        }
    }
    found
}

fn opened(check: Check, outcome: &Result<(), Trouble>, good: &str) -> Finding {
    match outcome {
        Ok(()) => Finding::ok(check, good),
        Err(trouble) => Finding::failure(
            check,
            trouble.what.clone(),
            trouble
                .remedy
                .clone()
                .unwrap_or_else(|| "docs/errors-at-start.md has the code".to_owned()),
        ),
    }
}

fn sealed(inspection: &Inspection) -> Vec<Finding> {
    let mut found: Vec<Finding> = Vec::new();
    let mut good = 0;
    for file in &inspection.sealed {
        match &file.opened {
            Ok(_) => good += 1,
            Err(trouble) => found.push(
                opened(Check::KeysSealed, &Err(trouble.clone()), "").about(
                    file.name
                        .clone()
                        .unwrap_or_else(|| file.path.display().to_string()),
                ),
            ),
        }
    }
    let stores: HashSet<_> = inspection
        .sealed
        .iter()
        .filter_map(|file| file.store.as_deref())
        .collect();
    if stores.len() > 1 {
        found.push(Finding::warning(
            Check::KeysSealed,
            format!(
                "the sealed keys belong to {} guard stores; those of another one do not sign",
                stores.len()
            ),
            "sigward keys adopt NAME --above HEIGHT, for a key whose past you know",
        ));
    }
    let tried = inspection
        .sealed
        .iter()
        .filter(|file| file.opened == Ok(true))
        .count();
    if good > 0 {
        let fact = if tried == good {
            format!("{} opened", super::count(good, "sealed key"))
        } else {
            format!(
                "{} there, {tried} of them opened",
                super::count(good, "sealed key")
            )
        };
        found.push(Finding::ok(Check::KeysSealed, fact));
    }
    found
}

/// Where the store cannot be asked: a chain's key should at least have a sealed file of its name.
fn by_name(inspection: &Inspection, config: &Config) -> Vec<Finding> {
    if !config.providers.is_empty() {
        // It may be in a token, and only the store knows.
        return Vec::new();
    }
    config
        .chains
        .iter()
        .filter(|chain| {
            !inspection
                .sealed
                .iter()
                .any(|file| file.name.as_deref() == Some(chain.key.as_str()))
        })
        .map(|chain| no_key(chain.key.as_str()).about(chain.id.as_str()))
        .collect()
}

fn no_key(name: &str) -> Finding {
    Finding::failure(
        Check::KeysKnown,
        format!("there is no key called {name}: the chain would not be served"),
        format!(
            "sigward keys create {name}, or sigward keys import {name} --help; sigward keys list names those there are"
        ),
    )
}

fn known(
    services: &Services,
    inspection: Option<&Inspection>,
    config: &Config,
    chain: &str,
    name: &str,
) -> Vec<Finding> {
    let Some(key) = services.key(name) else {
        return vec![no_key(name)];
    };
    let mut found = Vec::new();
    let hex = hex::encode(&key.public_key);
    // A key in a token has no sealed file; its provider says what is wrong.
    let sealed_here = key.provider == crate::config::SOFTWARE;
    let file = inspection.filter(|_| sealed_here).map(|inspection| {
        inspection
            .sealed
            .iter()
            .find(|file| file.public_key.as_deref() == Some(&hex))
    });
    match (key.state(), file) {
        (KeyState::Active | KeyState::Deprecated, _) if !key.fault.is_empty() => {
            found.push(Finding::failure(
                Check::KeysKnown,
                format!("{name} cannot sign: {}", key.fault),
                format!(
                    "sigward hsm list; docs/runbooks/token-lost.md tells what to do for {}",
                    key.provider
                ),
            ));
        }
        (KeyState::Active | KeyState::Deprecated, Some(None)) => found.push(Finding::failure(
            Check::KeysKnown,
            format!("the store knows {name}, and its sealed file {hex}.sealed is not in the key folder"),
            "put the file back, from a backup or from where the folder was",
        )),
        (KeyState::Active | KeyState::Deprecated, _) => found.push(Finding::ok(
            Check::KeysKnown,
            format!("{name}, address {}", hex::encode_upper(&key.address)),
        )),
        (state, _) => found.push(Finding::failure(
            Check::KeysKnown,
            format!(
                "{name} does not sign: its state is {}",
                state
                    .as_str_name()
                    .trim_start_matches("KEY_STATE_")
                    .to_lowercase()
            ),
            format!("name another key for the chain, or see sigward keys show {name}"),
        )),
    }
    found.push(row(services, config, key, chain));
    found
}

fn row(services: &Services, config: &Config, key: &Key, chain: &str) -> Finding {
    let name = &key.name;
    let Some(row) = services.row(key, chain) else {
        if let Some(finding) = belongs_elsewhere(services, config, key, chain) {
            return finding;
        }
        if key.origin() == KeyOrigin::Generated && !key.exported {
            return Finding::ok(
                Check::StateRow,
                "begins fresh at the first start: the key was made here and never left",
            );
        }
        return Finding::failure(
            Check::StateRow,
            format!("{name} has no sign state on this chain, and its past is not known here"),
            format!("sigward state init --key {name} --chain {chain} --above HEIGHT"),
        );
    };
    match row.kind() {
        SignStateKind::Exported => Finding::failure(
            Check::StateRow,
            format!(
                "the state of {name} was exported at height {}: it signs no more here",
                row.height
            ),
            format!(
                "sigward state import --key {name} --chain {chain} --file priv_validator_state.json, once the other signer has stopped for ever"
            ),
        ),
        SignStateKind::Unspecified => Finding::failure(
            Check::StateRow,
            "the state is of a kind that this program does not know",
            "use the program that the daemon runs",
        ),
        SignStateKind::Fresh => Finding::ok(Check::StateRow, "nothing signed yet"),
        SignStateKind::Closed => Finding::ok(Check::StateRow, format!("signs above height {}", row.height)),
        SignStateKind::Signed => Finding::ok(
            Check::StateRow,
            format!("signed up to {}/{}/{}", row.height, row.round, row.step),
        ),
    }
}

/// A key that serves another chain and does not share: a mistake, or the same chain under another id.
fn belongs_elsewhere(services: &Services, config: &Config, key: &Key, chain: &str) -> Option<Finding> {
    let name = &key.name;
    let own = services
        .states
        .iter()
        .filter(|state| state.public_key == key.public_key);
    let elsewhere: Vec<_> = own.collect();
    if elsewhere.iter().all(|state| state.shared) {
        return None;
    }
    let configured = |id: &str| config.chains.iter().any(|chain| chain.id.as_str() == id);
    let gone = elsewhere
        .iter()
        .find(|state| !configured(&state.chain_id) && state.kind() != SignStateKind::Exported);
    let chains: Vec<_> = elsewhere.iter().map(|state| state.chain_id.as_str()).collect();
    let fact = format!(
        "{name} belongs to {}, and a key serves one chain",
        chains.join(", ")
    );
    Some(match gone {
        Some(state) => Finding::failure(
            Check::StateRow,
            fact,
            unnamed_chain(name, chain, &state.chain_id, state.kind() == SignStateKind::Fresh),
        ),
        None => Finding::failure(
            Check::StateRow,
            fact,
            "use a key of its own; docs/double-sign-protection.md tells about shared ones",
        ),
    })
}

#[cfg(test)]
mod tests;
