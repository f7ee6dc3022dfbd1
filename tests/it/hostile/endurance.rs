//! Floods, a thousand connections, an end under load, and a chain that cannot be served.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use super::fake_node::Listener;
use super::messages::{PREVOTE, ping, sign_vote, vote};
use super::stage::{CHAIN, Stage};
use crate::support::audit::{assert_no_double_sign, records};
use crate::support::poll;
use crate::support::standstill::replayed;

const NODES: usize = 100;

/// Open files and resident bytes of the process.
fn weight(stage: &Stage) -> (usize, f64) {
    let files = format!("/proc/{}/fd", stage.signer.pid());
    // Only root may count them: sigward is not dumpable.
    let files = std::fs::read_dir(files).map_or(0, Iterator::count);
    let resident = stage.signer.metrics().sum("sigward_resident_memory_bytes", &[]);
    (files, resident.expect("resident memory"))
}

/// Takes `count` connections, from whichever node is dialled, says something or nothing, and hangs up.
fn take(nodes: &[Listener], count: usize) {
    let taken = AtomicUsize::new(0);
    let end = Instant::now() + Duration::from_secs(90);
    while taken.load(Ordering::Relaxed) < count {
        assert!(Instant::now() < end, "{taken:?} connections");
        for (index, node) in nodes.iter().enumerate() {
            if let Some(mut wire) = node.try_accept() {
                let at = taken.fetch_add(1, Ordering::Relaxed);
                if (at + index).is_multiple_of(3) {
                    let _gone = std::io::Write::write_all(&mut wire, &ping());
                }
            }
        }
        std::thread::sleep(Duration::from_millis(2));
    }
}

#[test]
fn a_thousand_connections_leave_no_file_and_no_memory_behind() {
    replayed(|| {
        let stage = Stage::new(|home| {
            (0..NODES)
                .map(|n| match n % 4 {
                    0 => Listener::tcp(),
                    _ => Listener::unix(home, &format!("n{n}")),
                })
                .collect()
        });
        take(&stage.nodes, 3 * NODES);
        let before = quiet(&stage);
        take(&stage.nodes, 1000);
        let after = quiet(&stage);
        eprintln!("open files and resident bytes: before {before:?}, after {after:?}");
        assert!(after.0 <= before.0 + 10, "files: {before:?}, {after:?}");
        assert!(after.1 <= before.1 + 4e6, "memory: {before:?}, {after:?}");
        stage.finish();
    });
}

/// Everything that waits is taken and dropped, for as long as it takes to see few files at once.
fn quiet(stage: &Stage) -> (usize, f64) {
    let mut least = (usize::MAX, 0.0);
    for _ in 0..40 {
        for node in &stage.nodes {
            while node.try_accept().is_some() {}
        }
        let now = weight(stage);
        if now.0 < least.0 {
            least = now;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    least
}

#[test]
fn refusals_without_end_cost_neither_disk_nor_the_other_chain() {
    replayed(|| {
        let stage = Stage::new(|home| vec![Listener::unix(home, "u")]);
        let mut link = stage.nodes[0].connect();
        let asked = 20_000;
        for n in 0..asked {
            let reply = link.ask(&sign_vote(&format!("other-{}", n % 7), vote(PREVOTE, 5, 1)));
            assert!(super::messages::outcome(&reply).1.is_some());
        }
        stage.unharmed();
        let held = records(&stage.signer).len();
        assert!(held < 5_000, "{held} audit records");
        stage.finish();
    });
}

#[test]
fn sigterm_under_load_is_a_clean_end() {
    replayed(|| {
        let mut stage = Stage::new(|home| {
            vec![
                Listener::unix(home, "a"),
                Listener::unix(home, "b"),
                Listener::tcp(),
                Listener::unix(home, "deaf"),
            ]
        });
        let links: Vec<_> = stage.nodes.iter().map(Listener::connect).collect();
        let loads: Vec<_> = links
            .into_iter()
            .enumerate()
            .map(|(node, mut link)| {
                std::thread::spawn(move || {
                    for height in 1.. {
                        let request = sign_vote(CHAIN, vote(PREVOTE, height, 7));
                        // The last one never reads.
                        if link.send(&request).is_err() || (node < 3 && link.receive().is_none()) {
                            return;
                        }
                    }
                })
            })
            .collect();
        std::thread::sleep(Duration::from_millis(500));
        let began = Instant::now();
        stage.terminate_under_load();
        assert!(began.elapsed() < Duration::from_secs(8), "{:?}", began.elapsed());
        for load in loads {
            load.join().unwrap();
        }
        assert_no_double_sign(&stage.signer);
        stage.signer.start();
        assert!(stage.signer.lives());
    });
}

#[test]
fn a_chain_whose_key_is_gone_costs_the_other_nothing() {
    replayed(|| {
        let mut stage = Stage::prepared(|home| vec![Listener::unix(home, "u")]);
        let mut keys: Vec<_> = std::fs::read_dir(stage.home.path("s/keys"))
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .filter(|path| path.extension().is_some_and(|e| e == "sealed"))
            .collect();
        let listed = stage.signer.run(&["keys", "show", "attacked", "--json"]);
        keys.retain(|path| listed.contains(path.file_stem().unwrap().to_str().unwrap()));
        assert_eq!(keys.len(), 1, "{listed}");
        std::fs::remove_file(&keys[0]).unwrap();
        stage.start();
        stage.unharmed();
        let dialled = poll(Duration::from_millis(1500), || stage.nodes[0].try_accept());
        assert!(dialled.is_none(), "nobody dials for a chain without a key");
        assert_eq!(stage.signer.check("chain/hostile-1"), "failing");
        assert_eq!(stage.signer.check("chain/bystander-1"), "ok");
        assert_eq!(stage.signer.check("node/bystander-1/by"), "ok");
        assert_eq!(stage.signer.check("nodes/bystander-1"), "ok");
        assert!(!stage.signer.ready().0, "one chain of two is not signed for");
        assert!(stage.signer.log().contains("a chain is not served"));
        stage.finish();
    });
}
