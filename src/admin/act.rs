//! What operators do, as the audit chain names it.

use sigward_policies::model::algorithm::PublicKey;
use sigward_policies::model::id::ChainId;

use super::Admin;
use crate::audit::{self, Asked, Asker};
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
    ProviderLogin,
    StateInit,
    StateImport,
    StateExport,
    StateAllow,
    ConfigReload,
    NodeDrain,
    NodeUndrain,
    StateDisallow,
    StateRebind,
    Freeze,
    Unfreeze,
    StopLineSet,
    StopLineClear,
    SealMove,
    SealRewrap,
    SealPrune,
    AuditTail,
    AuditQuery,
    AuditExport,
    AuditVerify,
    ApprovalRequest,
    ApprovalApprove,
    ApprovalReject,
    ApprovalUse,
    ApprovalExpire,
    ApiKeyCreate,
    ApiKeyRevoke,
}

impl Act {
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::KeyCreate => "key.create",
            Self::KeyImport => "key.import",
            Self::KeyAdopt => "key.adopt",
            Self::KeyBind => "key.bind",
            Self::KeyBackup => "key.backup",
            Self::KeyBackupVerified => "key.backup_verified",
            Self::KeyRestore => "key.restore",
            Self::KeyExport => "key.export",
            Self::ProviderLogin => "provider.login",
            Self::StateInit => "state.init",
            Self::StateImport => "state.import",
            Self::StateExport => "state.export",
            Self::StateAllow => "state.allow",
            Self::ConfigReload => "config.reload",
            Self::NodeDrain => "node.drain",
            Self::NodeUndrain => "node.undrain",
            Self::StateDisallow => "state.allow.withdraw",
            Self::StateRebind => "state.rebind",
            Self::Freeze => "freeze",
            Self::Unfreeze => "unfreeze",
            Self::StopLineSet => "stop_line.set",
            Self::StopLineClear => "stop_line.clear",
            Self::SealMove => "seal.move",
            Self::SealRewrap => "seal.rewrap",
            Self::SealPrune => "seal.prune",
            Self::AuditTail => "audit.tail",
            Self::AuditQuery => "audit.query",
            Self::AuditExport => "audit.export",
            Self::AuditVerify => "audit.verify",
            Self::ApprovalRequest => "approval.request",
            Self::ApprovalApprove => "approval.approve",
            Self::ApprovalReject => "approval.reject",
            Self::ApprovalUse => "approval.use",
            Self::ApprovalExpire => "approval.expire",
            Self::ApiKeyCreate => "api_key.create",
            Self::ApiKeyRevoke => "api_key.revoke",
        }
    }
}

impl Admin {
    /// The record of an act; it is committed with the act's changes.
    pub(super) fn entry(
        &self,
        who: &Asker,
        act: Act,
        key: &PublicKey,
        chain: Option<&ChainId>,
        detail: &str,
    ) -> AuditEntry {
        self.entry_of(who, act, Some(key), chain, detail)
    }

    /// The record of an act that may be about no key, or about all of them.
    pub(super) fn entry_of(
        &self,
        who: &Asker,
        act: Act,
        key: Option<&PublicKey>,
        chain: Option<&ChainId>,
        detail: &str,
    ) -> AuditEntry {
        let asked = Asked::act(who, act.as_str(), key.copied(), chain.cloned());
        audit::of_act(asked, detail, self.clock.unix_micros())
    }
}
