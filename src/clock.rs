//! Time comes in through here, so that tests can turn it.

use std::time::{SystemTime, UNIX_EPOCH};

use sigward_policies::model::id::UnixSeconds;

/// A clock. Decides no signature but by how far a height may jump; stamps records.
pub trait Clock: Send + Sync + 'static {
    /// Microseconds since 1970-01-01T00:00:00Z.
    fn unix_micros(&self) -> i64;

    /// Whole seconds since 1970-01-01T00:00:00Z.
    fn unix_seconds(&self) -> UnixSeconds {
        UnixSeconds(self.unix_micros().div_euclid(1_000_000))
    }
}

/// The clock of the operating system.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn unix_micros(&self) -> i64 {
        match SystemTime::now().duration_since(UNIX_EPOCH) {
            Ok(since) => i64::try_from(since.as_micros()).unwrap_or(i64::MAX),
            Err(before) => i64::try_from(before.duration().as_micros()).map_or(i64::MIN, |m| -m),
        }
    }
}
