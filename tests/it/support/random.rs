//! Random moments that can be had again: the seed is printed, and `SIGWARD_TEST_SEED` sets it.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// splitmix64 (Steele, Lea, Flood 2014): enough to choose a moment, never used for keys.
pub(crate) struct Random(u64);

impl Random {
    /// Seeded from the environment or the clock.
    pub(crate) fn new() -> Self {
        let seed = match std::env::var("SIGWARD_TEST_SEED") {
            Ok(text) => text.parse().expect("SIGWARD_TEST_SEED is a number"),
            Err(_) => {
                let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
                since.as_secs() ^ u64::from(since.subsec_nanos())
            }
        };
        println!("SIGWARD_TEST_SEED={seed}");
        Self(seed)
    }

    /// The next moment, in `0..below`.
    pub(crate) fn moment(&mut self, below: Duration) -> Duration {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^= z >> 31;
        let micros = u64::try_from(below.as_micros()).unwrap();
        Duration::from_micros(z % micros.max(1))
    }
}
