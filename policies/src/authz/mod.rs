//! Authorization: who may ask what of which key.
//!
//! Until rules are documents there is one built-in rule: the connection to a configured node may ask for consensus signatures
//! with the key that the configuration gives to its chain, and nothing else.

mod rules;

pub use rules::{NodeGrant, Permit, Rules};
