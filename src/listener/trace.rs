//! Every request runs in a trace: the one that it says it belongs to, or one of its own; and the answer says which.
//!
//! *Invariant:* a trace decides nothing. Whatever a client writes in these headers, its request is served the same; only ids that were
//! parsed go into log lines, records and answers.

use std::future::Future;

use axum::body::Body;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Request};
use axum::response::Response;
use sigward_policies::model::trace::TraceId;
use tracing::Instrument as _;

use super::spans::Followed;
use crate::telemetry::spans::Spans;
use crate::telemetry::trace::{self, SpanId, TraceParent};

const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The trace of a request, and its place in it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct InTrace {
    /// The trace.
    pub(super) trace: TraceId,
    /// This request, in it.
    pub(super) span: SpanId,
    /// The caller's span in it, where it named one.
    pub(super) parent: Option<SpanId>,
    /// Whether the caller records the trace, or we do.
    sampled: bool,
}

impl InTrace {
    fn under(parent: Option<&TraceParent>) -> Self {
        Self {
            trace: parent.map_or_else(trace::mint, |parent| parent.trace),
            span: trace::mint_span(),
            parent: parent.map(|parent| parent.span),
            sampled: parent.is_some_and(|parent| parent.sampled),
        }
    }

    /// Says in an answer which trace it was, and which request.
    fn tell(&self, headers: &mut HeaderMap) {
        let own = TraceParent {
            trace: self.trace,
            span: self.span,
            sampled: self.sampled,
        };
        // Digits and dashes: they are always values of a header.
        for (name, text) in [
            (TRACEPARENT, own.to_string()),
            (REQUEST_ID, self.span.to_string()),
        ] {
            if let Ok(value) = HeaderValue::try_from(text) {
                headers.insert(name, value);
            }
        }
    }
}

/// Answers `request` in its trace, once: what is inside of another of these is in that one's. What becomes of it is told to `spans`.
pub(super) async fn in_trace<B, F>(
    spans: &Spans,
    mut request: Request<B>,
    answer: impl FnOnce(Request<B>) -> F,
) -> Response<Body>
where
    F: Future<Output = Response<Body>>,
{
    if request.extensions().get::<InTrace>().is_some() {
        return answer(request).await;
    }
    let lines = request.headers().get_all(&TRACEPARENT).into_iter();
    let parent = TraceParent::of(lines.map(HeaderValue::as_bytes));
    let mut own = InTrace::under(parent.as_ref());
    let followed = Followed::of(spans, &own, parent.as_ref(), &mut request);
    own.sampled |= followed.is_some();
    // Of no use to anybody behind this, and nothing that came in them may be taken for ours.
    for name in [&TRACEPARENT, &TRACESTATE, &REQUEST_ID] {
        request.headers_mut().remove(name);
    }
    request.extensions_mut().insert(own.clone());
    let span = tracing::info_span!("request", trace = %own.trace, id = %own.span);
    let mut response = answer(request).instrument(span).await;
    if let Some(followed) = followed {
        followed.tell(&own, &response);
    }
    own.tell(response.headers_mut());
    response
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    fn request(parent: &str) -> Request<()> {
        Request::builder().header(TRACEPARENT, parent).body(()).unwrap()
    }

    fn told(response: &Response<Body>) -> TraceParent {
        let headers = response.headers();
        let lines = headers.get_all(TRACEPARENT).into_iter();
        let parent = TraceParent::of(lines.map(HeaderValue::as_bytes)).unwrap();
        assert_eq!(headers.get(REQUEST_ID).unwrap(), &parent.span.to_string());
        parent
    }

    #[tokio::test]
    async fn an_answer_says_in_which_trace_it_was() {
        let parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        let nowhere = Spans::default();
        let answered = in_trace(&nowhere, request(parent), |request| async move {
            // Behind another door, it is still the same.
            in_trace(&Spans::default(), request, |request| async move {
                assert!(request.headers().is_empty());
                let own = request.extensions().get::<InTrace>().unwrap();
                assert_eq!(own.trace.to_string(), "0af7651916cd43dd8448eb211c80319c");
                Response::default()
            })
            .await
        })
        .await;
        let told = told(&answered);
        assert_eq!(told.trace.to_string(), "0af7651916cd43dd8448eb211c80319c");
        assert_ne!(told.span.to_string(), "b7ad6b7169203331", "a span of its own");
        assert!(told.sampled);
    }

    #[tokio::test]
    async fn nonsense_begins_a_trace() {
        let mut seen = std::collections::HashSet::new();
        for parent in [
            "",
            "00-0-0-0",
            "nonsense",
            "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
        ] {
            let answered = in_trace(&Spans::default(), request(parent), |_| async {
                Response::default()
            })
            .await;
            let told = told(&answered);
            assert!(!told.sampled && seen.insert(told.trace), "{parent}");
        }
    }
}
