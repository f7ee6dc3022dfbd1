//! What an act rests on besides the right to it: where a rule wants others to agree, a request that they have approved.
//!
//! *Invariants:* a request is durable before anybody hears of it. What an act rests on goes into the act's own batch, before its
//! changes: both are there, or neither is.

use sha2::{Digest as _, Sha256};
use sigward_policies::authz::{ApprovalRequest, Needed, Person, Standing};
use sigward_policies::decision::{Failure, FailureCode, Refusal, RefusalCode, Refused};
use sigward_policies::model::algorithm::PublicKey;
use sigward_policies::model::id::{ChainId, UnixSeconds};
use sigward_policies::model::operation::Operation;

use super::Admin;
use super::act::Act;
use super::approvals::{change, shown};
use crate::audit::Asker;
use crate::crash::crash_point;
use crate::store::{
    About, ApprovalChange, ApprovalId, AuditEntry, Batch, Change, MAX_WAIT, StoredApproval, Use,
};

/// How long a request waits where nobody says otherwise: an hour.
pub const DEFAULT_WAIT: i64 = 3600;

/// The request for approval that a refusal names (`Admin::wait_for` writes it): for those who go on by programs.
pub fn request_named_in(message: &str) -> Option<&str> {
    let rest = message.strip_prefix("approval_required: ")?;
    let id = rest.split_once(": request ")?.1.get(..32)?;
    ApprovalId::parse(id).is_some().then_some(id)
}

/// Who asks for an act, and what it rests on besides the right to it.
#[derive(Clone, Debug)]
pub struct Petition {
    /// Who.
    pub who: Asker,
    /// What a rule asks for; none: the caller's own word is enough.
    pub needed: Option<Needed>,
    /// The request that others have approved, where the caller names one.
    pub approval: Option<ApprovalId>,
    /// How many seconds a request that has to be made is to wait.
    pub wait: i64,
}

/// What exactly is asked for.
pub(super) struct Matter {
    pub(super) operation: Operation,
    /// All that the caller said, in a fixed order.
    pub(super) parameters: Vec<String>,
    pub(super) about: About,
    /// For those who are to approve it.
    pub(super) what: String,
    pub(super) key: Option<PublicKey>,
    pub(super) chain: Option<ChainId>,
    /// The chain id that a state goes on under.
    pub(super) to: Option<ChainId>,
}

impl Matter {
    fn digest(&self) -> [u8; 32] {
        let mut hash = Sha256::new().chain_update(b"sigward parameters v1");
        for said in std::iter::once(self.operation.as_str()).chain(self.parameters.iter().map(String::as_str))
        {
            let len = u64::try_from(said.len()).unwrap_or(u64::MAX);
            hash.update(len.to_be_bytes());
            hash.update(said);
        }
        hash.finalize().into()
    }
}

/// What goes into an act's batch: nothing, or that a request is used up.
#[derive(Default)]
#[must_use = "an approval that is not in the act's batch is not used up"]
pub(super) struct Consent(Option<(Change, AuditEntry)>);

impl Consent {
    /// `batch`, after what it rests on.
    pub(super) fn with(self, mut batch: Batch) -> Batch {
        if let Some((change, entry)) = self.0 {
            batch.changes.insert(0, change);
            batch.entries.insert(0, entry);
        }
        batch
    }
}

impl Admin {
    /// What the act of `petition` rests on. Where it needs others and names no request of theirs, one is made, and named in the refusal.
    pub(super) async fn consent(&self, petition: &Petition, matter: Matter) -> Result<Consent, Refused> {
        match (&petition.needed, petition.approval) {
            (None, None) => Ok(Consent(None)),
            (None, Some(_)) => Err(Refusal::new(
                RefusalCode::ApprovalVoid,
                "no approval is needed here any more: ask without it",
            )
            .into()),
            (Some(needed), None) => Err(self.ask_others(petition, needed, &matter).await?),
            (Some(needed), Some(id)) => {
                let stored = self.kept_approval(id).await?;
                let others: Vec<_> = stored
                    .request
                    .said()
                    .iter()
                    .map(|said| said.who.as_str())
                    .collect();
                let detail = format!("{id} {}, approved by {}", matter.operation, others.join(", "));
                let parameters = matter.digest();
                let entry = self.approval_entry(&petition.who, Act::ApprovalUse, &stored, &detail);
                let used = Use {
                    id,
                    who: Person::of(&petition.who.caller)?,
                    operation: matter.operation,
                    parameters,
                    about: matter.about,
                    in_force: needed.policy,
                    others: needed.others,
                };
                Ok(Consent(Some((change(ApprovalChange::Use(used)), entry))))
            }
        }
    }

    /// Makes a request, or finds the one that the same caller made for the same; the refusal that names it.
    async fn ask_others(
        &self,
        petition: &Petition,
        needed: &Needed,
        matter: &Matter,
    ) -> Result<Refused, Refused> {
        self.end_expired_approvals().await?;
        let requester = Person::of(&petition.who.caller)?;
        let (parameters, about) = (matter.digest(), matter.about.clone());
        let before = self.read(move |store| store.state_of(&about)).await?;
        let same = |stored: &StoredApproval| {
            stored.ended.is_none()
                && stored.request.requester == requester
                && stored.request.operation == matter.operation
                && stored.request.policy == needed.policy
                && stored.request.needed == needed.others
                && (stored.parameters, stored.before) == (parameters, before)
        };
        if let Some(known) = self.approvals().await?.into_iter().find(same) {
            return Ok(self.wait_for(&known));
        }
        let mut random = [0; 16];
        getrandom::fill(&mut random)
            .map_err(|error| Failure::new(FailureCode::ProviderFault, error.to_string()))?;
        let (id, now) = (ApprovalId(random), self.clock.unix_seconds());
        let digest = StoredApproval::digest(&self.store.id(), &id, matter.operation, &parameters, &before);
        let expires_at = UnixSeconds(now.0.saturating_add(petition.wait.clamp(1, MAX_WAIT)));
        let stored = StoredApproval {
            id,
            request: ApprovalRequest::new(
                requester,
                matter.operation,
                digest,
                needed.policy,
                needed.others,
                expires_at,
            ),
            what: shown(&matter.what),
            parameters,
            before,
            key: matter.key,
            chain: matter.chain.clone(),
            to: matter.to.clone(),
            created_at: now,
            ended: None,
        };
        let detail = format!("{id} {}: {}", matter.operation, stored.what);
        let entry = self.approval_entry(&petition.who, Act::ApprovalRequest, &stored, &detail);
        let answer = self.wait_for(&stored);
        self.approval_batch(ApprovalChange::Open(stored), entry).await?;
        crash_point!("admin_approval_asked");
        tracing::warn!(request = %id, by = %petition.who, operation = matter.operation.as_str(), "an act waits for approval");
        Ok(answer)
    }

    /// The refusal that names a request, and says what comes next.
    fn wait_for(&self, stored: &StoredApproval) -> Refused {
        let (request, id, now) = (&stored.request, stored.id, self.clock.unix_seconds());
        let minutes = request.expires_at.0.saturating_sub(now.0).max(0) / 60;
        let message = match request.standing(now) {
            Standing::Waits { missing } => format!(
                "{} waits for {missing} of {} approvals: request {id}, for {minutes} minutes\nanother person runs `sigward approvals approve {id}`\nthen run this command again with --approval {id}",
                request.operation, request.needed
            ),
            _ => format!(
                "{} rests on what others have approved: request {id}, for {minutes} minutes\nrun this command again with --approval {id}",
                request.operation
            ),
        };
        Refusal::new(RefusalCode::ApprovalRequired, message).into()
    }
}

#[cfg(test)]
mod tests {
    use super::request_named_in;

    #[test]
    fn a_request_is_found_where_one_is_named_and_nowhere_else() {
        let id = "3f2ad0c1b2e34f5a9f0e1d2c3b4a5968";
        let told = format!(
            "approval_required: unfreeze waits for 1 of 1 approvals: request {id}, for 60 minutes\nx"
        );
        assert_eq!(request_named_in(&told), Some(id));
        for none in [
            "approval_required: rule r wants 1 approval, and there is no way yet to give it for this"
                .to_owned(),
            told.replace("approval_required", "not_permitted"),
            told.replace(id, "3f2ad0c1"),
            told.replace(id, &"ä".repeat(32)),
        ] {
            assert_eq!(request_named_in(&none), None, "{none}");
        }
    }
}
