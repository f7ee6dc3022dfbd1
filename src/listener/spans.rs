//! What a call over gRPC or in JSON is told as, to those who collect traces: names of OpenTelemetry's semantic conventions for RPC, where
//! there are any. What is no procedure of ours (health, metrics, a path that does not exist) is not told of.
//!
//! *Invariant:* nothing that a caller wrote is in it but the ids of its trace: a procedure is one of ours, and so is every code.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::body::Body;
use axum::http::{Extensions, Request, Response, StatusCode, header};
use sigward_policies::authz::PolicyVersion;
use sigward_proto::Procedure;
use tonic::Code;

use super::trace::InTrace;
use crate::clock::{Clock as _, SystemClock};
use crate::telemetry::spans::{Began, Fault, Report, Spans, StageSpan, Value};
use crate::telemetry::trace::TraceParent;

/// A call that is followed, from its first moment on.
pub(super) struct Followed {
    spans: Spans,
    procedure: Procedure,
    system: &'static str,
    began: Began,
    marks: Marks,
}

/// What is noted on its way, by those who know.
#[derive(Clone, Debug, Default)]
pub(super) struct Marks(Arc<Mutex<Option<Judged>>>);

#[derive(Clone, Copy, Debug)]
struct Judged {
    began: Instant,
    took: Duration,
    policy: Option<PolicyVersion>,
}

/// An error as JSON tells it, beside its status: for who looks at an answer and not into its body.
#[derive(Clone, Debug)]
pub(super) struct ToldInJson {
    pub(super) code: &'static str,
    pub(super) reason: Option<String>,
}

impl Marks {
    /// Begins to judge `request`, if somebody will be told of it.
    pub(super) fn judging(extensions: &Extensions) -> Option<(Self, Instant)> {
        Some((extensions.get::<Self>()?.clone(), Instant::now()))
    }

    /// It was judged, under `policy`.
    pub(super) fn judged((marks, began): (Self, Instant), policy: Option<PolicyVersion>) {
        let judged = Judged {
            began,
            took: began.elapsed(),
            policy,
        };
        *marks.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(judged);
    }
}

impl Followed {
    /// Follows `request`, if it is of those that are.
    pub(super) fn of<B>(
        spans: &Spans,
        own: &InTrace,
        parent: Option<&TraceParent>,
        request: &mut Request<B>,
    ) -> Option<Self> {
        let procedure = Procedure::of_path(request.uri().path())?;
        if !spans.follow_call(own.trace, parent) {
            return None;
        }
        let kind = request.headers().get(header::CONTENT_TYPE);
        let grpc = kind.is_some_and(|kind| kind.as_bytes().starts_with(b"application/grpc"));
        let marks = Marks::default();
        request.extensions_mut().insert(marks.clone());
        Some(Self {
            spans: spans.clone(),
            procedure,
            system: if grpc { "grpc" } else { "connect_rpc" },
            began: Began {
                unix_micros: SystemClock.unix_micros(),
                at: Instant::now(),
            },
            marks,
        })
    }

    /// It was answered: with its head, where it is a stream.
    pub(super) fn tell(self, own: &InTrace, response: &Response<Body>) {
        let took = self.began.at.elapsed();
        let judged = *self.marks.0.lock().unwrap_or_else(PoisonError::into_inner);
        let name = self.procedure.path().trim_start_matches('/');
        let (service, method) = name.split_once('/').unwrap_or((name, ""));
        let mut attributes = vec![
            ("rpc.system", Value::Word(self.system)),
            ("rpc.service", Value::Word(service)),
            ("rpc.method", Value::Word(method)),
        ];
        let fault = outcome(response, &mut attributes);
        if let Some(policy) = judged.and_then(|judged| judged.policy) {
            attributes.push(("sigward.policy.version", Value::Policy(policy)));
        }
        self.spans.tell_call(Report {
            trace: own.trace,
            span: own.span,
            parent: own.parent,
            name,
            began: self.began,
            took,
            attributes,
            fault,
            stages: stages(self.began.at, took, judged),
        });
    }
}

/// Who asks; whether they may; and what they asked for. Whoever was refused at the door was asked who he is, and nothing else.
fn stages(began: Instant, took: Duration, judged: Option<Judged>) -> Vec<StageSpan> {
    let stage = |name, from: Instant, to: Instant| StageSpan {
        name,
        began: from,
        took: to.saturating_duration_since(from),
    };
    let end = began + took;
    let Some(judged) = judged else {
        return vec![stage("authn", began, end)];
    };
    let answering = judged.began + judged.took;
    vec![
        stage("authn", began, judged.began),
        stage("authz", judged.began, answering),
        stage("act", answering, end),
    ]
}

/// The status of an answer, and the code of ours with it. What is a fault of a server is as the conventions for gRPC have it.
fn outcome(response: &Response<Body>, attributes: &mut Vec<(&'static str, Value)>) -> Fault {
    if let Some(told) = response.extensions().get::<ToldInJson>() {
        attributes.push(("rpc.connect_rpc.error_code", Value::Word(told.code)));
        let reason = told.reason.as_deref().and_then(Value::code_of);
        attributes.push(("error.type", reason.unwrap_or(Value::Word(told.code))));
        return match response.status().is_server_error() {
            true => Fault::Ours,
            false => Fault::None,
        };
    }
    let header = |name: &str| {
        let value = response.headers().get(name)?;
        value.to_str().ok()
    };
    let code = match (header("grpc-status"), response.status()) {
        (Some(status), _) => Code::from_bytes(status.as_bytes()),
        (None, StatusCode::OK) => Code::Ok,
        (None, _) => Code::Unknown,
    };
    attributes.push(("rpc.grpc.status_code", Value::Number(code as i64)));
    if code == Code::Ok {
        return Fault::None;
    }
    let reason = header("grpc-message").and_then(Value::code_of);
    attributes.push(("error.type", reason.unwrap_or(Value::Word("unknown"))));
    match code {
        Code::Unknown
        | Code::DeadlineExceeded
        | Code::Unimplemented
        | Code::Internal
        | Code::Unavailable
        | Code::DataLoss => Fault::Ours,
        _ => Fault::None,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;
    use crate::listener::trace::in_trace;
    use crate::telemetry::metrics::{Build, Metrics};

    const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    async fn told(path: &str, flag: &str, answer: Response<Body>) -> (Option<Report>, String) {
        let build = Build {
            version: "0",
            commit: "unknown",
        };
        let metrics = Metrics::new(build, &SystemClock);
        let (spans, mut end) = Spans::open(0.0, metrics.otlp());
        let parent = PARENT.replace("-01", flag);
        let request = Request::builder().uri(path).header("traceparent", parent);
        let request = request
            .header("content-type", "application/grpc")
            .body(())
            .unwrap();
        let answered = in_trace(&spans, request, |request| async move {
            if let Some(judging) = Marks::judging(request.extensions()) {
                Marks::judged(judging, Some(PolicyVersion([7; 32])));
            }
            answer
        })
        .await;
        let said = answered.headers().get("traceparent").unwrap();
        (end.try_recv().ok(), said.to_str().unwrap().to_owned())
    }

    #[tokio::test]
    async fn a_call_is_told_as_a_child_of_its_caller_with_its_stages_inside_of_it() {
        let refused = tonic::Status::permission_denied("not_permitted: eve may not").into_http();
        let (report, said) = told("/sigward.v1.KeyService/List", "-01", refused).await;
        let report = report.unwrap();
        assert_eq!(
            said,
            format!("00-0af7651916cd43dd8448eb211c80319c-{}-01", report.span)
        );
        assert_eq!(report.parent.unwrap().to_string(), "b7ad6b7169203331");
        assert_eq!(
            (report.name, report.fault),
            ("sigward.v1.KeyService/List", Fault::None)
        );
        let names: Vec<_> = report.stages.iter().map(|stage| stage.name).collect();
        assert_eq!(names, ["authn", "authz", "act"]);
        let whole: Duration = report.stages.iter().map(|stage| stage.took).sum();
        assert_eq!(
            whole, report.took,
            "one after the other, and nothing between them"
        );
        let known = |name: &str| report.attributes.iter().find(|(known, _)| *known == name);
        let code = Value::code_of("not_permitted: x").unwrap();
        assert_eq!(known("error.type").unwrap().1, code);
        assert_eq!(known("rpc.grpc.status_code").unwrap().1, Value::Number(7));
        assert_eq!(
            known("sigward.policy.version").unwrap().1,
            Value::Policy(PolicyVersion([7; 32]))
        );
    }

    #[tokio::test]
    async fn only_what_is_asked_of_us_and_wanted_by_its_caller_is_told() {
        for (path, flag) in [
            ("/sigward.v1.KeyService/List", "-00"),
            ("/sigward.v1.KeyService/Lost", "-01"),
            ("/readyz", "-01"),
        ] {
            let (report, said) = told(path, flag, Response::default()).await;
            assert!(report.is_none(), "{path}");
            assert!(
                said.ends_with(flag),
                "the caller's word on its trace stands: {said}"
            );
        }
        let failed = tonic::Status::internal("internal: x").into_http();
        let (report, _) = told("/sigward.v1.KeyService/List", "-01", failed).await;
        assert_eq!(report.unwrap().fault, Fault::Ours);
    }
}
