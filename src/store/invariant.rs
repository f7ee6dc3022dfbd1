//! What must hold of every batch and every row, whatever the rules said: the last look before the disk.
//!
//! *Invariant:* these only ever refuse. A watermark that would go down is a fault of ours, not of the caller, and fails.

use std::cmp::Ordering;

use sigward_policies::decision::{Failure, FailureCode, Refusal, RefusalCode, Refused};
use sigward_policies::double_sign::{GuardRow, Watermark};
use sigward_policies::holding::Note;
use sigward_policies::model::key::VersionState;

use super::holding::MAX_HOLD_REASON;
use super::record::kept_subject;
use super::row::MAX_SIGN_BYTES;
use super::{Batch, StoredRow, unrecorded};

/// The shape that every batch has: what signs or changes is recorded, and the record speaks of what was signed.
pub(crate) fn check_shape(batch: &Batch) -> Result<(), Refused> {
    let wrong = |why| Err(Failure::new(FailureCode::StoreDisagrees, why).into());
    match (&batch.signature, batch.entries.as_slice()) {
        (Some(commit), [entry]) => {
            let claim = commit.claim();
            let same = entry.key.as_ref() == Some(claim.key())
                && entry.chain.as_ref() == Some(claim.chain())
                && entry.position == Some(commit.position());
            if same {
                Ok(())
            } else {
                wrong("the audit record speaks of another message than the one that was signed")
            }
        }
        (Some(_), []) if unrecorded::is() => Ok(()),
        (Some(_), _) => wrong("a signature comes with exactly one audit record"),
        (None, []) if !batch.changes.is_empty() => wrong("a change comes with its audit record"),
        (None, _) => Ok(()),
    }
}

/// Refuses what would lower a watermark or could not be read again.
pub(super) fn fit_to_write(known: Option<&GuardRow>, row: &StoredRow) -> Result<(), Refused> {
    if let Watermark::Signed(last) = &row.row.watermark
        && (last.sign_bytes.is_empty() || last.sign_bytes.len() > MAX_SIGN_BYTES)
    {
        return Err(Refusal::new(
            RefusalCode::InvalidParameters,
            format!(
                "sign bytes are 1 to {MAX_SIGN_BYTES} bytes, not {}",
                last.sign_bytes.len()
            ),
        )
        .into());
    }
    if known.is_some_and(|known| lowers(&known.watermark, &row.row.watermark)) {
        return Err(Failure::new(FailureCode::StoreDisagrees, "a watermark would have gone down").into());
    }
    Ok(())
}

/// Whether `next` permits anything that `known` forbids.
fn lowers(known: &Watermark, next: &Watermark) -> bool {
    match (known, next) {
        (Watermark::Fresh, _) => false,
        (_, Watermark::Fresh) => true,
        (Watermark::Signed(known), Watermark::Signed(next)) => match next.position.cmp(&known.position) {
            Ordering::Less => true,
            Ordering::Equal => next.sign_bytes != known.sign_bytes || next.signature != known.signature,
            Ordering::Greater => false,
        },
        (known, Watermark::Closed { height }) => height.value() < known.height(),
        (Watermark::Closed { height }, Watermark::Signed(next)) => next.position.height <= *height,
    }
}

/// A note as it is kept. Nobody's name is too long for it; a reason may be.
pub(super) fn fit_note(note: Note) -> Result<Note, Refused> {
    if note.reason.len() <= MAX_HOLD_REASON {
        let by = kept_subject(note.by);
        return Ok(Note { by, ..note });
    }
    Err(Refusal::new(
        RefusalCode::InvalidParameters,
        format!("a reason has at most {MAX_HOLD_REASON} bytes"),
    )
    .into())
}

/// A destroyed key is gone and a compromised one never comes back.
pub(super) fn check_move(from: VersionState, to: VersionState) -> Result<(), Refused> {
    let legal = match from {
        VersionState::Destroyed => to == VersionState::Destroyed,
        VersionState::Compromised => matches!(to, VersionState::Compromised | VersionState::Destroyed),
        VersionState::Pending
        | VersionState::Staged
        | VersionState::Active
        | VersionState::Deprecated
        | VersionState::Disabled
        | VersionState::DestroyScheduled => true,
    };
    if legal {
        return Ok(());
    }
    Err(Refusal::new(
        RefusalCode::InvalidParameters,
        format!("a {from} key cannot become {to}"),
    )
    .into())
}
