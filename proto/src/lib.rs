//! What is on the wire; no logic.
//!
//! Lives here: the generated types of our own gRPC services (`v1`) and of the peers' formats
//! (`cometbft`, `otlp`). May import: prost and tonic only. Invariant: nothing here decides or checks; values
//! are whatever a peer sent, and the listeners turn them into types that cannot hold nonsense.
#![allow(missing_docs, clippy::all)] // generated code; the comments of the .proto files are its docs

use std::fmt;

/// Messages of the remote-signer protocol of CometBFT, all lines in one set
/// (`cometbft/PROVENANCE.md`).
pub mod cometbft {
    tonic::include_proto!("cometbft.privval");
}

/// What is said to a collector of traces, OTLP (`otlp/PROVENANCE.md`).
pub mod otlp {
    tonic::include_proto!("opentelemetry.proto.collector.trace.v1");
}

/// Our own services, `sigward.v1`.
pub mod v1 {
    tonic::include_proto!("sigward.v1");
}

include!(concat!(env!("OUT_DIR"), "/procedures.rs"));

/// The encoded `google.protobuf.FileDescriptorSet` of `sigward.v1`, for gRPC reflection.
pub const FILE_DESCRIPTOR_SET: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/sigward.v1.bin"));

/// Lengths instead of contents: one field is a private key. Written by hand because the derived
/// `Debug` would print it into the first log line that shows a request.
impl fmt::Debug for v1::ImportKeyRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        use v1::import_key_request::Beginning;
        let beginning = match &self.beginning {
            None => "none".to_owned(),
            Some(Beginning::StateJson(json)) => format!("state_json({} bytes)", json.len()),
            Some(Beginning::Above(height)) => format!("above({height})"),
            Some(Beginning::NeverSigned(yes)) => format!("never_signed({yes})"),
        };
        f.debug_struct("ImportKeyRequest")
            .field("name", &self.name)
            .field(
                "priv_validator_key_json",
                &format_args!("<{} secret bytes>", self.priv_validator_key_json.len()),
            )
            .field("chain_id", &self.chain_id)
            .field("shared", &self.shared)
            .field("beginning", &beginning)
            .finish()
    }
}

impl fmt::Debug for v1::MakeBackupRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MakeBackupRequest")
            .field("names", &self.names)
            .field(
                "data_key",
                &format_args!("<{} secret bytes>", self.data_key.len()),
            )
            .field(
                "lock",
                &match &self.lock {
                    None => "none".to_owned(),
                    Some(v1::make_backup_request::Lock::Passphrase(_)) => "passphrase".to_owned(),
                    Some(v1::make_backup_request::Lock::Age(wrapped)) => {
                        format!("age({} bytes)", wrapped.len())
                    }
                },
            )
            .field("config", &format_args!("<{} bytes>", self.config.len()))
            .finish()
    }
}

impl fmt::Debug for v1::RestoreKeysRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RestoreKeysRequest")
            .field("bundle", &format_args!("<{} bytes>", self.bundle.len()))
            .field(
                "data_key",
                &format_args!("<{} secret bytes>", self.data_key.len()),
            )
            .field("names", &self.names)
            .field("above", &self.above)
            .field("above_on", &self.above_on)
            .finish()
    }
}

impl fmt::Debug for v1::MoveOutResponse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MoveOutResponse")
            .field(
                "priv_validator_key_json",
                &format_args!("<{} secret bytes>", self.priv_validator_key_json.len()),
            )
            .field("state_json", &format_args!("<{} bytes>", self.state_json.len()))
            .field("states", &self.states)
            .finish()
    }
}

impl fmt::Debug for v1::CreateApiKeyResponse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CreateApiKeyResponse")
            .field("api_key", &self.api_key)
            .field("secret", &format_args!("<{} secret bytes>", self.secret.len()))
            .finish()
    }
}
