//! Thirty-two chains, each with a key of its own in one token: all sign at once, and all go on when the token was away for a while.

use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, Barrier};
use std::thread::JoinHandle;
use std::time::Duration;

use super::softhsm::{ID, Token};
use super::staying::{good, says};
use crate::support::audit::assert_no_double_sign;
use crate::support::fake_node::{Answer, Ask, FakeNode};
use crate::support::home::Home;
use crate::support::poll;
use crate::support::signer::Signer;

const CHAINS: usize = 32;
/// Heights that each chain gets signed before the token goes, and after it came back.
const HEIGHTS: i64 = 20;
/// Far longer than a request may wait for the token.
const AWAY: Duration = Duration::from_secs(6);
/// A debug build on a loaded machine.
const PATIENCE: Duration = Duration::from_secs(120);

/// A node that asks for one height after the other, and for the same one again when it is refused, as consensus rounds do.
struct Asking {
    signed: Arc<AtomicI64>,
    refused: Arc<AtomicI64>,
    thread: JoinHandle<()>,
}

impl Asking {
    fn begin(mut node: FakeNode, together: Arc<Barrier>, stop: Arc<AtomicBool>) -> Self {
        let (signed, refused) = (Arc::new(AtomicI64::new(0)), Arc::new(AtomicI64::new(0)));
        let (count, refusals) = (signed.clone(), refused.clone());
        let thread = std::thread::spawn(move || {
            together.wait();
            while !stop.load(Ordering::SeqCst) {
                let height = count.load(Ordering::SeqCst) + 1;
                match node.ask(Ask::prevote(height, 1)) {
                    Answer::Signed(_) => count.store(height, Ordering::SeqCst),
                    Answer::Refused { .. } => {
                        refusals.fetch_add(1, Ordering::SeqCst);
                        std::thread::sleep(Duration::from_millis(100));
                    }
                    other => panic!("{} at {height}: {other:?}", node.address()),
                }
            }
        });
        Self {
            signed,
            refused,
            thread,
        }
    }
}

fn everybody(asking: &[Asking], what: impl Fn(&Asking) -> bool) -> bool {
    poll(PATIENCE, || asking.iter().all(&what).then_some(())).is_some()
}

#[test]
fn thirty_two_chains_share_a_token_and_outlast_its_absence() {
    let home = Home::new();
    let mut signer = Signer::init(&home);
    let token = Token::given_to(&home, &mut signer);
    signer.start();
    let names: Vec<_> = (0..CHAINS).map(|n| format!("it-crowd-{n}")).collect();
    for name in &names {
        signer.run(&["keys", "create", name, "--provider", ID]);
    }
    signer.terminate();
    let mut nodes: Vec<_> = (0..CHAINS)
        .map(|n| FakeNode::listen(&home.socket(&format!("{n}.sock")), &names[n]))
        .collect();
    for (name, node) in names.iter().zip(&nodes) {
        signer.add_chain_at(name, name, &[("a", node.address())]);
    }
    signer.start();
    for node in &mut nodes {
        assert!(node.accept_unless(PATIENCE, || false), "{}", signer.log_tail());
    }
    let (together, stop) = (Arc::new(Barrier::new(CHAINS)), Arc::new(AtomicBool::new(false)));
    let asking: Vec<_> = nodes
        .into_iter()
        .map(|node| Asking::begin(node, together.clone(), stop.clone()))
        .collect();
    let signed = |one: &Asking| one.signed.load(Ordering::SeqCst);
    assert!(
        everybody(&asking, |one| signed(one) >= HEIGHTS),
        "{}",
        signer.log_tail()
    );

    token.take_away();
    let check = |is: &dyn Fn(&serde_json::Value) -> bool| {
        poll(PATIENCE, || {
            is(&signer.check_report(&format!("provider/{ID}"))).then_some(())
        })
        .is_some()
    };
    assert!(check(&|report| says(report, "C_")), "{}", signer.log_tail());
    std::thread::sleep(AWAY);
    assert!(
        everybody(&asking, |one| one.refused.load(Ordering::SeqCst) > 0),
        "every chain is told that its token is away\n{}",
        signer.log_tail()
    );
    let before: Vec<_> = asking.iter().map(signed).collect();
    token.bring_back();
    assert!(
        poll(PATIENCE, || {
            let on = |(one, before): (&Asking, &i64)| signed(one) >= before + HEIGHTS;
            asking.iter().zip(&before).all(on).then_some(())
        })
        .is_some(),
        "{}",
        signer.log_tail()
    );
    assert!(check(&good), "{}", signer.log_tail());

    stop.store(true, Ordering::SeqCst);
    for one in asking {
        one.thread.join().expect("no connection was lost");
    }
    let metrics = signer.metrics();
    let sessions = metrics.sum("sigward_provider_sessions", &[("provider", ID)]);
    assert!(
        sessions.is_some_and(|open| open <= 9.0),
        "eight workers and the manager: {sessions:?}"
    );
    for name in &names {
        let again = metrics.sum("sigward_node_reconnects_total", &[("chain", name)]);
        assert_eq!(again, Some(0.0), "{name} kept its connection");
    }
    signer.terminate();
    let records = assert_no_double_sign(&signer);
    let released = records.iter().filter(|record| record.released()).count();
    assert!(released >= CHAINS * 2 * HEIGHTS as usize, "{released}");
}
