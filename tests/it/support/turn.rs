//! Two node tests at a time: a node that is starved of processor time fails its own timers, and the test says nothing about us.

use std::sync::{Condvar, Mutex};

const AT_ONCE: usize = 2;

static RUNNING: Mutex<usize> = Mutex::new(0);
static FREED: Condvar = Condvar::new();

/// A place among the tests that run nodes; given back on drop.
pub(crate) struct Turn(());

/// Waits for a place.
pub(crate) fn take() -> Turn {
    let mut running = RUNNING.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    while *running >= AT_ONCE {
        running = FREED
            .wait(running)
            .unwrap_or_else(|poisoned| poisoned.into_inner());
    }
    *running += 1;
    Turn(())
}

impl Drop for Turn {
    fn drop(&mut self) {
        *RUNNING.lock().unwrap_or_else(|poisoned| poisoned.into_inner()) -= 1;
        FREED.notify_one();
    }
}
