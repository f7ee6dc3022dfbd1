//! An order on its way through the token, and what has come of it.
//!
//! May import: `record`, `error`, `provider`.
//!
//! # Invariants
//! * Every ticket is answered exactly once: whoever takes the order out of it answers.
//! * A vote and its extension may be signed apart, but are let out together or not at all.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Instant,
};

use sigward_policies::{
    model::payload::Consensus,
    proof::{ConsensusSignatures, SignOrder},
};

use crate::{
    error::{Operation, ProviderError},
    pkcs11::{error::TokenError, record::Record},
    provider::Done,
};

/// An order, until it is answered.
pub(super) struct Ticket {
    pub(super) record: Arc<Record>,
    pub(super) deadline: Instant,
    /// Copies of the bytes in the order, for the threads that sign.
    message: Option<Arc<[u8]>>,
    extension: Option<Arc<[u8]>>,
    open: Mutex<Option<Open>>,
}

/// What an unanswered ticket holds.
struct Open {
    order: SignOrder<Consensus>,
    done: Done<Consensus>,
    /// What was signed so far.
    signed: ConsensusSignatures,
}

/// What one thread does for a ticket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Share {
    /// All there is to sign.
    Whole,
    /// The vote or proposal, while another thread signs its extension.
    Message,
    /// The extension.
    Extension,
}

impl Ticket {
    pub(super) fn new(
        record: Arc<Record>,
        deadline: Instant,
        order: SignOrder<Consensus>,
        done: Done<Consensus>,
    ) -> Self {
        let messages = order.messages();
        Self {
            record,
            deadline,
            message: messages.message.clone(),
            extension: messages.extension.clone(),
            open: Mutex::new(Some(Open {
                order,
                done,
                signed: ConsensusSignatures {
                    message: None,
                    extension: None,
                },
            })),
        }
    }

    /// Whether two threads can share it.
    pub(super) const fn has_two_parts(&self) -> bool {
        self.message.is_some() && self.extension.is_some()
    }

    /// The vote or proposal, where that is part of the share.
    pub(super) fn message(&self, share: Share) -> Option<&[u8]> {
        self.message.as_deref().filter(|_| share != Share::Extension)
    }

    /// The extension, where that is part of the share.
    pub(super) fn extension(&self, share: Share) -> Option<&[u8]> {
        self.extension.as_deref().filter(|_| share != Share::Message)
    }

    pub(super) fn is_open(&self) -> bool {
        self.lock().is_some()
    }

    /// Answers with an error, unless it was answered.
    pub(super) fn fail(&self, error: ProviderError) {
        let Some(open) = self.lock().take() else { return };
        // The order goes first: its position is free before anybody hears that it was not used.
        drop(open.order);
        (open.done)(Err(error));
    }

    /// Takes in what a thread got for its share. Answers with the first error, or when nothing is missing, unless it was answered.
    pub(super) fn finish(&self, outcome: Result<ConsensusSignatures, TokenError>) {
        match outcome {
            Ok(signatures) => self.add(signatures),
            Err(error) => self.fail(error.during(Operation::Sign)),
        }
    }

    fn add(&self, signatures: ConsensusSignatures) {
        let mut lock = self.lock();
        let Some(open) = lock.as_mut() else { return };
        let signed = &mut open.signed;
        signed.message = signed.message.take().or(signatures.message);
        signed.extension = signed.extension.take().or(signatures.extension);
        let is_whole = signed.message.is_some() == self.message.is_some()
            && signed.extension.is_some() == self.extension.is_some();
        let whole = if is_whole { lock.take() } else { None };
        drop(lock);
        if let Some(Open { order, done, signed }) = whole {
            done(
                order
                    .signed(signed)
                    .map_err(|error| ProviderError::fault(Operation::Sign, error)),
            );
        }
    }

    fn lock(&self) -> MutexGuard<'_, Option<Open>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
