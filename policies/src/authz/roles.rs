//! The roles that every document has: sets of operations under a name.
//!
//! *Invariant:* no role may both put a policy in force and take or end keys (a test says so), so that whoever wants both needs a
//! second person.

use super::operations::Operations;
use crate::model::operation::Operation as O;

/// A role of its own name.
#[derive(Clone, Copy, Debug)]
pub struct Role {
    /// What rules call it.
    pub name: &'static str,
    /// What it is for.
    pub purpose: &'static str,
    /// What it may.
    pub operations: Operations,
}

/// Roles that a document need not define, and may not.
pub const BUILT_IN: &[Role] = &[
    Role {
        name: "admin",
        purpose: "decides who may what, holds and releases signing; takes no key out and ends none",
        operations: Operations::of(&[
            O::KeyList,
            O::KeyShow,
            O::ProviderList,
            O::ProviderLogin,
            O::SealShow,
            O::StateShow,
            O::NodeList,
            O::NodeDrain,
            O::NodeUndrain,
            O::HoldList,
            O::Freeze,
            O::Unfreeze,
            O::StopLineSet,
            O::StopLineClear,
            O::ConfigReload,
            O::StatusRead,
            O::AuditRead,
            O::AuditVerify,
            O::AuditExport,
            O::AuditKeep,
            O::PolicyCheck,
            O::PolicyExplain,
            O::PolicyWrite,
            O::ApiKeyList,
            O::ApiKeyCreate,
            O::ApiKeyRevoke,
            O::ApprovalList,
            O::ApprovalRequest,
            O::ApprovalApprove,
            O::ApprovalReject,
            O::AllocationList,
        ]),
    },
    Role {
        name: "operator",
        purpose: "looks after keys, states, tokens and nodes; does not write the policy",
        operations: Operations::of(&[
            O::KeyList,
            O::KeyShow,
            O::KeyCreate,
            O::KeyImport,
            O::KeyAdopt,
            O::KeyBind,
            O::KeyRotate,
            O::KeyActivate,
            O::KeyDisable,
            O::KeyDestroy,
            O::KeyExport,
            O::KeyBackup,
            O::KeyRestore,
            O::ProviderList,
            O::ProviderLogin,
            O::SealShow,
            O::SealMove,
            O::SealRewrap,
            O::SealPrune,
            O::StateShow,
            O::StateInit,
            O::StateImport,
            O::StateExport,
            O::StateAllow,
            O::StateDisallow,
            O::StateRebind,
            O::NodeList,
            O::NodeDrain,
            O::NodeUndrain,
            O::HoldList,
            O::Freeze,
            O::Unfreeze,
            O::StopLineSet,
            O::StopLineClear,
            O::ConfigReload,
            O::StatusRead,
            O::AuditRead,
            O::AuditVerify,
            O::AuditKeep,
            O::PolicyCheck,
            O::PolicyExplain,
            O::ApiKeyList,
            O::ApiKeyRevoke,
            O::ApprovalList,
            O::ApprovalRequest,
            O::ApprovalApprove,
            O::ApprovalReject,
            O::AllocationList,
        ]),
    },
    Role {
        name: "signer",
        purpose: "asks for consensus signatures, and sees the keys that it may use",
        operations: Operations::of(&[
            O::SignProposal,
            O::SignPrevote,
            O::SignPrecommit,
            O::KeyList,
            O::KeyShow,
        ]),
    },
    Role {
        name: "runbook",
        purpose: "what is done at night: see everything, leave a node alone, stop signing, revoke an API key; nothing that lets more happen",
        operations: Operations::of(&[
            O::KeyList,
            O::KeyShow,
            O::ProviderList,
            O::StateShow,
            O::NodeList,
            O::NodeDrain,
            O::HoldList,
            O::Freeze,
            O::StopLineSet,
            O::StateDisallow,
            O::StatusRead,
            O::AuditRead,
            O::AuditVerify,
            O::PolicyExplain,
            O::ApiKeyList,
            O::ApiKeyRevoke,
            O::ApprovalList,
            O::ApprovalRequest,
            O::AllocationList,
        ]),
    },
    Role {
        name: "allocator",
        purpose: "gives keys to pods and takes them back",
        operations: Operations::of(&[
            O::KeyList,
            O::KeyShow,
            O::KeyCreate,
            O::StatusRead,
            O::AllocationList,
            O::AllocationAllocate,
            O::AllocationRenew,
            O::AllocationRelease,
        ]),
    },
    Role {
        name: "auditor",
        purpose: "sees everything and changes nothing",
        operations: Operations::of(&[
            O::KeyList,
            O::KeyShow,
            O::ProviderList,
            O::SealShow,
            O::StateShow,
            O::NodeList,
            O::HoldList,
            O::StatusRead,
            O::AuditRead,
            O::AuditVerify,
            O::AuditExport,
            O::PolicyCheck,
            O::PolicyExplain,
            O::ApiKeyList,
            O::ApprovalList,
            O::AllocationList,
        ]),
    },
];

/// The role of this name that every document has.
pub fn built_in(name: &str) -> Option<&'static Role> {
    BUILT_IN.iter().find(|role| role.name == name)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn no_role_both_writes_the_policy_and_takes_keys() {
        for role in BUILT_IN {
            let takes = role.operations.find(O::takes_keys);
            assert!(
                takes.is_none() || !role.operations.contains(O::PolicyWrite),
                "{}: {takes:?}",
                role.name
            );
        }
    }

    #[test]
    fn an_auditor_changes_nothing_and_a_runbook_releases_nothing() {
        let auditor = built_in("auditor").unwrap().operations;
        let seeing = |o: &O| {
            let last = o.as_str().rsplit('.').next().unwrap();
            matches!(
                last,
                "list" | "show" | "read" | "verify" | "export" | "check" | "explain"
            )
        };
        assert!(auditor.iter().all(|o| seeing(&o)), "{auditor:?}");
        assert!(auditor.find(O::takes_keys).is_none());
        assert!(!auditor.contains(O::StateExport), "it stops a key");
        let runbook = built_in("runbook").unwrap().operations;
        let stops = [
            O::NodeDrain,
            O::Freeze,
            O::StopLineSet,
            O::StateDisallow,
            O::ApiKeyRevoke,
        ];
        let holds_back = |o: &O| seeing(o) || stops.contains(o) || *o == O::ApprovalRequest;
        let more: Vec<_> = runbook.iter().filter(|o| !holds_back(o)).collect();
        assert!(more.is_empty(), "{more:?} let more happen");
    }

    #[test]
    fn nobody_but_a_signer_signs_and_nobody_signs_what_is_reserved() {
        for role in BUILT_IN {
            let signs = role.operations.find(|o| o.as_str().starts_with("sign."));
            assert_eq!(signs.is_some(), role.name == "signer", "{}", role.name);
            assert!(role.operations.find(O::is_reserved).is_none());
        }
    }
}
