//! Which rules are in force. A request takes a snapshot when it is received; a reload replaces the whole edition at once.

mod policies;

pub use policies::{InForce, Mode, Policies};

use std::sync::{Arc, PoisonError, RwLock};

use sigward_policies::authz::{NodeGrant, Rules};
use sigward_policies::model::id::Generation;

/// The rules in force.
#[derive(Debug)]
pub struct Authorizer {
    rules: RwLock<Arc<Rules>>,
}

impl Authorizer {
    /// The first edition.
    pub fn new(grants: impl IntoIterator<Item = NodeGrant>) -> Self {
        Self {
            rules: RwLock::new(Arc::new(Rules::new(Generation(1), grants))),
        }
    }

    /// The edition in force now.
    pub fn snapshot(&self) -> Arc<Rules> {
        self.rules.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Puts the next edition in force for every request received from now on.
    pub fn replace(&self, grants: impl IntoIterator<Item = NodeGrant>) {
        let mut rules = self.rules.write().unwrap_or_else(PoisonError::into_inner);
        let next = Generation(rules.generation().0.saturating_add(1));
        *rules = Arc::new(Rules::new(next, grants));
    }
}
