//! The pure rule: may this message be signed over this row?
//!
//! FilePV's semantics (CometBFT `privval/file.go`: CheckHRS, signVote, signProposal) sharpened by the poison guard: a height or
//! round far beyond the watermark is refused until an operator allows it, so that one rogue request cannot lock a key for ever.

use std::cmp::Ordering;

use super::watermark::{GuardRow, LastSigned, Watermark};
use crate::decision::{Refusal, RefusalCode};
use crate::holding::Conditions;
use crate::model::id::{ChainId, UnixSeconds};
use crate::model::payload::{Consensus, ConsensusMessage, Position};
use crate::model::sign_bytes;

/// The guard's settings for a chain. A reload may tighten them; loosening takes a restart.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Limits {
    /// A height may always rise by this many.
    pub height_jump: i64,
    /// And by this many for each second since the last signature.
    pub heights_per_second: i64,
    /// A round may rise by this many within a height.
    pub round_jump: i32,
    /// Refuse a second, different extension for the same precommit.
    pub strict_extensions: bool,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            height_jump: 100_000,
            heights_per_second: 20,
            round_jump: 1_000,
            strict_extensions: false,
        }
    }
}

/// The rule's answer.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// Nothing was ever signed at or above this position: sign.
    Sign,
    /// The same message, timestamp aside, was signed last: answer with what is stored.
    Repeat,
    /// No.
    Refuse(Refusal),
}

/// Judges `request` on `chain` over `row`, under `conditions`, at `now`. Total: every input has an answer, and no input panics.
/// What an operator holds back is looked at first: nothing leaves under it, stored signatures included.
pub fn judge(
    row: &GuardRow,
    conditions: &Conditions,
    request: &Consensus,
    chain: &ChainId,
    limits: &Limits,
    now: UnixSeconds,
) -> Verdict {
    if let Err(held_back) = conditions.check(request.message().position().height) {
        return Verdict::Refuse(held_back);
    }
    if row.stopped {
        return refuse(
            RefusalCode::KeyStopped,
            "this key was moved out and signs no more here; bring it back with `sigward state import`",
        );
    }
    let position = request.message().position();
    match &row.watermark {
        Watermark::Fresh => Verdict::Sign,
        Watermark::Closed { height } if position.height <= *height => refuse(
            RefusalCode::HeightClosed,
            format!(
                "height {} is closed: heights up to {height} may have been signed elsewhere",
                position.height
            ),
        ),
        Watermark::Closed { .. } => rise(row, position, limits, now),
        Watermark::Signed(last) => match position.cmp(&last.position) {
            Ordering::Less => refuse_regression(position, last.position),
            Ordering::Equal => judge_equal(last, request, chain, limits),
            Ordering::Greater => rise(row, position, limits, now),
        },
    }
}

/// Whether `message` is the stored one but for its timestamp.
fn same_message(last: &LastSigned, message: &ConsensusMessage, chain: &ChainId) -> bool {
    sign_bytes::of_message(&message.at(last.timestamp), chain) == last.sign_bytes
}

fn judge_equal(last: &LastSigned, request: &Consensus, chain: &ChainId, limits: &Limits) -> Verdict {
    if !same_message(last, request.message(), chain) {
        return refuse(
            RefusalCode::DoubleSignConflict,
            format!(
                "another message was signed for {}; signing this one would be a double sign",
                last.position
            ),
        );
    }
    if let (true, Some(asked), Some(signed)) = (
        limits.strict_extensions,
        request.extension(),
        last.extension_digest,
    ) && *asked.digest() != signed
    {
        return refuse(
            RefusalCode::ExtensionConflict,
            format!(
                "another extension was signed with the precommit for {}",
                last.position
            ),
        );
    }
    Verdict::Repeat
}

fn rise(row: &GuardRow, position: Position, limits: &Limits, now: UnixSeconds) -> Verdict {
    if row.allow_until.is_some_and(|until| position.height <= until) {
        return Verdict::Sign;
    }
    let silence = now.0.saturating_sub(row.touched.0).max(0);
    let jump = limits
        .height_jump
        .max(silence.saturating_mul(limits.heights_per_second));
    let highest = row.watermark.height().saturating_add(jump);
    if position.height.value() > highest {
        return refuse(
            RefusalCode::HeightJump,
            format!(
                "height {} is above {highest}, the highest that is plausible now; if the chain really is there: sigward state allow --until {}",
                position.height, position.height
            ),
        );
    }
    if let Watermark::Signed(last) = &row.watermark
        && position.height == last.position.height
        && position.round.value() > last.position.round.value().saturating_add(limits.round_jump)
    {
        return refuse(
            RefusalCode::RoundJump,
            format!(
                "round {} is more than {} above round {}; if the chain really is there: sigward state allow --until {}",
                position.round, limits.round_jump, last.position.round, position.height
            ),
        );
    }
    Verdict::Sign
}

fn refuse_regression(asked: Position, last: Position) -> Verdict {
    let code = if asked.height < last.height {
        RefusalCode::HeightRegression
    } else if asked.round < last.round {
        RefusalCode::RoundRegression
    } else {
        RefusalCode::StepRegression
    };
    refuse(code, format!("{asked} is below {last}, which was signed already"))
}

fn refuse(code: RefusalCode, message: impl Into<String>) -> Verdict {
    Verdict::Refuse(Refusal::new(code, message))
}
