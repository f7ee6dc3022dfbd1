//! Which token: chosen by label or serial, found anew in each initialisation.
//!
//! # Invariant
//! A slot number is never believed: slots are renumbered when modules restart and readers are plugged in another order. The last one is
//! where a token is looked for first, and it is the token only if its serial says so.

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

impl TokenSelector {
    fn fits(&self, slot: Slot, info: &TokenInfo) -> bool {
        info.token_initialized()
            && match self {
                Self::Label(label) => info.label() == label,
                Self::Serial(serial) => info.serial_number() == serial,
                Self::Slot(number) => slot.id() == *number,
            }
    }
}

/// Finds the one token that `selector` names. `pinned`: the serial number that it had when it was first used. `last`: the slot in which
/// it was: where it still is, no other slot is asked, as the token there may be one that hangs.
pub(super) fn find(
    context: &Pkcs11,
    selector: &TokenSelector,
    pinned: Option<&str>,
    last: Option<Slot>,
) -> Result<Present, TokenError> {
    let is_ours = |slot: Slot, info: &TokenInfo| {
        pinned.is_some_and(|pinned| info.serial_number() == pinned) && selector.fits(slot, info)
    };
    if pinned.is_some()
        && let Some(slot) = last
        && let Ok(info) = context.get_token_info(slot)
        && is_ours(slot, &info)
    {
        return Ok(Present { slot, info });
    }
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
        // Two tokens of one label: the one that was used before is meant.
        if is_ours(slot, &info) {
            return Ok(Present { slot, info });
        }
        if selector.fits(slot, &info) {
            fitting.push(Present { slot, info });
        }
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
