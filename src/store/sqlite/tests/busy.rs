//! Whoever finds too much waiting is refused, and counted; a signature is neither.

use std::sync::mpsc::{Receiver, Sender};
use std::thread;

use super::*;
use crate::clock::SystemClock;
use crate::telemetry::Metrics;
use crate::telemetry::metrics::Build;

/// More of a kind than there is room for.
const MORE: usize = 3;

/// A store whose thread looks at something until it is told to go on.
struct Held {
    store: Arc<SqliteStore>,
    metrics: Arc<Metrics>,
    go_on: Sender<()>,
    _home: Home,
}

impl Held {
    fn new() -> Self {
        let (home, store) = Home::open();
        let build = Build {
            version: "0",
            commit: "0",
        };
        let metrics = Metrics::new(build, &SystemClock);
        commit(&*store, begin(1, &chain("one"))).unwrap();
        store.observe(metrics.store());
        let (go_on, wait) = channel::<()>();
        let (began, begun) = channel();
        let own = store.clone();
        thread::spawn(move || {
            own.ask(move |_writer| {
                began.send(()).unwrap();
                let _go_on = wait.recv();
                Ok(())
            })
        });
        begun.recv().unwrap();
        Self {
            store,
            metrics,
            go_on,
            _home: home,
        }
    }

    /// Asks for all of these, and waits for none.
    fn ask(&self, batches: impl IntoIterator<Item = Batch>) -> Receiver<Result<Receipts, Refused>> {
        let (tell, told) = channel();
        for batch in batches {
            let tell = tell.clone();
            self.store
                .commit(batch, Box::new(move |outcome| tell.send(outcome).unwrap()));
        }
        told
    }

    fn counted(&self) -> [u64; 3] {
        let text = self.metrics.encode().unwrap();
        ["acts", "records", "looks"].map(|lane| {
            let name = format!("sigward_store_busy_total{{lane=\"{lane}\"}} ");
            let count = text.lines().find_map(|line| line.strip_prefix(name.as_str()));
            count.unwrap().parse().unwrap()
        })
    }
}

#[test]
fn acts_and_records_beyond_the_bound_are_refused_and_counted_and_signatures_are_not() {
    let held = Held::new();
    let records = held.ask((0..512 + MORE).map(|_| Batch::record(vec![act()])));
    let acts = held.ask((0..256 + MORE).map(|n| begin(u32::try_from(n).unwrap() + 2, &chain("two"))));
    let vote = held.ask([batch(1, &chain("one"), &message(5, 0, 2, 1, 10), fresh())]);
    for refused in [&records, &acts] {
        for _ in 0..MORE {
            assert_eq!(code(refused.recv().unwrap()), "busy");
        }
    }
    assert_eq!(held.counted(), [3, 3, 0]);
    held.go_on.send(()).unwrap();
    assert!(vote.recv().unwrap().is_ok());
    // Whoever had a place gets what was asked for.
    assert!(records.iter().all(|outcome| outcome.is_ok()));
    assert!(acts.iter().all(|outcome| outcome.is_ok()));
    assert_eq!(held.counted(), [3, 3, 0]);
}

#[test]
fn a_look_beyond_the_bound_is_refused_and_counted() {
    let held = Held::new();
    let (tell, told) = channel();
    for _ in 0..=256 {
        let (store, tell) = (held.store.clone(), tell.clone());
        thread::spawn(move || tell.send(store.rows()).unwrap());
    }
    drop(tell);
    // Nobody else can be through yet.
    assert_eq!(code(told.recv().unwrap()), "busy");
    assert_eq!(held.counted(), [0, 0, 1]);
    // Whoever has to follow a commit has room.
    let follower = {
        let store = held.store.clone();
        thread::spawn(move || store.followed().unwrap().rows.len())
    };
    held.go_on.send(()).unwrap();
    assert_eq!(follower.join().unwrap(), 1);
    let looked: Vec<_> = told.iter().collect();
    assert_eq!(looked.len(), 256);
    assert!(looked.iter().all(|outcome| outcome.is_ok()));
}
