//! Listeners: peer bytes in, domain types out, replies back.
//!
//! Nothing behind this module sees protobuf, HTTP or TLS. Layer 7: may import everything below it.

mod body;
pub mod grpc;
pub mod http;
pub mod json;
pub mod privval;
mod spans;
pub mod tls;
mod trace;
