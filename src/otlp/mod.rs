//! OTLP, layer 2: reports of requests (`telemetry::spans`) on their way to a collector of traces. May import `config`, `telemetry`, `tls`.
//!
//! Everything is in `send`, which is built with the feature `otel`. A program without it never comes here: its configuration is refused.
//!
//! *Invariants:* nobody who signs waits for anything here; what is sent are the words and numbers of reports, and nothing else; where it is
//! sent is what the configuration says, and no variable of the environment changes it; what a collector answers is hostile, and bounded.

#[cfg(feature = "otel")]
mod send;
#[cfg(feature = "otel")]
pub use send::{OtlpError, check, open};

#[cfg(not(feature = "otel"))]
mod without;
#[cfg(not(feature = "otel"))]
pub use without::{OtlpError, check, open};
