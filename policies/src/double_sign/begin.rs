//! How a guard row begins, and how a foreign state joins one.
//!
//! *Invariant:* joining takes the maximum; it never lowers a watermark and never makes a signed key fresh.

use super::watermark::{GuardRow, LastSigned, Watermark};
use crate::decision::{Refusal, RefusalCode};
use crate::model::id::{Height, UnixSeconds};

/// What is said of a key's past when it joins a chain.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Beginning {
    /// Generated here, never exported, on no chain yet; or attested by the operator never to have signed.
    NeverSigned,
    /// Signed elsewhere, up to this height at most.
    Above(Height),
    /// The last message signed elsewhere, with its bytes and signature.
    State(Box<LastSigned>),
}

impl Beginning {
    fn watermark(self) -> Watermark {
        match self {
            Self::NeverSigned => Watermark::Fresh,
            Self::Above(height) => Watermark::Closed { height },
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
    let incoming = beginning.watermark();
    let Some(row) = existing else {
        return Ok(GuardRow::begin(incoming, now));
    };
    // What a key signed after it was moved out, nobody here can know: the state it left with proves nothing.
    if row.stopped && says_nothing_new(&row.watermark, &incoming) {
        return Err(Refusal::new(
            RefusalCode::StateConflict,
            "the key was moved out with this state and may have signed elsewhere since: give its newer state file, or the height to close (`sigward state init --above HEIGHT`)",
        ));
    }
    let watermark = maximum(&row.watermark, incoming)?;
    Ok(GuardRow {
        watermark,
        touched: now.max(row.touched),
        stopped: false,
        allow_until: row.allow_until,
    })
}

fn says_nothing_new(known: &Watermark, incoming: &Watermark) -> bool {
    match (known, incoming) {
        (_, Watermark::Fresh) => true,
        (Watermark::Signed(known), Watermark::Signed(incoming)) => incoming.position == known.position,
        (Watermark::Fresh | Watermark::Closed { .. }, Watermark::Signed(_))
        | (_, Watermark::Closed { .. }) => false,
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
