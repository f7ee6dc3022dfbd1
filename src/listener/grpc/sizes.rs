//! How large the body of a request may be, by its procedure: what is read before anybody knows what is in it.

use sigward_proto::Procedure;

use super::serve::MAX_OF_OTHERS;

/// Names, ids, numbers and sentences.
const SMALL: usize = 64 << 10;

/// The most bytes of a body that is for this path, as gRPC frames it or in JSON.
pub(in crate::listener) fn most_of(path: &str) -> usize {
    Procedure::of_path(path).map_or(SMALL, of)
}

/// Every procedure stands here: one that does not, does not compile.
const fn of(procedure: Procedure) -> usize {
    use Procedure as P;
    match procedure {
        // Files, and lists of every key.
        P::BackupMake | P::BackupConfirm | P::BackupRestore | P::KeyImport | P::StateImport => MAX_OF_OTHERS,

        P::ApiKeyCreate
        | P::ApiKeyList
        | P::ApiKeyRevoke
        | P::ApprovalList
        | P::ApprovalShow
        | P::ApprovalApprove
        | P::ApprovalReject
        | P::AuditTail
        | P::AuditQuery
        | P::AuditShowCheckpoint
        | P::AuditVerify
        | P::AuditKeep
        | P::HoldFreeze
        | P::HoldUnfreeze
        | P::HoldSetStopLine
        | P::HoldClearStopLine
        | P::HoldListHolds
        | P::HsmList
        | P::HsmLogInOnce
        | P::KeyCreate
        | P::KeyImportFromToken
        | P::KeyList
        | P::KeyGet
        | P::KeyAdopt
        | P::NodeList
        | P::NodeDrain
        | P::NodeUndrain
        | P::ReloadReload
        | P::StateShow
        | P::StateInit
        | P::StateExport
        | P::StateMoveOut
        | P::StateAllow
        | P::StateWithdrawAllow
        | P::StateRebind
        | P::StatusGet
        | P::StatusWhoAmI => SMALL,
    }
}
