//! gRPC by curl: any procedure, any message, any client, as bytes; and a message for each procedure there is.

use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;

use prost::Message;
use sigward_proto::Procedure;
use sigward_proto::v1::*;

use super::stage::{Stage, said};

/// What came back.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Answer {
    /// The status of gRPC; empty where it is in no header: the service answered.
    pub(super) status: String,
    /// Its message.
    pub(super) message: String,
}

impl Answer {
    /// Whether a rule said no: in so many words, or by calling a key what one is called that is not there.
    pub(super) fn is_denied(&self) -> bool {
        self.status == "7"
            || [
                "that you may use so",
                "that you may do this to",
                "yours to use so",
            ]
            .iter()
            .any(|words| self.message.contains(words))
    }
}

/// Who asks.
pub(super) enum Client<'a> {
    /// The holder of a certificate, by the port.
    Certificate(&'a Path),
    /// The user who runs the daemon, by the admin socket.
    Local,
}

/// Asks for each procedure with its message, in order.
pub(super) fn ask(stage: &Stage, client: &Client<'_>, calls: &[(Procedure, Vec<u8>)]) -> Vec<Answer> {
    match client {
        Client::Certificate(_) => on_one_connection(stage, client, calls),
        // curl 7.88 greets twice where it goes on with a connection of HTTP/2 without TLS.
        Client::Local => calls
            .chunks(1)
            .flat_map(|call| on_one_connection(stage, client, call))
            .collect(),
    }
}

fn on_one_connection(stage: &Stage, client: &Client<'_>, calls: &[(Procedure, Vec<u8>)]) -> Vec<Answer> {
    let config = stage.home.path("curl.conf");
    let mut text = String::new();
    for (index, (procedure, message)) in calls.iter().enumerate() {
        // A message of gRPC over HTTP/2: not compressed, its length, itself.
        let length = u32::try_from(message.len()).unwrap().to_be_bytes();
        let body = stage.home.path(&format!("body-{index}"));
        std::fs::write(&body, [&[0_u8][..], &length, message].concat()).unwrap();
        if index > 0 {
            text += "next\n";
        }
        let base = match client {
            Client::Certificate(certificate) => {
                for (option, file) in [
                    ("cacert", stage.pki("ca.crt")),
                    ("cert", certificate.to_path_buf()),
                    ("key", certificate.with_extension("key")),
                ] {
                    writeln!(text, "{option} = \"{}\"", file.display()).unwrap();
                }
                stage.url("")
            }
            Client::Local => {
                let socket = stage.signer.home().join("admin.sock");
                writeln!(
                    text,
                    "unix-socket = \"{}\"\nhttp2-prior-knowledge",
                    socket.display()
                )
                .unwrap();
                "http://localhost".to_owned()
            }
        };
        writeln!(
            text,
            "silent\nshow-error\nmax-time = 30\nurl = \"{base}{}\"\nheader = \"content-type: application/grpc\"\nheader = \"te: trailers\"\n\
             data-binary = \"@{}\"\noutput = \"/dev/null\"\n\
             write-out = \"%{{http_code}} %header{{grpc-status}}|%header{{grpc-message}}\\n\"",
            procedure.path(),
            body.display()
        )
        .unwrap();
    }
    std::fs::write(&config, text).unwrap();
    let output = Command::new("curl").arg("-K").arg(&config).output().unwrap();
    assert!(output.status.success(), "{}", said(&output));
    let answers: Vec<_> = String::from_utf8_lossy(&output.stdout)
        .lines()
        .map(|line| {
            let (code, rest) = line.split_once(' ').unwrap();
            assert_eq!(code, "200", "{line}");
            let (status, message) = rest.split_once('|').unwrap();
            Answer {
                status: status.to_owned(),
                message: decoded(message),
            }
        })
        .collect();
    assert_eq!(answers.len(), calls.len(), "{}", said(&output));
    answers
}

/// Percent-encoded, as gRPC has its messages.
fn decoded(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let [first, others @ ..] = rest {
        rest = others;
        match (first, rest) {
            (b'%', [high, low, others @ ..]) => {
                let hex = String::from_utf8(vec![*high, *low]).unwrap();
                bytes.push(u8::from_str_radix(&hex, 16).unwrap());
                rest = others;
            }
            (byte, _) => bytes.push(*byte),
        }
    }
    String::from_utf8(bytes).unwrap()
}

/// A message that asks `procedure` for something about `key` and `chain`. A procedure that is not here does not
/// compile.
pub(super) fn message(procedure: Procedure, key: &str, chain: &str) -> Vec<u8> {
    use Procedure as P;
    let (name, key, chain_id) = (key.to_owned(), key.to_owned(), chain.to_owned());
    let scope = || {
        let scope = freeze_scope::Scope::Key(key.clone());
        Some(FreezeScope { scope: Some(scope) })
    };
    let reason = "a test".to_owned();
    let no_request = "00".repeat(16);
    match procedure {
        P::ApiKeyCreate => CreateApiKeyRequest { name, days: 0 }.encode_to_vec(),
        P::ApiKeyList => ListApiKeysRequest { all: true }.encode_to_vec(),
        P::ApiKeyRevoke => RevokeApiKeyRequest {
            name,
            ..RevokeApiKeyRequest::default()
        }
        .encode_to_vec(),
        P::ApprovalList => ListApprovalsRequest::default().encode_to_vec(),
        P::ApprovalShow => ShowApprovalRequest { id: no_request }.encode_to_vec(),
        P::ApprovalApprove => ApproveRequest {
            id: no_request,
            digest: vec![0; 32],
            reason,
        }
        .encode_to_vec(),
        P::ApprovalReject => RejectRequest {
            id: no_request,
            digest: vec![0; 32],
            reason,
        }
        .encode_to_vec(),
        P::AuditTail => TailRequest::default().encode_to_vec(),
        P::AuditQuery => QueryRequest {
            limit: 1,
            ..QueryRequest::default()
        }
        .encode_to_vec(),
        P::AuditVerify => VerifyRequest::default().encode_to_vec(),
        P::AuditKeep => KeepRequest {}.encode_to_vec(),
        P::AuditShowCheckpoint => ShowCheckpointRequest {}.encode_to_vec(),
        P::BackupMake => MakeBackupRequest {
            names: vec![name],
            lock: Some(make_backup_request::Lock::Age(vec![1])),
            ..MakeBackupRequest::default()
        }
        .encode_to_vec(),
        P::BackupConfirm => ConfirmBackupRequest {
            bundle_id: vec![0; 16],
            sha256: vec![0; 32],
            ..ConfirmBackupRequest::default()
        }
        .encode_to_vec(),
        P::BackupRestore => RestoreKeysRequest {
            names: vec![name],
            ..RestoreKeysRequest::default()
        }
        .encode_to_vec(),
        P::HoldFreeze => FreezeRequest {
            scope: scope(),
            reason,
        }
        .encode_to_vec(),
        P::HoldUnfreeze => UnfreezeRequest {
            scope: scope(),
            reason,
        }
        .encode_to_vec(),
        P::HoldSetStopLine => SetStopLineRequest {
            chain_id,
            key,
            height: 1_000_000,
            reason,
        }
        .encode_to_vec(),
        P::HoldClearStopLine => ClearStopLineRequest {
            chain_id,
            key,
            reason,
        }
        .encode_to_vec(),
        P::HoldListHolds => ListHoldsRequest {}.encode_to_vec(),
        P::HsmList => ListTokensRequest::default().encode_to_vec(),
        P::HsmLogInOnce => LogInOnceRequest {
            provider: "no-token".to_owned(),
        }
        .encode_to_vec(),
        P::KeyCreate => CreateKeyRequest {
            name,
            algorithm: "ed25519".to_owned(),
            provider: String::new(),
        }
        .encode_to_vec(),
        P::KeyImport => ImportKeyRequest {
            name,
            chain_id,
            beginning: Some(import_key_request::Beginning::NeverSigned(true)),
            ..ImportKeyRequest::default()
        }
        .encode_to_vec(),
        P::KeyImportFromToken => ImportFromTokenRequest {
            name,
            provider: "no-token".to_owned(),
            object: Some(import_from_token_request::Object::Label("x".to_owned())),
            chain_id,
            beginning: Some(import_from_token_request::Beginning::NeverSigned(true)),
            ..ImportFromTokenRequest::default()
        }
        .encode_to_vec(),
        P::KeyList => ListKeysRequest {}.encode_to_vec(),
        P::KeyGet => GetKeyRequest { name }.encode_to_vec(),
        P::KeyAdopt => AdoptKeyRequest { name, above: 9 }.encode_to_vec(),
        P::NodeList => ListNodesRequest { chain_id }.encode_to_vec(),
        P::NodeDrain => DrainNodeRequest {
            chain_id,
            name: "a".to_owned(),
            force: false,
        }
        .encode_to_vec(),
        P::NodeUndrain => UndrainNodeRequest {
            chain_id,
            name: "a".to_owned(),
        }
        .encode_to_vec(),
        P::ReloadReload => ReloadRequest { dry_run: true }.encode_to_vec(),
        P::StateShow => ShowStateRequest { key, chain_id }.encode_to_vec(),
        P::StateInit => InitStateRequest {
            key,
            chain_id,
            shared: false,
            beginning: Some(init_state_request::Beginning::Above(9)),
        }
        .encode_to_vec(),
        P::StateImport => ImportStateRequest {
            key,
            chain_id,
            state_json: b"{}".to_vec(),
        }
        .encode_to_vec(),
        P::StateExport => ExportStateRequest { key, chain_id }.encode_to_vec(),
        P::StateMoveOut => MoveOutRequest {
            key,
            chain_id,
            all_chains: false,
        }
        .encode_to_vec(),
        P::StateAllow => AllowStateRequest {
            key,
            chain_id,
            until: 100,
        }
        .encode_to_vec(),
        P::StateWithdrawAllow => WithdrawAllowRequest { key, chain_id }.encode_to_vec(),
        P::StateRebind => RebindStateRequest {
            key,
            chain_id: chain_id.clone(),
            new_chain_id: chain_id,
            above: None,
        }
        .encode_to_vec(),
        P::StatusGet => GetStatusRequest {}.encode_to_vec(),
        P::StatusWhoAmI => WhoAmIRequest {}.encode_to_vec(),
    }
}
