//! How many bytes a batch may add to a commit, told before anything of it is judged. Pure.
//!
//! A commit is one entry of the witness, and an entry has no more room than a segment. Once a batch is judged and taken in there is no
//! way back but failing for good; so one that is too large is refused before that, and a group is filled by what its batches weigh.
//!
//! *Invariant:* a batch never comes to more than it weighs; debug builds compare at every commit.

use std::collections::HashSet;

use sigward_policies::decision::{Refusal, RefusalCode, Refused};
use sigward_policies::double_sign::Beginning;
use sigward_policies::holding::Note;
use sigward_policies::model::algorithm::PublicKey;

use super::api_key::{ApiKeyChange, encode_api_key};
use super::approval::encode_approval;
use super::record::{AuditRecord, MAX_SUBJECT};
use super::row::encode_key;
use super::{ApprovalChange, Batch, Change};

/// A signature with its guard row and its record, at most.
pub(crate) const SIGNATURE: usize = 4096;
/// Most changes and records of a batch: every key of a bundle, with a chain or two and a record each. Bounds how long a vote waits.
pub(crate) const MOST_PARTS: usize = 16_384;

/// What stands around a row or a record in the witness.
const AROUND: usize = 16;
/// A key whose mark or state changes.
const KEY_ROW: usize = 256;
/// A guard row, with what was signed last.
const GUARD_ROW: usize = 640;
/// One that begins with no more than a height.
const NEW_ROW: usize = 192;
/// A hold, besides its reason.
const HOLD_ROW: usize = 320 + MAX_SUBJECT;
/// A request for approval with everything that may be said on it.
const APPROVAL_ROW: usize = 20 * 1024;
/// What revoking adds to an API key: all of it, with the longest names.
const API_KEY_ROW: usize = 256 + 2 * MAX_SUBJECT;

/// What `batch` weighs.
pub(crate) fn of(batch: &Batch) -> usize {
    if batch.signature.is_some() && batch.changes.is_empty() {
        return SIGNATURE;
    }
    let signature = batch.signature.as_ref().map_or(0, |_| SIGNATURE);
    // The rows of a key that comes in with this batch are as new as it is.
    let coming: HashSet<_> = batch
        .changes
        .iter()
        .filter_map(|change| match change {
            Change::AddKey(key) => Some(key.version.public_key),
            _ => None,
        })
        .collect();
    let changes = batch
        .changes
        .iter()
        .map(|change| of_change(change, &coming).saturating_add(AROUND));
    let entries = batch
        .entries
        .iter()
        .map(|entry| AuditRecord::len_of(entry).saturating_add(AROUND));
    changes.chain(entries).fold(signature, usize::saturating_add)
}

/// Whether `batch` fits into a commit that has `room`.
///
/// # Errors
/// `act_too_large`: nothing was done, and the store is as well as it was.
pub(crate) fn fits(batch: &Batch, room: usize) -> Result<usize, Refused> {
    let parts = batch.changes.len().saturating_add(batch.entries.len());
    // The parts first: whoever sends a million of them has none of them weighed.
    if parts <= MOST_PARTS {
        let weight = of(batch);
        if weight <= room {
            return Ok(weight);
        }
    }
    Err(Refusal::new(
        RefusalCode::ActTooLarge,
        format!(
            "{} changes with {} records are more than one commit holds ({} KiB, {MOST_PARTS} parts), and acts are done whole or not at all; nothing was done: do it in parts, with fewer keys each",
            batch.changes.len(),
            batch.entries.len(),
            room / 1024
        ),
    )
    .into())
}

fn of_change(change: &Change, coming: &HashSet<PublicKey>) -> usize {
    let row = |key: &PublicKey| match coming.contains(key) {
        true => NEW_ROW,
        false => GUARD_ROW,
    };
    let hold = |note: &Note| HOLD_ROW.saturating_add(note.reason.len());
    match change {
        Change::AddKey(key) => encode_key(key).len(),
        Change::SetKeyState { .. } | Change::MarkExported { .. } | Change::MarkBackedUp { .. } => KEY_ROW,
        Change::Begin {
            beginning: Beginning::State(_),
            ..
        } => GUARD_ROW,
        Change::Begin { public_key, .. }
        | Change::Allow { public_key, .. }
        | Change::Disallow { public_key, .. }
        | Change::CloseTo { public_key, .. }
        | Change::Stop { public_key, .. } => row(public_key),
        Change::Hold(held) => hold(&held.note),
        Change::Lift { note, .. } => hold(note),
        Change::Rebind { public_key, note, .. } => row(public_key)
            .saturating_add(NEW_ROW)
            .saturating_add(hold(note))
            .saturating_add(2 * AROUND),
        Change::Approval(change) => match &**change {
            ApprovalChange::Open(stored) => encode_approval(stored).len(),
            ApprovalChange::Say { .. }
            | ApprovalChange::Use(_)
            | ApprovalChange::Expire(_)
            | ApprovalChange::Abandon(_) => APPROVAL_ROW,
        },
        Change::ApiKey(change) => match &**change {
            ApiKeyChange::Create(stored) => encode_api_key(stored).len(),
            ApiKeyChange::Revoke { .. } => API_KEY_ROW,
        },
    }
}
