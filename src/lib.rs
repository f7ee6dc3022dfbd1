//! sigward: listeners, stores, and the order in which the checks of `sigward-policies` and the keys of `sigward-hsm` are called.
//!
//! A module may use modules of a lower layer only, never a sibling of the same one; `tests/it/layers.rs` holds the table and
//! reads every path. `cli` [9] → `app` [8] → `listener` [7] → `admin` [6] → `sign` [5] → `authn`, `authz` [4] → `guard`, `audit`,
//! `keyring` [3] → `store` [2] → `telemetry`, `config` [1] → `clock`, `crash`, `shutdown` [0].

pub mod audit;
pub mod clock;
pub(crate) mod crash;
pub mod store;
