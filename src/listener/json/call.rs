//! A request in JSON as the call that gRPC would make. Its body is read when the service asks for its message, which is after admission.

use std::error::Error as _;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, BodyDataStream, Bytes};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, Method as Verb, Request, Response, Version, header};
use tokio::time::timeout;
use tokio_stream::Stream;
use tonic::Status;
use tower::ServiceExt as _;

use super::answer;
use super::methods::{Method, Methods};
use crate::listener::body::{Cut, Made, linger, whole};
use crate::listener::grpc::MAX_OF_OTHERS;

/// Of a request's headers, what a service may look at (gRPC's metadata), besides all that begins with this.
const OURS: &str = "sigward-";
const METADATA: [&str; 3] = ["traceparent", "tracestate", "user-agent"];
/// Connect's own headers.
const PROTOCOL_VERSION: &str = "connect-protocol-version";
const TIMEOUT: &str = "connect-timeout-ms";
/// How long a call takes at most, where its client says nothing; the door gives it no longer.
const MOST: Duration = Duration::from_secs(60);

/// A call, with everything but its message.
pub(super) struct Call {
    request: Request<()>,
    method: Method,
    time: Duration,
}

impl Call {
    /// What the head of a request asks for. Whoever asks for nothing that there is, is told so.
    pub(super) fn of(methods: &Methods, head: Parts) -> Result<Self, Box<Response<Body>>> {
        let path = head.uri.path();
        let method = methods
            .of_path(path)
            .ok_or_else(|| Box::new(answer::nothing_there(methods, path)))?;
        if head.method != Verb::POST {
            return Err(Box::new(answer::only_post()));
        }
        if head.uri.query().is_some() {
            return Err(invalid("a procedure has no query: its message is the body"));
        }
        if !is_json(&head.headers) {
            return Err(Box::new(answer::no_json()));
        }
        let plain = |value: &HeaderValue| value.as_bytes().eq_ignore_ascii_case(b"identity");
        if !head.headers.get_all(header::CONTENT_ENCODING).iter().all(plain) {
            return Err(Box::new(answer::encoded()));
        }
        let version = head.headers.get(PROTOCOL_VERSION);
        if version.is_some_and(|version| version != "1") {
            return Err(invalid("connect-protocol-version is 1, if it is there"));
        }
        let time = time(&head.headers)
            .ok_or_else(|| invalid("connect-timeout-ms is a number of milliseconds, of 1 to 10 digits"))?;
        let mut request = Request::new(());
        *request.method_mut() = Verb::POST;
        *request.uri_mut() = head.uri.clone();
        *request.version_mut() = Version::HTTP_2;
        *request.headers_mut() = metadata(&head.headers);
        *request.extensions_mut() = head.extensions;
        request.extensions_mut().insert(Made);
        Ok(Self {
            request,
            method: method.clone(),
            time,
        })
    }

    /// Makes it.
    pub(super) async fn make(self, grpc: Router, body: BodyDataStream) -> Response<Body> {
        let body = Arc::new(Mutex::new(Some(body)));
        let take =
            |body: &Mutex<Option<BodyDataStream>>| body.lock().unwrap_or_else(PoisonError::into_inner).take();
        let later = {
            let (body, method) = (body.clone(), self.method.clone());
            async move {
                // It is asked for once.
                let Some(mut body) = take(&body) else {
                    return Err(Status::internal("internal: the message was read twice"));
                };
                message(&method, &mut body).await
            }
        };
        let request = self
            .request
            .map(|()| Body::from_stream(Later(Some(Box::pin(later)))));
        let calling = async {
            match grpc.oneshot(request).await {
                Ok(response) => answer::of(&self.method, response).await,
                Err(never) => match never {},
            }
        };
        let answer = match timeout(self.time.min(MOST), calling).await {
            Ok(answer) => answer,
            Err(_elapsed) => answer::too_late(),
        };
        if let Some(mut unread) = take(&body) {
            linger(&mut unread).await;
        }
        answer
    }
}

/// Shows admission a call of a procedure that is not there: as over gRPC, it is a denial, and on record as one (gathered, as all are).
/// What is answered is for whoever mistyped a name, and says those that there are.
pub(super) async fn of_nothing(head: Parts, grpc: Router) {
    let mut request = Request::new(Body::empty());
    *request.method_mut() = Verb::POST;
    *request.uri_mut() = head.uri;
    *request.version_mut() = Version::HTTP_2;
    *request.headers_mut() = metadata(&head.headers);
    *request.extensions_mut() = head.extensions;
    request.extensions_mut().insert(Made);
    // Its body is empty, and there is nobody to read it: that takes no time.
    let Ok(_told) = grpc.oneshot(request).await;
}

/// The body, as gRPC frames a message (flag and length, then the message).
async fn message(method: &Method, body: &mut BodyDataStream) -> Result<Bytes, Status> {
    if method.streams {
        return Err(Status::unimplemented(
            "stream_refused: this answers by a stream, and JSON carries one message; call it over gRPC, or use `sigward --server`",
        ));
    }
    let json = match whole(body, MAX_OF_OTHERS).await {
        Ok(json) => json,
        Err(Cut::Broken(error)) => {
            // The door says why, where it did not let it in.
            let Some(why) = error.source().and_then(|why| why.downcast_ref::<Status>()) else {
                return Err(Status::cancelled("body_cut: the body ended early"));
            };
            linger(body).await;
            return Err(why.clone());
        }
        Err(Cut::Long) => {
            linger(body).await;
            return Err(Status::out_of_range("body_too_long: a body has at most 1 MiB"));
        }
    };
    let message = method
        .request(&json)
        .map_err(|why| Status::invalid_argument(format!("invalid_json: {why}")))?;
    let length = u32::try_from(message.len())
        .map_err(|_| Status::out_of_range("body_too_long: a body has at most 1 MiB"))?;
    let mut frame = Vec::with_capacity(message.len() + 5);
    frame.push(0);
    frame.extend_from_slice(&length.to_be_bytes());
    frame.extend_from_slice(&message);
    Ok(frame.into())
}

/// A body of one part, which is made when it is asked for.
struct Later(Option<Making>);

type Making = Pin<Box<dyn Future<Output = Result<Bytes, Status>> + Send>>;

impl Stream for Later {
    type Item = Result<Bytes, Status>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let Some(making) = self.0.as_mut() else {
            return Poll::Ready(None);
        };
        let made = std::task::ready!(making.as_mut().poll(cx));
        self.0 = None;
        Poll::Ready(Some(made))
    }
}

fn invalid(why: &str) -> Box<Response<Body>> {
    Box::new(answer::error(&Status::invalid_argument(format!(
        "invalid_parameters: {why}"
    ))))
}

/// `application/json`, in UTF-8 if it says so, said once.
fn is_json(headers: &HeaderMap) -> bool {
    let mut kinds = headers.get_all(header::CONTENT_TYPE).iter();
    let kind = kinds
        .next()
        .and_then(|kind| kind.to_str().ok())
        .unwrap_or_default();
    let (kind, parameters) = kind.split_once(';').unwrap_or((kind, ""));
    let parameters = parameters.trim().to_ascii_lowercase();
    kinds.next().is_none()
        && kind.trim().eq_ignore_ascii_case("application/json")
        && matches!(parameters.as_str(), "" | "charset=utf-8" | "charset=\"utf-8\"")
}

/// How long the client waits, if it says so (Connect: a number of 1 to 10 digits).
fn time(headers: &HeaderMap) -> Option<Duration> {
    let mut said = headers.get_all(TIMEOUT).iter();
    let Some(first) = said.next() else {
        return Some(MOST);
    };
    let text = first.to_str().ok().filter(|_| said.next().is_none())?;
    let digits = (1..=10).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
    digits
        .then(|| text.parse().ok().map(Duration::from_millis))
        .flatten()
}

/// What of the headers goes on; nothing that means something to gRPC or HTTP itself.
fn metadata(headers: &HeaderMap) -> HeaderMap {
    let mut kept = HeaderMap::new();
    for (name, value) in headers {
        if name.as_str().starts_with(OURS) || METADATA.contains(&name.as_str()) {
            kept.append(name.clone(), value.clone());
        }
    }
    kept.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    kept.insert(header::TE, HeaderValue::from_static("trailers"));
    kept
}
