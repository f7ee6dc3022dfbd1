//! The second question. A call that was let come nearer says, once it is read, which keys and chains it is about, and is judged for
//! each of them by the document that was in force when it came.
//!
//! *Invariants:* [`Admitted`] lets nothing happen: only what it becomes does. It becomes [`MayAct`] by naming every key and chain of an
//! act, each of which must be allowed, or [`Sight`], which shows of everything only what is. A rate is counted here and nowhere else,
//! once for each rule (and key, where it counts keys) that lets a call through. Whoever admits can see whether it was asked.

use std::sync::Arc;

use sigward_policies::authz::{KeyFacts, Needed, Question, Ruling, Verdict};
use sigward_policies::decision::Refusal;
use sigward_policies::model::id::{ChainId, UnixSeconds};
use sigward_policies::model::operation::Operation;

use super::calls::Call;
use super::judge::{Granted, Judge};
use super::{InForce, Mode, Policies};
use crate::audit::Asker;

/// What one question is about: a key, a chain, both, or neither.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct About {
    /// The key.
    pub key: Option<KeyFacts>,
    /// The chain.
    pub chain: Option<ChainId>,
}

impl About {
    /// A key, whatever the chain.
    pub const fn key(key: KeyFacts) -> Self {
        Self {
            key: Some(key),
            chain: None,
        }
    }

    /// A key on a chain.
    pub const fn key_on(key: KeyFacts, chain: ChainId) -> Self {
        Self {
            key: Some(key),
            chain: Some(chain),
        }
    }

    /// A chain, whatever the key.
    pub const fn chain(chain: ChainId) -> Self {
        Self {
            key: None,
            chain: Some(chain),
        }
    }
}

/// A no to the second question, and what it was about.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Denial {
    /// `not_permitted`, `approval_required`, `rate_limited`.
    pub refusal: Refusal,
    /// The key and chain, of those that were named, for which it is no.
    pub about: Box<About>,
    /// What says so.
    pub ruling: Ruling,
}

/// A call that was let come nearer. Alone it is worth nothing.
#[derive(Debug)]
#[must_use = "a call that is not judged is refused"]
pub struct Admitted(Arc<Judge>);

/// Proof that a call may do what it said, with every key and chain that it named.
#[derive(Debug)]
#[must_use = "an act wants it"]
pub struct MayAct {
    judge: Arc<Judge>,
    who: Asker,
}

/// The same, once others have approved it where a rule wants that: for acts that look for approvals.
#[derive(Debug)]
#[must_use = "it becomes the proof that an act wants"]
pub struct MayOnce {
    may: MayAct,
    needed: Option<Needed>,
}

/// What a caller may see of everything.
#[derive(Debug)]
#[must_use = "a list is shown through it"]
pub struct Sight {
    judge: Arc<Judge>,
    who: Asker,
}

/// Whether a call was judged: for whoever admitted it.
#[derive(Clone, Debug)]
pub struct Judged(Arc<Judge>);

impl Admitted {
    pub(super) fn new(policies: &Arc<Policies>, call: Call<'_>, without_rules: bool) -> Self {
        Self::under(policies.snapshot(), policies, call, without_rules)
    }

    /// What no document decides: none is asked.
    pub(super) fn of_right(policies: &Arc<Policies>, call: Call<'_>) -> Self {
        Self::under(None, policies, call, true)
    }

    fn under(
        in_force: Option<Arc<InForce>>,
        policies: &Arc<Policies>,
        call: Call<'_>,
        without_rules: bool,
    ) -> Self {
        Self(Arc::new(Judge {
            in_force,
            policies: Arc::clone(policies),
            asker: Asker {
                caller: call.caller.clone(),
                context: call.context.clone(),
            },
            operation: call.operation,
            from: call.from,
            now: call.now,
            tick: call.tick,
            without_rules,
            asked_as: Arc::default(),
        }))
    }

    /// The same call, which turns out to ask for something else than its procedure says; it is judged as that.
    pub fn rather(self, operation: Operation) -> Self {
        Self(Arc::new(Judge {
            operation: Some(operation),
            ..Judge::clone(&self.0)
        }))
    }

    /// Who calls.
    pub fn who(&self) -> &Asker {
        &self.0.asker
    }

    /// What for, as rules and records name it.
    pub fn operation_name(&self) -> &'static str {
        self.0.operation.map_or("rpc.other", Operation::as_str)
    }

    /// Whether there is a document at all: without one nobody need find out about keys.
    pub fn has_policy(&self) -> bool {
        self.0.in_force.is_some()
    }

    /// Whether the document by which it is judged is still in force: a request may come slowly.
    pub fn is_current(&self) -> bool {
        self.0.is_current()
    }

    /// For whoever admitted it.
    pub fn judged(&self) -> Judged {
        Judged(Arc::clone(&self.0))
    }

    /// Asks about every key and chain of an act; none of them: about no key and no chain.
    ///
    /// # Errors
    /// `not_permitted`, `approval_required`, `rate_limited`: the first no.
    pub fn may(self, about: &[About]) -> Result<MayAct, Denial> {
        let (may, needed) = self.may_once(about)?.into_parts();
        match needed {
            None => Ok(may),
            Some(needed) => Err(Denial {
                refusal: needed.cannot_wait(),
                about: Box::new(about.first().cloned().unwrap_or_default()),
                ruling: needed.ruling(),
            }),
        }
    }

    /// The same of an act that can wait for others.
    ///
    /// # Errors
    /// `not_permitted`, `rate_limited`: the first no.
    pub fn may_once(self, about: &[About]) -> Result<MayOnce, Denial> {
        self.0.is_asked();
        let none = [About::default()];
        let about = if about.is_empty() { &none } else { about };
        let Granted { ruling, needed } = self.0.dry_run(self.0.all(about))?;
        let needed = self.0.waits_for(needed);
        // Whoever reads a policy is told which acts can wait, and no other ever does.
        match &needed {
            Some(needed) if !self.0.operation.is_some_and(Operation::can_wait) => Err(Denial {
                refusal: needed.cannot_wait(),
                about: Box::new(about.first().cloned().unwrap_or_default()),
                ruling: needed.ruling(),
            })?,
            Some(_) | None => {}
        }
        Ok(MayOnce {
            needed,
            may: MayAct {
                who: self.0.asker.clone().ruled(ruling),
                judge: self.0,
            },
        })
    }

    /// The same of an act that cannot say what it is about: every rule that might be about any of it is heard, and the strictest counts.
    ///
    /// # Errors
    /// `not_permitted`, `rate_limited`: the first no.
    pub fn may_whatever(self) -> Result<MayOnce, Denial> {
        self.0.is_asked();
        let Granted { ruling, needed } = self.0.dry_run(self.0.whatever())?;
        Ok(MayOnce {
            needed: self.0.waits_for(needed),
            may: MayAct {
                who: self.0.asker.clone().ruled(ruling),
                judge: self.0,
            },
        })
    }

    /// Asks for what there is to see. It is granted where something of it could be; each row is judged for itself.
    ///
    /// # Errors
    /// `not_permitted`, `approval_required`, `rate_limited`.
    pub fn look(self) -> Result<Sight, Denial> {
        self.0.is_asked();
        let Granted { ruling, .. } = self.0.dry_run(self.0.something())?;
        Ok(Sight::new(self.0, ruling))
    }

    /// Asks to see one thing, which `about` are all the sides of: to see one of them is to see it.
    ///
    /// # Errors
    /// `not_permitted`, `approval_required`, `rate_limited`.
    pub fn look_at(self, about: &[About]) -> Result<Sight, Denial> {
        self.0.is_asked();
        let Granted { ruling, .. } = self.0.dry_run(self.0.any(about))?;
        Ok(Sight::new(self.0, ruling))
    }

    pub(super) fn in_force(&self) -> Option<&InForce> {
        self.0.in_force.as_deref()
    }

    pub(super) fn question<'a>(
        &'a self,
        key: Option<&'a KeyFacts>,
        chain: Option<&'a ChainId>,
    ) -> Option<Question<'a>> {
        self.0.question(key, chain)
    }

    pub(super) fn would_refuse(&self, refusal: &Refusal) {
        self.0.would_refuse(refusal);
    }

    pub(super) fn unruled(&self) -> Ruling {
        self.0.unruled()
    }
}

impl Judged {
    /// Whether a call that is still being answered may go on with what it was asked as, by the document that is in force now. It is about no key and no chain, as
    /// every answer is that is held open; nothing is counted.
    ///
    /// # Errors
    /// `not_permitted`, `approval_required`.
    pub fn stands(&self, now: UnixSeconds) -> Result<(), Refusal> {
        self.0.again(now).map_err(|denial| denial.refusal)
    }

    /// Whether the second question was asked, whatever the answer.
    pub fn was_asked(&self) -> bool {
        self.0.asked_as.get().is_some()
    }
}

impl MayOnce {
    /// The proof, and what it is worth nothing without.
    pub fn into_parts(self) -> (MayAct, Option<Needed>) {
        (self.may, self.needed)
    }
}

impl MayAct {
    /// Who, and by what right.
    pub const fn who(&self) -> &Asker {
        &self.who
    }

    /// What else the caller may see by the same right.
    pub fn sight(&self) -> Sight {
        Sight {
            judge: Arc::clone(&self.judge),
            who: self.who.clone(),
        }
    }
}

impl Sight {
    fn new(judge: Arc<Judge>, ruling: Ruling) -> Self {
        let who = judge.asker.clone().ruled(ruling);
        Self { judge, who }
    }

    /// Who, and by what right.
    pub const fn who(&self) -> &Asker {
        &self.who
    }

    /// What for, as rules and records name it.
    pub fn operation_name(&self) -> &'static str {
        self.judge.operation.map_or("rpc.other", Operation::as_str)
    }

    /// Whether everything is shown: then nobody need find out about keys.
    pub fn is_whole(&self) -> bool {
        self.judge.in_force.is_none()
    }

    /// Whether this may be shown.
    pub fn sees(&self, about: &About) -> bool {
        let Some(in_force) = &self.judge.in_force else {
            return self.judge.without_rules;
        };
        match self.judge.verdict(&in_force.policy, about) {
            Some(Verdict::Allow { approvals: 0, .. }) => true,
            Some(Verdict::Deny { rule: None }) if self.judge.is_owner() => true,
            _ => in_force.mode == Mode::DryRun && self.judge.without_rules,
        }
    }

    /// What decides whether this may be shown.
    pub fn ruling_on(&self, about: &About) -> Ruling {
        let verdict = self.judge.in_force.as_ref().and_then(|in_force| {
            let rule = self.judge.verdict(&in_force.policy, about)?.rule()?.clone();
            let policy = in_force.policy.version();
            Some(Ruling::Rule { policy, rule })
        });
        verdict.unwrap_or_else(|| self.judge.unruled())
    }

    /// Whether one of these may be shown.
    pub fn sees_any(&self, about: &[About]) -> bool {
        about.iter().any(|about| self.sees(about))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests;
