//! Which operation a procedure asks for: what rules are asked about a request before any of it is read.
//!
//! *Invariant:* every procedure of `sigward.v1` stands here: one that does not, does not compile (`Procedure` is made from the compiled
//! protos). What is no procedure has no operation, and nobody on another machine may call it.

use sigward_policies::model::operation::Operation;
use sigward_proto::Procedure;

/// The operation of a procedure.
pub const fn operation_of(procedure: Procedure) -> Operation {
    use Operation as O;
    use Procedure as P;
    match procedure {
        P::ApiKeyCreate => O::ApiKeyCreate,
        P::ApiKeyList => O::ApiKeyList,
        P::ApiKeyRevoke => O::ApiKeyRevoke,

        P::ApprovalList | P::ApprovalShow => O::ApprovalList,
        P::ApprovalApprove => O::ApprovalApprove,
        P::ApprovalReject => O::ApprovalReject,

        P::AuditTail | P::AuditQuery | P::AuditShowCheckpoint => O::AuditRead,
        P::AuditVerify => O::AuditVerify,
        P::AuditKeep => O::AuditKeep,

        // To confirm that a bundle was read back is part of making it.
        P::BackupMake | P::BackupConfirm => O::KeyBackup,
        P::BackupRestore => O::KeyRestore,

        P::HoldFreeze => O::Freeze,
        P::HoldUnfreeze => O::Unfreeze,
        P::HoldSetStopLine => O::StopLineSet,
        P::HoldClearStopLine => O::StopLineClear,
        P::HoldListHolds => O::HoldList,

        P::HsmList => O::ProviderList,
        P::HsmLogInOnce => O::ProviderLogin,

        P::KeyCreate => O::KeyCreate,
        P::KeyImport | P::KeyImportFromToken => O::KeyImport,
        P::KeyList => O::KeyList,
        P::KeyGet => O::KeyShow,
        P::KeyAdopt => O::KeyAdopt,

        P::NodeList => O::NodeList,
        P::NodeDrain => O::NodeDrain,
        P::NodeUndrain => O::NodeUndrain,

        P::ReloadReload => O::ConfigReload,

        P::StateShow => O::StateShow,
        P::StateInit => O::StateInit,
        P::StateImport => O::StateImport,
        P::StateExport => O::StateExport,
        // The private key leaves with it.
        P::StateMoveOut => O::KeyExport,
        P::StateAllow => O::StateAllow,
        P::StateWithdrawAllow => O::StateDisallow,
        P::StateRebind => O::StateRebind,

        P::StatusGet => O::StatusRead,
        P::StatusWhoAmI => O::WhoAmI,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use std::collections::BTreeSet;
    use std::sync::Arc;

    use prost::Message as _;
    use prost_types::FileDescriptorSet;
    use sigward_policies::authz::{Person, Policy, PolicyVersion, Tick};
    use sigward_policies::model::caller::Caller;
    use sigward_policies::model::id::{ApiKeyName, UnixSeconds};

    use super::*;
    use crate::authz::{Call, Denial, Mode, Policies};

    #[test]
    fn the_procedures_are_those_of_the_descriptors() {
        let set = FileDescriptorSet::decode(sigward_proto::FILE_DESCRIPTOR_SET).unwrap();
        let mut described = BTreeSet::new();
        for file in &set.file {
            for service in &file.service {
                for method in &service.method {
                    described.insert(format!(
                        "/{}.{}/{}",
                        file.package(),
                        service.name(),
                        method.name()
                    ));
                }
            }
        }
        let known: BTreeSet<_> = Procedure::ALL.iter().map(|p| p.path().to_owned()).collect();
        assert!(
            known.len() >= 31 && known.len() == Procedure::ALL.len(),
            "{known:?}"
        );
        assert_eq!(known, described);
    }

    /// What a policy is warned of, and what not.
    #[test]
    fn what_is_offered_has_a_procedure_or_a_node_that_asks() {
        // A part of what another procedure asks for.
        let by_others = [Operation::AuditExport, Operation::PolicyWrite];
        for operation in Operation::ALL.iter().copied() {
            let asked = Procedure::ALL.iter().any(|p| operation_of(*p) == operation);
            let offered = asked || operation.consensus_step().is_some() || by_others.contains(&operation);
            assert_eq!(operation.is_offered(), offered, "{operation}");
            assert!(offered || !operation.can_wait(), "{operation}");
        }
    }

    #[test]
    fn nothing_else_is_a_procedure() {
        for procedure in Procedure::ALL {
            assert_eq!(Procedure::of_path(procedure.path()), Some(*procedure));
        }
        for path in [
            "",
            "/",
            "/sigward.v1.KeyService",
            "/sigward.v1.KeyService/",
            "/sigward.v1.KeyService/create",
            "/sigward.v2.KeyService/Create",
            "/KeyService/Create",
            "sigward.v1.KeyService/Create",
            "/sigward.v1.KeyService/Create/",
            "/grpc.health.v1.Health/Check",
        ] {
            assert_eq!(Procedure::of_path(path), None, "{path}");
        }
    }

    /// Every procedure there is, under documents that give it away: what an API key is let near is what signs, and who it is.
    #[test]
    fn an_api_key_comes_near_nothing_but_signatures_whatever_a_document_says() {
        let caller = Caller::ApiKey {
            name: ApiKeyName::new("ci").unwrap(),
        };
        let all = |subject: &str| {
            let rule = |id: &str, operations: &str| {
                format!(
                    "[[rule]]\nid = \"{id}\"\neffect = \"allow\"\nsubjects = [\"{subject}\"]\noperations = [{operations}]\n"
                )
            };
            let named: Vec<_> = Operation::ALL
                .iter()
                .filter(|operation| !operation.takes_keys())
                .map(|operation| format!("\"{operation}\""))
                .collect();
            let text = format!("version = 1\n{}", rule("all", &named.join(", ")));
            Policy::parse(&text, PolicyVersion([1; 32])).unwrap()
        };
        let policies = Arc::new(Policies::default());
        let documents = [None, Some(all("apikey:*")), Some(all("*"))];
        for (mode, document) in documents
            .into_iter()
            .flat_map(|document| [(Mode::Enforced, document.clone()), (Mode::DryRun, document)])
        {
            policies.replace(document, mode);
            let admit = |path: &str, operation| {
                let call = Call {
                    caller: &caller,
                    context: &crate::store::Context::default(),
                    path,
                    operation,
                    from: None,
                    now: UnixSeconds(0),
                    tick: Tick(0),
                };
                policies.admit(call)
            };
            for procedure in Procedure::ALL.iter().copied() {
                let operation = operation_of(procedure);
                let may = operation.signs() || operation == Operation::WhoAmI;
                let admitted = admit(procedure.path(), Some(operation));
                assert_eq!(admitted.is_ok(), may, "{procedure:?}");
                if let Err(Denial { refusal, .. }) = admitted {
                    assert_eq!(refusal.code.as_str(), "not_permitted");
                    assert!(refusal.message.contains("for signing only"), "{refusal}");
                }
            }
            let others = [
                "/grpc.health.v1.Health/Check",
                "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
                "/",
            ];
            for path in others {
                assert!(admit(path, None).is_err(), "{path}");
            }
        }
        assert!(
            Person::of(&caller).is_err(),
            "it neither asks for approval nor gives it"
        );
    }

    /// What a rule let happen is found in the records under the same name.
    #[test]
    fn every_act_of_the_audit_chain_is_an_operation_by_its_name() {
        let acts = include_str!("../../admin/act.rs");
        let names: Vec<&str> = acts
            .lines()
            .filter(|line| line.trim().starts_with("Self::"))
            .filter_map(|line| line.split('"').nth(1))
            .collect();
        assert!(names.len() >= 24, "{names:?}");
        // Several acts of one operation: what is read, and how, is for the record only.
        let parts = [
            "key.backup_verified",
            "audit.tail",
            "audit.query",
            "approval.use",
            "approval.expire",
        ];
        let unknown: Vec<_> = names
            .into_iter()
            .filter(|name| !parts.contains(name) && Operation::parse(name).is_none())
            .collect();
        assert!(unknown.is_empty(), "no operation is called {unknown:?}");
    }
}
