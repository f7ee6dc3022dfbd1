//! Everything that can say no: the vocabulary, the canonical sign bytes, the rules of authorization and of double signing, and
//! the proof tokens that carry a request from *received* to *released*.
//!
//! Pure functions of plain data. This package knows no clock, no disk, no network and no cryptography: times, digests,
//! addresses and signatures come in as data, so that a test can enumerate every decision.
//!
//! *Invariant:* a [`proof::Released`] can only be made from a permit, a clearance, a checked signature and a durable record that
//! all speak of the same request.

pub mod authz;
pub mod decision;
pub mod double_sign;
pub mod holding;
pub mod model;
pub mod proof;
