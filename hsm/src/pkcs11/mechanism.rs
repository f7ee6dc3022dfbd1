//! What a token offers, `CKM_AES_KEY_WRAP_KWP` included.
//!
//! PKCS#11 v3.0 gave RFC 5649 a number of its own (6.13.4), as v2.40's `CKM_AES_KEY_WRAP_PAD` had been read in two ways. cryptoki
//! 0.12 knows no name for it, and drops from a token's list what it does not know.

use cryptoki::{
    context::Pkcs11,
    mechanism::{MechanismInfo, MechanismType},
    slot::Slot,
};

use super::error::TokenError;

/// `CKM_AES_KEY_WRAP_KWP`.
pub(super) const AES_KEY_WRAP_KWP: MechanismType = numbered(0x210b);

/// What the token in `slot` offers.
pub(super) fn offered(context: &Pkcs11, slot: Slot) -> Result<Vec<MechanismType>, TokenError> {
    let mut offered = context.get_mechanism_list(slot)?;
    let kwp = context.get_mechanism_info(slot, AES_KEY_WRAP_KWP);
    // A token that does not know it says CKR_MECHANISM_INVALID; any other answer is none to build on.
    if kwp.as_ref().is_ok_and(MechanismInfo::wrap) && kwp.is_ok_and(|info| info.unwrap()) {
        offered.push(AES_KEY_WRAP_KWP);
    }
    Ok(offered)
}

/// A mechanism by its number.
#[allow(
    unsafe_code,
    reason = "the one way to name a standard mechanism that cryptoki has no constant for"
)]
const fn numbered(number: std::ffi::c_ulong) -> MechanismType {
    // SAFETY: `MechanismType` is `repr(transparent)` around `CK_MECHANISM_TYPE`, an unsigned long without invalid values; the sizes
    // are compared by the compiler.
    unsafe { std::mem::transmute::<std::ffi::c_ulong, MechanismType>(number) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_the_mechanism_that_has_it() {
        assert_eq!(
            numbered(*MechanismType::AES_KEY_WRAP_PAD),
            MechanismType::AES_KEY_WRAP_PAD
        );
        assert_eq!(*AES_KEY_WRAP_KWP, 0x210b);
    }
}
