//! Which tokens were shown. Pure: time comes in as an argument.
//!
//! *Invariants:* what was shown is remembered until nobody would take it any more; a clock that goes back brings nothing back that
//! was forgotten meanwhile; where there is no room nothing is forgotten, and nothing is taken. Nobody has all of the room: an issuer,
//! with as many subjects as it likes to invent, has no more than what is left to the others, and a subject a quarter.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::hash::Hash;

use sha2::{Digest as _, Sha256};
use sigward_policies::decision::{Refusal, RefusalCode};
use sigward_policies::model::bearer::IssuerName;

use super::refused;
use super::token::Claims;

/// How many are remembered: some 20 MiB. A quarter of them of one holder: 100 requests a second with the longest tokens. An issuer has
/// no more than there is room left: half of all where it is alone, and where others have their half, half of what they left.
pub(super) const MOST: usize = 1 << 17;
const SHARE: usize = 4;

type Id = [u8; 32];

/// A token, its holder, and who vouches for that.
type Shown = (Id, Id, IssuerName);

/// What was shown and has not expired.
#[derive(Debug)]
pub(super) struct Replays {
    most: usize,
    shown: HashSet<Id>,
    by_end: BTreeMap<i64, Vec<Shown>>,
    holders: HashMap<Id, usize>,
    issuers: HashMap<IssuerName, usize>,
    /// Everything that ended before this is forgotten.
    horizon: i64,
}

impl Replays {
    pub(super) fn new(most: usize) -> Self {
        Self {
            most,
            shown: HashSet::new(),
            by_end: BTreeMap::new(),
            holders: HashMap::new(),
            issuers: HashMap::new(),
            horizon: i64::MIN,
        }
    }

    /// Uses a token up, which nobody takes after `end`.
    pub(super) fn take(&mut self, claims: &Claims, end: i64, now: i64) -> Result<(), Refusal> {
        self.forget(now);
        if end < self.horizon {
            return Err(refused("the token has expired"));
        }
        let holder = digest(&[&claims.holder.to_string()]);
        let id = digest(&[claims.holder.issuer().as_str(), &claims.id]);
        if self.shown.contains(&id) {
            let message = "the token was shown before; every request needs one of its own";
            return Err(Refusal::new(RefusalCode::TokenReplayed, message));
        }
        let issuer = claims.holder.issuer();
        let of_holder = self.holders.get(&holder).copied().unwrap_or(0);
        let of_issuer = self.issuers.get(issuer).copied().unwrap_or(0);
        let left = self.most.saturating_sub(self.shown.len());
        if of_issuer >= left || of_holder >= (self.most / SHARE).max(1) {
            let message = format!(
                "{of_holder} tokens of {} have not expired, {of_issuer} of {issuer}, and {} in all: ask again later, with tokens that end sooner",
                claims.holder,
                self.shown.len()
            );
            return Err(Refusal::new(RefusalCode::TooManyTokens, message));
        }
        self.shown.insert(id);
        let shown = (id, holder, issuer.clone());
        self.by_end.entry(end).or_default().push(shown);
        self.holders.insert(holder, of_holder + 1);
        self.issuers.insert(issuer.clone(), of_issuer + 1);
        Ok(())
    }

    fn forget(&mut self, now: i64) {
        self.horizon = self.horizon.max(now);
        let kept = self.by_end.split_off(&self.horizon);
        for (id, holder, issuer) in std::mem::replace(&mut self.by_end, kept).into_values().flatten() {
            self.shown.remove(&id);
            one_less(&mut self.holders, &holder);
            one_less(&mut self.issuers, &issuer);
        }
    }
}

fn one_less<K: Hash + Eq>(counts: &mut HashMap<K, usize>, key: &K) {
    match counts.get_mut(key) {
        Some(count) if *count > 1 => *count -= 1,
        _ => drop(counts.remove(key)),
    }
}

fn digest(parts: &[&str]) -> Id {
    let mut digest = Sha256::new();
    for part in parts {
        digest.update((part.len() as u64).to_be_bytes());
        digest.update(part);
    }
    digest.finalize().into()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;
    use sigward_policies::model::bearer::TokenHolder;

    use super::*;

    fn claims(holder: &str, id: &str) -> Claims {
        Claims {
            holder: TokenHolder::parse(holder).unwrap(),
            audience: String::new(),
            issued: 0,
            expires: 0,
            begins: None,
            id: id.to_owned(),
            method: String::new(),
            path: String::new(),
            body: [0; 32],
        }
    }

    fn code(outcome: Result<(), Refusal>) -> &'static str {
        outcome.err().map_or("", |refusal| refusal.code.as_str())
    }

    #[test]
    fn what_was_shown_is_remembered_until_it_ends_whatever_the_clock_does() {
        let mut replays = Replays::new(100);
        let one = claims("i/a", "1");
        assert_eq!(code(replays.take(&one, 110, 100)), "");
        assert_eq!(code(replays.take(&one, 110, 110)), "token_replayed");
        // Another issuer's token may have the same id.
        assert_eq!(code(replays.take(&claims("j/a", "1"), 110, 110)), "");
        // It ended and was forgotten; then the clock is set back, and it is no better for it.
        assert_eq!(code(replays.take(&claims("i/a", "2"), 300, 111)), "");
        assert_eq!(replays.shown.len(), 1);
        assert_eq!(code(replays.take(&one, 110, 50)), "token_refused");
        assert_eq!(code(replays.take(&claims("i/a", "3"), 111, 50)), "");
    }

    #[test]
    fn where_there_is_no_room_nothing_is_forgotten_and_nobody_has_all_of_it() {
        let mut replays = Replays::new(8);
        for (holder, id, wanted) in [
            ("i/a", "1", ""),
            ("i/a", "2", ""),
            ("i/a", "3", "too_many_tokens"),
            ("i/a", "1", "token_replayed"),
            ("i/b", "3", ""),
            ("i/c", "4", ""),
            // Half of it is this issuer's.
            ("i/d", "5", "too_many_tokens"),
            ("j/a", "1", ""),
            ("j/b", "2", ""),
            ("j/c", "3", "too_many_tokens"),
            ("k/a", "1", ""),
            ("l/a", "1", ""),
            // Now it is full.
            ("m/a", "1", "too_many_tokens"),
            ("l/a", "1", "token_replayed"),
        ] {
            assert_eq!(
                code(replays.take(&claims(holder, id), 10, 0)),
                wanted,
                "{holder} {id}"
            );
        }
        assert_eq!(code(replays.take(&claims("i/d", "5"), 20, 11)), "");
        let kept = (replays.shown.len(), replays.holders.len(), replays.issuers.len());
        assert_eq!(kept, (1, 1, 1));
    }

    proptest! {
        /// However much issuers show, with however many subjects: one that has shown nothing yet is heard, as long as there are not many
        /// more issuers than a tenth of the room.
        #[test]
        fn an_issuer_that_invents_subjects_leaves_room_for_the_others(
            shown in proptest::collection::vec((0..8_u8, any::<u16>()), 0..2000)
        ) {
            let mut replays = Replays::new(1 << 9);
            for (number, (issuer, subject)) in shown.iter().enumerate() {
                let holder = format!("i{issuer}/{subject}");
                let _full_or_not = replays.take(&claims(&holder, &number.to_string()), 10, 0);
            }
            prop_assert!(replays.shown.len() < replays.most);
            prop_assert!(replays.issuers.values().all(|count| *count <= replays.most / 2));
            prop_assert_eq!(replays.issuers.values().sum::<usize>(), replays.shown.len());
            prop_assert_eq!(code(replays.take(&claims("new/a", "x"), 10, 0)), "");
        }
    }
}
