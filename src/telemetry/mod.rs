//! Telemetry, layer 1: what sigward says of itself: a log, metrics, spans, and whether it is ready. May import `policies` and `clock`.
//!
//! *Invariants:* nothing here decides anything; no payload, no secret and nothing that a peer chose becomes a label or a log field
//! by this module's doing; there are no globals but the log's subscriber, which `tracing` demands.

pub mod activity;
pub mod log;
pub mod metrics;
pub mod readiness;
pub mod spans;
pub mod trace;

pub use metrics::{ChainMetrics, Metrics, NodeMetrics, SignMetrics, StoreMetrics};
pub use readiness::{Check, Readiness};
