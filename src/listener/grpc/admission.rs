//! Before a request is read: who asks, and whether they may call this at all. On every way in.

use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use axum::extract::Request;
use axum::http::{Extensions, StatusCode};
use axum::middleware::Next;
use axum::response::Response;
use sigward_policies::decision::{Refusal, RefusalCode, Refused};
use sigward_policies::model::algorithm::PublicKey;
use sigward_policies::model::authentication::Authentication;
use sigward_policies::model::caller::Caller;
use sigward_policies::model::id::ChainId;
use sigward_proto::Procedure;
use tonic::transport::server::UdsConnectInfo;

use super::errors;
use super::operations::operation_of;
use super::serve::Services;
use super::standing::while_standing;
use super::target::Target;
use crate::audit::{self, Asked, Asker, Denials};
use crate::authn::{self, Means};
use crate::authz::{Admitted, Call, Denial, InForce, Judged, Mode, Policies, tick};
use crate::listener::body::{Made, linger};
use crate::listener::spans::Marks;
use crate::listener::trace::InTrace;
use crate::store::Context;

/// Lets a request come nearer whose caller may call it for something, and hands the proof of it to whoever serves it. An answer of a
/// service that has not turned that proof into more is thrown away: nobody may forget to ask.
pub(super) async fn admit(services: Services, mut request: Request, next: Next) -> Response {
    let Some((caller, authenticated)) = proved(request.extensions()) else {
        return tonic::Status::unauthenticated("not_permitted: this connection proves nothing").into_http();
    };
    let path = request.uri().path();
    let (procedure, service) = (Procedure::of_path(path), called(path));
    let context = Context {
        authenticated,
        ..context(request.extensions())
    };
    let call = Call {
        caller: &caller,
        context: &context,
        path,
        operation: procedure.map(operation_of),
        from: request.extensions().get::<From>().map(|from| from.0),
        now: services.gate.books().0.unix_seconds(),
        tick: tick(),
    };
    let judging = Marks::judging(request.extensions());
    let admitted = services.policies.admit(call);
    if let Some(judging) = judging {
        Marks::judged(judging, services.policies.version());
    }
    let admitted = match admitted {
        Ok(admitted) => admitted,
        Err(Denial { refusal, ruling, .. }) => {
            let who = Asker { caller, context }.ruled(ruling);
            services.note(&who, service, (None, None), &refusal);
            if request.extensions().get::<Made>().is_none() {
                linger(&mut request.into_body().into_data_stream()).await;
            }
            return errors::refusal(refusal);
        }
    };
    let judged = admitted.judged();
    request.extensions_mut().insert(Ticket::of(admitted));
    let response = let_out(procedure, &judged, next.run(request).await);
    let who = Asker { caller, context };
    // Only an answer of ours that streams is held open; that of a health check tells nothing.
    match procedure {
        None => response,
        Some(_) => while_standing(response, move || {
            let stands = judged.stands(services.gate.books().0.unix_seconds());
            stands
                .inspect_err(|refusal| services.note(&who, service, (None, None), refusal))
                .map_err(Refused::from)
        }),
    }
}

/// An answer leaves if its call was judged; a refusal always does.
fn let_out(procedure: Option<Procedure>, judged: &Judged, response: Response) -> Response {
    match procedure {
        Some(procedure) if !judged.was_asked() && !is_refusal(&response) => forgotten(procedure),
        _ => response,
    }
}

/// What is told in headers alone is an error ("Trailers-Only"), and what is no 200 is none of a service's answers.
fn is_refusal(response: &Response) -> bool {
    let told = response.headers().get("grpc-status");
    response.status() != StatusCode::OK || told.is_some_and(|status| status.as_bytes() != b"0")
}

/// An answer that nobody was asked about does not leave.
fn forgotten(procedure: Procedure) -> Response {
    tracing::error!(
        alarm = true,
        procedure = procedure.path(),
        "a service answered without asking whether it may: its answer was thrown away; this is an error of sigward, report it"
    );
    errors::refusal(Refusal::new(
        RefusalCode::NotPermitted,
        "nobody has asked whether this may be answered: an error of sigward, report it",
    ))
}

/// The proof on its way to the service. It can be taken once.
#[derive(Clone, Debug)]
pub(super) struct Ticket(Arc<Mutex<Option<Admitted>>>);

impl Ticket {
    fn of(admitted: Admitted) -> Self {
        Self(Arc::new(Mutex::new(Some(admitted))))
    }

    /// The proof, if nobody has it yet.
    pub(super) fn take(&self) -> Option<Admitted> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// The address at the other end of a connection from another machine.
#[derive(Clone, Copy, Debug)]
pub(in crate::listener) struct From(pub(in crate::listener) IpAddr);

/// How it is known who makes a request, and in which trace; what decides is not known yet.
pub(in crate::listener) fn context(extensions: &Extensions) -> Context {
    Context {
        authenticated: extensions.get::<Means>().map(|means| means.by.clone()),
        ruling: None,
        trace: extensions.get::<InTrace>().map(|own| own.trace),
    }
}

/// The other end is behind TLS: a secret may be answered.
#[derive(Clone, Copy, Debug)]
pub(in crate::listener) struct Private;

/// Whether nobody on the way reads an answer: behind TLS, on a socket of this machine, or in this very process.
pub(super) fn is_private(extensions: &Extensions) -> bool {
    extensions.get::<Private>().is_some()
        || extensions.get::<UdsConnectInfo>().is_some()
        || (extensions.get::<()>().is_some() && extensions.get::<From>().is_none())
}

/// Who is at the other end of a request's connection, and by what: a certificate, a token, the kernel's word, or this very process.
fn proved(extensions: &Extensions) -> Option<(Caller, Option<Authentication>)> {
    if let Some(caller) = extensions.get::<Caller>() {
        return Some((caller.clone(), context(extensions).authenticated));
    }
    if let Some(peer) = extensions.get::<UdsConnectInfo>() {
        let caller = peer.peer_cred.as_ref().map(authn::unix_peer)?;
        return Some((caller, Some(Authentication::PeerCredentials)));
    }
    // Only the stream in our own process has a connection that tells nothing (tonic's `Connected` of a `DuplexStream`).
    let here = extensions.get::<()>().map(|()| authn::this_process())?;
    Some((here, Some(Authentication::ThisProcess)))
}

/// The service that was called, in the audit chain's words. Only services that exist: a caller makes no words of its own there.
fn called(path: &str) -> &'static str {
    const SERVICES: [(&str, &str); 11] = [
        ("/sigward.v1.ApiKeyService/", "rpc.api_key"),
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
    /// Whether a document keeps anything back from those who come with a certificate.
    pub(in crate::listener) fn keeps_back(&self) -> bool {
        let enforced = |in_force: &Arc<InForce>| in_force.mode == Mode::Enforced;
        self.policies.snapshot().as_ref().is_some_and(enforced)
    }

    /// May `caller` see the status of every chain and node? For what is told over plain HTTP, which shows all of it at once.
    pub(in crate::listener) async fn may_see_all_status(
        &self,
        who: &Asker,
        from: IpAddr,
    ) -> Result<(), tonic::Status> {
        let procedure = Procedure::StatusGet;
        let call = Call {
            caller: &who.caller,
            context: &who.context,
            path: procedure.path(),
            operation: Some(operation_of(procedure)),
            from: Some(from),
            now: self.gate.books().0.unix_seconds(),
            tick: tick(),
        };
        let admitted = self
            .policies
            .admit(call)
            .map_err(|Denial { refusal, ruling, .. }| {
                let who = who.clone().ruled(ruling);
                self.note(&who, called(procedure.path()), (None, None), &refusal);
                errors::status(refusal.into())
            })?;
        let sight = self.may_look(admitted)?;
        let Some(register) = self.register_for(&sight).await? else {
            return Ok(());
        };
        // A certificate alone is enough to ask, and shows nothing of what a rule does not: as with the status itself.
        let about = Target::Everything
            .about(&register)
            .map_err(|refusal| errors::status(refusal.into()))?;
        if about.iter().all(|about| sight.sees(about)) {
            return Ok(());
        }
        let refusal = Refusal::new(
            RefusalCode::NotPermitted,
            format!(
                "{} may not see every chain and node; a rule that allows status.read without keys and chains lets it",
                who.caller
            ),
        );
        self.note(sight.who(), sight.operation_name(), (None, None), &refusal);
        Err(errors::status(refusal.into()))
    }

    /// Puts a refusal on record, under the name of what was asked and of which key and chain.
    pub(super) fn note(
        &self,
        who: &Asker,
        operation: &'static str,
        (key, chain): (Option<PublicKey>, Option<ChainId>),
        refusal: &Refusal,
    ) {
        let (clock, store) = self.gate.books();
        let refused = refusal.clone().into();
        let entry = audit::of_refusal(
            Asked::act(who, operation, key, chain),
            &refused,
            clock.unix_micros(),
        );
        match &self.denials {
            Some(denials) => denials.note(store, entry),
            None => tracing::warn!(subject = %who, operation, code = refusal.code.as_str(), "refused"),
        }
    }

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

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use axum::body::Body;
    use sigward_policies::model::id::UnixSeconds;

    use super::*;

    fn admitted() -> Admitted {
        let caller = Caller::LocalUser { uid: 1 };
        let procedure = Procedure::KeyList;
        let call = Call {
            caller: &caller,
            context: &Context::default(),
            path: procedure.path(),
            operation: Some(operation_of(procedure)),
            from: None,
            now: UnixSeconds(0),
            tick: tick(),
        };
        Arc::new(Policies::default()).admit(call).unwrap()
    }

    fn status(response: &Response) -> &str {
        let headers = response.headers();
        headers
            .get("grpc-status")
            .map_or("", |value| value.to_str().unwrap())
    }

    #[test]
    fn an_answer_that_nobody_was_asked_about_does_not_leave() {
        let answer = || Response::new(Body::from("all keys"));
        let call = admitted();
        let judged = call.judged();
        let procedure = Some(Procedure::KeyList);
        assert_eq!(status(&let_out(procedure, &judged, answer())), "7");
        // It was looked at and left lying: as if it had not been asked.
        let ticket = Ticket::of(call);
        drop(ticket.take());
        assert!(ticket.take().is_none(), "a proof is taken once");
        assert_eq!(status(&let_out(procedure, &judged, answer())), "7");
        // A refusal needs nobody's leave, and health is no procedure of ours.
        let refusal = || tonic::Status::invalid_argument("no").into_http();
        assert_eq!(status(&let_out(procedure, &judged, refusal())), "3");
        assert_eq!(status(&let_out(None, &judged, answer())), "");

        let call = admitted();
        let judged = call.judged();
        let _sight = call.look().unwrap();
        assert_eq!(status(&let_out(procedure, &judged, answer())), "");
    }
}
