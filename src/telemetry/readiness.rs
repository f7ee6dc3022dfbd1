//! Readiness: named checks, each with a state, a reason and what to do. All good is ready; none known is not.
//!
//! *Invariant:* unknown is not ready: a check fails until its owner says that it is good, and again when its owner is dropped.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// All checks of the process. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Readiness(Arc<Mutex<Checks>>);

#[derive(Debug, Default)]
struct Checks {
    by_name: BTreeMap<String, Entry>,
    made: u64,
}

/// Whether a failing check makes sigward unready.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Weight {
    /// Without it nothing can be signed.
    Required,
    /// One node's trouble, or a word to the operator: it is told, and everything is signed.
    Told,
}

#[derive(Clone, Debug)]
struct Entry {
    /// Which [`Check`] speaks for it: one that was replaced no longer does.
    owner: u64,
    weight: Weight,
    advice: String,
    failing: Option<String>,
    /// It is good, whatever it says itself, while one of its members is.
    one_of: bool,
    /// The check that it is a member of.
    member_of: Option<String>,
}

/// One check, in the hands of its owner. Dropped, it fails: its owner has ended. [`retire`](Self::retire) takes it away.
#[derive(Debug)]
pub struct Check {
    name: String,
    owner: u64,
    of: Readiness,
}

/// What a check says now.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CheckReport {
    /// Its name, like `store` or `node my-chain-1/node-0`.
    pub name: String,
    /// Whether it counts.
    pub weight: Weight,
    /// Why it fails; None when it is good.
    pub failing: Option<String>,
    /// What to do when it fails.
    pub advice: String,
}

/// What all checks say now.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Report {
    /// Whether there is a required check and all of them are good.
    pub ready: bool,
    /// Each check, by name.
    pub checks: Vec<CheckReport>,
}

impl Readiness {
    /// Adds a check, failing until [`Check::good`]. A second one of the same name takes the place of the first.
    pub fn check(&self, name: impl Into<String>, weight: Weight, advice: impl Into<String>) -> Check {
        let name = name.into();
        let mut checks = self.lock();
        checks.made += 1;
        let owner = checks.made;
        let entry = Entry {
            owner,
            weight,
            advice: advice.into(),
            failing: Some("not begun yet".to_owned()),
            one_of: false,
            member_of: None,
        };
        checks.by_name.insert(name.clone(), entry);
        drop(checks);
        Check {
            name,
            owner,
            of: self.clone(),
        }
    }

    /// Adds a check that is good while one of its [members](Check::member_of) is; `none` is what it says otherwise.
    pub fn one_of(
        &self,
        name: impl Into<String>,
        weight: Weight,
        none: impl Into<String>,
        advice: impl Into<String>,
    ) -> Check {
        let check = self.check(name, weight, advice);
        check.change(|entry| {
            entry.one_of = true;
            entry.failing = Some(none.into());
        });
        check
    }

    /// Takes away the check called `name`, whoever owns it: what it spoke of is gone on purpose.
    pub fn forget(&self, name: &str) {
        self.lock().by_name.remove(name);
    }

    /// What all checks say now.
    pub fn report(&self) -> Report {
        let known = self.lock();
        let good: BTreeSet<_> = known
            .by_name
            .values()
            .filter(|entry| entry.failing.is_none())
            .filter_map(|entry| entry.member_of.as_ref())
            .collect();
        let checks: Vec<_> = known
            .by_name
            .iter()
            .map(|(name, entry)| CheckReport {
                name: name.clone(),
                weight: entry.weight,
                failing: entry
                    .failing
                    .clone()
                    .filter(|_| !(entry.one_of && good.contains(name))),
                advice: entry.advice.clone(),
            })
            .collect();
        drop(known);
        let mut required = checks
            .iter()
            .filter(|check| check.weight == Weight::Required)
            .peekable();
        let ready = required.peek().is_some() && required.all(|check| check.failing.is_none());
        Report { ready, checks }
    }

    /// The map is whole whatever happened to who held it: every change is one assignment.
    fn lock(&self) -> MutexGuard<'_, Checks> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Check {
    /// Says that all is well.
    pub fn good(&self) {
        self.set(None);
    }

    /// Says that it is not, and why: a sentence for operators, without secrets.
    pub fn fail(&self, reason: impl Into<String>) {
        self.set(Some(reason.into()));
    }

    /// The same check, as one of those that `group` needs one of.
    #[must_use]
    pub fn member_of(self, group: impl Into<String>) -> Self {
        self.change(|entry| entry.member_of = Some(group.into()));
        self
    }

    /// Takes the check away: what it spoke of is gone on purpose.
    pub fn retire(self) {
        let mut checks = self.of.lock();
        if checks
            .by_name
            .get(&self.name)
            .is_some_and(|entry| entry.owner == self.owner)
        {
            checks.by_name.remove(&self.name);
        }
    }

    fn set(&self, failing: Option<String>) {
        self.change(|entry| entry.failing = failing);
    }

    fn change(&self, change: impl FnOnce(&mut Entry)) {
        if let Some(entry) = self.of.lock().by_name.get_mut(&self.name)
            && entry.owner == self.owner
        {
            change(entry);
        }
    }
}

impl Drop for Check {
    fn drop(&mut self) {
        self.change(|entry| {
            entry.one_of = false;
            entry.failing = Some("what it watches has ended".to_owned());
        });
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn unknown_is_not_ready() {
        let readiness = Readiness::default();
        assert!(!readiness.report().ready, "no check at all");
        let node = readiness.check("node", Weight::Told, "see the node");
        node.good();
        assert!(!readiness.report().ready, "no required check");
        let store = readiness.check("store", Weight::Required, "see the disk");
        assert!(!readiness.report().ready, "not begun");
        store.good();
        assert!(readiness.report().ready);
    }

    #[test]
    fn a_required_check_that_fails_or_ends_is_unready_and_says_why() {
        let readiness = Readiness::default();
        let store = readiness.check("store", Weight::Required, "see the disk");
        store.good();
        store.fail("disk full");
        let report = readiness.report();
        assert!(!report.ready);
        assert_eq!(
            report.checks.first().unwrap().failing.as_deref(),
            Some("disk full")
        );
        assert_eq!(report.checks.first().unwrap().advice, "see the disk");
        store.good();
        drop(store);
        assert!(!readiness.report().ready);
    }

    #[test]
    fn one_nodes_trouble_is_told_and_a_retired_check_is_gone() {
        let readiness = Readiness::default();
        let store = readiness.check("store", Weight::Required, "");
        let node = readiness.check("node", Weight::Told, "");
        store.good();
        node.fail("refused");
        assert!(readiness.report().ready);
        node.retire();
        assert_eq!(readiness.report().checks.len(), 1);
        let other = readiness.check("other", Weight::Told, "");
        readiness.forget("other");
        drop(other);
        assert_eq!(readiness.report().checks.len(), 1, "its owner brings it not back");
    }

    #[test]
    fn one_good_member_is_enough_and_none_is_not() {
        let readiness = Readiness::default();
        let nodes = readiness.one_of("nodes", Weight::Required, "no node is connected", "see the nodes");
        let failing = || {
            readiness
                .report()
                .checks
                .into_iter()
                .find(|check| check.name == "nodes")
                .unwrap()
                .failing
        };
        assert_eq!(
            failing().as_deref(),
            Some("no node is connected"),
            "no member at all"
        );
        let [a, b] = ["a", "b"].map(|name| readiness.check(name, Weight::Told, "").member_of("nodes"));
        assert!(!readiness.report().ready);
        a.good();
        assert!(readiness.report().ready, "content with one of two");
        b.good();
        drop(a);
        assert!(readiness.report().ready);
        b.retire();
        assert!(!readiness.report().ready);
        readiness.check("c", Weight::Told, "").member_of("nodes").good();
        drop(readiness.check("d", Weight::Told, "").member_of("nodes"));
        assert!(!readiness.report().ready, "dropped is not good");
        drop(nodes);
        assert!(failing().is_some());
    }

    #[test]
    fn a_replaced_check_speaks_no_more() {
        let readiness = Readiness::default();
        let old = readiness.check("store", Weight::Required, "");
        let new = readiness.check("store", Weight::Required, "");
        new.good();
        drop(old);
        assert!(readiness.report().ready);
        readiness.check("store", Weight::Required, "").good();
        new.retire();
        assert_eq!(readiness.report().checks.len(), 1);
    }
}
