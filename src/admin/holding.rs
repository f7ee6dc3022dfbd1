//! Acts that hold signing back, and lift it again: freezes and stop lines. Each is one batch with its audit record; when it
//! returns it is in force, and nothing that it forbids is under way any more.
//!
//! *Invariant:* freezing asks for nothing but the right to speak to the admin socket: it never waits for approvals.

use sigward_policies::decision::{Refusal, RefusalCode, Refused};
use sigward_policies::holding::{Fact, Hold, Line, Note, Place, Scope};
use sigward_policies::model::algorithm::PublicKey;
use sigward_policies::model::id::{ChainId, Height, KeyName};
use sigward_policies::model::operation::Operation;
use sigward_policies::model::text;

use super::Admin;
use super::act::Act;
use super::approvals::told;
use super::consent::{Matter, Petition};
use crate::audit::Asker;
use crate::store::{About, Batch, Change, MAX_HOLD_REASON};

/// What to freeze, by the names that operators use.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum FreezeScope {
    /// Every key on every chain.
    All,
    /// Every key on a chain.
    Chain(ChainId),
    /// A key on every chain.
    Key(KeyName),
}

/// Where a stop line runs, by the names that operators use.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct StopScope {
    /// The chain.
    pub chain: ChainId,
    /// One key only.
    pub key: Option<KeyName>,
}

/// A hold in force, with the name of its key.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NamedHold {
    /// The key's name, where the hold is of one key.
    pub key: Option<KeyName>,
    /// The hold.
    pub hold: Hold,
}

impl Admin {
    /// Freezes `scope`. Twice is once. A reason that cannot be kept as it is, is kept as well as it can be.
    pub async fn freeze(&self, who: &Asker, scope: &FreezeScope, reason: &str) -> Result<(), Refused> {
        // Nobody is sent back to write a better reason while something signs that should not.
        let reason = &fitting(reason);
        let scope = self.scope(scope).await?;
        let hold = Hold {
            fact: Fact::Freeze(scope.clone()),
            note: self.note(who, reason),
        };
        self.hold_act(who, Act::Freeze, &hold.fact.place(), reason, Change::Hold(hold))
            .await?;
        tracing::error!(alarm = true, scope = %scope, by = %who, "frozen: nothing is signed there until it is unfrozen");
        Ok(())
    }

    /// Lifts the freeze of exactly `scope`; narrower and wider ones stay.
    pub async fn unfreeze(
        &self,
        petition: &Petition,
        scope: &FreezeScope,
        reason: &str,
    ) -> Result<(), Refused> {
        let who = &petition.who;
        if reason.trim().is_empty() {
            return Err(Refusal::new(
                RefusalCode::InvalidParameters,
                "say why it is safe to sign again: --reason TEXT",
            )
            .into());
        }
        showable(reason)?;
        let named = match scope {
            FreezeScope::All => "the freeze of everything".to_owned(),
            FreezeScope::Chain(chain) => format!("the freeze of chain {chain}"),
            FreezeScope::Key(key) => format!("the freeze of key {key}"),
        };
        let scope = self.scope(scope).await?;
        let place = Place::Freeze(scope.clone());
        self.lift(petition, Operation::Unfreeze, (&place, named), reason)
            .await?;
        tracing::warn!(scope = %scope, by = %who, "unfrozen");
        Ok(())
    }

    /// Signs nothing at or above `height`; takes the place of a stop line that is there and no lower.
    pub async fn set_stop_line(
        &self,
        who: &Asker,
        scope: &StopScope,
        height: Height,
        reason: &str,
    ) -> Result<(), Refused> {
        showable(reason)?;
        let line = self.line(scope).await?;
        let hold = Hold {
            fact: Fact::StopLine(line, height),
            note: self.note(who, reason),
        };
        let detail = format!("{height} {reason}");
        self.hold_act(
            who,
            Act::StopLineSet,
            &hold.fact.place(),
            detail.trim_end(),
            Change::Hold(hold),
        )
        .await
    }

    /// Takes a stop line away.
    pub async fn clear_stop_line(
        &self,
        petition: &Petition,
        scope: &StopScope,
        reason: &str,
    ) -> Result<(), Refused> {
        showable(reason)?;
        let place = Place::StopLine(self.line(scope).await?);
        let named = match &scope.key {
            None => format!("the stop line of chain {}", scope.chain),
            Some(key) => format!("the stop line of key {key} on chain {}", scope.chain),
        };
        self.lift(petition, Operation::StopLineClear, (&place, named), reason)
            .await
    }

    /// Lifts what is held back at `place`: it lets more happen, and so a rule may ask for others.
    async fn lift(
        &self,
        petition: &Petition,
        operation: Operation,
        (place, named): (&Place, String),
        reason: &str,
    ) -> Result<(), Refused> {
        let (who, (key, chain)) = (&petition.who, about(place));
        let act = match operation {
            Operation::Unfreeze => Act::Unfreeze,
            _ => Act::StopLineClear,
        };
        // What is not there waits for nobody.
        self.in_force(place).await?;
        let matter = Matter {
            operation,
            parameters: vec![place.to_string(), reason.to_owned()],
            about: About::Hold(place.clone()),
            what: match reason.trim() {
                "" => told(&format!("lift {named}"), ""),
                reason => told(&format!("lift {named}"), &format!(", because: {reason}")),
            },
            key,
            chain: chain.clone(),
            to: None,
        };
        let consent = self.consent(petition, matter).await?;
        let lift = Change::Lift {
            place: place.clone(),
            note: self.note(who, reason),
        };
        let entry = self.entry_of(who, act, key.as_ref(), chain.as_ref(), reason);
        self.guard
            .change_holds(&self.store, consent.with(Batch::act(vec![lift], entry)))
            .await
            .map(|_| ())
    }

    async fn in_force(&self, place: &Place) -> Result<(), Refused> {
        let holds = self.read(|store| store.holds()).await?;
        if holds.iter().any(|hold| hold.fact.place() == *place) {
            return Ok(());
        }
        Err(Refusal::new(
            RefusalCode::HoldNotFound,
            format!("{place} is not in force; `sigward holds` lists what is"),
        )
        .into())
    }

    /// Every hold in force.
    pub async fn named_holds(&self) -> Result<Vec<NamedHold>, Refused> {
        let keys = self.keys().await?;
        let holds = self.read(|store| store.holds()).await?;
        let named = holds.iter().map(|hold| NamedHold {
            key: about(&hold.fact.place()).0.and_then(|public_key| {
                let owner = keys.iter().find(|key| key.version.public_key == public_key)?;
                Some(owner.name.clone())
            }),
            hold: hold.clone(),
        });
        Ok(named.collect())
    }

    /// Who, when and why, for a hold.
    pub(super) fn note(&self, who: &Asker, reason: &str) -> Note {
        Note {
            reason: reason.to_owned(),
            by: who.to_string(),
            at: self.clock.unix_seconds(),
        }
    }

    /// Commits one change to the holds that lets less happen.
    async fn hold_act(
        &self,
        who: &Asker,
        act: Act,
        place: &Place,
        detail: &str,
        change: Change,
    ) -> Result<(), Refused> {
        let (key, chain) = about(place);
        let entry = self.entry_of(who, act, key.as_ref(), chain.as_ref(), detail);
        self.guard
            .change_holds(&self.store, Batch::act(vec![change], entry))
            .await
            .map(|_| ())
    }

    async fn scope(&self, scope: &FreezeScope) -> Result<Scope, Refused> {
        Ok(match scope {
            FreezeScope::All => Scope::All,
            FreezeScope::Chain(chain) => {
                self.known_chain(chain).await?;
                Scope::Chain(chain.clone())
            }
            FreezeScope::Key(name) => Scope::Key(self.key(name).await?.version.public_key),
        })
    }

    async fn line(&self, scope: &StopScope) -> Result<Line, Refused> {
        self.known_chain(&scope.chain).await?;
        Ok(match &scope.key {
            None => Line::Chain(scope.chain.clone()),
            Some(name) => Line::Row(self.key(name).await?.version.public_key, scope.chain.clone()),
        })
    }

    /// A hold on a mistyped chain would hold nothing: it is refused, loudly, while there is time to type it again.
    async fn known_chain(&self, chain: &ChainId) -> Result<(), Refused> {
        let configured = self.chains.now().iter().any(|known| known.id == *chain);
        if configured || self.rows().await?.iter().any(|row| row.chain == *chain) {
            return Ok(());
        }
        Err(Refusal::new(
            RefusalCode::NoSignState,
            format!("there is no chain {chain} here; `sigward state show` lists them"),
        )
        .into())
    }
}

/// Holds are listed line by line, on terminals: a reason that moves the cursor or forges a line is refused.
fn showable(reason: &str) -> Result<(), Refusal> {
    if reason.chars().all(text::is_plain) {
        return Ok(());
    }
    Err(Refusal::new(
        RefusalCode::InvalidParameters,
        "a reason is one line of text, without control characters",
    ))
}

/// The reason as it can be kept: one line, no longer than the store takes.
fn fitting(reason: &str) -> String {
    let mut kept = text::one_line(reason);
    kept.truncate(kept.floor_char_boundary(MAX_HOLD_REASON));
    kept
}

/// Which key and chain a place is of.
fn about(place: &Place) -> (Option<PublicKey>, Option<ChainId>) {
    match place {
        Place::Freeze(Scope::All) => (None, None),
        Place::Freeze(Scope::Chain(chain)) | Place::StopLine(Line::Chain(chain)) | Place::Node(chain, _) => {
            (None, Some(chain.clone()))
        }
        Place::Freeze(Scope::Key(key)) => (Some(*key), None),
        Place::StopLine(Line::Row(key, chain)) | Place::Left(key, chain) => (Some(*key), Some(chain.clone())),
    }
}

#[cfg(test)]
#[path = "holding/tests.rs"]
mod tests;
