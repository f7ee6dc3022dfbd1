//! Authorization: who may ask what of which key.
//!
//! Two things say so. The built-in rule ([`Rules`]): the connection to a configured node may ask for consensus signatures with the key
//! that the configuration gives to its chain. And a [`Policy`], a document of ordered rules: the first that is about a question
//! decides, and where none is, the answer is no.

mod approvals;
mod document;
mod explain;
mod fixed;
mod foresight;
mod glob;
mod keys;
mod limits;
mod network;
mod operations;
mod policy;
mod roles;
mod rule;
mod rules;
mod ruling;
mod subject;
mod window;

pub use approvals::{ApprovalRequest, Approved, Needed, Person, RequestDigest, Said, Standing, Vote};
pub use document::{DocumentError, MAX_DOCUMENT, MAX_PATTERNS, MAX_RULES, Place, Warning};
pub use explain::{Explanation, Look};
pub use fixed::Fixed;
pub use foresight::{Foresight, Strictest};
pub use keys::KeyFacts;
pub use limits::{
    Limits, MAX_ISSUERS, MAX_OF_A_SUBJECT, MAX_SUBJECTS, MAX_SUBJECTS_OF_AN_ISSUER, MOST_OF_AN_ISSUER, Rate,
    Tick, TooOften,
};
pub use operations::{Operations, Reserved};
pub use policy::{Policy, PolicyVersion, Verdict};
pub use roles::{BUILT_IN, Role, built_in};
pub use rule::{Effect, Miss, Question, Rule, RuleId};
pub use rules::{NodeGrant, Permit, Rules};
pub use ruling::Ruling;
