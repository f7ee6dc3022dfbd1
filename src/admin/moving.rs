//! Moving in: keys of another signer, each with what it has signed, in one batch.
//!
//! *Invariants:* all keys and rows of a move are there together, or none is; what was sealed by a move that was cut off is taken
//! up by the next; a key that is here already is refused, unless that is all such a move had done.

use sigward_hsm::software::KeyMaterial;
use sigward_policies::decision::{Refusal, RefusalCode, Refused};
use sigward_policies::double_sign::Beginning;
use sigward_policies::model::algorithm::PublicKey;
use sigward_policies::model::id::{ChainId, KeyName};
use sigward_policies::model::key::Key;

use super::act::Act;
use super::keys::describe;
use super::{Admin, ListedKey};
use crate::audit::Asker;
use crate::crash::crash_point;
use crate::store::{Batch, Change, Sharing};

/// A key on its way in.
pub struct Incoming {
    /// What it is to be called.
    pub name: KeyName,
    /// The key.
    pub material: KeyMaterial,
    /// Its chains; one at least.
    pub chains: Vec<IncomingChain>,
}

/// A chain of a key on its way in.
#[derive(Clone, Debug)]
pub struct IncomingChain {
    /// The chain.
    pub id: ChainId,
    /// Whether the key is shared by several chains.
    pub sharing: Sharing,
    /// What the key has signed there.
    pub beginning: Beginning,
}

impl Admin {
    /// Takes in all of `incoming`, which come from the signer called `from`.
    pub async fn move_in(
        &self,
        who: &Asker,
        from: &str,
        incoming: Vec<Incoming>,
    ) -> Result<Vec<ListedKey>, Refused> {
        let mut known = Vec::with_capacity(incoming.len());
        for key in &incoming {
            known.push(self.known(key).await?);
        }
        let mut batch = Batch::default();
        let mut listed = Vec::with_capacity(incoming.len());
        for (incoming, known) in incoming.into_iter().zip(known) {
            let Incoming {
                name,
                material,
                chains,
            } = incoming;
            let key = match known {
                Some(key) => key,
                None => {
                    let key = self.seal(who, &name, material).await?;
                    batch.changes.push(Change::AddKey(key.clone()));
                    key
                }
            };
            let public_key = key.version.public_key;
            for chain in &chains {
                let said = format!("from {from}: {}", describe(&chain.beginning));
                let entry = self.entry(who, Act::KeyImport, &public_key, Some(&chain.id), &said);
                batch.entries.push(entry);
                batch.changes.push(Change::Begin {
                    public_key,
                    chain: chain.id.clone(),
                    beginning: chain.beginning.clone(),
                    sharing: chain.sharing,
                });
            }
            let chains = chains.into_iter().map(|chain| chain.id).collect();
            listed.push(ListedKey::new(key, chains));
        }
        crash_point!("admin_moving_sealed");
        let coming = listed
            .iter()
            .map(|listed| (listed.key.clone(), listed.chains.clone()))
            .collect();
        self.memory().take_in(batch, coming).await?;
        Ok(listed)
    }

    /// The key as the store has it, if that is all that an earlier move came to. Any other key of this name, or name of this key,
    /// refuses and says where it is.
    async fn known(&self, incoming: &Incoming) -> Result<Option<Key>, Refused> {
        let public_key: PublicKey = *incoming.material.public_key();
        let keys = self.keys().await?;
        let Some(key) = keys.iter().find(|key| key.version.public_key == public_key) else {
            self.name_is_free(&incoming.name).await?;
            return Ok(None);
        };
        let rows = self.rows().await?;
        let mut own: Vec<_> = rows
            .iter()
            .filter(|row| row.public_key == public_key)
            .map(|row| &row.chain)
            .collect();
        own.sort();
        let mut wanted: Vec<_> = incoming.chains.iter().map(|chain| &chain.id).collect();
        wanted.sort();
        let serves = self.chains.now().iter().any(|chain| chain.key == key.name);
        if key.name == incoming.name && own == wanted && !serves {
            return Ok(Some(key.clone()));
        }
        let chains: Vec<_> = own.iter().map(|chain| chain.as_str()).collect();
        let message = format!(
            "this key is here already, as {} ({}), for {}; `sigward state import` joins a newer state into it",
            key.name,
            key.version.state,
            if chains.is_empty() {
                "no chain yet".to_owned()
            } else {
                chains.join(", ")
            }
        );
        Err(Refusal::new(RefusalCode::PublicKeyExists, message).into())
    }
}
