//! Clearing a request: the pure rule says yes, and the position is held so that nobody else can take it.

use super::hold::Held;
use super::rules::{Limits, Verdict, judge};
use super::watermark::{GuardRow, LastSigned, Watermark};
use crate::decision::{Decision, Failure, FailureCode, Refusal, RefusalCode};
use crate::holding::Conditions;
use crate::model::algorithm::Signature;
use crate::model::id::UnixSeconds;
use crate::model::payload::Consensus;
use crate::proof::{Claim, Received};

/// Proof that the position of a request is free, or holds this very message, and is held for it.
#[derive(Debug)]
#[must_use = "a clearance that is dropped gives the position back"]
pub struct Cleared {
    pub(crate) claim: Claim,
    pub(crate) clearing: Clearing,
}

/// What a clearance knows; travels with the tokens until the reply.
#[derive(Debug)]
pub struct Clearing {
    pub(crate) held: Held,
    pub(crate) limits: Limits,
    pub(crate) now: UnixSeconds,
    /// What was signed before, when this is a repeat.
    pub(crate) stored: Option<LastSigned>,
}

/// Judges `received` over the row that `held` holds; a hold of another key's or chain's row fails.
pub fn clear(
    received: &Received<Consensus>,
    held: Held,
    limits: Limits,
    now: UnixSeconds,
) -> Decision<Cleared> {
    let claim = received.claim().clone();
    if !held.is_of(claim.key(), claim.chain()) {
        return Decision::Fail(Failure::new(
            FailureCode::TokenMismatch,
            "the guard row that is held belongs to another key or chain",
        ));
    }
    match judge(
        held.row(),
        held.conditions(),
        received.payload(),
        claim.chain(),
        &limits,
        now,
    ) {
        Verdict::Refuse(refusal) => Decision::Deny(refusal),
        Verdict::Sign => Decision::Allow(Cleared {
            claim,
            clearing: Clearing {
                held,
                limits,
                now,
                stored: None,
            },
        }),
        Verdict::Repeat => match &held.row().watermark {
            Watermark::Signed(last) => {
                let stored = Some(last.clone());
                Decision::Allow(Cleared {
                    claim,
                    clearing: Clearing {
                        held,
                        limits,
                        now,
                        stored,
                    },
                })
            }
            Watermark::Fresh | Watermark::Closed { .. } => Decision::Fail(Failure::new(
                FailureCode::StoreDisagrees,
                "a repeat of something that is not stored",
            )),
        },
    }
}

impl Clone for Clearing {
    fn clone(&self) -> Self {
        Self {
            held: self.held.share(),
            limits: self.limits,
            now: self.now,
            stored: self.stored.clone(),
        }
    }
}

impl Clearing {
    /// The rule's last word, over the row and the conditions that the store has under its transaction: the row to write, or a refusal.
    pub(crate) fn apply(
        &self,
        row: &GuardRow,
        conditions: &Conditions,
        claim: &Claim,
        request: &Consensus,
        fresh: Option<(Vec<u8>, Signature)>,
    ) -> Result<GuardRow, Refusal> {
        let digest = request.extension().map(|extension| *extension.digest());
        match (
            judge(row, conditions, request, claim.chain(), &self.limits, self.now),
            fresh,
            &self.stored,
        ) {
            (Verdict::Refuse(refusal), ..) => Err(refusal),
            (Verdict::Sign, Some((sign_bytes, signature)), None) => {
                let last = LastSigned {
                    position: request.message().position(),
                    sign_bytes,
                    timestamp: request.message().timestamp(),
                    signature,
                    extension_digest: digest,
                };
                Ok(row.signed(last, self.now))
            }
            (Verdict::Repeat, None, Some(stored)) => match &row.watermark {
                Watermark::Signed(last)
                    if last.sign_bytes == stored.sign_bytes && last.signature == stored.signature =>
                {
                    let mut row = row.clone();
                    if let Watermark::Signed(last) = &mut row.watermark {
                        last.extension_digest = last.extension_digest.or(digest);
                    }
                    Ok(row)
                }
                _ => Err(overtaken()),
            },
            _ => Err(overtaken()),
        }
    }
}

/// The position was taken between judgement and commit; the signature made in between is never released.
fn overtaken() -> Refusal {
    Refusal::new(
        RefusalCode::DoubleSignConflict,
        "the position was taken by another request",
    )
}
