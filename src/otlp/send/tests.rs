//! What is sent, read by somebody else's messages; and names of variables that change nothing.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

use std::time::{Duration, Instant};

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value as Theirs;
use opentelemetry_proto::tonic::trace::v1::{SpanFlags, span::SpanKind, status::StatusCode};
use prost::Message as _;
use sigward_policies::authz::PolicyVersion;
use sigward_policies::model::id::{ChainId, NodeName};

use super::words::Words;
use crate::telemetry::spans::{Began, Fault, Report, StageSpan, Value};
use crate::telemetry::trace::{mint, mint_span};

#[test]
fn somebody_elses_messages_read_what_ours_say() {
    let at = Instant::now();
    let stage = |name, from, took| StageSpan {
        name,
        began: at + Duration::from_micros(from),
        took: Duration::from_micros(took),
    };
    let report = Report {
        trace: mint(),
        span: mint_span(),
        parent: Some(mint_span()),
        name: "sign.cometbft.prevote",
        began: Began {
            unix_micros: 1_700_000_000_000_001,
            at,
        },
        took: Duration::from_nanos(500_250),
        attributes: vec![
            ("sigward.height", Value::Number(i64::MAX)),
            ("sigward.outcome", Value::Word("failed")),
            ("sigward.chain.id", Value::Chain(ChainId::new("c-1").unwrap())),
            ("sigward.node.name", Value::Node(NodeName::new("n").unwrap())),
            ("sigward.policy.version", Value::Policy(PolicyVersion([1; 32]))),
            ("error.type", Value::code_of("store_unavailable: x").unwrap()),
        ],
        fault: Fault::Ours,
        stages: vec![stage("guard", 10, 20), stage("commit", 30, 400)],
    };
    let bytes = Words::of("store-7".to_owned())
        .say(std::slice::from_ref(&report))
        .encode_to_vec();
    let read = ExportTraceServiceRequest::decode(bytes.as_slice()).unwrap();
    // Whatever they do not know would be gone.
    assert_eq!(read.encoded_len(), bytes.len());
    let of = &read.resource_spans[0];
    let text = |value: &Option<opentelemetry_proto::tonic::common::v1::AnyValue>| match &value
        .as_ref()
        .unwrap()
        .value
    {
        Some(Theirs::StringValue(text)) => text.clone(),
        Some(Theirs::IntValue(number)) => number.to_string(),
        other => format!("{other:?}"),
    };
    let resource = of.resource.as_ref().unwrap();
    let said: Vec<_> = resource
        .attributes
        .iter()
        .map(|pair| (pair.key.as_str(), text(&pair.value)))
        .collect();
    assert_eq!(said[0], ("service.name", "sigward".to_owned()));
    assert_eq!(said[2], ("service.instance.id", "store-7".to_owned()));
    let spans = &of.scope_spans[0].spans;
    assert_eq!(of.scope_spans[0].scope.as_ref().unwrap().name, "sigward");
    let root = &spans[0];
    assert_eq!(root.trace_id, report.trace.as_bytes());
    assert_eq!(root.span_id, report.span.as_bytes());
    assert_eq!(root.parent_span_id, report.parent.unwrap().as_bytes());
    assert_eq!((root.kind(), root.name.as_str()), (SpanKind::Server, report.name));
    assert_eq!(root.start_time_unix_nano, 1_700_000_000_000_001_000);
    assert_eq!(root.end_time_unix_nano, 1_700_000_000_000_501_250);
    assert_eq!(root.status.as_ref().unwrap().code(), StatusCode::Error);
    let remote = SpanFlags::ContextHasIsRemoteMask as u32 | SpanFlags::ContextIsRemoteMask as u32;
    assert_eq!(root.flags, 1 | remote);
    let known: Vec<_> = root
        .attributes
        .iter()
        .map(|pair| (pair.key.as_str(), text(&pair.value)))
        .collect();
    let expected = [
        ("sigward.height", i64::MAX.to_string()),
        ("sigward.outcome", "failed".to_owned()),
        ("sigward.chain.id", "c-1".to_owned()),
        ("sigward.node.name", "n".to_owned()),
        ("sigward.policy.version", "01".repeat(32)),
        ("error.type", "store_unavailable".to_owned()),
    ];
    assert_eq!(known, expected);
    for (span, (name, from)) in spans[1..].iter().zip([("guard", 10), ("commit", 30)]) {
        assert_eq!((span.name.as_str(), span.kind()), (name, SpanKind::Internal));
        assert_eq!(
            (&span.trace_id, &span.parent_span_id),
            (&root.trace_id, &root.span_id)
        );
        assert_eq!(span.start_time_unix_nano, root.start_time_unix_nano + from * 1000);
        assert!(span.end_time_unix_nano <= root.end_time_unix_nano);
        assert_ne!(span.span_id, root.span_id);
    }
    assert_eq!(spans.len(), 3);
}

#[test]
fn variables_of_an_sdk_are_named_and_what_they_say_is_not() {
    let names = super::names(
        ["PATH", "OTEL_EXPORTER_OTLP_HEADERS", "OTEL_A"]
            .map(str::to_owned)
            .into_iter(),
    );
    assert_eq!(names, "OTEL_A, OTEL_EXPORTER_OTLP_HEADERS");
}
