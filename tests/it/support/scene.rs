//! A signer with one key on one chain, and a node that asks it whatever the test wants: for everything that a real node would never
//! do, and that must not matter.

use std::process::{Command, ExitStatus};
use std::time::Duration;

use super::fake_node::{Answer, Ask, FakeNode};
use super::home::Home;
use super::journal::Journal;
use super::signer::Signer;

/// The chain of every scene.
pub(crate) const CHAIN: &str = "it-fake-1";
/// The key's name in sigward.
pub(crate) const KEY: &str = "validator";

/// A debug build on a loaded machine.
const PATIENCE: Duration = Duration::from_secs(20);

/// Signer, node, and what was asked. The signer ends first, the folder goes last.
pub(crate) struct Scene {
    pub(crate) signer: Signer,
    pub(crate) node: FakeNode,
    pub(crate) journal: Journal,
    pub(crate) home: Home,
    /// How long the log was when the signer was last started.
    started_at: usize,
}

/// A `serve` that ended by itself.
#[derive(Debug)]
pub(crate) struct Refused {
    pub(crate) status: ExitStatus,
    /// All it said.
    pub(crate) log: String,
}

impl Scene {
    /// A fresh key; nothing runs yet.
    pub(crate) fn new() -> Self {
        let home = Home::new();
        let signer = Signer::init(&home);
        signer.create_key(KEY);
        Self::with(home, signer)
    }

    /// Gives the key called [`KEY`] its chain and node.
    pub(crate) fn with(home: Home, signer: Signer) -> Self {
        let node = FakeNode::listen(&home.socket("n.sock"), CHAIN);
        signer.add_chain_at(CHAIN, KEY, &[("a", node.address())]);
        Self {
            signer,
            node,
            journal: Journal::default(),
            home,
            started_at: 0,
        }
    }

    /// `sigward serve`, until it has dialled the node.
    pub(crate) fn start(&mut self) {
        if let Err(refused) = self.try_start() {
            panic!("sigward serve ended with {}\n{}", refused.status, refused.log);
        }
    }

    /// The same, where it may refuse.
    pub(crate) fn try_start(&mut self) -> Result<(), Refused> {
        let command = self.signer.command(&["serve"]);
        self.try_start_command(command)
    }

    /// The same, as `command` says.
    pub(crate) fn try_start_command(&mut self, command: Command) -> Result<(), Refused> {
        match self.start_or_end(command) {
            Ok(true) => Ok(()),
            Ok(false) => panic!("sigward does not dial its node\n{}", self.signer.log_tail()),
            Err(refused) => Err(refused),
        }
    }

    /// Where it may also run and leave the node alone, because the key is not usable: false after `patience`.
    pub(crate) fn start_and_wait(&mut self, patience: Duration) -> Result<bool, Refused> {
        let command = self.signer.command(&["serve"]);
        self.begin(command);
        self.wait(patience)
    }

    fn start_or_end(&mut self, command: Command) -> Result<bool, Refused> {
        self.begin(command);
        self.wait(PATIENCE)
    }

    fn begin(&mut self, command: Command) {
        self.started_at = self.signer.log().len();
        self.signer.start_command(command);
    }

    fn wait(&mut self, patience: Duration) -> Result<bool, Refused> {
        let mut ended = None;
        let signer = &mut self.signer;
        let connected = self.node.accept_unless(patience, || {
            ended = signer.ended();
            ended.is_some()
        });
        match ended {
            Some(status) => Err(Refused {
                status,
                log: self.log(),
            }),
            None => Ok(connected),
        }
    }

    /// What the signer said since it was last started.
    pub(crate) fn log(&self) -> String {
        self.signer.log().split_off(self.started_at)
    }

    /// Asks, and writes down what came.
    pub(crate) fn ask(&mut self, ask: Ask) -> Answer {
        self.journal.ask(&mut self.node, ask)
    }

    /// Has prevotes of all these heights signed.
    pub(crate) fn sign(&mut self, heights: std::ops::RangeInclusive<i64>) {
        for height in heights {
            let answer = self.ask(Ask::prevote(height, 1));
            assert!(
                matches!(answer, Answer::Signed(_)),
                "height {height}: {answer:?}\n{}",
                self.log()
            );
        }
    }

    /// The signature that the node holds for the prevote at `height`.
    pub(crate) fn node_signature(&self, height: i64) -> &[u8] {
        self.journal
            .signature(&Ask::prevote(height, 1))
            .expect("it was signed")
    }

    /// The node starts anew: what it was given before is not held against what comes.
    pub(crate) fn forget(mut self) -> Self {
        self.journal = Journal::default();
        self
    }

    /// Refuses, with this code, another message at `height`, and the message that a fresh height would be signed for.
    pub(crate) fn assert_refuses(&mut self, height: i64, code: &str) {
        for ask in [Ask::prevote(height, 1).conflicting(), Ask::prevote(height, 2)] {
            let answer = self.ask(ask);
            assert!(
                matches!(&answer, Answer::Refused { text, .. } if text.starts_with(code)),
                "height {height} is refused with {code}: {answer:?}"
            );
        }
    }
}
