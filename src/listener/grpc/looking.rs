//! What of the acts only looks: all that a sight opens the gate to.
//!
//! *Invariant:* nothing here changes anything.

use std::sync::Arc;

use sigward_policies::decision::Refused;
use sigward_policies::model::id::{ChainId, KeyName};

use crate::admin::node::ConfiguredNode;
use crate::admin::{Admin, ConfiguredChain, ListedKey, NamedHold, NamedRow, Register, SeenToken};
use crate::clock::Clock;
use crate::guard::Guard;
use crate::keyring::Keyring;
use crate::store::{ApprovalId, Health, StoredApproval};

/// A look at everything.
#[derive(Clone, Copy, Debug)]
pub(super) struct Looking<'a>(&'a Admin);

impl<'a> Looking<'a> {
    pub(super) const fn at(admin: &'a Admin) -> Self {
        Self(admin)
    }

    pub(super) async fn register(&self) -> Result<Arc<Register>, Refused> {
        self.0.register().await
    }

    pub(super) async fn list_keys(&self) -> Result<Vec<ListedKey>, Refused> {
        self.0.list_keys().await
    }

    pub(super) async fn listed_key(&self, name: &KeyName) -> Result<ListedKey, Refused> {
        self.0.listed_key(name).await
    }

    pub(super) async fn states(
        &self,
        key: Option<&KeyName>,
        chain: Option<&ChainId>,
    ) -> Result<Vec<NamedRow>, Refused> {
        self.0.states(key, chain).await
    }

    pub(super) async fn named_holds(&self) -> Result<Vec<NamedHold>, Refused> {
        self.0.named_holds().await
    }

    pub(super) async fn nodes(&self, chain: Option<&ChainId>) -> Result<Vec<ConfiguredNode>, Refused> {
        self.0.nodes(chain).await
    }

    pub(super) async fn tokens(&self, search: bool) -> Result<Vec<SeenToken>, Refused> {
        self.0.tokens(search).await
    }

    pub(super) async fn approval(&self, id: ApprovalId) -> Result<StoredApproval, Refused> {
        self.0.kept_approval(id).await
    }

    pub(super) async fn approvals(&self) -> Result<Vec<StoredApproval>, Refused> {
        self.0.approvals().await
    }

    pub(super) fn chains(&self) -> Arc<[ConfiguredChain]> {
        self.0.chains.now()
    }

    pub(super) fn keyring(&self) -> &'a Keyring {
        &self.0.keyring
    }

    pub(super) fn guard(&self) -> &'a Guard {
        &self.0.guard
    }

    pub(super) fn store_id(&self) -> String {
        self.0.store.id().to_string()
    }

    pub(super) fn store_health(&self) -> Health {
        self.0.store.health()
    }

    pub(super) fn clock(&self) -> &'a dyn Clock {
        self.0.clock.as_ref()
    }
}
