//! Which records somebody asks for. Pure.

use sigward_policies::model::trace::TraceId;

use crate::store::{AuditRecord, Outcome};

/// What a record must have; an absent part asks for nothing.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Search {
    /// The subject, whole, or its beginning where the text ends with `*`.
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
        text(self.subject.as_deref(), &entry.subject)
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

fn text(wanted: Option<&str>, found: &str) -> bool {
    wanted.is_none_or(|wanted| match wanted.strip_suffix('*') {
        Some(beginning) => found.starts_with(beginning),
        None => found == wanted,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::testing::{STORE, chain};

    fn found(search: &Search) -> Vec<u64> {
        let all = chain(STORE, 9);
        let taken = all.iter().filter(|record| search.takes(record));
        taken.map(|record| record.sequence).collect()
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
