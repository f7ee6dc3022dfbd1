//! Which token: chosen by label or serial, found anew in each initialisation.
//!
//! # Invariant
//! A slot number is never remembered: slots are renumbered when modules restart and readers are plugged in another order.

use std::fmt;

use cryptoki::{
    context::Pkcs11,
    slot::{Slot, TokenInfo},
};

use super::error::{Kind, TokenError};

/// How the configuration names a token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TokenSelector {
    /// By its label, 1 to 32 bytes.
    Label(String),
    /// By its serial number, 1 to 16 bytes.
    Serial(String),
    /// By the number of its slot, which is not stable: for tokens that have neither of their own.
    Slot(u64),
}

impl fmt::Display for TokenSelector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Label(label) => write!(f, "label {label:?}"),
            Self::Serial(serial) => write!(f, "serial {serial:?}"),
            Self::Slot(slot) => write!(f, "slot {slot}"),
        }
    }
}

/// Who a token says it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenIdentity {
    /// Its label.
    pub label: String,
    /// Its serial number.
    pub serial: String,
    /// Who made it.
    pub manufacturer: String,
    /// What it is.
    pub model: String,
}

/// A token that is there now.
pub(super) struct Present {
    pub(super) slot: Slot,
    pub(super) info: TokenInfo,
}

impl Present {
    pub(super) fn identity(&self) -> TokenIdentity {
        TokenIdentity {
            label: self.info.label().to_owned(),
            serial: self.info.serial_number().to_owned(),
            manufacturer: self.info.manufacturer_id().to_owned(),
            model: self.info.model().to_owned(),
        }
    }
}

/// Finds the one token that `selector` names. `pinned`: the serial number that it had when it was first used.
pub(super) fn find(
    context: &Pkcs11,
    selector: &TokenSelector,
    pinned: Option<&str>,
) -> Result<Present, TokenError> {
    let mut fitting = Vec::new();
    let mut seen = Vec::new();
    // Not cryptoki's `get_slots_with_initialized_token`: it fails when any token of the module does, and another one's trouble is
    // none of ours.
    for slot in context.get_slots_with_token()? {
        // A token that goes away between the two calls is one that is not there.
        let Ok(info) = context.get_token_info(slot) else {
            continue;
        };
        if !info.token_initialized() {
            continue;
        }
        seen.push(format!("{:?} (serial {:?})", info.label(), info.serial_number()));
        let fits = match selector {
            TokenSelector::Label(label) => info.label() == label,
            TokenSelector::Serial(serial) => info.serial_number() == serial,
            TokenSelector::Slot(number) => slot.id() == *number,
        };
        if fits {
            fitting.push(Present { slot, info });
        }
    }
    // Two tokens of one label: the one that was used before is meant.
    if let Some(pinned) = pinned
        && fitting.iter().any(|token| token.info.serial_number() == pinned)
    {
        fitting.retain(|token| token.info.serial_number() == pinned);
    }
    let count = fitting.len();
    match (fitting.pop(), count) {
        (Some(token), 1) => same_as_before(token, selector, pinned),
        (None, _) => Err(TokenError::new(
            Kind::Lost,
            format!(
                "C_GetSlotList shows no token with {selector}; there are: {}",
                list(&seen)
            ),
            "see that the token is plugged in and that the module is configured to find it",
        )),
        (Some(_), _) => Err(TokenError::new(
            Kind::Failed,
            format!("{count} tokens have {selector}: {}", list(&seen)),
            "choose the token by its serial",
        )),
    }
}

/// The serial number is pinned when a token is first used: another token of the same label is another token.
fn same_as_before(
    token: Present,
    selector: &TokenSelector,
    pinned: Option<&str>,
) -> Result<Present, TokenError> {
    match pinned {
        Some(pinned) if token.info.serial_number() != pinned => Err(TokenError::new(
            Kind::Stranger,
            format!(
                "the token with {selector} has the serial {:?}, and was {pinned:?} before: it is another token",
                token.info.serial_number()
            ),
            "bring the old token back; a new one takes a new [provider]",
        )),
        _ => Ok(token),
    }
}

fn list(seen: &[String]) -> String {
    if seen.is_empty() {
        return "none".to_owned();
    }
    seen.join(", ")
}
