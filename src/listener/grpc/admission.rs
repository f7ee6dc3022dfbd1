//! Before a request is read: who asks, and whether they may call this at all. On every way in.

use std::net::IpAddr;
use std::sync::{Arc, LazyLock};
use std::time::Instant;

use axum::extract::Request;
use axum::http::Extensions;
use axum::middleware::Next;
use axum::response::Response;
use sigward_policies::authz::Tick;
use sigward_policies::decision::Refusal;
use sigward_policies::model::caller::Caller;
use tonic::transport::server::UdsConnectInfo;

use super::errors;
use super::operations::operation_of;
use super::petition;
use super::serve::Services;
use crate::audit::{self, Asked, Denials};
use crate::authn;
use crate::authz::{Call, Policies};

/// Nobody: the user id that is no user's (POSIX chown(2): (uid_t)-1).
const NOBODY: Caller = Caller::LocalUser { uid: u32::MAX };

/// Lets a request through whose caller may call it, and says who that is to whoever serves it.
pub(super) async fn admit(services: Services, mut request: Request, next: Next) -> Response {
    let Some(caller) = proved(request.extensions()) else {
        return tonic::Status::unauthenticated("not_permitted: this connection proves nothing").into_http();
    };
    let path = request.uri().path();
    let mut parts = path.trim_start_matches('/').splitn(2, '/');
    let call = Call {
        caller: &caller,
        path,
        operation: operation_of(parts.next().unwrap_or_default(), parts.next().unwrap_or_default()),
        from: request.extensions().get::<From>().map(|from| from.0),
        now: services.admin.clock.unix_seconds(),
        tick: tick(),
    };
    let judged = services
        .policies
        .may(call)
        .and_then(|needed| petition::awaits(path, needed));
    let needed = match judged {
        Ok(needed) => needed,
        Err(refusal) => return refused(&services, &caller, path, refusal),
    };
    if let Some(needed) = needed {
        request.extensions_mut().insert(needed);
    }
    request.extensions_mut().insert(caller);
    next.run(request).await
}

/// Puts a refusal on record, and says it.
fn refused(services: &Services, caller: &Caller, path: &str, refusal: Refusal) -> Response {
    let asked = Asked::act(caller, called(path), None, None);
    let refused = refusal.clone().into();
    let entry = audit::of_refusal(asked, &refused, services.admin.clock.unix_micros());
    match &services.denials {
        Some(denials) => denials.note(services.admin.store.as_ref(), entry),
        None => tracing::warn!(subject = %caller, code = refusal.code.as_str(), "refused"),
    }
    errors::refusal(refusal)
}

/// The address at the other end of a connection from another machine.
#[derive(Clone, Copy, Debug)]
pub(in crate::listener) struct From(pub(in crate::listener) IpAddr);

/// Now, for rates: it only goes on, whatever becomes of the clock.
fn tick() -> Tick {
    static BEGAN: LazyLock<Instant> = LazyLock::new(Instant::now);
    Tick(u64::try_from(BEGAN.elapsed().as_nanos()).unwrap_or(u64::MAX))
}

/// Who is at the other end of a request's connection: a certificate, the kernel's word, or this very process.
fn proved(extensions: &Extensions) -> Option<Caller> {
    if let Some(caller) = extensions.get::<Caller>() {
        return Some(caller.clone());
    }
    if let Some(peer) = extensions.get::<UdsConnectInfo>() {
        return peer.peer_cred.as_ref().map(authn::unix_peer);
    }
    // Only the stream in our own process has a connection that tells nothing (tonic's `Connected` of a `DuplexStream`).
    extensions.get::<()>().map(|()| authn::this_process())
}

/// Who asks, as [`admit`] found out.
pub(super) fn caller<T>(request: &tonic::Request<T>) -> Caller {
    request.extensions().get::<Caller>().cloned().unwrap_or(NOBODY)
}

/// The service that was called, in the audit chain's words. Only services that exist: a caller makes no words of its own there.
fn called(path: &str) -> &'static str {
    const SERVICES: [(&str, &str); 10] = [
        ("/sigward.v1.ApprovalService/", "rpc.approval"),
        ("/sigward.v1.AuditService/", "rpc.audit"),
        ("/sigward.v1.BackupService/", "rpc.backup"),
        ("/sigward.v1.HoldService/", "rpc.hold"),
        ("/sigward.v1.HsmService/", "rpc.hsm"),
        ("/sigward.v1.KeyService/", "rpc.key"),
        ("/sigward.v1.NodeService/", "rpc.node"),
        ("/sigward.v1.ReloadService/", "rpc.reload"),
        ("/sigward.v1.StateService/", "rpc.state"),
        ("/sigward.v1.StatusService/", "rpc.status"),
    ];
    SERVICES
        .iter()
        .find(|(prefix, _)| path.starts_with(prefix))
        .map_or("rpc.other", |(_, name)| name)
}

impl Services {
    /// The same, under these policies.
    #[must_use]
    pub fn under(self, policies: Arc<Policies>) -> Self {
        Self { policies, ..self }
    }

    /// The same, which puts refusals on record.
    #[must_use]
    pub fn noting(self, denials: Arc<Denials>) -> Self {
        Self {
            denials: Some(denials),
            ..self
        }
    }
}
