//! Two tokens of one module: one hangs, goes away and comes back. The other one signs on.

use std::time::{Duration, Instant};

use super::softhsm::{ID, Token};
use super::staying::{good, says};
use crate::support::fake_node::{Answer, Ask, FakeNode};
use crate::support::home::Home;
use crate::support::poll;
use crate::support::scene::{KEY, Scene};
use crate::support::signer::Signer;

/// The token that hangs, and what the configuration calls it.
const HANGS: &str = "hsm-b";
const OTHER: &str = "it-hangs-1";
const PATIENCE: Duration = Duration::from_secs(60);

#[test]
fn a_token_that_hangs_and_goes_away_costs_the_others_of_its_module_nothing() {
    let home = Home::new();
    let mut signer = Signer::init(&home);
    let (_token, shim) = Token::with_another_behind_a_shim(&home, &mut signer, HANGS);
    signer.run(&["keys", "create", KEY, "--provider", ID]);
    signer.run(&["keys", "create", "other-key", "--provider", HANGS]);
    let mut node = FakeNode::listen(&home.socket("o.sock"), OTHER);
    signer.add_chain_at(OTHER, "other-key", &[("b", node.address())]);
    let mut scene = Scene::with(home, signer);
    scene.start();
    assert!(
        node.accept_unless(PATIENCE, || false),
        "{}",
        scene.signer.log_tail()
    );
    scene.sign(1..=3);
    assert!(matches!(node.ask(Ask::prevote(1, 1)), Answer::Signed(_)));

    shim.tell(&format!("hang={HANGS}"));
    assert!(matches!(node.ask(Ask::prevote(2, 1)), Answer::Refused { .. }));
    scene.sign(4..=6);
    shim.tell(&format!("hang={HANGS} away={HANGS}"));
    let check = format!("provider/{HANGS}");
    let away = poll(PATIENCE, || {
        let report = scene.signer.check_report(&check);
        says(&report, "shows no token").then_some(())
    });
    assert!(away.is_some(), "{}", scene.signer.log_tail());
    // For as long as its keeper looks for it several times over: not one request is refused.
    let (begin, mut height) = (Instant::now(), 7);
    while begin.elapsed() < Duration::from_secs(5) {
        scene.sign(height..=height);
        height += 1;
    }
    let listed = scene.signer.run(&["hsm", "list", "--search"]);
    assert!(listed.contains(ID) && listed.contains(HANGS), "{listed}");
    let alarms = scene
        .log()
        .lines()
        .filter(|line| line.contains("a token is not as it should be"))
        .count();
    assert!(
        (1..=3).contains(&alarms),
        "{alarms} alarms\n{}",
        scene.signer.log_tail()
    );

    shim.tell("");
    let back = poll(PATIENCE, || {
        good(&scene.signer.check_report(&check)).then_some(())
    });
    assert!(back.is_some(), "{}", scene.signer.log_tail());
    assert!(matches!(node.ask(Ask::prevote(2, 1)), Answer::Signed(_)));
    scene.sign(height..=height + 2);
    scene.signer.terminate();
}
