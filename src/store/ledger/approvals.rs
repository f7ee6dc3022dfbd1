//! What a batch does to requests for approval, and the state before that they are bound to.
//!
//! *Invariants:* what is used up is used up by the batch that does the act, under the digest of the state as the ledger has it then.
//! A request that ended never waits again. How many wait is bounded, for everybody and for each person.

use std::collections::BTreeSet;

use sha2::{Digest as _, Sha256};
use sigward_policies::authz::{Standing, Vote};
use sigward_policies::decision::{Failure, FailureCode, Refusal, RefusalCode, Refused};
use sigward_policies::model::algorithm::PublicKey;
use sigward_policies::model::id::UnixSeconds;
use sigward_policies::model::key::Key;

use super::super::approval::{
    About, ApprovalChange, ApprovalId, End, MAX_KEPT, MAX_OPEN, MAX_OPEN_EACH, MAX_WAIT, MAX_WHAT,
    StoredApproval, Use, encode_approval,
};
use super::super::encoding::Encoder;
use super::super::holding::encode_hold;
use super::super::redo::Write;
use super::super::row::{Checksum, encode_key};
use super::super::{Sharing, StoredRow};
use super::{Draft, Kept, Ledger};

impl Ledger {
    /// Every request that is kept, the oldest first.
    pub(crate) fn approvals(&self) -> Vec<StoredApproval> {
        let mut all: Vec<_> = self.approvals.values().map(|kept| kept.value.clone()).collect();
        all.sort_by_key(|stored| (stored.created_at, stored.id));
        all
    }

    /// SHA-256 of what `about` names, as it is now.
    pub(crate) fn state_of(&self, about: &About) -> [u8; 32] {
        let mut to = Encoder::with_capacity(512);
        match about {
            About::Hold(place) => {
                to.u8(1);
                match self.holds.get(place) {
                    None => to.flag(false),
                    Some(kept) => {
                        to.flag(true);
                        to.sized(&encode_hold(&kept.value));
                    }
                }
            }
            About::Row(key, chain) => {
                to.u8(2);
                self.key_state(&mut to, key, |row| row.chain == *chain);
            }
            About::Keys(keys) => {
                to.u8(3);
                for key in keys.iter().map(PublicKey::as_bytes).collect::<BTreeSet<_>>() {
                    let known = self.names.keys().find(|known| known.as_bytes() == key);
                    if let Some(known) = known {
                        self.key_state(&mut to, known, |_| true);
                    }
                }
            }
        }
        Sha256::digest(to.finish()).into()
    }

    fn key_state(&self, to: &mut Encoder, key: &PublicKey, of: impl Fn(&StoredRow) -> bool) {
        to.public_key(Some(key));
        let known = self.names.get(key).and_then(|name| self.keys.get(name));
        // That it has a backup is no state that an act could rest on: whoever says so would end what waits.
        let without_backup = |kept: &Kept<Key>| {
            let mut key = kept.value.clone();
            key.version.backup = None;
            encode_key(&key)
        };
        to.sized(&known.map(without_backup).unwrap_or_default());
        let mut rows: Vec<_> = self
            .rows
            .get(key)
            .into_iter()
            .flatten()
            .map(|kept| &kept.value)
            .collect();
        rows.sort_by(|a, b| a.chain.cmp(&b.chain));
        for row in rows.into_iter().filter(|row| of(row)) {
            to.flag(true);
            to.chain(Some(&row.chain));
            to.flag(row.sharing == Sharing::Shared);
            to.flag(row.row.stopped);
            to.flag(row.row.allow_until.is_some());
            to.i64(row.row.allow_until.map_or(0, |until| until.value()));
        }
        to.flag(false);
    }

    pub(super) fn approval(
        &self,
        draft: &mut Draft,
        change: ApprovalChange,
        now: UnixSeconds,
    ) -> Result<(), Refused> {
        match change {
            ApprovalChange::Open(asked) => self.open_request(draft, asked, now),
            ApprovalChange::Say {
                id,
                who,
                vote,
                digest,
                in_force,
            } => {
                let mut stored = self.waiting(draft, &id)?;
                let standing = stored.request.vote(&who, vote, digest, in_force, now)?;
                if vote == Vote::Reject || standing == Standing::Rejected {
                    stored.ended = Some((End::Rejected, now));
                }
                draft.approvals.push(stored);
                Ok(())
            }
            ApprovalChange::Use(used) => self.use_up(draft, used, now),
            ApprovalChange::Expire(id) | ApprovalChange::Abandon(id) => {
                let early = matches!(change, ApprovalChange::Abandon(_));
                let mut stored = self.waiting(draft, &id)?;
                if !early && stored.request.standing(now) != Standing::Expired {
                    return refuse(RefusalCode::InvalidParameters, "it has not expired yet");
                }
                stored.ended = Some((End::Expired, now));
                draft.approvals.push(stored);
                Ok(())
            }
        }
    }

    fn open_request(
        &self,
        draft: &mut Draft,
        asked: StoredApproval,
        now: UnixSeconds,
    ) -> Result<(), Refused> {
        let request = &asked.request;
        let wait = request.expires_at.0.saturating_sub(now.0);
        let sane = asked.ended.is_none()
            && request.said().is_empty()
            && request.needed > 0
            && (1..=MAX_WAIT).contains(&wait)
            && asked.what.len() <= MAX_WHAT
            && self.find(draft, &asked.id).is_none();
        if !sane {
            return refuse(
                RefusalCode::InvalidParameters,
                "a request for approval waits for a day at most",
            );
        }
        let open: Vec<_> = self
            .drafted(draft)
            .filter(|stored| stored.ended.is_none() && stored.request.expires_at > now)
            .collect();
        let own = open
            .iter()
            .filter(|stored| stored.request.requester == request.requester)
            .count();
        let room =
            self.approvals.len() < MAX_KEPT || self.approvals.values().any(|kept| kept.value.ended.is_some());
        if own >= MAX_OPEN_EACH || open.len() >= MAX_OPEN || !room {
            return refuse(
                RefusalCode::ApprovalLimit,
                format!(
                    "{own} requests of {} wait for approval, {} of everybody; {MAX_OPEN_EACH} and {MAX_OPEN} may: use them, or take them back with `sigward approvals reject`",
                    request.requester,
                    open.len()
                ),
            );
        }
        draft.approvals.push(asked);
        Ok(())
    }

    fn use_up(&self, draft: &mut Draft, used: Use, now: UnixSeconds) -> Result<(), Refused> {
        // The state before is the ledger's: what the batch has changed so far would be another.
        if !draft.is_empty() {
            let why = "an approval is used before anything of its act is done";
            return Err(Failure::new(FailureCode::StoreDisagrees, why).into());
        }
        let mut stored = self.waiting(draft, &used.id)?;
        let before = self.state_of(&used.about);
        let digest = StoredApproval::digest(&self.id, &used.id, used.operation, &used.parameters, &before);
        let approved = stored
            .request
            .use_up(&used.who, digest, (used.in_force, used.others), now)
            .map_err(|refused| refused.1)?;
        stored.request = approved.request().clone();
        stored.ended = Some((End::Used, now));
        draft.approvals.push(stored);
        Ok(())
    }

    /// A request that has not ended, as the draft has it, or else the ledger.
    fn waiting(&self, draft: &Draft, id: &ApprovalId) -> Result<StoredApproval, Refused> {
        let Some(stored) = self.find(draft, id) else {
            return refuse(
                RefusalCode::ApprovalNotFound,
                format!("there is no request {id}; `sigward approvals list --all` shows those that are kept"),
            );
        };
        match stored.ended {
            None => Ok(stored.clone()),
            Some((End::Used, _)) => void("it was used; each is good for one act"),
            Some((End::Rejected, _)) => void("it was rejected"),
            Some((End::Expired, _)) => void("it has expired"),
        }
    }

    fn find<'a>(&'a self, draft: &'a Draft, id: &ApprovalId) -> Option<&'a StoredApproval> {
        let drafted = draft.approvals.iter().rev().find(|stored| stored.id == *id);
        drafted.or_else(|| self.approvals.get(id).map(|kept| &kept.value))
    }

    /// Every request, the draft's before the ledger's.
    fn drafted<'a>(&'a self, draft: &'a Draft) -> impl Iterator<Item = &'a StoredApproval> {
        let kept = self.approvals.keys();
        let ids: BTreeSet<_> = kept
            .chain(draft.approvals.iter().map(|stored| &stored.id))
            .collect();
        ids.into_iter().filter_map(|id| self.find(draft, id))
    }

    pub(super) fn take_approvals(&mut self, drafted: Vec<StoredApproval>) {
        for stored in drafted {
            let id = stored.id;
            self.changed_approvals.insert(id);
            if let Some(kept) = self.approvals.get_mut(&id) {
                kept.value = stored;
                continue;
            }
            let (ordinal, checksum) = match self.row_to_reuse() {
                Some(kept) => (kept.ordinal, kept.checksum),
                None => {
                    self.last_ordinal += 1;
                    (self.last_ordinal, None)
                }
            };
            let value = stored;
            self.approvals.insert(
                id,
                Kept {
                    ordinal,
                    value,
                    checksum,
                },
            );
        }
    }

    /// Takes out the oldest request that ended, once there are as many as are kept.
    fn row_to_reuse(&mut self) -> Option<Kept<StoredApproval>> {
        if self.approvals.len() < MAX_KEPT {
            return None;
        }
        let ended = self.approvals.values().filter(|kept| kept.value.ended.is_some());
        let oldest = ended.map(|kept| (kept.value.created_at, kept.value.id)).min()?;
        self.changed_approvals.remove(&oldest.1);
        self.approvals.remove(&oldest.1)
    }

    pub(super) fn take_changed_approvals(&mut self) -> Vec<Write> {
        let mut writes = Vec::new();
        for id in std::mem::take(&mut self.changed_approvals) {
            if let Some(kept) = self.approvals.get_mut(&id) {
                let body = encode_approval(&kept.value);
                let checksum = Checksum::of_approval(&self.id, &body);
                writes.push(kept.write(&mut self.digest, body, checksum));
            }
        }
        writes
    }
}

fn void<T>(why: &str) -> Result<T, Refused> {
    refuse(
        RefusalCode::ApprovalVoid,
        format!("the approval does not stand: {why}"),
    )
}

fn refuse<T>(code: RefusalCode, why: impl Into<String>) -> Result<T, Refused> {
    Err(Refusal::new(code, why).into())
}
