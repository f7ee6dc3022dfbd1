//! A signer with one chain and three nodes: two that ask, one that is not there; and everything that a metric tells of happens.

use std::time::Duration;

use crate::support::fake_node::{Answer, Ask, FakeNode, Step};
use crate::support::home::Home;
use crate::support::signer::Signer;

pub(super) const CHAIN: &str = "it-seen-1";
pub(super) const KEY: &str = "validator";

/// The signer ends first, the folder goes last.
pub(super) struct Stage {
    pub(super) signer: Signer,
    pub(super) a: FakeNode,
    pub(super) b: FakeNode,
    pub(super) home: Home,
}

impl Stage {
    /// Running, with both nodes connected.
    pub(super) fn new() -> Self {
        let home = Home::new();
        let signer = Signer::init(&home);
        signer.create_key(KEY);
        let a = FakeNode::listen(&home.socket("a.sock"), CHAIN);
        let b = FakeNode::listen(&home.socket("b.sock"), CHAIN);
        let gone = format!("unix://{}", home.socket("gone.sock").display());
        signer.add_chain_at(
            CHAIN,
            KEY,
            &[("a", a.address()), ("b", b.address()), ("gone", &gone)],
        );
        let mut stage = Self { signer, a, b, home };
        stage.start();
        stage
    }

    pub(super) fn start(&mut self) {
        self.signer.start();
        for node in [&mut self.a, &mut self.b] {
            assert!(
                node.accept_unless(Duration::from_secs(20), || false),
                "sigward does not dial\n{}",
                self.signer.log_tail()
            );
        }
    }

    /// Signs `height` whole: `a` asks first, `b` gets the same.
    pub(super) fn height(&mut self, height: i64) {
        for step in [Step::Prevote, Step::Precommit] {
            let ask = ask(height, step);
            let first = self.a.ask(ask);
            assert!(matches!(first, Answer::Signed(_)), "{height}: {first:?}");
            assert_eq!(first, self.b.ask(ask), "{height}");
        }
    }

    /// Heights 1 to 10: 4 nobody asks for, 6 gets a prevote only, 8 is a conflict after its prevote; and a far jump.
    pub(super) fn ten_heights(&mut self) {
        for height in [1, 2, 3, 5] {
            self.height(height);
        }
        let prevote = ask(6, Step::Prevote);
        assert!(matches!(self.b.ask(prevote), Answer::Signed(_)));
        self.height(7);
        let prevote = ask(8, Step::Prevote);
        assert!(matches!(self.a.ask(prevote), Answer::Signed(_)));
        assert_eq!(
            self.b.ask(prevote.conflicting()).refusal(),
            "double_sign_conflict"
        );
        self.height(9);
        self.height(10);
        assert_eq!(self.a.ask(ask(1 << 30, Step::Prevote)).refusal(), "height_jump");
    }
}

pub(super) const fn ask(height: i64, step: Step) -> Ask {
    Ask {
        height,
        round: 0,
        step,
        block: 1,
    }
}
