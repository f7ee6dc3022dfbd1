//! HTTP/JSON for clients that speak no gRPC: `POST /sigward.v1.SERVICE/METHOD` with a message in proto3's JSON (the unary part of the
//! Connect protocol). May import `body` and `grpc` beside it.
//!
//! `methods` knows what there is and turns messages into JSON and back, `strict` reads JSON more closely than proto3 asks for, `call`
//! makes of a request the call that gRPC would make, `answer` makes of what came back an answer.
//!
//! *Invariants:* there is no second way in: a request goes to the same router, by the same admission, as the same call over gRPC, and its
//! body is read and parsed when that asks for it, so that who may not call is refused before a byte of JSON is looked at; what is wrong
//! with a body is told by its place and never by its content; an answer is a whole message or an error, and nothing of both.

mod answer;
mod call;
mod methods;
mod strict;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::http::{Request, Response};

use super::body::linger;

pub(super) use answer::{failure, refusal, too_late, wrong_host};
pub use methods::Methods;

/// Who asks for this asks what there is.
const INDEX: &str = "/";

/// The layer, before the router of gRPC.
#[derive(Clone, Debug)]
pub(super) struct Json {
    methods: Arc<Methods>,
    grpc: Router,
}

impl Json {
    pub(super) fn before(grpc: Router) -> Self {
        let methods = Arc::new(Methods::new());
        Self { methods, grpc }
    }

    /// Whether the procedure of `path` is answered by one message.
    pub(super) fn is_unary(&self, path: &str) -> bool {
        self.methods.of_path(path).is_some_and(|method| !method.streams)
    }

    /// Answers a request whose caller is known.
    pub(super) async fn answer(&self, request: Request<Body>) -> Response<Body> {
        let (head, body) = request.into_parts();
        let mut body = body.into_data_stream();
        let path = head.uri.path();
        if path != INDEX && self.methods.of_path(path).is_none() {
            let answer = answer::nothing_there(&self.methods, path);
            call::of_nothing(head, self.grpc.clone()).await;
            linger(&mut body).await;
            return answer;
        }
        match call::Call::of(&self.methods, head) {
            Ok(call) => call.make(self.grpc.clone(), body).await,
            Err(answered) => {
                linger(&mut body).await;
                *answered
            }
        }
    }
}
