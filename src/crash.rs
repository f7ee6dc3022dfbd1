//! Places where a test can end the process as `kill -9` would: at every durability step.
//!
//! Without the feature `failpoints` a crash point is nothing at all. With it, `FAILPOINTS="NAME=return"` in the environment ends
//! the process at NAME by abort: no destructor runs, no buffer is flushed.

/// Ends the process here if a test says so.
macro_rules! crash_point {
    ($name:literal) => {
        #[cfg(feature = "failpoints")]
        {
            fail::fail_point!($name, |_| std::process::abort());
        }
    };
}

pub(crate) use crash_point;

/// Reads `FAILPOINTS` from the environment; the crash points it names are armed as long as what this returns lives.
#[cfg(feature = "failpoints")]
pub(crate) fn arm() -> fail::FailScenario<'static> {
    fail::FailScenario::setup()
}
