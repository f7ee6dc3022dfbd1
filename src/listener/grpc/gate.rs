//! Between a service and what it serves: the acts of `admin` are behind a gate that opens to a proof, [`MayAct`] or [`Sight`].
//!
//! *Invariants:* no service reaches an act without having said which keys and chains it is about; a key that is not there and one that
//! the caller may not use are answered alike, to the byte; every no is put on record with what was really asked.

use std::sync::Arc;

use sigward_policies::authz::KeyFacts;
use sigward_policies::decision::{Refusal, RefusalCode};
use sigward_policies::model::algorithm::PublicKey;
use sigward_policies::model::caller::Caller;
use sigward_policies::model::id::{ChainId, KeyName};
use tonic::{Request, Status};

use super::admission;
use super::errors::status;
use super::key::refuse;
use super::serve::Services;
use crate::admin::{Admin, Known, Register};
use crate::authz::{About, Admitted, Denial, MayAct, Sight};
use crate::clock::Clock;
use crate::config::SOFTWARE;
use crate::store::Store;

/// The acts, for whoever has a proof.
#[derive(Clone, Debug)]
pub(super) struct Gate(Arc<Admin>);

impl Gate {
    pub(super) const fn new(admin: Arc<Admin>) -> Self {
        Self(admin)
    }

    /// Everything that can be done, to one who may do what it asked for.
    pub(super) const fn open(&self, _proof: &MayAct) -> &Arc<Admin> {
        &self.0
    }

    /// Everything that there is, to one who shows it only through its sight.
    pub(super) const fn look(&self, _proof: &Sight) -> &Arc<Admin> {
        &self.0
    }

    /// For admission itself: the time, and where refusals are put on record.
    pub(super) fn books(&self) -> (&dyn Clock, &dyn Store) {
        (self.0.clock.as_ref(), self.0.store.as_ref())
    }
}

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
    /// A key that is to be, in this provider; on these chains.
    NewKey(&'a KeyName, &'a str, &'a [&'a ChainId]),
    /// Keys that come back to the software store, on these chains and perhaps on others.
    Restored(&'a [KeyName], &'a [&'a ChainId]),
    /// A key that may be there or not, with what the configuration gives it.
    KeyOrNew(&'a KeyName, &'a str),
    /// Whatever signs on a chain.
    Chain(&'a ChainId),
    /// The nodes of a chain of the configuration.
    NodesOf(&'a ChainId),
    /// Whatever a provider keeps.
    Provider(&'a str),
}

/// The request, and the proof that it was let come nearer.
pub(super) fn admitted<T>(request: Request<T>) -> Result<(Admitted, T), Status> {
    let (_, mut extensions, message) = request.into_parts();
    let ticket = extensions.remove::<admission::Ticket>();
    let admitted = ticket.and_then(|ticket| ticket.take());
    // Nobody came in by the door.
    let none = || Status::unauthenticated("not_permitted: this connection proves nothing");
    Ok((admitted.ok_or_else(none)?, message))
}

impl Services {
    /// May the caller do this with all of `target`?
    pub(super) async fn may(&self, call: Admitted, target: Target<'_>) -> Result<MayAct, Status> {
        let Some(register) = self.register_before(&call).await? else {
            return call.may(&[]).map_err(|denial| refuse(denial.refusal));
        };
        let about = target.about(&register).map_err(refuse)?;
        let (who, operation) = (call.who().clone(), call.operation_name());
        call.may(&about).map_err(|denial| {
            self.put_on_record(&who, operation, &denial);
            refuse(target.told(denial.refusal))
        })
    }

    /// What may the caller see of everything?
    pub(super) fn may_look(&self, call: Admitted) -> Result<Sight, Status> {
        let (who, operation) = (call.who().clone(), call.operation_name());
        call.look().map_err(|denial| {
            self.put_on_record(&who, operation, &denial);
            refuse(denial.refusal)
        })
    }

    /// May the caller see this key, from any side? One that it may not see is not there.
    pub(super) fn may_look_at(&self, call: Admitted, known: &Known) -> Result<Sight, Status> {
        let (who, operation) = (call.who().clone(), call.operation_name());
        call.look_at(&everywhere(known)).map_err(|denial| {
            self.put_on_record(&who, operation, &denial);
            let names = std::slice::from_ref(&known.facts.name);
            refuse(Target::Keys(names).told(denial.refusal))
        })
    }

    /// Which keys there are, to ask about them; none where no document is in force, and nobody asks.
    pub(super) async fn register_before(&self, call: &Admitted) -> Result<Option<Register>, Status> {
        if !call.has_policy() {
            return Ok(None);
        }
        self.gate.0.register().await.map(Some).map_err(status)
    }

    fn put_on_record(&self, who: &Caller, operation: &'static str, denial: &Denial) {
        let About { key, chain } = &denial.about;
        let key = key.as_ref().and_then(|key| key.public_key);
        self.note(who, operation, (key, chain.clone()), &denial.refusal);
    }
}

impl Target<'_> {
    /// The questions, each of which must be answered by yes; or what is not there.
    fn about(&self, register: &Register) -> Result<Vec<About>, Refusal> {
        Ok(match self {
            Self::Nothing => vec![About::default()],
            Self::Everything => {
                let keys = register.keys().flat_map(everywhere);
                std::iter::once(About::default()).chain(keys).collect()
            }
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
            Self::NewKey(name, provider, []) => vec![About::key(to_be(name, provider))],
            Self::NewKey(name, provider, chains) => on(&to_be(name, provider), chains),
            Self::Restored(names, chains) => {
                let of = |name: &KeyName| {
                    let facts = to_be(name, SOFTWARE);
                    let mut about = on(&facts, chains);
                    about.push(About::key(facts));
                    about
                };
                names.iter().flat_map(of).collect()
            }
            Self::KeyOrNew(name, provider) => match register.find(name) {
                Some(known) => everywhere(known),
                None => vec![About::key(to_be(name, provider))],
            },
            Self::Chain(chain) => {
                if !register.knows_chain(chain) {
                    return Err(no_chain(chain));
                }
                let keys = register
                    .on(chain)
                    .map(|known| About::key_on(known.facts.clone(), (*chain).clone()));
                std::iter::once(About::chain((*chain).clone()))
                    .chain(keys)
                    .collect()
            }
            // Of a chain that left the configuration a drained node may still be there, and no key.
            Self::NodesOf(chain) => vec![About {
                key: register.signs_for(chain),
                chain: Some((*chain).clone()),
            }],
            Self::Provider(id) => {
                let kept = register
                    .keys()
                    .filter(|known| known.facts.provider.as_deref() == Some(*id))
                    .map(|known| About::key(known.facts.clone()));
                let kept: Vec<_> = kept.collect();
                if kept.is_empty() {
                    vec![About::default()]
                } else {
                    kept
                }
            }
        })
    }

    /// A refusal as the caller hears it: what it may not use is not there.
    fn told(&self, refusal: Refusal) -> Refusal {
        if refusal.code != RefusalCode::NotPermitted {
            return refusal;
        }
        match self {
            Self::Keys(names) => no_keys(names),
            Self::KeyOn(name, _) | Self::KeyOrNew(name, _) => no_key(name),
            Self::PublicKeys(_) => one_of_them(),
            Self::Chain(chain) => no_chain(chain),
            Self::NodesOf(chain) => no_nodes(chain),
            // Nothing here that might be there or not.
            Self::Nothing | Self::Everything | Self::NewKey(..) | Self::Restored(..) | Self::Provider(_) => {
                refusal
            }
        }
    }
}

/// A key as such, and on each of its chains.
pub(super) fn everywhere(known: &Known) -> Vec<About> {
    let on = |chain: &ChainId| About::key_on(known.facts.clone(), chain.clone());
    std::iter::once(About::key(known.facts.clone()))
        .chain(known.chains.iter().map(on))
        .collect()
}

/// What is known of a key that is not there yet.
fn to_be(name: &KeyName, provider: &str) -> KeyFacts {
    KeyFacts {
        name: name.clone(),
        public_key: None,
        provider: Some(provider.into()),
    }
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
