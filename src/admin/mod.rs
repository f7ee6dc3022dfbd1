//! What an operator can do: make and bring in keys, begin and move sign states, read the audit chain.
//!
//! An act is one batch: its changes and its audit record are durable together, before the caller hears of it. The services on the
//! admin socket and the command line without a daemon both end here.

mod act;
mod api_keys;
mod approvals;
mod audit;
mod backup;
mod bind;
mod bundles;
mod coming;
mod consent;
mod following;
mod holding;
mod keys;
mod leave;
pub mod live;
mod moving;
pub mod node;
mod pin_place;
mod providers;
mod refusals;
mod register;
mod restore;
mod seal;
mod state;
pub mod state_file;
#[cfg(test)]
mod testing;
mod token;
mod token_keys;

use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};

use sigward_hsm::secret::Arena;
use sigward_policies::decision::{Failure, FailureCode, Refusal, RefusalCode, Refused};
use sigward_policies::model::id::{ChainId, KeyName};
use sigward_policies::model::key::Key;

pub use api_keys::{DEFAULT_API_KEY_DAYS, MAX_API_KEY_DAYS, MadeApiKey};
pub use approvals::no_approval;
pub use audit::{Kept, Reading};
pub use backup::{MadeBackup, VerifiedBackup};
pub use bind::unnamed_chain;
pub use bundles::HandedOut;
pub use coming::{Returning, returning};
pub use consent::{DEFAULT_WAIT, Petition, request_named_in};
pub use holding::{FreezeScope, NamedHold, StopScope};
pub use keys::{ImportBeginning, ListedKey};
pub use leave::{LeftKey, OtherChains};
pub use moving::{Incoming, IncomingChain};
pub use providers::Providers;
pub use register::{Known, LastRegister, Register};
pub use restore::Heights;
pub use seal::SealAct;
pub use state::NamedRow;
pub use token::{Token, TokenTrouble};
pub use token_keys::{SeenToken, TokenObject, damaged};

use crate::audit::Archive;
use crate::authn::api_key::ApiKeys;
use crate::backstage::{NotDone, Stage};
use crate::clock::Clock;
use crate::config::NodeConfig;
use crate::guard::Guard;
use crate::keyring::Keyring;
use crate::store::{Sharing, Store, StoredRow};

/// A chain as the configuration names it: its id, its key, whether that key may serve others, and its nodes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ConfiguredChain {
    /// The chain.
    pub id: ChainId,
    /// Its key's name.
    pub key: KeyName,
    /// Whether the key is shared.
    pub sharing: Sharing,
    /// Its nodes.
    pub nodes: Vec<NodeConfig>,
}

/// The chains of the configuration in force; a reload replaces them all at once.
#[derive(Debug, Default)]
pub struct Chains(RwLock<Arc<[ConfiguredChain]>>);

impl Chains {
    /// These.
    pub fn new(chains: impl IntoIterator<Item = ConfiguredChain>) -> Self {
        Self(RwLock::new(chains.into_iter().collect()))
    }

    /// Those in force now.
    pub fn now(&self) -> Arc<[ConfiguredChain]> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Others are in force.
    pub fn replace(&self, chains: impl IntoIterator<Item = ConfiguredChain>) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = chains.into_iter().collect();
    }
}

/// Everything that an act may need.
pub struct Admin {
    /// The store.
    pub store: Arc<dyn Store>,
    /// Guard rows in memory.
    pub guard: Arc<Guard>,
    /// Usable keys.
    pub keyring: Arc<Keyring>,
    /// Where keys are kept.
    pub providers: Providers,
    /// Locked memory for a key on its way in.
    pub arena: Arena,
    /// The audit chain beyond the store.
    pub archive: Arc<Archive>,
    /// The chains of the configuration.
    pub chains: Chains,
    /// Which keys there were when somebody asked last.
    pub last_register: LastRegister,
    /// Bundles that may be confirmed.
    pub handed_out: HandedOut,
    /// The API keys that count.
    pub api_keys: Arc<ApiKeys>,
    /// The time.
    pub clock: Arc<dyn Clock>,
}

impl fmt::Debug for Admin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Admin")
            .field("chains", &self.chains)
            .finish_non_exhaustive()
    }
}

impl Admin {
    async fn keys(&self) -> Result<Vec<Key>, Refused> {
        self.read(|store| store.keys()).await
    }

    async fn rows(&self) -> Result<Vec<StoredRow>, Refused> {
        self.read(|store| store.rows()).await
    }

    async fn key(&self, name: &KeyName) -> Result<Key, Refused> {
        self.keys()
            .await?
            .into_iter()
            .find(|key| key.name == *name)
            .ok_or_else(|| {
                let message = format!("there is no key {name}; `sigward keys list` shows them");
                Refusal::new(RefusalCode::KeyNotFound, message).into()
            })
    }

    /// Does what takes long where it is in nobody's way (`backstage`).
    async fn work<T: Send + 'static>(
        &self,
        stage: &'static Stage,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Refused> {
        off_stage(stage, work).await
    }

    /// Reads on a thread that may block.
    async fn read<T: Send + 'static>(
        &self,
        read: impl FnOnce(&dyn Store) -> Result<T, Refused> + Send + 'static,
    ) -> Result<T, Refused> {
        let store = Arc::clone(&self.store);
        tokio::task::spawn_blocking(move || read(store.as_ref()))
            .await
            .unwrap_or_else(|_| {
                Err(Failure::new(FailureCode::StoreUnavailable, "reading the store was interrupted").into())
            })
    }
}

/// Does what takes long where it is in nobody's way (`backstage`).
async fn off_stage<T: Send + 'static>(
    stage: &'static Stage,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Refused> {
    stage.run(work).await.map_err(|error| {
        let code = match error {
            NotDone::Busy => FailureCode::Busy,
            NotDone::Interrupted => FailureCode::ShuttingDown,
        };
        Failure::new(code, error.to_string()).into()
    })
}
