//! Requests for approval, answered by people, and ended when their time is over.
//!
//! *Invariant:* what is said on a request is durable, and on record, before anybody hears of it.

use sigward_policies::authz::{Person, PolicyVersion, RequestDigest, Standing, Vote};
use sigward_policies::decision::{Refusal, RefusalCode, Refused};
use sigward_policies::model::text;

use super::Admin;
use super::act::Act;
use crate::audit::Asker;
use crate::crash::crash_point;
use crate::store::{self, ApprovalChange, ApprovalId, AuditEntry, Batch, Change, MAX_WHAT, StoredApproval};

impl Admin {
    /// Every request that is kept, the oldest first.
    pub async fn approvals(&self) -> Result<Vec<StoredApproval>, Refused> {
        self.read(|store| store.approvals()).await
    }

    /// One request.
    pub async fn kept_approval(&self, id: ApprovalId) -> Result<StoredApproval, Refused> {
        let found = self.approvals().await?.into_iter().find(|stored| stored.id == id);
        found.ok_or_else(|| no_approval(id).into())
    }

    /// Takes the word of `who` on a request, whose `digest` they have seen, under the policy in force.
    pub async fn speak_on(
        &self,
        who: &Asker,
        id: ApprovalId,
        vote: Vote,
        digest: RequestDigest,
        in_force: Option<PolicyVersion>,
        reason: &str,
    ) -> Result<StoredApproval, Refused> {
        self.end_expired_approvals().await?;
        let person = Person::of(&who.caller)?;
        let stored = self.kept_approval(id).await?;
        let act = match vote {
            Vote::Approve => Act::ApprovalApprove,
            Vote::Reject => Act::ApprovalReject,
        };
        let reason = shown(reason);
        let detail = format!("{id} {} {reason}", stored.request.operation);
        let entry = self.approval_entry(who, act, &stored, detail.trim_end());
        let said = ApprovalChange::Say {
            id,
            who: person,
            vote,
            digest,
            in_force,
        };
        self.approval_batch(said, entry).await?;
        crash_point!("admin_approval_said");
        self.kept_approval(id).await
    }

    /// Ends requests whose time is over, and puts that on record.
    pub async fn end_expired_approvals(&self) -> Result<(), Refused> {
        let now = self.clock.unix_seconds();
        let expired = self
            .approvals()
            .await?
            .into_iter()
            .filter(|stored| stored.ended.is_none() && stored.request.standing(now) == Standing::Expired);
        for stored in expired {
            let detail = format!("{} {}: {}", stored.id, stored.request.operation, stored.what);
            let entry = self.approval_entry(&Asker::SERVICE, Act::ApprovalExpire, &stored, &detail);
            match self
                .approval_batch(ApprovalChange::Expire(stored.id), entry)
                .await
            {
                // Somebody else was faster.
                Ok(()) | Err(Refused::Denied(_)) => {}
                Err(failed) => return Err(failed),
            }
        }
        Ok(())
    }

    pub(super) async fn approval_batch(
        &self,
        asked: ApprovalChange,
        entry: AuditEntry,
    ) -> Result<(), Refused> {
        store::commit(self.store.as_ref(), Batch::act(vec![change(asked)], entry))
            .await
            .map(|_receipts| ())
    }

    pub(super) fn approval_entry(
        &self,
        who: &Asker,
        act: Act,
        stored: &StoredApproval,
        detail: &str,
    ) -> AuditEntry {
        AuditEntry {
            request_digest: Some(stored.request.digest.0),
            ..self.entry_of(who, act, stored.key.as_ref(), stored.chain.as_ref(), detail)
        }
    }
}

/// The answer about a request that is not kept, and about one that the caller may not see.
pub fn no_approval(id: ApprovalId) -> Refusal {
    let message =
        format!("there is no request {id}; `sigward approvals list --all` shows those that are kept");
    Refusal::new(RefusalCode::ApprovalNotFound, message)
}

pub(super) fn change(asked: ApprovalChange) -> Change {
    Change::Approval(Box::new(asked))
}

/// What others are to approve, in one line that terminals show as it is. `decisive` is what becomes of it: whoever makes it keeps it far
/// below [`MAX_WHAT`], with a digest in the place of what may be long. `more` is for reading along, and is cut.
pub(super) fn told(decisive: &str, more: &str) -> String {
    shown(&format!("{decisive}{more}"))
}

/// One line that terminals show as it is, no longer than it is kept; it shows that something was cut off.
pub(super) fn shown(what: &str) -> String {
    const CUT: &str = "…";
    let mut line = text::one_line(what);
    if line.len() > MAX_WHAT {
        line.truncate(line.floor_char_boundary(MAX_WHAT - CUT.len()));
        line.push_str(CUT);
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_long_is_cut_at_its_end_and_shows_it() {
        assert_eq!(told("stop", ", because: \u{1b}[2J"), "stop, because: \u{fffd}[2J");
        let long = told("stop", &"é".repeat(MAX_WHAT));
        assert!(long.starts_with("stopé") && long.ends_with("é…") && long.len() <= MAX_WHAT);
        let whole = "x".repeat(MAX_WHAT);
        assert_eq!(shown(&whole), whole);
    }
}
