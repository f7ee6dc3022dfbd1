//! Machines that stand still for seconds: a virtual machine that is saved or moved. Every timer in it fires at once when it goes on,
//! ours and the peers', and a scene that was under way says nothing about us. Such a scene is played again.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Once;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// Busy machines are late by less than this; the shortest timer of a scene is longer.
const STANDSTILL: Duration = Duration::from_millis(2500);
const TIMES: usize = 4;

static SEEN: AtomicUsize = AtomicUsize::new(0);
static WATCH: Once = Once::new();

/// Plays `scene`; plays it again when it failed and the machine stood still meanwhile.
pub(crate) fn replayed(scene: impl Fn()) {
    WATCH.call_once(|| drop(std::thread::spawn(watch)));
    for time in 1.. {
        let before = SEEN.load(Ordering::SeqCst);
        let Err(failure) = catch_unwind(AssertUnwindSafe(&scene)) else {
            return;
        };
        // The watch may be woken after the scene was.
        std::thread::sleep(Duration::from_millis(300));
        if SEEN.load(Ordering::SeqCst) == before || time == TIMES {
            resume_unwind(failure);
        }
        eprintln!("ATTENTION: the machine stood still; the scene is played again");
    }
}

fn watch() {
    loop {
        let before = Instant::now();
        std::thread::sleep(Duration::from_millis(100));
        if before.elapsed() > STANDSTILL {
            SEEN.fetch_add(1, Ordering::SeqCst);
        }
    }
}
