//! Separation of duties: nobody both writes the policy and takes or ends keys. With both in one hand no other rule means anything.
//!
//! Judged on the safe side: keys, chains, hours and earlier denials are not counted as a difference, and two patterns of subjects
//! that might share a member do. That one person has two certificates, no document can know.

use super::error::{DocumentError, quote};
use super::raw::RawDocument;
use super::read::Source;
use crate::authz::rule::{Effect, Rule};
use crate::authz::subject::SubjectPattern;
use crate::model::operation::Operation;

const ADVICE: &str = "give policy.write to one subject and the keys to another: nobody may have both, and a `*` among operations gives both";

pub(super) fn are_separate(
    raw: &RawDocument,
    rules: &[Rule],
    source: &Source<'_>,
) -> Result<(), DocumentError> {
    for name in raw.roles.keys() {
        let operations = source
            .roles
            .get(name.as_ref().as_str())
            .copied()
            .unwrap_or_default();
        let takes = operations.find(Operation::takes_keys);
        if let (true, Some(takes)) = (operations.contains(Operation::PolicyWrite), takes) {
            let field = format!("roles.{}", quote(name.as_ref()));
            let message = format!("the role may both policy.write and {takes}");
            return Err(source.bad(name, field, message, ADVICE));
        }
    }
    let allowing = || {
        rules
            .iter()
            .zip(&raw.rule)
            .filter(|(rule, _)| matches!(rule.effect, Effect::Allow { .. }))
    };
    for (writes, raw) in allowing().filter(|(rule, _)| rule.operations.contains(Operation::PolicyWrite)) {
        for (takes, _) in allowing() {
            let Some(taken) = takes.operations.find(Operation::takes_keys) else {
                continue;
            };
            // An API key is for signing only, whatever a rule says: it gets neither.
            let is_somebody = |subject: &&SubjectPattern| !matches!(subject, SubjectPattern::ApiKey(_));
            let meets = writes
                .subjects
                .iter()
                .filter(is_somebody)
                .flat_map(|one| {
                    takes
                        .subjects
                        .iter()
                        .filter(is_somebody)
                        .map(move |other| (one, other))
                })
                .find(|(one, other)| one.may_meet(other));
            if let Some((one, other)) = meets {
                let message = if writes.id == takes.id {
                    format!("rule {} lets {one} both policy.write and {taken}", writes.id)
                } else {
                    format!(
                        "rule {} lets {one} policy.write, and rule {} lets {other} {taken}: one subject could be both",
                        writes.id, takes.id
                    )
                };
                return Err(source.bad(&raw.id, "rule", message, ADVICE));
            }
        }
    }
    Ok(())
}
