//! Whose checkpoints count. A line carries the key that verifies it, so that anybody can write one that verifies: only the key says who.

use sigward_policies::model::algorithm::PublicKey;
use sigward_policies::model::id::StoreId;

use crate::audit::checkpoint::Checkpoint;

/// A store, and the key that its checkpoints are signed with.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Whose {
    /// Whose chain.
    pub store: StoreId,
    /// Its key, where it is known. Where it is not, a file is read by the key of its first line of this store: later ones may have been
    /// appended by anybody.
    pub key: Option<PublicKey>,
}

impl Whose {
    /// Of a store whose key is not known.
    pub const fn any_of(store: StoreId) -> Self {
        Self { store, key: None }
    }

    /// Whether `made` is one of these.
    pub fn wrote(&self, made: &Checkpoint) -> bool {
        made.store == self.store && self.key.is_none_or(|key| key == made.key)
    }
}
