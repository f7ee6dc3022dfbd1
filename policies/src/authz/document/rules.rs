//! Rules: from what is written to what holds.

use std::collections::HashMap;

use super::error::{DocumentError, Place, quote};
use super::raw::{List, Number, RawRate, RawRule};
use super::read::{Source, too_many};
use super::{MAX_APPROVALS, MAX_PATTERNS};
use crate::authz::glob::{Glob, MAX_PATTERN};
use crate::authz::keys::KeyPattern;
use crate::authz::limits::{MAX_COUNT, MAX_PER_SECONDS, Rate};
use crate::authz::network::Network;
use crate::authz::operations::{Operations, Reserved};
use crate::authz::roles;
use crate::authz::rule::{Effect, Rule, RuleId};
use crate::authz::subject::SubjectPattern;
use crate::authz::window::{DAYS, Hours, Window};
use crate::model::operation::Operation;
use crate::model::suggest;

pub(super) fn rules(raw: &[RawRule], source: &Source<'_>) -> Result<Vec<Rule>, DocumentError> {
    let mut ids = HashMap::new();
    let mut rules = Vec::with_capacity(raw.len());
    let mut patterns = 0;
    for (index, raw) in raw.iter().enumerate() {
        let at = format!("rule[{index}]");
        source.name(&raw.id, &format!("{at}.id"))?;
        if let Some(first) = ids.insert(raw.id.as_ref().as_str(), index) {
            return Err(source.bad(
                &raw.id,
                format!("{at}.id"),
                format!("{} is rule[{first}] already", quote(raw.id.as_ref())),
                "give each rule an id of its own; records name it",
            ));
        }
        let rule = rule(raw, &at, source)?;
        patterns += rule.subjects.len()
            + rule.keys.len()
            + rule.chains.len()
            + rule.from.len()
            + rule.window.hours.len();
        if patterns > MAX_PATTERNS {
            return Err(too_many());
        }
        rules.push(rule);
    }
    Ok(rules)
}

fn rule(raw: &RawRule, at: &str, source: &Source<'_>) -> Result<Rule, DocumentError> {
    let operations = operations(raw, at, source)?;
    let of = |name: &str| format!("{at}.{name}");
    Ok(Rule {
        id: RuleId(raw.id.as_ref().as_str().into()),
        line: Place::of(source.text, raw.id.span().start).line,
        effect: effect(raw, at, operations, source)?,
        operations,
        subjects: subjects(&raw.subjects, &of("subjects"), source)?.into(),
        keys: optional(raw.keys.as_ref(), &of("keys"), source, KeyPattern::parse)?,
        chains: optional(raw.chains.as_ref(), &of("chains"), source, chain)?,
        from: optional(raw.from.as_ref(), &of("from"), source, |text| {
            Network::parse(text).map_err(|advice| ("this is no network".to_owned(), advice))
        })?,
        window: Window {
            hours: optional(raw.hours.as_ref(), &of("hours"), source, |text| {
                Hours::parse(text).map_err(|advice| ("these are no hours".to_owned(), advice))
            })?,
            days: optional(raw.days.as_ref(), &of("days"), source, day)?
                .iter()
                .fold(0, |days, day| days | day),
        },
    })
}

fn optional<'a, T>(
    list: Option<&'a List>,
    field: &str,
    source: &Source<'a>,
    read: impl FnMut(&'a str) -> Result<T, (String, String)>,
) -> Result<Box<[T]>, DocumentError> {
    list.map_or_else(
        || Ok(Box::default()),
        |list| Ok(source.each(list, field, read)?.into()),
    )
}

/// Roles and operations together; one of both at least.
fn operations(raw: &RawRule, at: &str, source: &Source<'_>) -> Result<Operations, DocumentError> {
    if raw.roles.is_none() && raw.operations.is_none() {
        return Err(source.bad(
            &raw.id,
            at,
            "the rule names no operation",
            "add `operations = […]` or `roles = […]`; `sigward policy show` lists both",
        ));
    }
    let role = |name: &str| {
        let known = roles::BUILT_IN.iter().map(|role| role.name);
        let operations = source.roles.get(name).copied();
        let built_in = || roles::built_in(name).map(|role| role.operations);
        operations.or_else(built_in).ok_or_else(|| {
            let known: Vec<&str> = known.chain(source.roles.keys().copied()).collect();
            ("there is no such role".to_owned(), suggest::advice(name, &known))
        })
    };
    // On the safe side in either direction; what is neither word is refused in a moment.
    let reserved = match raw.effect.as_ref().as_str() {
        "deny" => Reserved::Included,
        _ => Reserved::LeftOut,
    };
    let mut all = Operations::NONE;
    if let Some(names) = &raw.roles {
        let found = source.each(names, &format!("{at}.roles"), role)?;
        all = found.into_iter().fold(all, Operations::and);
    }
    if let Some(words) = &raw.operations {
        all = all.and(source.operations(words, &format!("{at}.operations"), reserved)?);
    }
    Ok(all)
}

/// Names of `[subjects]`, and patterns.
fn subjects(list: &List, field: &str, source: &Source<'_>) -> Result<Vec<SubjectPattern>, DocumentError> {
    let read = |word: &str| {
        if word == "*" || word.contains(':') {
            return SubjectPattern::parse(word).map(|pattern| vec![pattern]);
        }
        source.subjects.get(word).cloned().ok_or_else(|| {
            let known: Vec<&str> = source.subjects.keys().copied().collect();
            let advice = match suggest::nearest(word, &known) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!(
                    "name it in [subjects], or write a pattern: dns:NAME, uri:URI, jwt:ISSUER/SUBJECT, apikey:NAME, uid:NUMBER, node:CHAIN/NODE{}",
                    if known.is_empty() { String::new() } else { format!("; known here: {}", known.join(", ")) }
                ),
            };
            ("no subject of this document is called so".to_owned(), advice)
        })
    };
    let found = source.each(list, field, read)?;
    if found.iter().map(Vec::len).sum::<usize>() > MAX_PATTERNS {
        return Err(too_many());
    }
    Ok(found.into_iter().flatten().collect())
}

fn effect(
    raw: &RawRule,
    at: &str,
    operations: Operations,
    source: &Source<'_>,
) -> Result<Effect, DocumentError> {
    match raw.effect.as_ref().as_str() {
        "allow" => Ok(Effect::Allow {
            approvals: match &raw.approvals {
                None => 0,
                Some(number) => approvals(number, &format!("{at}.approvals"), operations, source)?,
            },
            rate: match &raw.rate {
                None => None,
                Some(raw) => Some(rate(raw.as_ref(), &format!("{at}.rate"), source)?),
            },
        }),
        "deny" => {
            let refused = |field: &str, span| {
                DocumentError::new(
                    "a rule that denies lets nothing through that could be counted or approved",
                    "take it out, or write effect = \"allow\"",
                )
                .at(source.text, &span)
                .field(format!("{at}.{field}"))
            };
            match (&raw.approvals, &raw.rate) {
                (Some(approvals), _) => Err(refused("approvals", approvals.span())),
                (None, Some(rate)) => Err(refused("rate", rate.span())),
                (None, None) => Ok(Effect::Deny),
            }
        }
        other => Err(source.bad(
            &raw.effect,
            format!("{at}.effect"),
            format!("unknown effect {}", quote(other)),
            suggest::advice(other, &["allow", "deny"]),
        )),
    }
}

fn approvals(
    value: &Number,
    field: &str,
    operations: Operations,
    source: &Source<'_>,
) -> Result<u8, DocumentError> {
    if let Some(signs) = operations.find(|operation| operation.consensus_step().is_some()) {
        return Err(source.bad(
            value,
            field,
            format!("{signs} is among the operations, and a vote cannot wait for people"),
            "write a rule of its own for what needs approval",
        ));
    }
    if operations
        .find(|operation| operation == Operation::Freeze)
        .is_some()
    {
        return Err(source.bad(
            value,
            field,
            "freeze is among the operations, and what stops signing waits for nobody",
            "write a rule of its own for what needs approval",
        ));
    }
    number(value, field, 1, MAX_APPROVALS, "others who must approve", source)
        .map(|number| u8::try_from(number).unwrap_or(u8::MAX))
}

fn rate(raw: &RawRate, field: &str, source: &Source<'_>) -> Result<Rate, DocumentError> {
    let whole = |value, name: &str, most: u32, what| {
        let field = format!("{field}.{name}");
        number(value, &field, 1, most.into(), what, source).map(|number| u32::try_from(number).unwrap_or(1))
    };
    let mut rate = Rate {
        count: whole(&raw.count, "count", MAX_COUNT, "times")?,
        per_seconds: whole(&raw.per_seconds, "per_seconds", MAX_PER_SECONDS, "seconds")?,
        each_key: false,
        each_operation: false,
    };
    if let Some(each) = &raw.each {
        let known = |word: &str| match word {
            "key" | "operation" => Ok(word == "key"),
            other => Err((
                "rates are not counted so".to_owned(),
                suggest::advice(other, &["key", "operation"]),
            )),
        };
        for is_key in source.each(each, &format!("{field}.each"), known)? {
            rate.each_key |= is_key;
            rate.each_operation |= !is_key;
        }
    }
    Ok(rate)
}

fn number(
    value: &Number,
    field: &str,
    least: i64,
    most: i64,
    what: &str,
    source: &Source<'_>,
) -> Result<i64, DocumentError> {
    let number = *value.as_ref();
    if (least..=most).contains(&number) {
        return Ok(number);
    }
    Err(source.bad(
        value,
        field,
        format!("{number} is out of range"),
        format!("write a number of {what} from {least} to {most}"),
    ))
}

fn chain(text: &str) -> Result<Glob, (String, String)> {
    let good =
        !text.is_empty() && text.len() <= MAX_PATTERN && text.bytes().all(|b| (0x21..=0x7e).contains(&b));
    if good {
        return Ok(Glob::new(text, None));
    }
    Err((
        "no chain is called so".to_owned(),
        "write a chain id as in its genesis file, with * where it may differ".to_owned(),
    ))
}

/// The bit of a day.
fn day(word: &str) -> Result<u8, (String, String)> {
    match DAYS.iter().position(|day| *day == word) {
        Some(day) => Ok(1 << day),
        None => Err(("this is no day".to_owned(), suggest::advice(word, &DAYS))),
    }
}
