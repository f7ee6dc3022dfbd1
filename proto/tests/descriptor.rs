//! The descriptor set names every service that we serve, and secrets do not print.
#![allow(clippy::unwrap_used)]

use prost::Message as _;
use prost_types::FileDescriptorSet;
use sigward_proto::{FILE_DESCRIPTOR_SET, v1};

#[test]
fn the_descriptor_set_holds_every_service_one_a_file() {
    let set = FileDescriptorSet::decode(FILE_DESCRIPTOR_SET).unwrap();
    let mut services = Vec::new();
    for file in set.file.iter().filter(|f| f.package() == "sigward.v1") {
        assert_eq!(file.service.len(), 1, "{}", file.name());
        services.push(file.service[0].name().to_owned());
    }
    services.sort();
    assert_eq!(
        services,
        [
            "ApiKeyService",
            "ApprovalService",
            "AuditService",
            "BackupService",
            "HoldService",
            "HsmService",
            "KeyService",
            "NodeService",
            "ReloadService",
            "StateService",
            "StatusService"
        ]
    );
}

#[test]
fn every_message_field_and_value_of_our_services_is_commented() {
    let set = FileDescriptorSet::decode(FILE_DESCRIPTOR_SET).unwrap();
    for file in set.file.iter().filter(|f| f.package() == "sigward.v1") {
        for location in &file.source_code_info.as_ref().unwrap().location {
            let documented = matches!(
                location.path.as_slice(),
                [4, _] | [4, _, 2, _] | [5, _] | [5, _, 2, _] | [6, _] | [6, _, 2, _]
            );
            if documented {
                let comment = location.leading_comments.as_deref().unwrap_or_default();
                assert!(!comment.trim().is_empty(), "{} {:?}", file.name(), location.path);
            }
        }
    }
}

#[test]
fn an_import_request_does_not_print_the_key() {
    let request = v1::ImportKeyRequest {
        name: "validator".into(),
        priv_validator_key_json: b"{\"priv_key\": \"hunter2\"}".to_vec(),
        ..Default::default()
    };
    let shown = format!("{request:?}");
    assert!(shown.contains("<23 secret bytes>"), "{shown}");
    assert!(
        !shown.contains("hunter2") && !shown.contains("104, 117"),
        "{shown}"
    );
}

#[test]
fn messages_of_backups_of_leaving_and_of_api_keys_do_not_print_their_secrets() {
    let secret = b"hunter2".to_vec();
    let shown = [
        format!(
            "{:?}",
            v1::MakeBackupRequest {
                data_key: secret.clone(),
                ..Default::default()
            }
        ),
        format!(
            "{:?}",
            v1::RestoreKeysRequest {
                data_key: secret.clone(),
                ..Default::default()
            }
        ),
        format!(
            "{:?}",
            v1::MoveOutResponse {
                priv_validator_key_json: secret,
                ..Default::default()
            }
        ),
        format!(
            "{:?}",
            v1::CreateApiKeyResponse {
                secret: "hunter2".to_owned(),
                ..Default::default()
            }
        ),
    ];
    for shown in shown {
        assert!(shown.contains("<7 secret bytes>"), "{shown}");
        assert!(
            !shown.contains("hunter2") && !shown.contains("104, 117"),
            "{shown}"
        );
    }
}
