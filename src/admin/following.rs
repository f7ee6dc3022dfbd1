//! What follows a commit: memory takes over what the store has, whether or not somebody still waits for the answer.
//!
//! Whoever serves a request drops it where its client goes away or runs out of patience (a reset stream, a deadline, a connection that
//! ends), at whatever it waits for. Between a commit and what follows it, memory would go on as it was before: a revoked API key that
//! counts, a key that is there and does not sign, until a restart.
//!
//! *Invariant:* whatever memory has to follow is committed in here, and both happen on a task of their own.

use std::future::Future;
use std::sync::Arc;

use sigward_hsm::verify::Verifier;
use sigward_policies::decision::Refused;
use sigward_policies::model::algorithm::PublicKey;
use sigward_policies::model::id::ChainId;
use sigward_policies::model::key::Key;

use super::keys::not_a_key;
use super::{Admin, Providers};
use crate::guard::Guard;
use crate::keyring::{ConsensusKey, Keyring};
use crate::store::{self, Batch, Receipts, Store};

/// Does `act` to its end, even if whoever waits for it goes away.
pub(super) async fn to_its_end<T: Send + 'static>(
    act: impl Future<Output = Result<T, Refused>> + Send + 'static,
) -> Result<T, Refused> {
    tokio::spawn(act).await.unwrap_or_else(|_| Err(store::stopped()))
}

/// What there is in memory of keys and rows, with the store that it follows.
#[derive(Clone)]
pub(super) struct Memory {
    pub(super) store: Arc<dyn Store>,
    pub(super) guard: Arc<Guard>,
    keyring: Arc<Keyring>,
    providers: Providers,
}

impl Memory {
    /// Makes `batch` durable. Only for what happens [to its end](to_its_end).
    pub(super) async fn commit(&self, batch: Batch) -> Result<Receipts, Refused> {
        store::commit(self.store.as_ref(), batch).await
    }

    /// Takes over what the store has of the key on these chains.
    pub(super) async fn rows_of(
        &self,
        public_key: &PublicKey,
        chains: impl IntoIterator<Item = &ChainId>,
    ) -> Result<(), Refused> {
        let mut outcome = Ok(());
        // One that fails leaves the others no older than it is itself.
        for chain in chains {
            let refreshed = self.guard.refresh(&self.store, public_key, chain).await;
            outcome = outcome.and(refreshed);
        }
        outcome
    }

    /// Has a key sign from now on.
    pub(super) fn open(&self, key: Key) -> Result<(), Refused> {
        let verifier = Arc::new(Verifier::new(&key.version.public_key).map_err(not_a_key)?);
        let place = self.providers.place(&key.version.provider)?;
        let (handle, signer) = place.signer(&key.version)?;
        self.keyring.insert(ConsensusKey {
            key,
            handle,
            signer,
            verifier,
        });
        Ok(())
    }

    /// Commits keys that come in, each with its chains, takes over their rows and has them sign: all of them that can.
    pub(super) async fn take_in(self, batch: Batch, keys: Vec<(Key, Vec<ChainId>)>) -> Result<(), Refused> {
        to_its_end(async move {
            self.commit(batch).await?;
            let mut outcome = Ok(());
            for (key, chains) in keys {
                let rows = self.rows_of(&key.version.public_key, &chains).await;
                // A key whose rows are not the store's does not begin to sign.
                outcome = outcome.and(rows.and_then(|()| self.open(key)));
            }
            outcome
        })
        .await
    }
}

impl Admin {
    pub(super) fn memory(&self) -> Memory {
        Memory {
            store: Arc::clone(&self.store),
            guard: Arc::clone(&self.guard),
            keyring: Arc::clone(&self.keyring),
            providers: self.providers.clone(),
        }
    }
}

#[cfg(test)]
#[path = "following/tests.rs"]
mod tests;
