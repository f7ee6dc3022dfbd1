//! What is told of one request: plain data, made when it has ended.

use std::sync::Arc;
use std::time::{Duration, Instant};

use sigward_policies::authz::PolicyVersion;
use sigward_policies::model::id::{ChainId, NodeName};
use sigward_policies::model::trace::TraceId;

use crate::telemetry::trace::SpanId;

/// A request that has ended.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Report {
    /// Its trace.
    pub trace: TraceId,
    /// Its span.
    pub span: SpanId,
    /// The caller's span, where it named one.
    pub parent: Option<SpanId>,
    /// What was asked: a word of ours.
    pub name: &'static str,
    /// When it came.
    pub began: Began,
    /// How long it took.
    pub took: Duration,
    /// What else is known of it.
    pub attributes: Vec<(&'static str, Value)>,
    /// Whether it went wrong for a fault of ours; a refusal is none (OpenTelemetry, status of a server's span).
    pub fault: Fault,
    /// Its stages, in the order in which they ended.
    pub stages: Vec<StageSpan>,
}

/// A moment by the clock of the day and by the one that only goes on: times of day are made of the first, spans between two of the second.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Began {
    /// Microseconds since 1970.
    pub unix_micros: i64,
    /// The same moment.
    pub at: Instant,
}

/// Whether a request went wrong for a fault of ours.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fault {
    /// It was answered, or refused as it had to be.
    None,
    /// It was not, and the attribute `error.type` says why.
    Ours,
}

/// A part of the way of a request.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct StageSpan {
    /// Its name: a word of ours.
    pub name: &'static str,
    /// When it began.
    pub began: Instant,
    /// How long it took.
    pub took: Duration,
}

/// A value of an attribute. There is none for bytes, nor for text that somebody sent.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Value {
    /// A number.
    Number(i64),
    /// A word of ours.
    Word(&'static str),
    /// A stable code, as errors begin with one.
    Code(Code),
    /// A chain of the configuration.
    Chain(ChainId),
    /// A node of the configuration.
    Node(NodeName),
    /// The document that was in force.
    Policy(PolicyVersion),
}

/// Small letters, digits and `_`, 64 at most.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Code(Arc<str>);

impl Report {
    /// How many spans it makes.
    pub const fn spans(&self) -> u64 {
        self.stages.len() as u64 + 1
    }
}

impl Value {
    /// The code that `message` begins with, as all errors of ours do: `code: what is wrong`. Also where it is percent-encoded.
    pub fn code_of(message: &str) -> Option<Self> {
        let (code, _) = message.split_once(':').unwrap_or((message, ""));
        let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_';
        let good = (1..=64).contains(&code.len()) && code.bytes().all(plain);
        good.then(|| Self::Code(Code(code.into())))
    }
}

impl Code {
    /// As it is written.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}
