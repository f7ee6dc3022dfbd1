//! What the paths of plain HTTP tell somebody on another machine: whether sigward is well tells everybody who was let in, and everything
//! else, which names chains and nodes, whoever may see the status of all of them.
//!
//! *Invariant:* without a policy document nothing is kept back, as with the status itself.

use std::net::IpAddr;

use axum::body::Body;
use axum::http::{Request, Response, StatusCode};
use axum::response::IntoResponse as _;
use sigward_policies::model::caller::Caller;
use tonic::Code;

use crate::audit::Asker;
use crate::listener::grpc::Services;
use crate::listener::{grpc, http};

/// Asks the policy where the path tells more than yes and no.
pub(super) async fn ask(
    services: &Services,
    caller: &Caller,
    from: IpAddr,
    request: &mut Request<Body>,
) -> Result<(), Box<Response<Body>>> {
    let verbose = http::is_verbose(request.uri().query());
    match request.uri().path() {
        "/metrics" => {}
        "/readyz" if verbose => {}
        "/readyz" => {
            // Probes come often: they are neither counted nor refused.
            if services.keeps_back() {
                request.extensions_mut().insert(http::YesOrNo);
            }
            return Ok(());
        }
        _ => return Ok(()),
    }
    let context = grpc::context(request.extensions());
    let who = Asker {
        caller: caller.clone(),
        context,
    };
    services.may_see_all_status(&who, from).await.map_err(|status| {
        let code = match status.code() {
            Code::PermissionDenied | Code::FailedPrecondition => StatusCode::FORBIDDEN,
            Code::ResourceExhausted => StatusCode::TOO_MANY_REQUESTS,
            _ => StatusCode::SERVICE_UNAVAILABLE,
        };
        Box::new((code, format!("{}\n", status.message())).into_response())
    })
}
