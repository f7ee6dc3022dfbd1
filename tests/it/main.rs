//! The one integration-test binary: real CometBFT nodes against the real `sigward` program, and the test that keeps the layers.
//!
//! One binary links once. Everything here talks to `sigward` from the outside (its command line, its sockets, its files), as an
//! operator would; nothing reaches into the library.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

mod audit;
mod backup;
mod bearer;
mod cli;
#[cfg(feature = "failpoints")]
mod crashes;
mod demo;
mod disk;
mod docs;
mod doctor;
mod footprint;
mod hold;
mod hostile;
mod json;
mod layers;
mod moving;
mod nodes;
mod package;
mod policy;
mod profiles;
mod reload;
mod rollback;
mod seal;
mod seeing;
mod support;
mod tls;
mod token;
mod tracing;
