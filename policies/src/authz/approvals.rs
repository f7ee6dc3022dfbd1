//! Approvals: what one person asked and others must agree to. Pure: who keeps requests, and for how long, is not known here.
//!
//! *Invariants:* a request stands for one digest, which its maker takes over the instance, a random request id, the exact parameters
//! and the state before, so that a yes to one act is none to another; nobody approves what they asked, or twice; one no ends it; what
//! was approved is used up by value, by whoever asked, under the policy by which it was asked. No yes is given under another policy.

use std::fmt;

use super::policy::PolicyVersion;
use super::rule::RuleId;
use super::ruling::Ruling;
use crate::decision::{Refusal, RefusalCode};
use crate::model::caller::Caller;
use crate::model::id::UnixSeconds;
use crate::model::operation::Operation;

/// What exactly is approved: a digest over instance, request id, parameters and the state before.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct RequestDigest(pub [u8; 32]);

/// What a rule asks of an act besides the right to it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Needed {
    /// How many others must have approved; at least one.
    pub others: u8,
    /// The policy that says so.
    pub policy: PolicyVersion,
    /// The rule of it.
    pub rule: RuleId,
}

impl Needed {
    /// Which rule asks for how much.
    pub fn asks(&self) -> String {
        let approvals = if self.others == 1 { "approval" } else { "approvals" };
        format!("rule {} wants {} {approvals}", self.rule, self.others)
    }

    /// The refusal of what has no way to wait for others.
    pub fn cannot_wait(&self) -> Refusal {
        Refusal::new(
            RefusalCode::ApprovalRequired,
            format!(
                "{}, and there is no way yet to give {} for this",
                self.asks(),
                if self.others == 1 { "it" } else { "them" },
            ),
        )
    }

    /// Why nobody lets `who` do `operation` under it, however many agree: it cannot wait, or who asks is no person.
    pub fn in_vain(&self, who: &Caller, operation: Operation) -> Option<Refusal> {
        match operation.can_wait() || !operation.is_offered() {
            false => Some(self.cannot_wait()),
            true => Person::of(who).err(),
        }
    }

    /// The same, as records tell it.
    pub fn ruling(&self) -> Ruling {
        Ruling::Rule {
            policy: self.policy,
            rule: self.rule.clone(),
        }
    }
}

/// Longest name of a person who takes part, in bytes.
const MAX_PERSON: usize = 512;

/// What the names of users of this machine begin with.
const LOCAL: &str = "uid:";

/// A person who asks or speaks, by the name that records have. Two callers of one name are one person, and so are all users of this
/// machine: whoever administers it can be each of them. Who shows a token is none: whoever has an issuer's key can be each of its
/// holders, and somebody with a certificate besides.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Person(Box<str>);

impl Person {
    /// The person that a caller is; a program is none.
    pub fn of(who: &Caller) -> Result<Self, Refusal> {
        match who {
            Caller::LocalUser { .. } | Caller::Certificate { .. } => {}
            Caller::Token { .. } | Caller::ApiKey { .. } | Caller::Node { .. } | Caller::Service => {
                return Err(not_yours("no program speaks on what a person must decide"));
            }
        }
        Self::named(&who.to_string())
            .ok_or_else(|| not_yours("a name of more than 512 bytes takes no part in approvals"))
    }

    /// Reads what [`as_str`](Self::as_str) wrote, where it was kept.
    pub fn named(name: &str) -> Option<Self> {
        (1..=MAX_PERSON).contains(&name.len()).then(|| Self(name.into()))
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether the two may be one.
    pub fn may_be(&self, other: &Self) -> bool {
        self == other || (self.0.starts_with(LOCAL) && other.0.starts_with(LOCAL))
    }
}

impl fmt::Display for Person {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// An act that waits for others.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ApprovalRequest {
    /// Who asked for it.
    pub requester: Person,
    /// What it is.
    pub operation: Operation,
    /// What exactly.
    pub digest: RequestDigest,
    /// The policy that asks for approvals.
    pub policy: PolicyVersion,
    /// How many others it asks for.
    pub needed: u8,
    /// From then on it stands for nothing.
    pub expires_at: UnixSeconds,
    said: Vec<Said>,
}

/// Who said what, and when.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Said {
    /// Who.
    pub who: Person,
    /// What.
    pub vote: Vote,
    /// When.
    pub at: UnixSeconds,
}

/// One person's word.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Vote {
    /// Yes.
    Approve,
    /// No: nobody's yes helps it any more.
    Reject,
}

/// How far a request is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Standing {
    /// So many more must approve.
    Waits {
        /// At least one.
        missing: u8,
    },
    /// The act may be done, once.
    Approved,
    /// Somebody said no.
    Rejected,
    /// Nobody used it in time.
    Expired,
}

/// Proof that enough others agreed to exactly this. Good for one act.
#[derive(PartialEq, Eq, Debug)]
#[must_use = "an approval that is not used up is good for nothing"]
pub struct Approved {
    request: ApprovalRequest,
}

impl Approved {
    /// What was approved, and by whom: for the record of the act.
    pub const fn request(&self) -> &ApprovalRequest {
        &self.request
    }
}

impl ApprovalRequest {
    /// A request that nobody has spoken on.
    pub const fn new(
        requester: Person,
        operation: Operation,
        digest: RequestDigest,
        policy: PolicyVersion,
        needed: u8,
        expires_at: UnixSeconds,
    ) -> Self {
        Self {
            requester,
            operation,
            digest,
            policy,
            needed,
            expires_at,
            said: Vec::new(),
        }
    }

    /// The same with what was said on it before, as it was kept.
    #[must_use]
    pub fn with_said(self, said: Vec<Said>) -> Self {
        Self { said, ..self }
    }

    /// Who said what, in order.
    pub fn said(&self) -> &[Said] {
        &self.said
    }

    /// How far it is.
    pub fn standing(&self, now: UnixSeconds) -> Standing {
        let count = |wanted: Vote| self.said.iter().filter(move |said| said.vote == wanted).count();
        if count(Vote::Reject) > 0 {
            return Standing::Rejected;
        }
        if now >= self.expires_at {
            return Standing::Expired;
        }
        let approved = u8::try_from(count(Vote::Approve)).unwrap_or(u8::MAX);
        match self.needed.saturating_sub(approved) {
            0 => Standing::Approved,
            missing => Standing::Waits { missing },
        }
    }

    /// Takes the word of `who`, who has seen `digest`. Whether they may speak at all is asked of the policy before.
    pub fn vote(
        &mut self,
        who: &Person,
        vote: Vote,
        digest: RequestDigest,
        in_force: Option<PolicyVersion>,
        now: UnixSeconds,
    ) -> Result<Standing, Refusal> {
        if digest != self.digest {
            return Err(void("this is said of another request than the one that waits"));
        }
        let standing = self.standing(now);
        if matches!(standing, Standing::Rejected | Standing::Expired) {
            return Err(over(standing));
        }
        match vote {
            Vote::Approve => self.may_approve(who, standing, in_force)?,
            // A no takes the place of a yes; to take back what one asked is everybody's right, under whatever policy.
            Vote::Reject => self.said.retain(|said| !said.who.may_be(who)),
        }
        self.said.push(Said {
            who: who.clone(),
            vote,
            at: now,
        });
        Ok(self.standing(now))
    }

    fn may_approve(
        &self,
        who: &Person,
        standing: Standing,
        in_force: Option<PolicyVersion>,
    ) -> Result<(), Refusal> {
        if who.may_be(&self.requester) {
            return Err(not_yours("nobody approves what they asked for themselves"));
        }
        if self.said.iter().any(|said| said.who.may_be(who)) {
            return Err(not_yours("this person has approved it already"));
        }
        if standing == Standing::Approved {
            return Err(not_yours("enough others have approved it already"));
        }
        if in_force != Some(self.policy) {
            return Err(void(POLICY_CHANGED));
        }
        Ok(())
    }

    /// Uses it up, for the act of `who` whose digest is `digest`, under the policy in force, which wants `others` for it now. Back comes the request where it does
    /// not stand.
    pub fn use_up(
        self,
        who: &Person,
        digest: RequestDigest,
        (in_force, others): (PolicyVersion, u8),
        now: UnixSeconds,
    ) -> Result<Approved, Box<(Self, Refusal)>> {
        let standing = self.standing(now);
        let refusal = if *who != self.requester {
            not_yours("it is used by nobody but who asked for it")
        } else if matches!(standing, Standing::Rejected | Standing::Expired) {
            over(standing)
        } else if digest != self.digest {
            void("it is for another act or other parameters, or the state has changed since it was asked")
        } else if in_force != self.policy {
            void(POLICY_CHANGED)
        } else if self.needed < others {
            void("it was asked where fewer others were wanted than are wanted here and now")
        } else if let Standing::Waits { missing } = standing {
            Refusal::new(
                RefusalCode::ApprovalRequired,
                format!("{} waits for {missing} more to approve it", self.operation),
            )
        } else {
            return Ok(Approved { request: self });
        };
        Err(Box::new((self, refusal)))
    }
}

const POLICY_CHANGED: &str = "the policy has changed since it was asked";

/// What is said of a request that ended.
fn over(standing: Standing) -> Refusal {
    void(match standing {
        Standing::Rejected => "it was rejected",
        Standing::Expired | Standing::Waits { .. } | Standing::Approved => "it has expired",
    })
}

fn void(why: &str) -> Refusal {
    Refusal::new(
        RefusalCode::ApprovalVoid,
        format!("the approval does not stand: {why}"),
    )
}

fn not_yours(why: &str) -> Refusal {
    Refusal::new(RefusalCode::ApprovalNotYours, why)
}

#[cfg(test)]
mod tests;
