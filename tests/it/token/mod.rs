//! Keys in a PKCS#11 token: SoftHSM2, whose token is a folder that can be taken away and brought back.

mod crowd;
#[cfg(feature = "failpoints")]
pub(crate) mod cut_off;
mod hanging;
mod real_node;
mod softhsm;
mod staying;
mod taking_in;
mod words;
mod wrong_pin;

/// What `/metrics` tells of each token.
pub(crate) const METRICS: [&str; 5] = [
    "sigward_provider_hanging",
    "sigward_provider_missing_keys",
    "sigward_provider_sessions",
    "sigward_provider_up",
    "sigward_provider_waiting",
];
