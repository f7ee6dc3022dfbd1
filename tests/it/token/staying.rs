//! Staying alive: the signer dies, the token goes and comes back, an object is deleted behind our back. Whatever it is, the key in the
//! sealed file signs on, readiness says which token it is, and nobody restarts anything.

use std::time::Duration;

use serde_json::Value;

use super::softhsm::{ID, Token};
use crate::support::audit::assert_no_double_sign;
use crate::support::fake_node::{Answer, Ask, FakeNode};
use crate::support::home::Home;
use crate::support::journal::Journal;
use crate::support::poll;
use crate::support::scene::{CHAIN, KEY, Scene};
use crate::support::signer::Signer;

/// The chain whose key is in a sealed file.
const OTHER: &str = "it-software-1";
/// A debug build on a loaded machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// A chain with its key in the token, and one with its key in a sealed file.
pub(super) struct Two {
    pub(super) scene: Scene,
    pub(super) token: Token,
    pub(super) software: FakeNode,
    pub(super) written: Journal,
}

impl Two {
    pub(super) fn new() -> Self {
        let home = Home::new();
        let mut signer = Signer::init(&home);
        let token = Token::given_to(&home, &mut signer);
        signer.run(&["keys", "create", KEY, "--provider", ID]);
        signer.run(&["keys", "create", "software-key"]);
        let software = FakeNode::listen(&home.socket("o.sock"), OTHER);
        signer.add_chain_at(OTHER, "software-key", &[("b", software.address())]);
        Self {
            scene: Scene::with(home, signer),
            token,
            software,
            written: Journal::default(),
        }
    }

    pub(super) fn start(&mut self) {
        self.scene.start();
        self.accept_software();
    }

    pub(super) fn accept_software(&mut self) {
        assert!(
            self.software.accept_unless(PATIENCE, || false),
            "the chain with its key in a sealed file is not served\n{}",
            self.scene.signer.log_tail()
        );
    }

    /// The other chain signs, whatever the token does.
    pub(super) fn software_signs(&mut self, height: i64) {
        let answer = self.written.ask(&mut self.software, Ask::prevote(height, 1));
        assert!(
            matches!(answer, Answer::Signed(_)),
            "{height}: {answer:?}\n{}",
            self.scene.signer.log_tail()
        );
    }

    /// Waits until the readiness check of the token is as `is` wants it.
    pub(super) fn wait_for_check(&self, is: impl Fn(&Value) -> bool) -> Value {
        let mut last = Value::Null;
        poll(PATIENCE, || {
            last = self.scene.signer.check_report(&format!("provider/{ID}"));
            is(&last).then(|| last.clone())
        })
        .unwrap_or_else(|| panic!("the check stays at {last}\n{}", self.scene.signer.log_tail()))
    }

    pub(super) fn up(&self) -> Option<f64> {
        self.scene
            .signer
            .metrics()
            .sum("sigward_provider_up", &[("provider", ID)])
    }

    pub(super) fn finish(mut self) {
        self.scene.signer.terminate();
        let records = assert_no_double_sign(&self.scene.signer);
        self.scene.journal.assert_recorded(CHAIN, &records);
        self.written.assert_recorded(OTHER, &records);
    }
}

pub(super) fn says(report: &Value, what: &str) -> bool {
    report["reason"]
        .as_str()
        .is_some_and(|reason| reason.contains(what))
}

pub(super) fn good(report: &Value) -> bool {
    report["status"] == "ok"
}

#[test]
fn a_key_in_a_token_signs_and_goes_on_after_its_signer_was_killed() {
    let mut two = Two::new();
    two.start();
    for round in 0..5 {
        let from = round * 10 + 1;
        two.scene.sign(from..=from + 9);
        two.software_signs(from);
        two.scene.signer.kill();
        two.start();
        two.scene.journal.ask_again(&mut two.scene.node);
    }
    let report = two.wait_for_check(good);
    assert_eq!(report["required"], true, "a chain uses a key of it: {report}");
    assert_eq!(two.up(), Some(1.0));
    two.finish();
}

#[test]
fn a_token_that_goes_and_comes_back_costs_only_its_own_chain_and_needs_no_restart() {
    let mut two = Two::new();
    two.start();
    two.scene.sign(1..=3);
    two.software_signs(1);
    for round in 1..=3 {
        two.token.take_away();
        let height = round * 10;
        let refused = two.scene.ask(Ask::prevote(height, 1));
        assert!(matches!(refused, Answer::Refused { .. }), "{refused:?}");
        two.software_signs(height);
        let report = two.wait_for_check(|report| says(report, "C_"));
        assert_eq!(report["required"], true, "{report}");
        assert!(
            report["what_to_do"]
                .as_str()
                .unwrap()
                .contains("sigward hsm probe"),
            "{report}"
        );
        assert!(!two.scene.signer.ready().0);
        two.software_signs(height + 1);
        two.token.bring_back();
        two.wait_for_check(good);
        // The first request after it is back succeeds; the position was given back, so it is the same one.
        two.scene.sign(height..=height + 2);
        two.software_signs(height + 2);
        assert_eq!(two.up(), Some(1.0));
    }
    two.finish();
}

#[test]
fn a_token_that_is_away_at_the_start_is_served_when_it_comes() {
    let mut two = Two::new();
    two.token.take_away();
    two.scene.signer.start();
    two.accept_software();
    two.software_signs(1);
    let report = two.wait_for_check(|report| says(report, "C_GetSlotList shows no token"));
    assert_eq!(report["required"], true, "{report}");
    assert_eq!(two.up(), Some(0.0));
    let listed = two.scene.signer.json(&["keys", "show", KEY, "--json"]);
    assert!(listed["fault"].as_str().unwrap().contains("no token"), "{listed}");
    two.token.bring_back();
    assert!(
        two.scene.node.accept_unless(PATIENCE, || false),
        "the chain is not served\n{}",
        two.scene.signer.log_tail()
    );
    two.scene.sign(1..=3);
    two.software_signs(2);
    two.wait_for_check(good);
    two.finish();
}

#[test]
fn a_key_that_its_token_lost_is_quarantined_and_nothing_of_it_is_deleted() {
    let mut two = Two::new();
    two.start();
    two.scene.sign(1..=3);
    let listed = two.scene.signer.json(&["keys", "show", KEY, "--json"]);
    let id = listed["cka_id"].as_str().unwrap();
    two.token
        .pkcs11_tool(&["--delete-object", "--type", "privkey", "--id", id]);
    let report = two.wait_for_check(|report| says(report, "C_FindObjects does not show"));
    assert!(says(&report, id) && says(&report, KEY), "{report}");
    let refused = two.scene.ask(Ask::prevote(4, 1));
    assert!(matches!(refused, Answer::Refused { .. }), "{refused:?}");
    two.software_signs(1);
    let listed = two.scene.signer.json(&["keys", "list", "--json"]);
    let key = listed
        .as_array()
        .unwrap()
        .iter()
        .find(|key| key["name"] == KEY)
        .unwrap();
    assert!(key["fault"].as_str().unwrap().starts_with("quarantined"), "{key}");
    let metrics = two.scene.signer.metrics();
    for name in super::METRICS {
        assert!(metrics.sum(name, &[("provider", ID)]).is_some(), "{name}");
    }
    let missing = metrics.sum("sigward_provider_missing_keys", &[("provider", ID)]);
    assert_eq!(missing, Some(1.0));
    // Through restarts too: it stays known, and stays refused.
    two.scene.signer.terminate();
    two.start();
    let refused = two.scene.ask(Ask::prevote(5, 1));
    assert!(matches!(refused, Answer::Refused { .. }), "{refused:?}");
    assert_eq!(
        two.scene.signer.json(&["keys", "show", KEY, "--json"])["cka_id"],
        id
    );
    two.finish();
}
