//! What a caller sees of everything: keys, states, holds, nodes and tokens, each row judged for itself.
//!
//! *Invariant:* a row is shown where a rule lets the caller do what it called for with the row's key and chain. What is asked for by name
//! and not shown is answered as what is not there.

use std::sync::Arc;

use sigward_hsm::pkcs11::TokenKey;
use sigward_policies::authz::KeyFacts;
use sigward_policies::decision::{Refusal, RefusalCode};
use sigward_policies::holding::{Fact, Line, Scope};
use sigward_policies::model::algorithm::PublicKey;
use sigward_policies::model::id::{ChainId, KeyName};
use tonic::Status;

use super::errors::status;
use super::key::refuse;
use super::serve::Services;
use super::target::{everywhere, no_key, no_nodes};
use crate::admin::node::ConfiguredNode;
use crate::admin::{Known, ListedKey, NamedHold, NamedRow, Register, SeenToken};
use crate::authz::{About, Admitted, Sight};

impl Services {
    /// The keys, each with those of its chains that may be shown.
    pub(super) async fn keys_in(&self, sight: &Sight) -> Result<Vec<ListedKey>, Status> {
        let keys = self.gate.look(sight).list_keys().await.map_err(status)?;
        Ok(match self.register_for(sight).await? {
            None => keys,
            Some(register) => {
                let shown = |listed| shown(sight, &register, listed);
                keys.into_iter().filter_map(shown).collect()
            }
        })
    }

    /// One key.
    pub(super) async fn key_in(&self, call: Admitted, name: &KeyName) -> Result<ListedKey, Status> {
        let Some(register) = self.register_before(&call).await? else {
            let sight = self.may_look(call)?;
            return self.gate.look(&sight).listed_key(name).await.map_err(status);
        };
        let known = register.find(name).ok_or_else(|| refuse(no_key(name)))?;
        let sight = self.may_look_at(call, known)?;
        let listed = self.gate.look(&sight).listed_key(name).await.map_err(status)?;
        shown(&sight, &register, listed).ok_or_else(|| refuse(no_key(name)))
    }

    /// Sign states: all, or those of `key` and `chain`.
    pub(super) async fn states_in(
        &self,
        sight: &Sight,
        key: Option<&KeyName>,
        chain: Option<&ChainId>,
    ) -> Result<Vec<NamedRow>, Status> {
        let admin = self.gate.look(sight);
        let Some(register) = self.register_for(sight).await? else {
            return admin.states(key, chain).await.map_err(status);
        };
        if let Some(name) = key {
            let known = register.find(name);
            if !known.is_some_and(|known| sight.sees_any(&everywhere(known))) {
                return Err(self.hidden(sight, known, name));
            }
        }
        let mut rows = admin.states(key, chain).await.map_err(status)?;
        rows.retain(|row| {
            let facts = register.facts_of(&row.key);
            sight.sees(&About::key_on(facts, row.row.chain.clone()))
        });
        Ok(rows)
    }

    /// What is held back of that which the caller may see.
    pub(super) async fn holds_in(&self, sight: &Sight) -> Result<Vec<NamedHold>, Status> {
        let mut holds = self.gate.look(sight).named_holds().await.map_err(status)?;
        if let Some(register) = self.register_for(sight).await? {
            holds.retain(|named| sight.sees_any(&held(&named.hold.fact, &register)));
        }
        Ok(holds)
    }

    /// The nodes of the configuration, of one chain or of all.
    pub(super) async fn nodes_in(
        &self,
        sight: &Sight,
        chain: Option<&ChainId>,
    ) -> Result<Vec<ConfiguredNode>, Status> {
        let admin = self.gate.look(sight);
        let Some(register) = self.register_for(sight).await? else {
            return admin.nodes(chain).await.map_err(status);
        };
        let sees = |chain: &ChainId| {
            let facts = register.signs_for(chain);
            facts.is_some_and(|facts| sight.sees(&About::key_on(facts, chain.clone())))
        };
        if let Some(asked) = chain
            && !sees(asked)
        {
            if let Some(facts) = register.signs_for(asked) {
                self.unseen(sight, About::key_on(facts, asked.clone()));
            }
            return Err(refuse(no_nodes(asked)));
        }
        let mut nodes = admin.nodes(chain).await.map_err(status)?;
        nodes.retain(|node| sees(&node.chain));
        Ok(nodes)
    }

    /// The tokens, each with those of its keys that may be shown. What nobody took in yet is shown to those who see every token.
    pub(super) async fn tokens_in(&self, sight: &Sight, search: bool) -> Result<Vec<SeenToken>, Status> {
        let all = sight.is_whole() || sight.sees(&About::default());
        let admin = self.gate.look(sight);
        let mut tokens = admin.tokens(search && all).await.map_err(status)?;
        if sight.is_whole() {
            return Ok(tokens);
        }
        tokens.retain_mut(|token| {
            let facts = |key: &TokenKey| KeyFacts {
                name: key.name.clone(),
                public_key: Some(key.public_key),
                provider: Some(token.id.as_str().into()),
            };
            token.keys.retain(|key| sight.sees(&About::key(facts(key))));
            if let Some(trouble) = token.trouble.as_mut().filter(|_| !all) {
                // It may name keys.
                trouble.what = "those who see every token are told what".to_owned();
            }
            all || !token.keys.is_empty()
        });
        Ok(tokens)
    }

    /// Which keys there are, unless everything is shown anyhow.
    pub(super) async fn register_for(&self, sight: &Sight) -> Result<Option<Arc<Register>>, Status> {
        if sight.is_whole() {
            return Ok(None);
        }
        let register = self.gate.look(sight).register().await.map_err(status)?;
        Ok(Some(register))
    }

    fn hidden(&self, sight: &Sight, known: Option<&Known>, name: &KeyName) -> Status {
        if let Some(known) = known {
            self.unseen(sight, About::key(known.facts.clone()));
        }
        refuse(no_key(name))
    }

    /// Who asks by name for what it may not see is on record.
    fn unseen(&self, sight: &Sight, about: About) {
        let refusal = Refusal::new(RefusalCode::NotPermitted, "no rule lets it see this");
        // What let it look is not what hides this from it.
        let who = sight.who().clone().ruled(sight.ruling_on(&about));
        let key = about.key.and_then(|facts| facts.public_key);
        self.note(&who, sight.operation_name(), (key, about.chain), &refusal);
    }
}

fn shown(sight: &Sight, register: &Register, mut listed: ListedKey) -> Option<ListedKey> {
    let known = register.find(&listed.key.name)?;
    if !sight.sees_any(&everywhere(known)) {
        return None;
    }
    let sees = |chain: &ChainId| sight.sees(&About::key_on(known.facts.clone(), chain.clone()));
    listed.chains.retain(sees);
    listed.stopped.retain(sees);
    Some(listed)
}

/// What a hold holds back: to see one of it is to see the hold.
fn held(fact: &Fact, register: &Register) -> Vec<About> {
    let facts = |key: &PublicKey| register.find_public(key).map(|known| known.facts.clone());
    let row = |key: &PublicKey, chain: &ChainId| About {
        key: facts(key),
        chain: Some(chain.clone()),
    };
    match fact {
        Fact::Freeze(Scope::All) => {
            let keys = register.keys().flat_map(everywhere);
            std::iter::once(About::default()).chain(keys).collect()
        }
        Fact::Freeze(Scope::Chain(chain)) | Fact::StopLine(Line::Chain(chain), _) => {
            let keys = register
                .on(chain)
                .map(|known| About::key_on(known.facts.clone(), chain.clone()));
            std::iter::once(About::chain(chain.clone())).chain(keys).collect()
        }
        Fact::Freeze(Scope::Key(key)) => register.find_public(key).map(everywhere).unwrap_or_default(),
        Fact::StopLine(Line::Row(key, chain), _) | Fact::Rebound(key, chain, _) => vec![row(key, chain)],
        Fact::Drained(chain, _) => vec![About {
            key: register.signs_for(chain),
            chain: Some(chain.clone()),
        }],
    }
}
