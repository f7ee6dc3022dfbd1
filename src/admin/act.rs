//! What operators do, as the audit chain names it.

use sigward_policies::model::algorithm::PublicKey;
use sigward_policies::model::caller::Caller;
use sigward_policies::model::id::ChainId;

use super::Admin;
use crate::audit::{self, Asked};
use crate::store::AuditEntry;

/// An act of an operator, or of sigward itself.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Act {
    KeyCreate,
    KeyImport,
    KeyAdopt,
    KeyBind,
    KeyBackup,
    KeyBackupVerified,
    KeyRestore,
    KeyExport,
    StateInit,
    StateImport,
    StateExport,
    StateAllow,
}

impl Act {
    const fn as_str(self) -> &'static str {
        match self {
            Self::KeyCreate => "key.create",
            Self::KeyImport => "key.import",
            Self::KeyAdopt => "key.adopt",
            Self::KeyBind => "key.bind",
            Self::KeyBackup => "key.backup",
            Self::KeyBackupVerified => "key.backup_verified",
            Self::KeyRestore => "key.restore",
            Self::KeyExport => "key.export",
            Self::StateInit => "state.init",
            Self::StateImport => "state.import",
            Self::StateExport => "state.export",
            Self::StateAllow => "state.allow",
        }
    }
}

impl Admin {
    /// The record of an act; it is committed with the act's changes.
    pub(super) fn entry(
        &self,
        who: &Caller,
        act: Act,
        key: &PublicKey,
        chain: Option<&ChainId>,
        detail: &str,
    ) -> AuditEntry {
        let asked = Asked::act(who, act.as_str(), Some(*key), chain.cloned());
        audit::of_act(asked, detail, self.clock.unix_micros())
    }
}
