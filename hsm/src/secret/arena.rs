//! The arena: three slabs of locked slots, sized and checked once, at start.
//!
//! May import: `page`. Handles (`SecretBytes`, `Placed`) take their slots here.
//!
//! # Invariant
//! Whoever holds an [`Arena`] knows that its memory is protected, or that the operator allowed it not to be.

use std::{io, sync::Arc};

use zeroize::ZeroizeOnDrop;

use super::page::{MapError, Placed, Slab, Slot};

/// Bytes of a small slot: seeds, scalars, key-encryption keys.
pub(super) const SMALL: usize = 64;
/// Bytes of a large slot: a library's key object (Ed25519 224, secp256k1 about 128).
pub(super) const LARGE: usize = 256;
/// Bytes of a scratch slot: a whole key file of another signer, while it is read or written.
pub(super) const SCRATCH: usize = 4096;
/// How many scratch slots there are: imports are rare and short, a passphrase typed twice takes two.
const SCRATCH_SLOTS: u32 = 4;

/// What to do when the kernel refuses to protect the memory of secrets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unlocked {
    /// Refuse to start (the default of the configuration).
    Refuse,
    /// Go on with whatever protection was granted (`allow_unlocked_memory`): development only.
    Allow,
}

/// How many secrets the arena holds at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ArenaSize {
    small: u32,
    large: u32,
}

impl ArenaSize {
    /// Room for `keys` open keys at once, and for the short-lived secrets (seeds, key-encryption keys) beside them.
    #[must_use]
    pub fn for_keys(keys: u32) -> Self {
        Self {
            small: 64,
            large: keys.saturating_add(16),
        }
    }

    /// Bytes of locked memory this takes, guard pages left out.
    #[must_use]
    pub fn locked_bytes(self) -> u64 {
        let page = rustix::param::page_size() as u64;
        let slab = |slots: u32, size: usize| (u64::from(slots) * size as u64).next_multiple_of(page);
        slab(self.small, SMALL) + slab(self.large, LARGE) + slab(SCRATCH_SLOTS, SCRATCH)
    }
}

/// Why memory for a secret was not to be had.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SecretError {
    /// The mapping itself failed.
    #[error("cannot map {bytes} bytes of secret memory ({call})")]
    Map {
        /// Bytes asked for.
        bytes: u64,
        /// The kernel call that failed.
        call: &'static str,
        /// What the kernel said.
        #[source]
        source: io::Error,
    },
    /// The kernel would not lock the memory, or leave it out of dumps and forks.
    #[error("cannot protect {bytes} bytes of secret memory ({call})")]
    Unprotected {
        /// Bytes asked for.
        bytes: u64,
        /// The kernel call that failed.
        call: &'static str,
        /// What the kernel said.
        #[source]
        source: io::Error,
    },
    /// Every slot of the arena is in use.
    #[error("the arena for secrets is full: {slots} slots of {size} bytes are all in use")]
    Full {
        /// Number of slots of that class.
        slots: u32,
        /// Bytes of one slot.
        size: usize,
    },
    /// The operating system gave no randomness.
    #[error("the operating system gave no random bytes")]
    Random(#[source] getrandom::Error),
}

impl SecretError {
    /// The stable code of the error.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Map { .. } => "secret_memory_unavailable",
            Self::Unprotected { .. } => "secret_memory_unprotected",
            Self::Full { .. } => "secret_memory_full",
            Self::Random(_) => "random_unavailable",
        }
    }

    /// One line of what to do about it.
    #[must_use]
    pub fn remedy(&self) -> Option<String> {
        match self {
            Self::Map { .. } | Self::Random(_) => None,
            Self::Unprotected { bytes, .. } => Some(format!(
                "raise RLIMIT_MEMLOCK to at least {bytes} bytes (ulimit -l, or LimitMEMLOCK= in the systemd unit); \
                 for development only: allow_unlocked_memory = true"
            )),
            Self::Full { .. } => {
                Some("raise the number of keys the arena is sized for, then restart".to_owned())
            }
        }
    }
}

/// The memory of all secrets of this process. Cloning gives another handle to the same memory.
#[derive(Clone)]
pub struct Arena {
    small: Arc<Slab>,
    large: Arc<Slab>,
    scratch: Arc<Slab>,
    size: ArenaSize,
    locked: bool,
}

impl Arena {
    /// Maps, locks and shields the memory.
    ///
    /// # Errors
    /// [`SecretError::Map`]; [`SecretError::Unprotected`] unless `unlocked` allows it.
    pub fn new(size: ArenaSize, unlocked: Unlocked) -> Result<Self, SecretError> {
        let bytes = size.locked_bytes();
        let map = |slot: usize, slots: u32| {
            Slab::map(slot, slots).map_err(|MapError { call, source }| SecretError::Map {
                bytes,
                call,
                source,
            })
        };
        let (small, mut refused) = map(SMALL, size.small)?;
        let (large, more) = map(LARGE, size.large)?;
        refused.extend(more);
        let (scratch, more) = map(SCRATCH, SCRATCH_SLOTS)?;
        refused.extend(more);
        let locked = refused.is_empty();
        match (refused.into_iter().next(), unlocked) {
            (Some(MapError { call, source }), Unlocked::Refuse) => {
                Err(SecretError::Unprotected { bytes, call, source })
            }
            (_, Unlocked::Allow) | (None, Unlocked::Refuse) => Ok(Self {
                small,
                large,
                scratch,
                size,
                locked,
            }),
        }
    }

    /// Whether every protection holds; false only where [`Unlocked::Allow`] was given and the kernel refused one.
    #[must_use]
    pub fn is_locked(&self) -> bool {
        self.locked
    }

    /// How many more keys can be opened.
    #[must_use]
    pub fn free_key_slots(&self) -> usize {
        self.large.free_slots()
    }

    fn small_slot(&self) -> Result<Slot, SecretError> {
        self.small.take().ok_or(SecretError::Full {
            slots: self.size.small,
            size: SMALL,
        })
    }

    fn large_slot(&self) -> Result<Slot, SecretError> {
        self.large.take().ok_or(SecretError::Full {
            slots: self.size.large,
            size: LARGE,
        })
    }

    /// A slot for `n` bytes, of the smallest class that holds them.
    pub(super) fn slot_for(&self, n: usize) -> Result<Slot, SecretError> {
        if n <= SMALL {
            return self.small_slot();
        }
        if n <= LARGE {
            return self.large_slot();
        }
        let full = SecretError::Full {
            slots: SCRATCH_SLOTS,
            size: SCRATCH,
        };
        self.scratch.take().ok_or(full)
    }

    /// Builds a key object in a large slot.
    pub(crate) fn place<T, E>(&self, build: impl FnOnce() -> Result<T, E>) -> Result<Placed<T>, E>
    where
        T: ZeroizeOnDrop,
        E: From<SecretError>,
    {
        let slot = self.large_slot()?;
        super::scrubbed_deep(|| Placed::new(slot, build))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::secret::SecretBytes;

    #[test]
    fn a_slot_is_zero_again_when_it_is_taken_the_second_time() {
        let arena = Arena::new(ArenaSize { small: 1, large: 1 }, Unlocked::Allow).unwrap();
        let first = SecretBytes::<32>::init_with(&arena, |b| b.fill(0xaa)).unwrap();
        let full = arena.small_slot().map(|_| ()).unwrap_err();
        assert_eq!(full.code(), "secret_memory_full");
        drop(first);
        assert!(arena.small_slot().unwrap().bytes().iter().all(|b| *b == 0));
    }

    #[test]
    fn many_threads_never_share_a_slot() {
        let arena = Arena::new(ArenaSize { small: 64, large: 1 }, Unlocked::Allow).unwrap();
        std::thread::scope(|scope| {
            for tag in 0..8u8 {
                let arena = &arena;
                scope.spawn(move || {
                    for _ in 0..2000 {
                        let held: Vec<_> = (0..4)
                            .map(|_| SecretBytes::<64>::init_with(arena, |b| b.fill(tag + 1)).unwrap())
                            .collect();
                        for secret in &held {
                            assert!(secret.expose().iter().all(|b| *b == tag + 1));
                        }
                    }
                });
            }
        });
        assert_eq!(arena.small.free_slots(), 64);
    }

    #[test]
    fn the_mapping_is_locked_undumpable_and_wiped_on_fork() {
        let arena = Arena::new(ArenaSize::for_keys(128), Unlocked::Refuse).unwrap();
        assert!(arena.is_locked());
        let secret = SecretBytes::<32>::init_with(&arena, |b| b.fill(1)).unwrap();
        let address = secret.expose().as_ptr() as usize;
        let smaps = std::fs::read_to_string("/proc/self/smaps").unwrap();
        let inside = |line: &str| {
            let (from, to) = line.split_once(' ')?.0.split_once('-')?;
            let from = usize::from_str_radix(from, 16).ok()?;
            let to = usize::from_str_radix(to, 16).ok()?;
            Some((from..to).contains(&address))
        };
        let flags = smaps
            .lines()
            .skip_while(|l| inside(l) != Some(true))
            .find(|l| l.starts_with("VmFlags:"))
            .unwrap();
        for flag in ["lo", "dd", "wf"] {
            assert!(
                flags.split_whitespace().any(|f| f == flag),
                "{flag} is missing in {flags}"
            );
        }
    }

    #[test]
    fn more_than_the_limit_of_locked_memory_is_refused_with_a_remedy() {
        let huge = ArenaSize {
            small: 1,
            large: 64 * 1024,
        }; // 16 MiB, twice the usual limit
        if let Err(error) = Arena::new(huge, Unlocked::Refuse) {
            assert_eq!(error.code(), "secret_memory_unprotected");
            assert!(error.remedy().unwrap().contains("RLIMIT_MEMLOCK"));
        } // Root without a limit may well lock it all.
    }
}
