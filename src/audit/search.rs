//! Which records somebody asks for. Pure.

use sigward_policies::model::trace::TraceId;

use crate::store::record::{MAX_SUBJECT, kept_subject};
use crate::store::{AuditRecord, Outcome};

/// What a record must have; an absent part asks for nothing.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Search {
    /// The subject, whole, however long, or its beginning where the text ends with `*`.
    pub subject: Option<String>,
    /// The operation, in the same way.
    pub operation: Option<String>,
    /// The public key, hexadecimal, whole or its beginning.
    pub key: Option<String>,
    /// The chain.
    pub chain: Option<String>,
    /// The rule that decided, in the same way; `(built-in)` and `(no rule)` where none did.
    pub rule: Option<String>,
    /// The trace.
    pub trace: Option<TraceId>,
    /// What became of it.
    pub outcome: Option<Outcome>,
    /// Not before this time, microseconds since 1970.
    pub from: Option<i64>,
    /// Before this time.
    pub to: Option<i64>,
    /// Heights, both ends included. Records without a position have none.
    pub heights: Option<(i64, i64)>,
}

impl Search {
    /// Whether `record` is one of those.
    pub fn takes(&self, record: &AuditRecord) -> bool {
        let entry = &record.entry;
        let key = || {
            entry
                .key
                .map(|key| hex::encode(key.as_bytes()))
                .unwrap_or_default()
        };
        subject(self.subject.as_deref(), &entry.subject)
            && text(self.operation.as_deref(), &entry.operation)
            && self.key.as_deref().is_none_or(|wanted| key().starts_with(wanted))
            && self
                .chain
                .as_deref()
                .is_none_or(|wanted| entry.chain.as_ref().is_some_and(|chain| chain.as_str() == wanted))
            && self.rule.as_deref().is_none_or(|wanted| {
                let ruling = entry.context.ruling.as_ref();
                ruling.is_some_and(|ruling| text(Some(wanted), ruling.name()))
            })
            && self
                .trace
                .is_none_or(|wanted| entry.context.trace == Some(wanted))
            && self.outcome.is_none_or(|wanted| wanted == entry.outcome)
            && self.from.is_none_or(|from| entry.time_micros >= from)
            && self.to.is_none_or(|to| entry.time_micros < to)
            && self.heights.is_none_or(|(low, high)| {
                let height = entry.position.map(|position| position.height.value());
                height.is_some_and(|height| (low..=high).contains(&height))
            })
    }
}

/// A long name is looked for by the form that it is kept in.
fn subject(wanted: Option<&str>, found: &str) -> bool {
    match wanted {
        Some(whole) if whole.len() > MAX_SUBJECT && !whole.ends_with('*') => {
            found == kept_subject(whole.to_owned())
        }
        wanted => text(wanted, found),
    }
}

fn text(wanted: Option<&str>, found: &str) -> bool {
    wanted.is_none_or(|wanted| match wanted.strip_suffix('*') {
        Some(beginning) => found.starts_with(beginning),
        None => found == wanted,
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]
mod tests {
    use super::*;
    use crate::audit::testing::{STORE, chain};
    use sigward_policies::authz::{PolicyVersion, RuleId, Ruling};

    fn found(search: &Search) -> Vec<u64> {
        let all = chain(STORE, 9);
        let taken = all.iter().filter(|record| search.takes(record));
        taken.map(|record| record.sequence).collect()
    }

    #[test]
    fn a_rule_is_found_by_its_name_and_a_trace_by_its_id() {
        let (rule, trace) = (RuleId::parse("ops-7").unwrap(), TraceId::new([7; 16]).unwrap());
        let policy = PolicyVersion([1; 32]);
        let mut records = chain(STORE, 4);
        let rulings = [
            None,
            Some(Ruling::BuiltIn),
            Some(Ruling::NoRule { policy }),
            Some(Ruling::Rule { policy, rule }),
        ];
        for (record, ruling) in records.iter_mut().zip(rulings) {
            record.entry.context.ruling = ruling;
        }
        records[2].entry.context.trace = Some(trace);
        let found = |search: Search| {
            let taken = records.iter().filter(|record| search.takes(record));
            taken.map(|record| record.sequence).collect::<Vec<_>>()
        };
        for (text, wanted) in [("ops-7", 4), ("ops-*", 4), ("(no rule)", 3), ("(built-in)", 2)] {
            let rule = Some(text.to_owned());
            let search = Search {
                rule,
                ..Search::default()
            };
            assert_eq!(found(search), [wanted], "{text}");
        }
        let search = Search {
            trace: Some(trace),
            ..Search::default()
        };
        assert_eq!(found(search), [3]);
    }

    #[test]
    fn every_part_must_fit_and_absent_ones_ask_for_nothing() {
        let all = Search::default();
        assert_eq!(found(&all).len(), 9);
        let subject = |text: &str| Search {
            subject: Some(text.to_owned()),
            ..Search::default()
        };
        assert_eq!(found(&subject("uid:3")), [3]);
        assert_eq!(found(&subject("uid:*")).len(), 9);
        assert!(found(&subject("uid:")).is_empty());
        let long = format!("cert:uri:spiffe://{}", "x".repeat(300));
        assert!(
            super::subject(Some(&long), &kept_subject(long.clone())),
            "by its whole name"
        );
        assert!(!super::subject(Some(&long), &kept_subject(format!("{long}y"))));
        let time = Search {
            from: Some(3_000_000),
            to: Some(5_000_000),
            ..Search::default()
        };
        assert_eq!(found(&time), [3, 4]);
        let denied = Search {
            outcome: Some(Outcome::Denied),
            ..Search::default()
        };
        assert!(found(&denied).is_empty());
        let heights = Search {
            heights: Some((0, i64::MAX)),
            ..Search::default()
        };
        assert!(found(&heights).is_empty(), "no record of these has a height");
    }
}
