//! The seal on record: which key-encryption key opens the keys is a matter of files, and who changed it is one of the audit chain.

use sigward_policies::decision::Refused;

use super::Admin;
use super::act::Act;
use crate::audit::Asker;
use crate::store::{self, Batch};

/// What is done to the seal.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SealAct {
    /// The keys are sealed by something else.
    Move,
    /// Another key of the token wraps the same key-encryption key.
    Rewrap,
    /// Wrapping keys that no file names are destroyed.
    Prune,
}

impl Admin {
    /// Puts a change of the seal on record, before it takes effect.
    pub async fn record_seal(&self, who: &Asker, act: SealAct, detail: &str) -> Result<(), Refused> {
        let act = match act {
            SealAct::Move => Act::SealMove,
            SealAct::Rewrap => Act::SealRewrap,
            SealAct::Prune => Act::SealPrune,
        };
        let entry = self.entry_of(who, act, None, None, detail);
        store::commit(self.store.as_ref(), Batch::record(vec![entry]))
            .await
            .map(|_receipts| ())
    }
}
