//! Which operation a procedure asks for: what rules are asked about a request before any of it is read.
//!
//! *Invariant:* every procedure of `sigward.v1` stands here exactly once. One that does not is refused, and fails a test of this file.

use sigward_policies::model::operation::Operation;

/// The operation of `/SERVICE/METHOD`, such as `sigward.v1.KeyService` and `Create`. `None` is no yes: nobody may call it.
pub fn operation_of(service: &str, method: &str) -> Option<Operation> {
    use Operation as O;
    Some(match (service.strip_prefix("sigward.v1.")?, method) {
        ("ApprovalService", "List" | "Show") => O::ApprovalList,
        ("ApprovalService", "Approve") => O::ApprovalApprove,
        ("ApprovalService", "Reject") => O::ApprovalReject,

        ("AuditService", "Tail" | "Query" | "ShowCheckpoint") => O::AuditRead,
        ("AuditService", "Verify") => O::AuditVerify,
        ("AuditService", "Keep") => O::AuditKeep,

        // To confirm that a bundle was read back is part of making it.
        ("BackupService", "Make" | "Confirm") => O::KeyBackup,
        ("BackupService", "Restore") => O::KeyRestore,

        ("HoldService", "Freeze") => O::Freeze,
        ("HoldService", "Unfreeze") => O::Unfreeze,
        ("HoldService", "SetStopLine") => O::StopLineSet,
        ("HoldService", "ClearStopLine") => O::StopLineClear,
        ("HoldService", "ListHolds") => O::HoldList,

        ("HsmService", "List") => O::ProviderList,
        ("HsmService", "LogInOnce") => O::ProviderLogin,

        ("KeyService", "Create") => O::KeyCreate,
        ("KeyService", "Import" | "ImportFromToken") => O::KeyImport,
        ("KeyService", "List") => O::KeyList,
        ("KeyService", "Get") => O::KeyShow,
        ("KeyService", "Adopt") => O::KeyAdopt,

        ("NodeService", "List") => O::NodeList,
        ("NodeService", "Drain") => O::NodeDrain,
        ("NodeService", "Undrain") => O::NodeUndrain,

        ("ReloadService", "Reload") => O::ConfigReload,

        ("StateService", "Show") => O::StateShow,
        ("StateService", "Init") => O::StateInit,
        ("StateService", "Import") => O::StateImport,
        ("StateService", "Export") => O::StateExport,
        // The private key leaves with it.
        ("StateService", "MoveOut") => O::KeyExport,
        ("StateService", "Allow") => O::StateAllow,
        ("StateService", "WithdrawAllow") => O::StateDisallow,
        ("StateService", "Rebind") => O::StateRebind,

        ("StatusService", "Get") => O::StatusRead,
        _ => return None,
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use std::collections::BTreeMap;

    use prost::Message as _;
    use prost_types::FileDescriptorSet;

    use super::*;

    fn procedures() -> Vec<(String, String)> {
        let set = FileDescriptorSet::decode(sigward_proto::FILE_DESCRIPTOR_SET).unwrap();
        let services = set.file.iter().flat_map(|file| {
            let package = file.package().to_owned();
            file.service.iter().map(move |service| (package.clone(), service))
        });
        services
            .flat_map(|(package, service)| {
                let name = format!("{package}.{}", service.name());
                service
                    .method
                    .iter()
                    .map(move |method| (name.clone(), method.name().to_owned()))
            })
            .collect()
    }

    #[test]
    fn every_procedure_asks_for_one_operation() {
        let procedures = procedures();
        assert!(procedures.len() >= 31, "the descriptors are gone");
        let without: Vec<_> = procedures
            .iter()
            .filter(|(service, method)| operation_of(service, method).is_none())
            .collect();
        assert!(without.is_empty(), "give each a row above: {without:?}");
    }

    #[test]
    fn every_row_is_a_procedure() {
        // The rows as they are written: one that nobody can call any more is a mistake about what is protected.
        let text = include_str!("operations.rs")
            .split("#[cfg(test)]")
            .next()
            .unwrap();
        let mut rows: BTreeMap<(String, String), usize> = BTreeMap::new();
        for line in text.lines().map(str::trim).filter(|line| line.starts_with("(\"")) {
            let words: Vec<&str> = line
                .split("=>")
                .next()
                .unwrap()
                .split('"')
                .skip(1)
                .step_by(2)
                .collect();
            for method in words.iter().skip(1) {
                *rows
                    .entry((
                        format!("sigward.v1.{}", words.first().unwrap()),
                        (*method).to_owned(),
                    ))
                    .or_default() += 1;
            }
        }
        let known = procedures();
        assert_eq!(rows.len(), known.len());
        assert!(
            known.iter().all(|procedure| rows.get(procedure) == Some(&1)),
            "{rows:?}"
        );
    }

    #[test]
    fn nothing_else_has_an_operation() {
        for (service, method) in [
            ("", ""),
            ("sigward.v1.KeyService", ""),
            ("sigward.v1.KeyService", "create"),
            ("sigward.v2.KeyService", "Create"),
            ("KeyService", "Create"),
            ("sigward.v1.KeyService/Create", ""),
            ("grpc.health.v1.Health", "Check"),
        ] {
            assert_eq!(operation_of(service, method), None, "{service}/{method}");
        }
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
