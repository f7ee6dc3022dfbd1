//! What the guard remembers of a public key on a chain.
//!
//! *Invariant:* a watermark never goes down: every function here that makes a row from a row keeps or raises it.

use crate::decision::Refusal;
use crate::model::algorithm::Signature;
use crate::model::id::{ChainId, Height, UnixSeconds};
use crate::model::payload::{Position, Timestamp};
use crate::model::sign_bytes;

/// The last message that a key signed on a chain, whole: a repeat is answered from it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LastSigned {
    /// Its position.
    pub position: Position,
    /// Its canonical sign bytes, below 256 bytes.
    pub sign_bytes: Vec<u8>,
    /// Its timestamp, which also stands in the sign bytes.
    pub timestamp: Timestamp,
    /// The signature that was released.
    pub signature: Signature,
    /// SHA-256 of the first extension signed with it, if one was.
    pub extension_digest: Option<[u8; 32]>,
}

impl LastSigned {
    /// Takes position and timestamp from the sign bytes themselves, so that what is stored beside them cannot say otherwise: a
    /// position lower than what was signed would open positions again. Yields the chain they were signed for, too.
    pub fn read(
        sign_bytes: Vec<u8>,
        signature: Signature,
        extension_digest: Option<[u8; 32]>,
    ) -> Result<(Self, ChainId), Refusal> {
        let (message, chain) = sign_bytes::parse(&sign_bytes)?;
        let last = Self {
            position: message.position(),
            sign_bytes,
            timestamp: message.timestamp(),
            signature,
            extension_digest,
        };
        Ok((last, chain))
    }
}

/// The last (height, round, step), and how much is known of it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Watermark {
    /// Proved never to have signed here: generated and never exported, or so attested by the operator.
    Fresh,
    /// Every height up to this one is closed; nothing is known of what was signed there.
    Closed {
        /// The last closed height.
        height: Height,
    },
    /// The last message signed.
    Signed(LastSigned),
}

impl Watermark {
    /// The height of the watermark, or 0 for a fresh key.
    pub const fn height(&self) -> i64 {
        match self {
            Self::Fresh => 0,
            Self::Closed { height } => height.value(),
            Self::Signed(last) => last.position.height.value(),
        }
    }

    /// Whether this leaves open what `other` has closed. A closed height is above every position within it.
    pub fn is_below(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Signed(own), Self::Signed(other)) => own.position < other.position,
            (Self::Signed(_), Self::Closed { .. }) => self.height() <= other.height(),
            (Self::Signed(_), Self::Fresh) => false,
            (Self::Fresh | Self::Closed { .. }, _) => self.height() < other.height(),
        }
    }
}

/// One row of the guard: a public key on a chain id.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct GuardRow {
    /// How far the key has come.
    pub watermark: Watermark,
    /// Heights up to here may be jumped to, by an operator's word.
    pub allow_until: Option<Height>,
    /// When the watermark last rose, by the local clock.
    pub touched: UnixSeconds,
    /// The key was moved out: it signs no more here.
    pub stopped: bool,
}

impl GuardRow {
    /// A row that starts with `watermark`.
    pub const fn begin(watermark: Watermark, now: UnixSeconds) -> Self {
        Self {
            watermark,
            allow_until: None,
            touched: now,
            stopped: false,
        }
    }

    /// The row after `last` was signed at `now`. A clock that went back does not take the row's time back.
    #[must_use]
    pub fn signed(&self, last: LastSigned, now: UnixSeconds) -> Self {
        let allow_until = self.allow_until.filter(|until| *until > last.position.height);
        Self {
            watermark: Watermark::Signed(last),
            allow_until,
            touched: now.max(self.touched),
            stopped: self.stopped,
        }
    }

    /// The row after an operator allowed heights up to `until`.
    #[must_use]
    pub fn allowed(&self, until: Height) -> Self {
        Self {
            allow_until: self.allow_until.max(Some(until)),
            ..self.clone()
        }
    }

    /// The row after the operator took that back.
    #[must_use]
    pub fn disallowed(&self) -> Self {
        Self {
            allow_until: None,
            ..self.clone()
        }
    }

    /// The row with every height up to `height` closed, unless it is beyond that already.
    #[must_use]
    pub fn closed_to(&self, height: Height, now: UnixSeconds) -> Self {
        if self.watermark.height() > height.value() {
            return self.clone();
        }
        Self {
            watermark: Watermark::Closed { height },
            touched: now.max(self.touched),
            ..self.clone()
        }
    }

    /// The row after the key was moved out.
    #[must_use]
    pub fn stop(&self) -> Self {
        Self {
            stopped: true,
            ..self.clone()
        }
    }
}
