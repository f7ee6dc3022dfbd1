//! Thirty-two chains under load, and reloads by signal and by command that add, change, move and remove others.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use super::stage::{PATIENCE, Stage, accept, signed};
use crate::support::fake_node::{Answer, Ask, FakeNode};
use crate::support::metrics::NODE_CONNECTED;
use crate::support::poll;

/// Chains that no reload names, but to tighten their guard.
const BYSTANDERS: usize = 32;

/// A node that asks without pause, on the one connection that it took at the beginning.
struct Asking {
    height: Arc<AtomicI64>,
    thread: JoinHandle<FakeNode>,
}

impl Asking {
    fn begin(mut node: FakeNode, stop: &Arc<AtomicBool>) -> Self {
        let height = Arc::new(AtomicI64::new(0));
        let (at, stop) = (height.clone(), stop.clone());
        let thread = std::thread::spawn(move || {
            while !stop.load(Ordering::SeqCst) {
                let next = at.load(Ordering::SeqCst) + 1;
                let answer = node.ask(Ask::prevote(next, 1));
                // `Lost` is a connection that broke: it is never taken up again.
                assert!(
                    matches!(answer, Answer::Signed(_)),
                    "{} at {next}: {answer:?}",
                    node.address()
                );
                at.store(next, Ordering::SeqCst);
                std::thread::sleep(Duration::from_millis(5));
            }
            node
        });
        Self { height, thread }
    }
}

struct Crowd {
    asking: Vec<Asking>,
    stop: Arc<AtomicBool>,
}

impl Crowd {
    /// Everybody has been answered since this was called, and nobody was turned away.
    fn signs_on(&self, after: &str) {
        let before: Vec<_> = self
            .asking
            .iter()
            .map(|one| one.height.load(Ordering::SeqCst))
            .collect();
        let moved = poll(PATIENCE, || {
            let on = |(one, before): (&Asking, &i64)| one.height.load(Ordering::SeqCst) >= before + 2;
            self.asking.iter().zip(&before).all(on).then_some(())
        });
        let ended = self.asking.iter().filter(|one| one.thread.is_finished()).count();
        assert!(
            moved.is_some() && ended == 0,
            "{after}: {ended} chains were disturbed"
        );
    }
}

#[test]
fn reloads_do_not_touch_thirty_two_chains_that_they_do_not_name() {
    let names: Vec<_> = (0..BYSTANDERS).map(|n| format!("by-{n}")).collect();
    let others = ["moves", "rekeyed", "rekeyed-next", "comes"].map(str::to_owned);
    let mut stage = Stage::with_keys(names.iter().chain(&others));
    let mut nodes: Vec<_> = names.iter().map(|name| stage.chain(name, name)).collect();
    let mut moves = stage.chain("moves", "moves");
    let mut rekeyed = stage.chain("rekeyed", "rekeyed");
    stage.signer.start();
    nodes
        .iter_mut()
        .chain([&mut moves, &mut rekeyed])
        .for_each(accept);
    let stop = Arc::new(AtomicBool::new(false));
    let asking = nodes.into_iter().map(|node| Asking::begin(node, &stop)).collect();
    let crowd = Crowd { asking, stop };
    crowd.signs_on("at the start");

    let mut comes = stage.chain("comes", "comes");
    assert!(stage.hang_up(), "{}", stage.signer.log_tail());
    accept(&mut comes);
    signed(&mut comes, 1);
    crowd.signs_on("a chain came");

    signed(&mut moves, 1);
    let mut moved = stage.node_at("moved.sock", "moves");
    let address = moved.address().to_owned();
    stage.edit("moves", |chain| {
        chain["node"].as_array_mut().unwrap()[0]["address"] = address.into();
    });
    let reply = stage.reload();
    assert_eq!(reply["changes"][0]["setting"], "address", "{reply}");
    assert_eq!(reply["changes"].as_array().unwrap().len(), 1, "{reply}");
    accept(&mut moved);
    signed(&mut moved, 2);
    assert_eq!(
        moves.ask(Ask::prevote(3, 1)),
        Answer::Lost,
        "the old place is left"
    );
    crowd.signs_on("a node moved");

    signed(&mut rekeyed, 9);
    let old_key = rekeyed.public_key().unwrap();
    stage.edit("rekeyed", |chain| {
        drop(chain.insert("key".to_owned(), "rekeyed-next".into()))
    });
    assert!(stage.hang_up());
    accept(&mut rekeyed);
    assert_ne!(rekeyed.public_key().unwrap(), old_key);
    signed(&mut rekeyed, 1);
    crowd.signs_on("a key changed");

    for name in &names {
        stage.edit(name, |chain| {
            drop(chain.insert("round_jump".to_owned(), 10.into()))
        });
    }
    stage.remove("comes");
    let reply = stage.reload();
    assert_eq!(
        reply["changes"].as_array().unwrap().len(),
        BYSTANDERS + 1,
        "{reply}"
    );
    assert_eq!(
        comes.ask(Ask::prevote(2, 1)),
        Answer::Lost,
        "nobody is left to ask"
    );
    let metrics = stage.signer.metrics();
    assert_eq!(
        metrics.sum(NODE_CONNECTED, &[("chain", "comes")]),
        None,
        "its metrics are gone"
    );
    assert_eq!(
        metrics.sum("sigward_last_signed_height", &[("chain", "comes")]),
        None
    );
    let (_, ready) = stage.signer.ready();
    assert!(!ready.contains("comes"), "its checks are gone: {ready}");
    crowd.signs_on("the guard became stricter, and a chain went");

    let back = stage.signer.home().join("sigward.toml");
    let same = std::fs::read(&back).unwrap();
    for _ in 0..10 {
        assert!(stage.hang_up());
        assert_eq!(std::fs::read(&back).unwrap(), same);
    }
    crowd.signs_on("reloads of nothing");

    crowd.stop.store(true, Ordering::SeqCst);
    for (one, name) in crowd.asking.into_iter().zip(&names) {
        let mut node = one.thread.join().expect("every request was answered");
        assert_eq!(
            stage.listed(name, "a")["connections"],
            1,
            "{name}: the one connection"
        );
        let beyond = Ask {
            round: 11,
            ..Ask::prevote(one.height.load(Ordering::SeqCst), 1)
        };
        assert_eq!(
            node.ask(beyond).refusal(),
            "round_jump",
            "{name}: the stricter guard, on that connection"
        );
    }
    let metrics = stage.signer.metrics();
    let reconnects = |chain: &str| metrics.sum("sigward_node_reconnects_total", &[("chain", chain)]);
    assert!(names.iter().all(|name| reconnects(name) == Some(0.0)));
    stage.signer.run(&["audit", "verify"]);
    stage.signer.terminate();
}
