//! Between a service and what it serves: the acts of `admin` are behind a gate that opens to a proof, [`MayAct`] or [`Sight`].
//!
//! *Invariants:* no service reaches an act without having said which keys and chains it is about ([`Target`]); whoever was only granted a
//! sight reaches none; every no is put on record with what was really asked.

use std::sync::Arc;

use sigward_policies::decision::{Failure, FailureCode};
use sigward_policies::model::algorithm::PublicKey;
use sigward_policies::model::id::KeyName;
use tonic::{Request, Status};

use super::admission;
use super::errors::status;
use super::key::refuse;
use super::looking::Looking;
use super::petition::Claims;
use super::serve::Services;
use super::target::{Target, everywhere};
use crate::admin::{Admin, Known, Petition, Register, TokenObject};
use crate::audit::Asker;
use crate::authz::{About, Admitted, Denial, MayAct, Sight};
use crate::clock::Clock;
use crate::store::{ApprovalId, Store, StoredApproval};

/// The acts, for whoever has a proof.
#[derive(Clone, Debug)]
pub(super) struct Gate(Arc<Admin>);

impl Gate {
    pub(super) const fn new(admin: Arc<Admin>) -> Self {
        Self(admin)
    }

    /// Everything that can be done, to one who may do what it asked for.
    pub(super) const fn open(&self, _proof: &MayAct) -> &Arc<Admin> {
        &self.0
    }

    /// Everything that there is to see, to one who shows it only through its sight.
    pub(super) fn look(&self, _proof: &Sight) -> Looking<'_> {
        Looking::at(&self.0)
    }

    /// For admission itself: the time, and where refusals are put on record.
    pub(super) fn books(&self) -> (&dyn Clock, &dyn Store) {
        (self.0.clock.as_ref(), self.0.store.as_ref())
    }
}

/// The request, and the proof that it was let come nearer.
pub(super) fn admitted<T>(request: Request<T>) -> Result<(Admitted, T), Status> {
    let (_, mut extensions, message) = request.into_parts();
    let ticket = extensions.remove::<admission::Ticket>();
    let admitted = ticket.and_then(|ticket| ticket.take());
    // Nobody came in by the door.
    let none = || Status::unauthenticated("not_permitted: this connection proves nothing");
    Ok((admitted.ok_or_else(none)?, message))
}

impl Services {
    /// May the caller do this with all of `target`?
    pub(super) async fn may(&self, call: Admitted, target: Target<'_>) -> Result<MayAct, Status> {
        self.ask(call, &target, Admitted::may).await
    }

    /// The same of an act that looks for approvals: `claims` are what the call says of them.
    pub(super) async fn may_once(
        &self,
        call: Admitted,
        claims: Claims,
        target: Target<'_>,
    ) -> Result<(MayAct, Petition), Status> {
        let (may, needed) = self.ask(call, &target, Admitted::may_once).await?.into_parts();
        let petition = self.petition(may.who(), needed, claims)?;
        Ok((may, petition))
    }

    /// The same of what belongs to an act that others have approved already, and waits for nobody itself.
    pub(super) async fn may_after(&self, call: Admitted, target: Target<'_>) -> Result<MayAct, Status> {
        let may = self.ask(call, &target, Admitted::may_once).await?;
        Ok(may.into_parts().0)
    }

    async fn ask<T>(
        &self,
        call: Admitted,
        target: &Target<'_>,
        ask: impl FnOnce(Admitted, &[About]) -> Result<T, Denial>,
    ) -> Result<T, Status> {
        let register = self.register_before(&call).await?;
        if !call.is_current() {
            let why = "the policy was replaced while this request came in; ask again";
            return Err(status(Failure::new(FailureCode::RulesChanged, why).into()));
        }
        let Some(register) = register else {
            return ask(call, &[]).map_err(|denial| refuse(denial.refusal));
        };
        let (who, operation) = (call.who().clone(), call.operation_name());
        // What is not there is put on record as what is forbidden is.
        let about = target.about(&register).map_err(|refusal| {
            self.note(&who, operation, (None, None), &refusal);
            refuse(refusal)
        })?;
        ask(call, &about).map_err(|denial| {
            self.put_on_record(&who, operation, &denial);
            refuse(target.told(denial.refusal))
        })
    }

    /// What may the caller see of everything?
    pub(super) fn may_look(&self, call: Admitted) -> Result<Sight, Status> {
        let (who, operation) = (call.who().clone(), call.operation_name());
        call.look().map_err(|denial| {
            self.put_on_record(&who, operation, &denial);
            refuse(denial.refusal)
        })
    }

    /// May the caller see this key, from any side? One that it may not see is not there.
    pub(super) fn may_look_at(&self, call: Admitted, known: &Known) -> Result<Sight, Status> {
        let (who, operation) = (call.who().clone(), call.operation_name());
        call.look_at(&everywhere(known)).map_err(|denial| {
            self.put_on_record(&who, operation, &denial);
            let names = std::slice::from_ref(&known.facts.name);
            refuse(Target::Keys(names).told(denial.refusal))
        })
    }

    /// Which keys there are, to ask about them; none where no document is in force, and nobody asks.
    pub(super) async fn register_before(&self, call: &Admitted) -> Result<Option<Arc<Register>>, Status> {
        if !call.has_policy() {
            return Ok(None);
        }
        self.gate.0.register().await.map(Some).map_err(status)
    }

    /// What waits for approval, to ask about what it is about.
    pub(super) async fn approval_before(
        &self,
        _call: &Admitted,
        id: ApprovalId,
    ) -> Result<StoredApproval, Status> {
        self.gate.0.kept_approval(id).await.map_err(status)
    }

    /// The key that a file holds, to ask about it.
    pub(super) fn key_in_file(&self, call: &Admitted, file: &[u8]) -> Option<PublicKey> {
        call.has_policy().then(|| self.gate.0.key_in_file(file)).flatten()
    }

    /// The key that an object of a token is.
    pub(super) async fn key_in_token(
        &self,
        call: &Admitted,
        (name, provider): (&KeyName, &str),
        object: &TokenObject,
    ) -> Option<PublicKey> {
        match call.has_policy() {
            true => self.gate.0.key_in_token(name, provider, object).await,
            false => None,
        }
    }

    /// The key that a sealed file of another store holds.
    pub(super) async fn key_of_other_store(&self, call: &Admitted, name: &KeyName) -> Option<PublicKey> {
        match call.has_policy() {
            true => self.gate.0.key_of_other_store(name).await,
            false => None,
        }
    }

    fn put_on_record(&self, who: &Asker, operation: &'static str, denial: &Denial) {
        let About { key, chain } = &*denial.about;
        let key = key.as_ref().and_then(|key| key.public_key);
        let who = who.clone().ruled(denial.ruling.clone());
        self.note(&who, operation, (key, chain.clone()), &denial.refusal);
    }
}
