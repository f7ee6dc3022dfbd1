//! The scene: sigward, a chain whose nodes are hostile, and a chain that must not feel it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::fake_node::Listener;
use super::messages::{PREVOTE, sign_vote, signed_vote, vote};
use crate::support::home::Home;
use crate::support::poll;
use crate::support::signer::Signer;

/// The chain that is attacked.
pub(super) const CHAIN: &str = "hostile-1";
const BYSTANDER: &str = "bystander-1";

/// A running sigward between the two chains.
pub(super) struct Stage {
    bystander: Option<Bystander>,
    pub(super) signer: Signer,
    pub(super) nodes: Vec<Listener>,
    pub(super) home: Home,
}

impl Stage {
    /// Starts sigward with the nodes that `listen` makes.
    pub(super) fn new(listen: impl FnOnce(&Home) -> Vec<Listener>) -> Self {
        let mut stage = Self::prepared(listen);
        stage.start();
        stage
    }

    /// All but started.
    pub(super) fn prepared(listen: impl FnOnce(&Home) -> Vec<Listener>) -> Self {
        let home = Home::new();
        let signer = Signer::init(&home);
        let nodes = listen(&home);
        let named: Vec<_> = nodes
            .iter()
            .enumerate()
            .map(|(index, node)| (format!("n{index}"), node.address()))
            .collect();
        let quiet = Listener::unix(&home, "by");
        signer.create_key("attacked");
        signer.create_key("bystander");
        signer.add_chain_at(CHAIN, "attacked", &named);
        signer.add_chain_at(BYSTANDER, "bystander", &[("by".to_owned(), quiet.address())]);
        Self {
            bystander: Some(Bystander::begin(quiet)),
            signer,
            nodes,
            home,
        }
    }

    pub(super) fn start(&mut self) {
        self.signer.start();
        self.bystander().signs_on(&self.signer);
    }

    fn bystander(&self) -> &Bystander {
        self.bystander.as_ref().unwrap()
    }

    /// The second chain signs on; sigward lives, and nothing panicked.
    pub(super) fn unharmed(&self) {
        self.bystander().signs_on(&self.signer);
        assert!(self.signer.lives(), "{}", self.signer.log_tail());
        let log = self.signer.log();
        assert!(!log.contains("panick"), "{}", self.signer.log_tail());
        assert!(!log.contains("fault of sigward"), "{}", self.signer.log_tail());
    }

    /// What the attacked key has signed last.
    pub(super) fn state(&self) -> Value {
        self.signer
            .json(&["state", "show", "--key", "attacked", "--json"])
    }

    /// The last look: everything ends cleanly, and the audit chain tells of one message a position.
    pub(super) fn finish(mut self) {
        self.unharmed();
        self.bystander.take().unwrap().end();
        self.signer.terminate();
        crate::support::audit::assert_no_double_sign(&self.signer);
    }

    /// SIGTERM while everybody asks on; demands a clean end.
    pub(super) fn terminate_under_load(&mut self) {
        self.bystander().ending.store(true, Ordering::SeqCst);
        self.signer.terminate();
    }
}

/// The node of the second chain: asks for a prevote of every next height, on one connection.
struct Bystander {
    signed: Arc<AtomicI64>,
    ending: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Bystander {
    fn begin(listener: Listener) -> Self {
        let signed = Arc::new(AtomicI64::new(0));
        let ending = Arc::new(AtomicBool::new(false));
        let (count, end) = (signed.clone(), ending.clone());
        let thread = std::thread::spawn(move || {
            let mut link = listener.connect();
            for height in 1.. {
                if end.load(Ordering::SeqCst) {
                    return;
                }
                let asked = Instant::now();
                let request = sign_vote(BYSTANDER, vote(PREVOTE, height, 0xb7));
                let reply = link.send(&request).ok().and_then(|()| link.receive());
                match reply {
                    Some(reply) => {
                        signed_vote(reply).expect("the second chain's vote is signed");
                    }
                    None if end.load(Ordering::SeqCst) => return,
                    None => panic!("the second chain's connection was lost"),
                }
                assert!(
                    asked.elapsed() < Duration::from_secs(3),
                    "the second chain waited {:?}",
                    asked.elapsed()
                );
                count.store(height, Ordering::SeqCst);
                std::thread::sleep(Duration::from_millis(10));
            }
        });
        Self {
            signed,
            ending,
            thread: Some(thread),
        }
    }

    /// Three more heights are signed from now on.
    fn signs_on(&self, signer: &Signer) {
        let before = self.signed.load(Ordering::SeqCst);
        let grown = poll(Duration::from_secs(15), || {
            (self.signed.load(Ordering::SeqCst) >= before + 3).then_some(())
        });
        assert!(
            grown.is_some(),
            "the second chain does not sign on\n{}",
            signer.log_tail()
        );
    }

    fn end(mut self) {
        self.ending.store(true, Ordering::SeqCst);
        if let Some(thread) = self.thread.take() {
            thread.join().expect("the second chain was not disturbed");
        }
    }
}

impl Drop for Bystander {
    fn drop(&mut self) {
        self.ending.store(true, Ordering::SeqCst);
    }
}
