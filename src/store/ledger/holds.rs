//! What a batch does to holds, and how a chain gets another id.
//!
//! *Invariants:* putting a hold in force never fails for what else is in force. A rebinding stops the old row, begins the new one
//! and closes the old id in one draft: all or nothing. A chain id that was left is never begun again.

use sigward_policies::decision::{Refusal, RefusalCode, Refused};
use sigward_policies::double_sign::{GuardRow, Watermark};
use sigward_policies::holding::{Fact, Hold, Note, Place};
use sigward_policies::model::algorithm::PublicKey;
use sigward_policies::model::id::{ChainId, Height, UnixSeconds};

use super::super::holding::StoredHold;
use super::super::{Sharing, StoredRow};
use super::{Draft, Ledger, fit_note, no_row};

/// What a rebinding is asked to do.
pub(super) struct Rebind {
    pub(super) public_key: PublicKey,
    pub(super) from: ChainId,
    pub(super) to: ChainId,
    pub(super) above: Option<Height>,
    pub(super) note: Note,
}

impl Ledger {
    /// The hold of a place as the draft has it, or else the ledger, if it is in force.
    fn hold_of<'a>(&'a self, draft: &'a Draft, place: &Place) -> Option<&'a Hold> {
        let drafted = draft
            .holds
            .iter()
            .rev()
            .find(|stored| stored.hold.fact.place() == *place);
        drafted
            .or_else(|| self.holds.get(place).map(|kept| &kept.value))
            .filter(|stored| !stored.lifted)
            .map(|stored| &stored.hold)
    }

    pub(super) fn hold(&self, draft: &mut Draft, hold: Hold) -> Result<(), Refused> {
        let Hold { fact, note } = hold;
        let hold = Hold {
            note: fit_note(note)?,
            fact,
        };
        if hold.fact.is_final() {
            return refuse(
                RefusalCode::InvalidParameters,
                "a chain is left by rebinding only",
            );
        }
        let known = self.hold_of(draft, &hold.fact.place()).map(|known| &known.fact);
        // To move a line up is to lift it, which may need others.
        if let (Some(Fact::StopLine(_, before)), Fact::StopLine(_, after)) = (known, &hold.fact)
            && after > before
        {
            return refuse(
                RefusalCode::InvalidParameters,
                format!(
                    "a stop line at {before} is in force: setting it moves it down; to move it up, clear it first"
                ),
            );
        }
        // Twice is once: the first note stands, and the audit chain has both.
        if known != Some(&hold.fact) {
            draft.holds.push(StoredHold { hold, lifted: false });
        }
        Ok(())
    }

    pub(super) fn lift(&self, draft: &mut Draft, place: &Place, note: Note) -> Result<(), Refused> {
        let note = fit_note(note)?;
        let Some(known) = self.hold_of(draft, place) else {
            return refuse(
                RefusalCode::HoldNotFound,
                format!("{place} is not in force; `sigward holds` lists what is"),
            );
        };
        if known.fact.is_final() {
            return refuse(RefusalCode::ChainRebound, "a chain id that was left stays closed");
        }
        let hold = Hold {
            fact: known.fact.clone(),
            note,
        };
        draft.holds.push(StoredHold { hold, lifted: true });
        Ok(())
    }

    pub(super) fn rebind(&self, draft: &mut Draft, asked: Rebind, now: UnixSeconds) -> Result<(), Refused> {
        let Rebind {
            public_key,
            from,
            to,
            above,
            note,
        } = asked;
        let note = fit_note(note)?;
        self.check_not_left(draft, &public_key, &from)?;
        self.check_not_left(draft, &public_key, &to)?;
        let rows = self.rows_of(draft, &public_key);
        let Some(old) = rows.iter().find(|row| row.chain == from) else {
            return Err(no_row(&public_key, &from).into());
        };
        if old.row.stopped {
            return refuse(
                RefusalCode::KeyStopped,
                "the key was moved out on this chain; what it signed since is not known here",
            );
        }
        if old.sharing == Sharing::Shared {
            return refuse(
                RefusalCode::SharingRefused,
                "a shared key is not rebound: begin its state on the new chain with `sigward state init --shared`, and stop the old one with `sigward stop-line set`",
            );
        }
        if rows.iter().any(|row| row.chain == to) {
            return refuse(
                RefusalCode::AlreadyBound,
                format!("the key has a state on {to} already; nothing is rebound onto it"),
            );
        }
        let watermark = beyond(&old.row.watermark, above);
        let old = old.clone();
        let stopped = old.row.stop();
        self.put(draft, StoredRow { row: stopped, ..old })?;
        let begun = StoredRow {
            public_key,
            chain: to.clone(),
            sharing: Sharing::OneChain,
            row: GuardRow::begin(watermark, now),
        };
        self.put(draft, begun)?;
        let hold = Hold {
            fact: Fact::Rebound(public_key, from, to),
            note,
        };
        draft.holds.push(StoredHold { hold, lifted: false });
        Ok(())
    }

    /// A chain id that the key left is closed for ever.
    pub(super) fn check_not_left(
        &self,
        draft: &Draft,
        key: &PublicKey,
        chain: &ChainId,
    ) -> Result<(), Refused> {
        match self.left_for(draft, key, chain) {
            None => Ok(()),
            Some(to) => refuse(
                RefusalCode::ChainRebound,
                format!("this key left {chain} for {to}; {chain} stays closed for it"),
            ),
        }
    }

    fn left_for<'a>(&'a self, draft: &'a Draft, key: &PublicKey, chain: &ChainId) -> Option<&'a ChainId> {
        match &self.hold_of(draft, &Place::Left(*key, chain.clone()))?.fact {
            Fact::Rebound(_, _, to) => Some(to),
            _ => None,
        }
    }

    /// The rows of chains that the key did not leave: only these count when it is asked how many it serves.
    pub(super) fn without_left(&self, draft: &Draft, rows: &[StoredRow]) -> Vec<StoredRow> {
        let stays = |row: &&StoredRow| self.left_for(draft, &row.public_key, &row.chain).is_none();
        rows.iter().filter(stays).cloned().collect()
    }
}

/// Where the row of the new id begins: nothing at or below what was signed for the old one, nor below what is given.
fn beyond(old: &Watermark, above: Option<Height>) -> Watermark {
    let signed = match old {
        Watermark::Fresh => None,
        Watermark::Closed { height } => Some(*height),
        Watermark::Signed(last) => Some(last.position.height),
    };
    match signed.max(above) {
        None => Watermark::Fresh,
        Some(height) => Watermark::Closed { height },
    }
}

fn refuse<T>(code: RefusalCode, why: impl Into<String>) -> Result<T, Refused> {
    Err(Refusal::new(code, why).into())
}
