//! The one place that maps refusals and failures to gRPC statuses. The message begins with the stable code.

use axum::body::Body;
use axum::http::Response;
use sigward_policies::decision::{Failure, FailureCode, Refusal, RefusalCode, Refused};
use tonic::{Code, Status};

/// A refusal of a request that was not read: headers alone (gRPC over HTTP/2, "Trailers-Only").
pub(in crate::listener) fn refusal(refusal: Refusal) -> Response<Body> {
    status(refusal.into()).into_http()
}

/// The same as a status, for those who do not speak gRPC.
pub(in crate::listener) fn status_of(refusal: Refusal) -> Status {
    status(refusal.into())
}

/// The same of a failure of ours.
pub(in crate::listener) fn status_of_failure(failure: Failure) -> Status {
    status(failure.into())
}

/// A request for another host than this machine.
pub(in crate::listener) fn wrong_host(message: &str) -> Response<Body> {
    Status::permission_denied(message).into_http()
}

/// A request that took too long.
pub(in crate::listener) fn too_late() -> Response<Body> {
    Status::deadline_exceeded("deadline_exceeded: the request was not read and answered in time").into_http()
}

/// The status of a refusal.
pub(super) fn status(refused: Refused) -> Status {
    let code = match &refused {
        Refused::Denied(refusal) => match refusal.code {
            RefusalCode::KeyNotFound
            | RefusalCode::NoSignState
            | RefusalCode::ProviderNotFound
            | RefusalCode::TokenKeyNotFound
            | RefusalCode::NodeNotFound
            | RefusalCode::ApprovalNotFound
            | RefusalCode::ApiKeyNotFound
            | RefusalCode::HoldNotFound => Code::NotFound,
            RefusalCode::KeyExists
            | RefusalCode::ApiKeyExists
            | RefusalCode::PublicKeyExists
            | RefusalCode::AlreadyBound => Code::AlreadyExists,
            RefusalCode::NotPermitted | RefusalCode::ApprovalNotYours => Code::PermissionDenied,
            RefusalCode::CertificateRefused | RefusalCode::TokenRefused | RefusalCode::TokenReplayed => {
                Code::Unauthenticated
            }
            RefusalCode::RateLimited | RefusalCode::TooManyTokens => Code::ResourceExhausted,
            RefusalCode::ApprovalRequired
            | RefusalCode::ApprovalVoid
            | RefusalCode::ApprovalLimit
            | RefusalCode::ApiKeyLimit
            | RefusalCode::StateConflict
            | RefusalCode::SharingRefused
            | RefusalCode::BeginningRequired
            | RefusalCode::KeyStopped
            | RefusalCode::ReloadLoosensGuard
            | RefusalCode::ReloadRemovesAll
            | RefusalCode::NotServing
            | RefusalCode::LastNode
            | RefusalCode::ChainRebound
            | RefusalCode::Frozen
            | RefusalCode::StopLine
            | RefusalCode::NodeDrained
            | RefusalCode::ForeignStore
            | RefusalCode::NotMovable
            | RefusalCode::OldSignerRuns
            | RefusalCode::OldSignerUnseen
            | RefusalCode::WatermarkBehindChain
            | RefusalCode::ChainNotCompared
            | RefusalCode::AnotherSignerIsSigning
            | RefusalCode::ChainStandsStill
            | RefusalCode::KeyNotExportable
            | RefusalCode::KeyInUse
            | RefusalCode::BelowBackup
            | RefusalCode::TokenKeyMayHaveLeft
            | RefusalCode::WrongPin
            | RefusalCode::PinUnusable
            | RefusalCode::TokenFull
            | RefusalCode::Unsupported
            | RefusalCode::ForeignStateFile => Code::FailedPrecondition,
            _ => Code::InvalidArgument,
        },
        Refused::Failed(failure) => match failure.code {
            FailureCode::DeadlineExceeded => Code::DeadlineExceeded,
            FailureCode::DiskFull | FailureCode::Busy => Code::ResourceExhausted,
            FailureCode::StoreUnavailable | FailureCode::ProviderUnavailable | FailureCode::ShuttingDown => {
                Code::Unavailable
            }
            _ => Code::Internal,
        },
    };
    Status::new(code, refused.to_string())
}
