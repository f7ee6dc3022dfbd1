//! Approvals: what one person asked and others must agree to. Pure: who keeps requests, and for how long, is not known here.
//!
//! *Invariants:* a request stands for one digest, which its maker takes over the instance, a random request id, the exact parameters
//! and the state before, so that a yes to one act is none to another; nobody approves what they asked, or twice; one no ends it; what
//! was approved is used up by value, under the policy by which it was asked.

use super::policy::PolicyVersion;
use crate::decision::{Refusal, RefusalCode};
use crate::model::caller::Caller;
use crate::model::id::UnixSeconds;
use crate::model::operation::Operation;

/// What exactly is approved: a digest over instance, request id, parameters and the state before.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct RequestDigest(pub [u8; 32]);

/// An act that waits for others.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ApprovalRequest {
    /// Who asked for it.
    pub requester: Caller,
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
    votes: Vec<(Caller, Vote)>,
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
        requester: Caller,
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
            votes: Vec::new(),
        }
    }

    /// Who said what, in order.
    pub fn votes(&self) -> &[(Caller, Vote)] {
        &self.votes
    }

    /// How far it is.
    pub fn standing(&self, now: UnixSeconds) -> Standing {
        let said = |wanted: Vote| self.votes.iter().filter(move |(_, vote)| *vote == wanted).count();
        if said(Vote::Reject) > 0 {
            return Standing::Rejected;
        }
        if now >= self.expires_at {
            return Standing::Expired;
        }
        let approved = u8::try_from(said(Vote::Approve)).unwrap_or(u8::MAX);
        match self.needed.saturating_sub(approved) {
            0 => Standing::Approved,
            missing => Standing::Waits { missing },
        }
    }

    /// Takes the word of `who`, who has seen `digest`. Whether they may speak at all is asked of the policy before.
    pub fn vote(
        &mut self,
        who: &Caller,
        vote: Vote,
        digest: RequestDigest,
        now: UnixSeconds,
    ) -> Result<Standing, Refusal> {
        if digest != self.digest {
            return Err(void("this is said of another request than the one that waits"));
        }
        match who {
            Caller::LocalUser { .. } | Caller::Certificate { .. } | Caller::Token { .. } => {}
            Caller::Node { .. } | Caller::Service => {
                return Err(not_yours("no program speaks on what a person must decide"));
            }
        }
        match self.standing(now) {
            Standing::Rejected => return Err(void("it was rejected")),
            Standing::Expired => return Err(void("it has expired")),
            Standing::Waits { .. } | Standing::Approved => {}
        }
        // To take back what one asked is no approval, and everybody's right.
        if vote == Vote::Approve && *who == self.requester {
            return Err(not_yours("nobody approves what they asked for themselves"));
        }
        match (self.votes.iter_mut().find(|(voter, _)| voter == who), vote) {
            (Some((_, said)), Vote::Reject) => *said = vote,
            (Some(_), Vote::Approve) => return Err(not_yours("this person has approved it already")),
            (None, vote) => self.votes.push((who.clone(), vote)),
        }
        Ok(self.standing(now))
    }

    /// Uses it up, for the act whose digest is `digest`, under the policy in force. Back comes the request where it does not stand.
    pub fn use_up(
        self,
        digest: RequestDigest,
        in_force: PolicyVersion,
        now: UnixSeconds,
    ) -> Result<Approved, Box<(Self, Refusal)>> {
        let refusal = if digest != self.digest {
            void("it is for other parameters, or the state has changed since it was asked")
        } else if in_force != self.policy {
            void("the policy has changed since it was asked")
        } else {
            match self.standing(now) {
                Standing::Approved => return Ok(Approved { request: self }),
                Standing::Waits { missing } => Refusal::new(
                    RefusalCode::ApprovalRequired,
                    format!("{} waits for {missing} more to approve it", self.operation),
                ),
                Standing::Rejected => void("it was rejected"),
                Standing::Expired => void("it has expired"),
            }
        };
        Err(Box::new((self, refusal)))
    }
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
