//! What a document may say and probably does not mean.

use std::fmt;

use super::error::Place;
use super::raw::{RawDocument, Text};
use super::read::Source;
use crate::authz::rule::{Effect, Rule};
use crate::authz::subject::SubjectPattern;
use crate::model::operation::Operation;

/// One thing that an operator should hear. Nothing is refused for it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Warning {
    /// Where.
    pub line: usize,
    /// What.
    pub message: String,
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.message)
    }
}

/// In the order of the document.
pub(super) fn of(raw: &RawDocument, rules: &[Rule], source: &Source<'_>) -> Vec<Warning> {
    let mut warnings = Vec::new();
    let mut warn = |line, message| warnings.push(Warning { line, message });
    let line = |name: &Text| Place::of(source.text, name.span().start).line;
    let mut names = Names::default();
    for rule in &raw.rule {
        names
            .subjects
            .extend(rule.subjects.as_ref().iter().map(|name| name.as_ref().as_str()));
        let roles = rule.roles.iter().flat_map(|roles| roles.as_ref());
        names.roles.extend(roles.map(|name| name.as_ref().as_str()));
    }
    for name in raw
        .subjects
        .keys()
        .filter(|name| !names.subjects.contains(name.as_ref().as_str()))
    {
        warn(line(name), format!("subject {} is in no rule", name.as_ref()));
    }
    for name in raw
        .roles
        .keys()
        .filter(|name| !names.roles.contains(name.as_ref().as_str()))
    {
        warn(line(name), format!("role {} is in no rule", name.as_ref()));
    }
    if rules.is_empty() {
        warn(
            1,
            "there is no rule: nobody may do anything but what the configuration gives".to_owned(),
        );
    }
    for (index, rule) in rules.iter().enumerate() {
        if let Some(before) = rules.iter().take(index).find(|before| covers(before, rule)) {
            let (id, first) = (&rule.id, &before.id);
            warn(
                rule.line,
                format!("rule {id} never decides: rule {first} is before it, and about all of it"),
            );
        }
        if rule.is_scoped() {
            let in_vain: Vec<_> = rule.operations.iter().filter(|o| o.is_about_nothing()).collect();
            let all = in_vain.len() == rule.operations.iter().count();
            let named: Vec<_> = in_vain.into_iter().map(Operation::as_str).collect();
            let are = if named.len() > 1 { "are" } else { "is" };
            let (id, named) = (&rule.id, named.join(", "));
            if all {
                let message = format!(
                    "rule {id} never decides: it names keys or chains, and {named} {are} about none; leave `keys` and `chains` out"
                );
                warn(rule.line, message);
            } else if matches!(rule.effect, Effect::Allow { .. }) && !named.is_empty() {
                let message = format!(
                    "rule {id} allows nobody {named}: it names keys or chains, and that {are} about none; a rule without them does"
                );
                warn(rule.line, message);
            }
        }
        // An API key gets none of that, whatever a rule says.
        let people = rule
            .subjects
            .iter()
            .any(|subject| !matches!(subject, SubjectPattern::ApiKey(_)));
        if let (Effect::Allow { approvals: 0, .. }, true) = (rule.effect, people) {
            let alone: Vec<_> = rule
                .operations
                .iter()
                .filter(|o| o.wants_second_person())
                .collect();
            if !alone.is_empty() {
                let alone: Vec<_> = alone.into_iter().map(Operation::as_str).collect();
                let message = format!(
                    "rule {} lets one person alone {}: `approvals = 1` asks another",
                    rule.id,
                    alone.join(", ")
                );
                warn(rule.line, message);
            }
        }
        if let Some(message) = beyond_signing(rule) {
            warn(rule.line, message);
        }
        in_vain(rule)
            .into_iter()
            .for_each(|message| warn(rule.line, message));
        if matches!(rule.effect, Effect::Allow { .. }) && rule.subjects.contains(&SubjectPattern::Anyone) {
            warn(
                rule.line,
                format!("rule {} is for anyone who proves to be somebody", rule.id),
            );
        }
    }
    warnings.sort_by_key(|warning| warning.line);
    warnings
}

/// What a rule gives to API keys that they do not get: they are for signing only.
fn beyond_signing(rule: &Rule) -> Option<String> {
    let key = rule
        .subjects
        .iter()
        .find(|subject| matches!(subject, SubjectPattern::ApiKey(_)))?;
    let beyond: Vec<_> = rule.operations.iter().filter(|o| !o.signs()).collect();
    let beyond = first_of(&beyond)?;
    matches!(rule.effect, Effect::Allow { .. }).then(|| {
        format!(
            "rule {} gives {key} {beyond}: an API key is for signing only (sign.*), and does not get it",
            rule.id
        )
    })
}

/// Approvals that nobody can give: of acts that cannot wait, and of askers who are no persons. Such a rule lets nobody through.
fn in_vain(rule: &Rule) -> Vec<String> {
    let Effect::Allow { approvals: 1.., .. } = rule.effect else {
        return Vec::new();
    };
    let cannot: Vec<_> = rule
        .operations
        .iter()
        .filter(|o| o.is_offered() && !o.can_wait())
        .collect();
    let programs: Vec<_> = rule
        .subjects
        .iter()
        .filter(|subject| matches!(subject, SubjectPattern::Jwt { .. } | SubjectPattern::Node { .. }))
        .collect();
    let acts = first_of(&cannot).map(|acts| {
        format!(
            "rule {} lets nobody do {acts}: it wants approvals, and there is no way yet to give them for that; write a rule without `approvals` for it",
            rule.id
        )
    });
    // Where no act can wait, it makes no difference who asks.
    let can_wait = cannot.len() < rule.operations.iter().count();
    let askers = first_of(&programs).filter(|_| can_wait).map(|programs| {
        format!(
            "rule {} lets {programs} do nothing: it wants approvals, and no program asks for what a person must decide",
            rule.id
        )
    });
    acts.into_iter().chain(askers).collect()
}

/// The first, and how many more there are.
fn first_of<T: fmt::Display>(all: &[T]) -> Option<String> {
    let (first, rest) = all.split_first()?;
    Some(match rest.len() {
        0 => first.to_string(),
        others => format!("{first} and {others} more"),
    })
}

#[derive(Default)]
struct Names<'a> {
    subjects: std::collections::HashSet<&'a str>,
    roles: std::collections::HashSet<&'a str>,
}

/// Whether `first` is about whatever `later` is about, as far as can be told at once.
fn covers(first: &Rule, later: &Rule) -> bool {
    let knows =
        |subject| first.subjects.contains(&SubjectPattern::Anyone) || first.subjects.contains(subject);
    let unconditional = first.window == Default::default();
    first.operations.includes(later.operations)
        && unconditional
        && (first.keys.is_empty() || first.keys == later.keys)
        && (first.chains.is_empty() || first.chains == later.chains)
        && (first.from.is_empty() || first.from == later.from)
        && later.subjects.iter().all(knows)
}
