//! What an act is about: the questions that come of it, and what a caller hears to whom one of them is answered by no.
//!
//! *Invariants:* an act upon a key is one upon each of its chains, and an act upon a chain or a provider one upon each of its keys; whether
//! something is not there or may not be used, no answer tells.

use sigward_policies::authz::KeyFacts;
use sigward_policies::decision::{Refusal, RefusalCode};
use sigward_policies::model::algorithm::PublicKey;
use sigward_policies::model::id::{ChainId, KeyName};
use sigward_policies::model::operation::Operation;

use crate::admin::{Known, Register, Returning, no_approval};
use crate::authz::About;
use crate::store::StoredApproval;

/// What an act is about, as its request says it.
#[derive(Debug)]
pub(super) enum Target<'a> {
    /// No key and no chain.
    Nothing,
    /// Every key on every chain, and whatever else there is.
    Everything,
    /// Keys that are there, each on all of its chains.
    Keys(&'a [KeyName]),
    /// The same, by themselves.
    PublicKeys(&'a [PublicKey]),
    /// A key that is there, on these chains.
    KeyOn(&'a KeyName, &'a [&'a ChainId]),
    /// A key that is to be; on these chains, and those that the configuration gives it.
    NewKey(KeyFacts, &'a [&'a ChainId]),
    /// Keys that come back out of a bundle, on the chains that it speaks of and those that the configuration gives them.
    Restored(&'a [Returning]),
    /// A key that may be there or not, by name or by itself, with what the configuration gives it.
    KeyOrNew(KeyFacts),
    /// Whatever signs on a chain.
    Chain(&'a ChainId),
    /// The nodes of a chain of the configuration.
    NodesOf(&'a ChainId),
    /// Whatever a provider keeps.
    Provider(&'a str),
    /// What an act is about that waits for approval.
    Approval(&'a StoredApproval),
}

impl Target<'_> {
    /// The questions, each of which must be answered by yes; or what is not there.
    pub(super) fn about(&self, register: &Register) -> Result<Vec<About>, Refusal> {
        Ok(match self {
            Self::Nothing => vec![About::default()],
            Self::Everything => everything(register),
            Self::Keys(names) => {
                let mut about = Vec::new();
                for name in *names {
                    about.extend(everywhere(register.find(name).ok_or_else(|| no_keys(names))?));
                }
                about
            }
            Self::PublicKeys(keys) => {
                let mut about = Vec::new();
                for key in *keys {
                    about.extend(everywhere(register.find_public(key).ok_or_else(one_of_them)?));
                }
                about
            }
            Self::KeyOn(name, chains) => {
                let known = register.find(name).ok_or_else(|| no_key(name))?;
                on(&known.facts, chains)
            }
            // A rule for chains lets somebody bring a key in on those chains; no rule need be about the key alone.
            Self::NewKey(facts, chains) => match coming(facts, chains, register) {
                about if about.is_empty() => vec![About::key(facts.clone())],
                about => about,
            },
            Self::Restored(returning) => {
                let of = |key: &Returning| {
                    let chains: Vec<_> = key.chains.iter().collect();
                    let mut about = coming(&key.facts, &chains, register);
                    about.push(About::key(key.facts.clone()));
                    about
                };
                returning.iter().flat_map(of).collect()
            }
            Self::KeyOrNew(facts) => {
                let (called, is) = (
                    register.find(&facts.name),
                    facts
                        .public_key
                        .as_ref()
                        .and_then(|key| register.find_public(key)),
                );
                let mut about: Vec<_> = called.into_iter().chain(is).flat_map(everywhere).collect();
                if called.is_none() {
                    about.extend(coming(facts, &[], register));
                    about.push(About::key(facts.clone()));
                }
                about
            }
            Self::Chain(chain) => {
                if !register.knows_chain(chain) {
                    return Err(no_chain(chain));
                }
                of_chain(chain, register)
            }
            // Of a chain that left the configuration a drained node may still be there, and no key.
            Self::NodesOf(chain) => vec![About {
                key: register.signs_for(chain),
                chain: Some((*chain).clone()),
            }],
            Self::Provider(id) => {
                let keeps = |known: &&Known| known.facts.provider.as_deref() == Some(*id);
                let kept: Vec<_> = register.keys().filter(keeps).flat_map(everywhere).collect();
                if kept.is_empty() {
                    vec![About::default()]
                } else {
                    kept
                }
            }
            Self::Approval(stored) => of_approval(stored, register),
        })
    }

    /// A refusal as the caller hears it: what it may not use is not there.
    pub(super) fn told(&self, refusal: Refusal) -> Refusal {
        if refusal.code != RefusalCode::NotPermitted {
            return refusal;
        }
        match self {
            Self::Keys(names) => no_keys(names),
            Self::KeyOn(name, _) => no_key(name),
            Self::KeyOrNew(facts) => no_key(&facts.name),
            Self::PublicKeys(_) => one_of_them(),
            Self::Chain(chain) => no_chain(chain),
            Self::NodesOf(chain) => no_nodes(chain),
            Self::Approval(stored) => no_approval(stored.id),
            // Nothing here that might be there or not.
            Self::Nothing | Self::Everything | Self::NewKey(..) | Self::Restored(..) | Self::Provider(_) => {
                refusal
            }
        }
    }
}

/// What waits is about its key and chain; what names neither, about everything.
fn of_approval(stored: &StoredApproval, register: &Register) -> Vec<About> {
    let known = stored.key.as_ref().and_then(|key| register.find_public(key));
    let to = stored.to.as_ref();
    match (known, &stored.chain) {
        // A state that moves has two chains, and the second one need not be known here yet.
        (Some(known), _) if to.is_some() => {
            let mut about = everywhere(known);
            about.extend(to.map(|to| About::key_on(known.facts.clone(), to.clone())));
            about
        }
        // A key that leaves leaves every chain.
        (Some(known), _)
            if matches!(
                stored.request.operation,
                Operation::KeyExport | Operation::StateRebind
            ) =>
        {
            everywhere(known)
        }
        (Some(known), Some(chain)) => on(&known.facts, &[chain]),
        (Some(known), None) => everywhere(known),
        (None, Some(chain)) => of_chain(chain, register),
        (None, None) => everything(register),
    }
}

/// Whatever there is.
fn everything(register: &Register) -> Vec<About> {
    let keys = register.keys().flat_map(everywhere);
    std::iter::once(About::default()).chain(keys).collect()
}

/// A chain, and each key on it.
fn of_chain(chain: &ChainId, register: &Register) -> Vec<About> {
    let keys = register
        .on(chain)
        .map(|known| About::key_on(known.facts.clone(), chain.clone()));
    std::iter::once(About::chain(chain.clone())).chain(keys).collect()
}

/// A key as such, and on each of its chains.
pub(super) fn everywhere(known: &Known) -> Vec<About> {
    let on = |chain: &ChainId| About::key_on(known.facts.clone(), chain.clone());
    std::iter::once(About::key(known.facts.clone()))
        .chain(known.chains.iter().map(on))
        .collect()
}

/// What is known of a key that is not there yet.
pub(super) fn to_be(name: &KeyName, provider: &str, public_key: Option<PublicKey>) -> KeyFacts {
    KeyFacts {
        name: name.clone(),
        public_key,
        provider: Some(provider.into()),
    }
}

/// A key that is to be on each of `chains`, and of those that the configuration gives to its name: there it will be asked to sign.
fn coming(facts: &KeyFacts, chains: &[&ChainId], register: &Register) -> Vec<About> {
    let mut all = register.given_to(&facts.name);
    all.extend(chains);
    all.sort();
    all.dedup();
    on(facts, &all)
}

fn on(facts: &KeyFacts, chains: &[&ChainId]) -> Vec<About> {
    let on = |chain: &&ChainId| About::key_on(facts.clone(), (*chain).clone());
    chains.iter().map(on).collect()
}

/// The answer about a key that is not there, and about one that the caller may not use.
pub(super) fn no_key(name: &KeyName) -> Refusal {
    let message = format!(
        "there is no key {name} that you may use so; `sigward keys list` shows those that you may see"
    );
    Refusal::new(RefusalCode::KeyNotFound, message)
}

/// The same of several: which of them it is would tell of the others.
fn no_keys(names: &[KeyName]) -> Refusal {
    match names {
        [name] => no_key(name),
        _ => one_of_them(),
    }
}

fn one_of_them() -> Refusal {
    let message = "one of these keys is not here, or you may not use it so; `sigward keys list` shows those that you may see";
    Refusal::new(RefusalCode::KeyNotFound, message)
}

fn no_chain(chain: &ChainId) -> Refusal {
    let message = format!(
        "there is no chain {chain} that you may do this to; `sigward state show` lists those that you may see"
    );
    Refusal::new(RefusalCode::NoSignState, message)
}

/// The same of a chain's nodes.
pub(super) fn no_nodes(chain: &ChainId) -> Refusal {
    let message = format!(
        "the configuration in force has no chain {chain} whose nodes are yours to use so; `sigward node list` shows those that you may see"
    );
    Refusal::new(RefusalCode::NodeNotFound, message)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests;
