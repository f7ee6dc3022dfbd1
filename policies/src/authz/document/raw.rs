//! A document as it is written, before anything is believed. Values keep their place (`Spanned`), so that a refusal can point at them.

use std::collections::BTreeMap;

use serde::Deserialize;
use toml::Spanned;

/// Text with its place.
pub(super) type Text = Spanned<String>;
/// A number with its place.
pub(super) type Number = Spanned<i64>;
/// A list with its place, and that of each item.
pub(super) type List = Spanned<Vec<Text>>;

#[derive(Deserialize, Debug)]
#[serde(deny_unknown_fields)]
pub(super) struct RawDocument {
    pub(super) version: Number,
    #[serde(default)]
    pub(super) subjects: BTreeMap<Text, List>,
    // Before `roles`: of two words as near, "did you mean" takes the first.
    #[serde(default)]
    pub(super) rule: Vec<RawRule>,
    #[serde(default)]
    pub(super) roles: BTreeMap<Text, List>,
}

#[derive(Deserialize, Debug)]
#[serde(deny_unknown_fields)]
pub(super) struct RawRule {
    pub(super) id: Text,
    pub(super) effect: Text,
    pub(super) subjects: List,
    pub(super) roles: Option<List>,
    pub(super) operations: Option<List>,
    pub(super) keys: Option<List>,
    pub(super) chains: Option<List>,
    pub(super) from: Option<List>,
    pub(super) hours: Option<List>,
    pub(super) days: Option<List>,
    pub(super) rate: Option<Spanned<RawRate>>,
    pub(super) approvals: Option<Number>,
}

#[derive(Deserialize, Debug)]
#[serde(deny_unknown_fields)]
pub(super) struct RawRate {
    pub(super) count: Number,
    pub(super) per_seconds: Number,
    pub(super) each: Option<List>,
}
