//! Argon2id (RFC 9106) with bounds: a file must not choose how much memory or time its reading takes.

use argon2::{Algorithm, Argon2, Block, Params, Version};
use zeroize::Zeroize as _;

use crate::secret::scrubbed_deep;

/// Bytes of the salt.
pub(crate) const SALT: usize = 16;

/// Cost of deriving a key from a passphrase. Values within bounds only.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ArgonParams {
    memory_kib: u32,
    passes: u32,
    lanes: u32,
}

impl ArgonParams {
    /// 64 MiB, 3 passes, 4 lanes: the second recommended choice of RFC 9106 section 4.
    pub const RECOMMENDED: Self = Self {
        memory_kib: 64 * 1024,
        passes: 3,
        lanes: 4,
    };

    /// 256 MiB, 3 passes, 4 lanes: for a file that leaves the machine, and that whoever finds it may try on for years.
    pub const BACKUP: Self = Self {
        memory_kib: 256 * 1024,
        passes: 3,
        lanes: 4,
    };

    /// Takes a cost between 8 MiB and 512 MiB of memory, 1 and 16 passes, 1 and 16 lanes; `None` outside of that.
    #[must_use]
    pub fn new(memory_kib: u32, passes: u32, lanes: u32) -> Option<Self> {
        let sane = (8 * 1024..=512 * 1024).contains(&memory_kib)
            && (1..=16).contains(&passes)
            && (1..=16).contains(&lanes);
        sane.then_some(Self {
            memory_kib,
            passes,
            lanes,
        })
    }

    /// Memory in KiB.
    #[must_use]
    pub const fn memory_kib(self) -> u32 {
        self.memory_kib
    }

    /// Passes over the memory.
    #[must_use]
    pub const fn passes(self) -> u32 {
        self.passes
    }

    /// Lanes, computed one after the other here.
    #[must_use]
    pub const fn lanes(self) -> u32 {
        self.lanes
    }

    /// Derives 32 bytes. Takes about 0.1 s and `memory_kib` of memory, which is overwritten afterwards.
    pub(crate) fn derive(
        self,
        passphrase: &[u8],
        salt: &[u8; SALT],
        into: &mut [u8; 32],
    ) -> Result<(), argon2::Error> {
        let params = Params::new(self.memory_kib, self.passes, self.lanes, Some(into.len()))?;
        let mut memory = vec![Block::default(); params.block_count()];
        let argon = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
        let derived = scrubbed_deep(|| {
            argon.hash_password_into_with_memory(passphrase, salt, into, memory.as_mut_slice())
        });
        memory.iter_mut().for_each(zeroize::Zeroize::zeroize);
        if derived.is_err() {
            into.zeroize();
        }
        derived
    }
}
