//! sigward: listeners, stores, and the order in which the checks of `sigward-policies` and the keys of `sigward-hsm` are called.
//!
//! A module may use modules of a lower layer only, never a sibling of the same one; `tests/it/layers.rs` holds the table and
//! reads every path. `cli` \[9\] → `app` \[8\] → `listener` \[7\] → `admin` \[6\] → `sign` \[5\] → `authn`, `authz` \[4\] → `guard`,
//! `audit`, `keyring` \[3\] → `store`, `chain`, `foreign`, `otlp`, `pki` \[2\] →
//! `telemetry`, `config`, `tls` \[1\] → `backstage`, `clock`, `crash`, `http1`, `shutdown` \[0\].

pub mod admin;
pub mod app;
pub mod audit;
pub mod authn;
pub mod authz;
pub mod backstage;
pub mod chain;
pub mod cli;
pub mod clock;
pub mod config;
pub(crate) mod crash;
pub mod foreign;
pub mod guard;
pub mod http1;
pub mod keyring;
pub mod listener;
pub mod otlp;
pub mod pki;
pub mod shutdown;
pub mod sign;
pub mod store;
pub mod telemetry;
pub mod tls;
