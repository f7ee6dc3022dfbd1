//! `SecretBytes<N>`: N secret bytes in a slot.
//!
//! May import: `arena`. Held by: envelopes (key-encryption keys, seeds on their way into a key object), backups later.

use subtle::ConstantTimeEq;

use super::{Arena, SecretError, page::Slot};

/// N secret bytes (N ≤ 4096), born in locked memory, overwritten on drop. Not `Clone`: one secret, one place.
pub struct SecretBytes<const N: usize> {
    slot: Slot,
}

impl<const N: usize> SecretBytes<N> {
    const FITS: () = assert!(N <= super::arena::SCRATCH, "SecretBytes holds at most 4096 bytes");

    /// Lets `fill` write the secret where it will live.
    ///
    /// # Errors
    /// [`SecretError::Full`] when the arena has no slot left.
    pub fn init_with(arena: &Arena, fill: impl FnOnce(&mut [u8; N])) -> Result<Self, SecretError> {
        Self::try_init_with(arena, |bytes| {
            fill(bytes);
            Ok(())
        })
    }

    /// As [`Self::init_with`], for a filling that may fail; the slot is overwritten when it does.
    ///
    /// # Errors
    /// [`SecretError::Full`], or what `fill` returned.
    pub fn try_init_with<E: From<SecretError>>(
        arena: &Arena,
        fill: impl FnOnce(&mut [u8; N]) -> Result<(), E>,
    ) -> Result<Self, E> {
        let () = Self::FITS;
        let mut slot = arena.slot_for(N)?;
        if let Some((bytes, _)) = slot.bytes_mut().split_first_chunk_mut::<N>() {
            fill(bytes)?;
        }
        Ok(Self { slot })
    }

    /// Fresh random bytes from the operating system.
    ///
    /// # Errors
    /// [`SecretError::Full`], [`SecretError::Random`].
    pub fn random(arena: &Arena) -> Result<Self, SecretError> {
        Self::try_init_with(arena, |bytes| getrandom::fill(bytes).map_err(SecretError::Random))
    }

    /// The bytes, in place. Only this package may look.
    pub(crate) fn expose(&self) -> &[u8; N] {
        let () = Self::FITS;
        // `FITS` holds, so the slot has N bytes; the empty fallback is never reached and keeps this free of panics.
        self.slot.bytes().first_chunk::<N>().unwrap_or(&const { [0; N] })
    }

    /// Whether both hold the same bytes, in time that does not depend on them.
    #[must_use]
    pub fn ct_eq(&self, other: &Self) -> bool {
        self.expose().ct_eq(other.expose()).into()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::secret::{ArenaSize, Unlocked};

    #[test]
    fn equality_is_by_content_and_random_secrets_differ() {
        let arena = Arena::new(ArenaSize::for_keys(1), Unlocked::Allow).unwrap();
        let a = SecretBytes::<32>::init_with(&arena, |b| b.fill(7)).unwrap();
        let b = SecretBytes::<32>::init_with(&arena, |b| b.fill(7)).unwrap();
        let c = SecretBytes::<32>::random(&arena).unwrap();
        assert!(a.ct_eq(&b));
        assert!(!a.ct_eq(&c));
    }

    #[test]
    fn a_failed_filling_gives_the_slot_back() {
        let arena = Arena::new(ArenaSize::for_keys(1), Unlocked::Allow).unwrap();
        for _ in 0..200 {
            let failed = SecretBytes::<32>::try_init_with(&arena, |b| {
                b.fill(1);
                Err(SecretError::Full { slots: 0, size: 0 })
            });
            assert!(failed.is_err());
        }
        assert!(SecretBytes::<32>::random(&arena).is_ok());
    }
}
