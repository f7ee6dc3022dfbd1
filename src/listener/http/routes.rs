//! What each path answers.

use std::sync::Arc;

use axum::body::HttpBody;
use axum::extract::{RawQuery, Request, State};
use axum::http::{HeaderValue, Method, StatusCode, Uri, header};
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Extension, Json, Router};
use serde_json::{Value, json};
use sigward_policies::model::caller::Caller;

use super::host;
use crate::telemetry::metrics::CONTENT_TYPE;
use crate::telemetry::readiness::{CheckReport, Weight};
use crate::telemetry::{Metrics, Readiness};

/// Paths that answer whatever the `Host`: probes and scrapers come with names of their own.
const ANY_HOST: [&str; 3] = ["/livez", "/readyz", "/metrics"];

#[derive(Clone)]
struct Shared {
    metrics: Arc<Metrics>,
    readiness: Readiness,
}

/// For this machine, in the clear.
pub(super) fn router(metrics: Arc<Metrics>, readiness: Readiness) -> Router {
    bare(metrics, readiness).layer(from_fn(async |request, next| {
        admit(Hosts::Ours, request, next).await
    }))
}

/// For clients of the doors, which have looked at the name by then: no page of a browser shows a certificate or a token.
pub(in crate::listener) fn router_for_others(metrics: Arc<Metrics>, readiness: Readiness) -> Router {
    bare(metrics, readiness).layer(from_fn(async |request, next| {
        admit(Hosts::Any, request, next).await
    }))
}

/// On a request whose caller is told no more than yes or no.
#[derive(Clone, Copy, Debug)]
pub(in crate::listener) struct YesOrNo;

/// Whether a query of `/readyz` asks for every check.
pub(in crate::listener) fn is_verbose(query: Option<&str>) -> bool {
    query.is_some_and(|query| {
        query
            .split('&')
            .any(|item| item.split('=').next() == Some("verbose"))
    })
}

/// Whether what is asked for can be answered without naming a chain or a node.
pub(in crate::listener) fn is_yes_or_no(asked: &Uri) -> bool {
    asked.path() == "/livez" || (asked.path() == "/readyz" && !is_verbose(asked.query()))
}

/// Under which names the paths answer that are not for probes and scrapers.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Hosts {
    Ours,
    Any,
}

fn bare(metrics: Arc<Metrics>, readiness: Readiness) -> Router {
    Router::new()
        .route("/livez", get(live))
        .route("/readyz", get(ready))
        .route("/metrics", get(scrape))
        .fallback(|| async {
            (
                StatusCode::NOT_FOUND,
                "not_found: there are /livez, /readyz and /metrics\n",
            )
        })
        .with_state(Shared { metrics, readiness })
}

/// What no path accepts: an API key, another method, a body, a foreign `Host`.
async fn admit(hosts: Hosts, request: Request, next: Next) -> Response {
    let mut response = if let Some(Caller::ApiKey { .. }) = request.extensions().get() {
        (
            StatusCode::FORBIDDEN,
            "not_permitted: an API key is for signing only\n",
        )
            .into_response()
    } else if request.method() != Method::GET {
        let allow = [(header::ALLOW, "GET")];
        (
            StatusCode::METHOD_NOT_ALLOWED,
            allow,
            "method_not_allowed: only GET\n",
        )
            .into_response()
    } else if !request.body().is_end_stream() {
        // Nobody reads it, so the connection cannot go on.
        let close = [(header::CONNECTION, "close")];
        (
            StatusCode::PAYLOAD_TOO_LARGE,
            close,
            "body_refused: nothing here takes a body\n",
        )
            .into_response()
    } else if hosts == Hosts::Ours && !is_probe(request.uri().path()) && !host::names_this_machine(&request) {
        (StatusCode::MISDIRECTED_REQUEST, format!("{}\n", host::REFUSED)).into_response()
    } else {
        next.run(request).await
    };
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(
        header::X_CONTENT_TYPE_OPTIONS,
        HeaderValue::from_static("nosniff"),
    );
    response
}

/// Whether health or metrics are asked for.
pub(in crate::listener) fn is_probe(path: &str) -> bool {
    ANY_HOST.contains(&path)
}

async fn live() -> &'static str {
    "ok\n"
}

/// 200 when ready, 503 when not. `?verbose` lists every check, with what to do about those that fail.
async fn ready(
    State(shared): State<Shared>,
    yes_or_no: Option<Extension<YesOrNo>>,
    RawQuery(query): RawQuery,
) -> Response {
    let report = shared.readiness.report();
    let status = if report.ready {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    let body = if yes_or_no.is_some() {
        json!({ "ready": report.ready })
    } else if is_verbose(query.as_deref()) {
        json!({ "ready": report.ready, "checks": report.checks.iter().map(in_full).collect::<Vec<_>>() })
    } else {
        let failing = |check: &&CheckReport| check.failing.is_some() && check.weight == Weight::Required;
        let failing: Vec<_> = report
            .checks
            .iter()
            .filter(failing)
            .map(|check| &check.name)
            .collect();
        json!({ "ready": report.ready, "failing": failing })
    };
    (status, Json(body)).into_response()
}

fn in_full(check: &CheckReport) -> Value {
    let required = check.weight == Weight::Required;
    match &check.failing {
        None => json!({ "name": check.name, "required": required, "status": "ok" }),
        Some(reason) => json!({
            "name": check.name, "required": required, "status": "failing", "reason": reason, "what_to_do": check.advice,
        }),
    }
}

/// On a blocking thread: a worker of the runtime may have a signature to serve.
async fn scrape(State(shared): State<Shared>) -> Response {
    match tokio::task::spawn_blocking(move || shared.metrics.encode()).await {
        Ok(Ok(text)) => ([(header::CONTENT_TYPE, CONTENT_TYPE)], text).into_response(),
        _ => (StatusCode::INTERNAL_SERVER_ERROR, "metrics_failed\n").into_response(),
    }
}
