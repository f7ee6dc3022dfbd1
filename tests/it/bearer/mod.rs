//! The door for clients that show tokens, met by what such clients use: curl, grpcurl and `sigward --server --token-key`; by an
//! attacker with somebody else's token; and by issuers that are taken out while their clients are connected.

pub(crate) mod api_key;
mod attacks;
mod clients;
mod held_open;
mod stage;
#[cfg(feature = "otel")]
mod traced;
