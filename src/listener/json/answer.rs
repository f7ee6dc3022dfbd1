//! What gRPC answered, in JSON: a message with 200, or an error as the Connect protocol writes one.
//!
//! An error's message begins with its stable code, as everywhere; the same code stands by itself in `details`, for programs.

use std::collections::BTreeMap;
use std::future::poll_fn;
use std::pin::Pin;

use axum::body::{Body, HttpBody as _};
use axum::http::{HeaderMap, HeaderValue, Response, StatusCode, header};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD_NO_PAD;
use prost::Message as _;
use serde_json::json;
use sigward_policies::decision::{Failure, Refusal};
use sigward_policies::model::text::code_of;
use tonic::{Code, Status};

use super::methods::{Method, Methods};
use crate::admin::request_named_in;
use crate::listener::grpc;
use crate::listener::spans::ToldInJson;

/// No answer of ours is longer.
const MOST: usize = 64 << 20;
/// Of an answer's headers, what goes on besides all that begins with this.
const OURS: &str = "sigward-";
const METADATA: [&str; 3] = ["traceparent", "tracestate", "retry-after"];

/// The answer to a call.
pub(super) async fn of(method: &Method, response: Response<Body>) -> Response<Body> {
    let (head, body) = response.into_parts();
    // An error is told in headers alone ("Trailers-Only").
    let (message, trailers) = match Status::from_header_map(&head.headers) {
        Some(_) => (None, None),
        None => match read(body).await {
            Ok(read) => read,
            Err(why) => return error(&Status::internal(format!("internal: {why}"))),
        },
    };
    let status = Status::from_header_map(trailers.as_ref().unwrap_or(&head.headers))
        .unwrap_or_else(|| Status::internal("internal: the answer had no end"));
    let mut answer = match (status.code(), message) {
        (Code::Ok, Some(message)) => match method.answer(&message) {
            Ok(json) => with_json(StatusCode::OK, json.into()),
            Err(why) => {
                tracing::error!(alarm = true, why, "json: an answer is none of its procedure's");
                error(&Status::internal("internal: the answer cannot be told in JSON"))
            }
        },
        (Code::Ok, None) => error(&Status::internal("internal: the answer had no message")),
        _ => error(&status),
    };
    for (name, value) in &head.headers {
        if name.as_str().starts_with(OURS) || METADATA.contains(&name.as_str()) {
            answer.headers_mut().append(name.clone(), value.clone());
        }
    }
    answer
}

/// The one message of an answer, and what came after it.
async fn read(mut body: Body) -> Result<(Option<Vec<u8>>, Option<HeaderMap>), &'static str> {
    let (mut whole, mut trailers) = (Vec::new(), None);
    while let Some(frame) = poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await {
        let frame = frame.map_err(|_error| "the answer broke off")?;
        match frame.into_data() {
            Ok(data) if data.len() > MOST.saturating_sub(whole.len()) => {
                return Err("the answer is too long");
            }
            Ok(data) => whole.extend_from_slice(&data),
            Err(frame) => trailers = frame.into_trailers().ok().or(trailers),
        }
    }
    let Some((prefix, message)) = whole.split_first_chunk::<5>() else {
        return Ok((None, trailers));
    };
    let [flag, length @ ..] = *prefix;
    if flag != 0 || usize::try_from(u32::from_be_bytes(length)) != Ok(message.len()) {
        return Err("the answer is not one message");
    }
    whole.drain(..5);
    Ok((Some(whole), trailers))
}

/// What the details of an error say (google.rpc.ErrorInfo; here the reason is one of our codes).
#[derive(Clone, PartialEq, prost::Message)]
struct ErrorInfo {
    #[prost(string, tag = "1")]
    reason: String,
    #[prost(string, tag = "2")]
    domain: String,
    #[prost(btree_map = "string, string", tag = "3")]
    metadata: BTreeMap<String, String>,
}

/// A status as an error.
pub(super) fn error(status: &Status) -> Response<Body> {
    let (code, http) = spelled(status.code());
    told(http, code, status.message())
}

fn told(http: StatusCode, code: &'static str, message: &str) -> Response<Body> {
    let details = code_of(message).map(|reason| {
        // What a caller goes on with: the header `sigward-approval` takes it.
        let approval = request_named_in(message).map(|id| ("approval".to_owned(), id.to_owned()));
        let info = ErrorInfo {
            reason: reason.to_owned(),
            domain: "sigward".to_owned(),
            metadata: approval.into_iter().collect(),
        };
        let debug = match info.metadata.is_empty() {
            true => json!({ "reason": reason, "domain": "sigward" }),
            false => json!({ "reason": reason, "domain": "sigward", "metadata": info.metadata }),
        };
        json!({
            "type": "google.rpc.ErrorInfo",
            "value": BASE64_STANDARD_NO_PAD.encode(info.encode_to_vec()),
            "debug": debug,
        })
    });
    let details: Vec<_> = details.into_iter().collect();
    let error = json!({ "code": code, "message": message, "details": details });
    let mut response = with_json(http, format!("{error}\n").into());
    let reason = code_of(message).map(str::to_owned);
    response.extensions_mut().insert(ToldInJson { code, reason });
    response
}

fn with_json(http: StatusCode, body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    *response.status_mut() = http;
    let headers = response.headers_mut();
    for (name, value) in [
        (header::CONTENT_TYPE, "application/json"),
        (header::CACHE_CONTROL, "no-store"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}

/// The refusal of a request that was not read.
pub(in crate::listener) fn refusal(refusal: Refusal) -> Response<Body> {
    error(&grpc::status_of(refusal))
}

/// The same, where it is our failure.
pub(in crate::listener) fn failure(failure: Failure) -> Response<Body> {
    error(&grpc::status_of_failure(failure))
}

/// A request that took too long.
pub(in crate::listener) fn too_late() -> Response<Body> {
    error(&Status::deadline_exceeded(
        "deadline_exceeded: the request was not read and answered in time",
    ))
}

/// A request for another host than this machine.
pub(in crate::listener) fn wrong_host(message: &str) -> Response<Body> {
    told(StatusCode::MISDIRECTED_REQUEST, "permission_denied", message)
}

/// There is no such path; these are those that there are.
pub(super) fn nothing_there(methods: &Methods, path: &str) -> Response<Body> {
    let service = path.rsplit_once('/').map_or(path, |(service, _)| service);
    let of_service: Vec<_> = methods
        .paths()
        .filter_map(|path| path.rsplit_once('/'))
        .filter(|(known, _)| *known == service)
        .map(|(_, method)| method)
        .collect();
    let message = if of_service.is_empty() {
        let mut services: Vec<_> = methods
            .paths()
            .filter_map(|path| path.rsplit_once('/'))
            .map(|(service, _)| service)
            .collect();
        services.dedup();
        format!(
            "not_found: there are GET /livez, /readyz and /metrics, and POST of {}, each with /METHOD",
            services.join(", ")
        )
    } else {
        format!("not_found: {service} has {}", of_service.join(", "))
    };
    told(StatusCode::NOT_FOUND, "not_found", &message)
}

/// A procedure was asked for by another method.
pub(super) fn only_post() -> Response<Body> {
    let mut response = told(
        StatusCode::METHOD_NOT_ALLOWED,
        "unimplemented",
        "method_not_allowed: a procedure is called by POST",
    );
    response
        .headers_mut()
        .insert(header::ALLOW, HeaderValue::from_static("POST"));
    response
}

/// A body of another kind.
pub(super) fn no_json() -> Response<Body> {
    told(
        StatusCode::UNSUPPORTED_MEDIA_TYPE,
        "invalid_argument",
        "content_type_refused: send `content-type: application/json`, or gRPC's own",
    )
}

/// A body that is compressed.
pub(super) fn encoded() -> Response<Body> {
    told(
        StatusCode::UNSUPPORTED_MEDIA_TYPE,
        "unimplemented",
        "encoding_refused: send the body as it is, without content-encoding",
    )
}

/// The words of the Connect protocol, and the statuses of HTTP that go with them.
fn spelled(code: Code) -> (&'static str, StatusCode) {
    match code {
        Code::Cancelled => (
            "canceled",
            StatusCode::from_u16(499).unwrap_or(StatusCode::REQUEST_TIMEOUT),
        ),
        Code::InvalidArgument => ("invalid_argument", StatusCode::BAD_REQUEST),
        Code::DeadlineExceeded => ("deadline_exceeded", StatusCode::GATEWAY_TIMEOUT),
        Code::NotFound => ("not_found", StatusCode::NOT_FOUND),
        Code::AlreadyExists => ("already_exists", StatusCode::CONFLICT),
        Code::PermissionDenied => ("permission_denied", StatusCode::FORBIDDEN),
        Code::ResourceExhausted => ("resource_exhausted", StatusCode::TOO_MANY_REQUESTS),
        Code::FailedPrecondition => ("failed_precondition", StatusCode::BAD_REQUEST),
        Code::Aborted => ("aborted", StatusCode::CONFLICT),
        Code::OutOfRange => ("out_of_range", StatusCode::BAD_REQUEST),
        Code::Unimplemented => ("unimplemented", StatusCode::NOT_IMPLEMENTED),
        Code::Internal => ("internal", StatusCode::INTERNAL_SERVER_ERROR),
        Code::Unavailable => ("unavailable", StatusCode::SERVICE_UNAVAILABLE),
        Code::DataLoss => ("data_loss", StatusCode::INTERNAL_SERVER_ERROR),
        Code::Unauthenticated => ("unauthenticated", StatusCode::UNAUTHORIZED),
        Code::Ok | Code::Unknown => ("unknown", StatusCode::INTERNAL_SERVER_ERROR),
    }
}
