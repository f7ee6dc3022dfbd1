//! How a guard row begins, and how a foreign state joins one.
//!
//! *Invariants:* joining takes the maximum; it never lowers a watermark and never makes a signed key fresh. A key that was moved
//! out comes back only with a state that proves more than is known here, or by an operator's explicit height.

use super::watermark::{GuardRow, LastSigned, Watermark};
use crate::decision::{Refusal, RefusalCode};
use crate::model::id::{Height, UnixSeconds};

/// What is said of a key's past when it joins a chain.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Beginning {
    /// Generated here, never exported, on no chain yet; or attested by the operator never to have signed.
    NeverSigned,
    /// An operator's explicit word: signed elsewhere, up to this height at most.
    Above(Height),
    /// A state file without sign bytes: something was signed at this height, and the whole height is closed. A copy of the state
    /// that a key left with says the same, so it brings no key back.
    Unproven(Height),
    /// The last message signed elsewhere, with its bytes and signature.
    State(Box<LastSigned>),
}

impl Beginning {
    fn watermark(self) -> Watermark {
        match self {
            Self::NeverSigned => Watermark::Fresh,
            Self::Above(height) | Self::Unproven(height) => Watermark::Closed { height },
            Self::State(last) => Watermark::Signed(*last),
        }
    }
}

/// The row after `beginning` joined what was known. A state that is behind changes nothing and says so; equal positions with
/// other bytes refuse; a stopped key resumes only with a state above its own, or with a height to close.
pub fn merge(
    existing: Option<&GuardRow>,
    beginning: Beginning,
    now: UnixSeconds,
) -> Result<GuardRow, Refusal> {
    let Some(row) = existing else {
        return Ok(GuardRow::begin(beginning.watermark(), now));
    };
    // What a key signed after it was moved out, nobody here can know: the state it left with proves nothing.
    if row.stopped && !says_more(&row.watermark, &beginning) {
        return Err(Refusal::new(
            RefusalCode::StateConflict,
            "the key was moved out with this state and may have signed elsewhere since: give its newer state file, or the height to close (--above)",
        ));
    }
    let watermark = maximum(&row.watermark, beginning.watermark())?;
    Ok(GuardRow {
        watermark,
        touched: now.max(row.touched),
        stopped: false,
        allow_until: row.allow_until,
    })
}

/// Whether `beginning` tells more of a key than what it left with. An operator's height may be the one that it left at: who gives
/// it says that nothing was signed above, and a chain of one validator that rests there could go on no other way.
fn says_more(known: &Watermark, beginning: &Beginning) -> bool {
    match (known, beginning) {
        (_, Beginning::NeverSigned) => false,
        (_, Beginning::Above(height)) => height.value() >= known.height(),
        (_, Beginning::Unproven(height)) => height.value() > known.height(),
        (Watermark::Fresh, Beginning::State(_)) => true,
        (Watermark::Closed { height }, Beginning::State(last)) => last.position.height > *height,
        (Watermark::Signed(known), Beginning::State(last)) => last.position > known.position,
    }
}

fn maximum(known: &Watermark, incoming: Watermark) -> Result<Watermark, Refusal> {
    let behind = |what: &str| {
        Err(Refusal::new(
            RefusalCode::StateConflict,
            format!("{what}; the watermark here is never lowered"),
        ))
    };
    match (known, incoming) {
        (Watermark::Fresh, incoming) => Ok(incoming),
        (_, Watermark::Fresh) => behind("the key has signed here and cannot be fresh"),
        (Watermark::Signed(known), Watermark::Signed(incoming)) => {
            match incoming.position.cmp(&known.position) {
                std::cmp::Ordering::Less => behind("the state file is behind"),
                std::cmp::Ordering::Greater => Ok(Watermark::Signed(incoming)),
                std::cmp::Ordering::Equal if incoming.sign_bytes == known.sign_bytes => {
                    let extension_digest = known.extension_digest.or(incoming.extension_digest);
                    Ok(Watermark::Signed(LastSigned {
                        extension_digest,
                        ..known.clone()
                    }))
                }
                std::cmp::Ordering::Equal => behind(
                    "the state file holds another message for the same position: a double sign has happened",
                ),
            }
        }
        // A closed height says nothing about positions within it: it closes them all.
        (known, Watermark::Closed { height }) if height.value() >= known.height() => {
            Ok(Watermark::Closed { height })
        }
        (_, Watermark::Closed { .. }) => behind("the height given is behind"),
        (Watermark::Closed { height }, Watermark::Signed(incoming)) if incoming.position.height > *height => {
            Ok(Watermark::Signed(incoming))
        }
        (Watermark::Closed { .. }, Watermark::Signed(_)) => behind("the state file is behind"),
    }
}
