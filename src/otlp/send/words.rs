//! Reports as OTLP. Pure.
//!
//! *Invariant:* what goes out is made of a report's ids, words, names and numbers, by the types of `telemetry::spans`; no field here takes bytes
//! but ids.

use std::time::Instant;

use sigward_proto::otlp::{
    ExportRequest, KeyValue, Resource, ResourceSpans, Scope, ScopeSpans, Span, Status, any_value,
};

use crate::telemetry::spans::{Began, Fault, Report, StageSpan, Value};
use crate::telemetry::trace;

/// `SpanKind` of OTLP.
const INTERNAL: i32 = 1;
const SERVER: i32 = 2;
/// `StatusCode` of OTLP.
const ERROR: i32 = 2;
/// Flags of a span: it is sampled (W3C Trace Context); whether its parent is somebody else's is known; and it is.
const SAMPLED: u32 = 1;
const PARENT_KNOWN: u32 = 0x100;
const PARENT_REMOTE: u32 = 0x200;

/// Who speaks.
#[derive(Clone, Debug)]
pub(super) struct Words {
    resource: Resource,
    scope: Scope,
}

impl Words {
    /// sigward, of the store `instance`: no two run with one store.
    pub(super) fn of(instance: String) -> Self {
        let version = env!("CARGO_PKG_VERSION");
        let attributes = vec![
            text("service.name", "sigward"),
            text("service.version", version),
            text("service.instance.id", instance),
        ];
        Self {
            resource: Resource { attributes },
            scope: Scope {
                name: "sigward".to_owned(),
                version: version.to_owned(),
            },
        }
    }

    /// What is said of `reports`.
    pub(super) fn say(&self, reports: &[Report]) -> ExportRequest {
        let mut spans = Vec::new();
        for report in reports {
            let root = root(report);
            let stages = report.stages.iter().map(|stage| child(report, stage));
            spans.extend(std::iter::once(root).chain(stages));
        }
        ExportRequest {
            resource_spans: vec![ResourceSpans {
                resource: Some(self.resource.clone()),
                scope_spans: vec![ScopeSpans {
                    scope: Some(self.scope.clone()),
                    spans,
                }],
            }],
        }
    }
}

fn root(report: &Report) -> Span {
    let parent = report.parent.map(|parent| parent.as_bytes().to_vec());
    let from = match parent {
        Some(_) => PARENT_REMOTE,
        None => 0,
    };
    let status = match report.fault {
        Fault::None => None,
        Fault::Ours => Some(Status {
            message: String::new(),
            code: ERROR,
        }),
    };
    Span {
        trace_id: report.trace.as_bytes().to_vec(),
        span_id: report.span.as_bytes().to_vec(),
        parent_span_id: parent.unwrap_or_default(),
        name: report.name.to_owned(),
        kind: SERVER,
        start_time_unix_nano: nanos(&report.began, report.began.at),
        end_time_unix_nano: nanos(&report.began, report.began.at + report.took),
        attributes: report.attributes.iter().map(attribute).collect(),
        status,
        flags: SAMPLED | PARENT_KNOWN | from,
    }
}

fn child(report: &Report, stage: &StageSpan) -> Span {
    Span {
        trace_id: report.trace.as_bytes().to_vec(),
        span_id: trace::mint_span().as_bytes().to_vec(),
        parent_span_id: report.span.as_bytes().to_vec(),
        name: stage.name.to_owned(),
        kind: INTERNAL,
        start_time_unix_nano: nanos(&report.began, stage.began),
        end_time_unix_nano: nanos(&report.began, stage.began + stage.took),
        attributes: Vec::new(),
        status: None,
        flags: SAMPLED | PARENT_KNOWN,
    }
}

/// The time of day at `at`, by the clock that only goes on since `began`.
fn nanos(began: &Began, at: Instant) -> u64 {
    let since = at.saturating_duration_since(began.at).as_nanos();
    let began = u64::try_from(began.unix_micros).unwrap_or(0).saturating_mul(1000);
    began.saturating_add(u64::try_from(since).unwrap_or(u64::MAX))
}

fn attribute((key, value): &(&'static str, Value)) -> KeyValue {
    match value {
        Value::Number(number) => pair(key, any_value::Value::IntValue(*number)),
        Value::Word(word) => text(key, *word),
        Value::Code(code) => text(key, code.as_str()),
        Value::Chain(chain) => text(key, chain.as_str()),
        Value::Node(node) => text(key, node.as_str()),
        Value::Policy(version) => text(key, format!("{version:#}")),
    }
}

fn text(key: &str, value: impl Into<String>) -> KeyValue {
    pair(key, any_value::Value::StringValue(value.into()))
}

fn pair(key: &str, value: any_value::Value) -> KeyValue {
    KeyValue {
        key: key.to_owned(),
        value: Some(sigward_proto::otlp::AnyValue { value: Some(value) }),
    }
}
