//! `kill -9` on the way of a request, of a word on it, and of the act: it is there or it is not, and an approval is used with its act or
//! not at all.

use std::time::Duration;

use super::{Team, UNFREEZE, under};
use crate::crashes::{armed, assert_aborted};
use crate::support::poll;

/// After a request, and after a word on one, are durable; nobody has heard of it.
pub(crate) const POINTS: &[&str] = &["admin_approval_asked", "admin_approval_said"];

/// The steps of a commit, and whether it is there after a death at each.
const STEPS: [(&str, bool); 6] = [
    ("store_before_begin", false),
    ("store_before_witness", false),
    ("store_witness_written", true),
    ("store_tables_written", true),
    ("store_witness_synced", true),
    ("store_before_done", true),
];

/// Starts the signer again, to die at `point`; then asks.
fn dies_at(team: &mut Team, point: &str, who: &str, arguments: &[&str]) {
    let signer = &mut team.stage.signer;
    signer.kill();
    let command = armed(signer.command(&["serve"]), point, 0);
    signer.start_command(command);
    let answers = poll(Duration::from_secs(20), || signer.lives().then_some(()));
    assert!(answers.is_some(), "{point}\n{}", signer.log_tail());
    let output = team.ask(who, arguments);
    assert!(
        !output.status.success(),
        "{point}: nobody is told that it is done"
    );
    let signer = &mut team.stage.signer;
    let status = poll(Duration::from_secs(10), || signer.ended()).expect("the signer has died");
    assert_aborted(status, point, &signer.log_tail());
    signer.start();
}

#[test]
fn an_approval_is_used_with_its_act_or_not_at_all() {
    let mut team = Team::new();
    for (point, kept) in STEPS {
        if !team.is_frozen() {
            team.freeze();
        }
        let id = team.waits("ada", &UNFREEZE);
        team.approved(&id);
        dies_at(&mut team, point, "ada", &under(&UNFREEZE, &id));
        assert_eq!(!team.is_frozen(), kept, "{point}");
        let state = team.request(&id)["state"].clone();
        assert_eq!(state, if kept { "used" } else { "approved" }, "{point}");
        if kept {
            team.freeze();
            team.refused("ada", &under(&UNFREEZE, &id), "approval_void");
        } else {
            team.does("ada", &under(&UNFREEZE, &id));
        }
    }
    team.stage.signer.run(&["audit", "verify"]);
}

#[test]
fn a_request_and_a_word_on_it_are_there_before_anybody_hears_of_them() {
    let mut team = Team::new();
    team.freeze();
    dies_at(&mut team, POINTS[0], "ada", &UNFREEZE);
    let open = team.stage.signer.json(&["approvals", "list", "--json"]);
    assert_eq!(open.as_array().unwrap().len(), 1, "{open}");
    let id = open[0]["id"].as_str().unwrap().to_owned();
    // Asked again it is the same one.
    assert_eq!(team.waits("ada", &UNFREEZE), id);
    dies_at(&mut team, POINTS[1], "bob", &["approvals", "approve", &id]);
    assert_eq!(team.request(&id)["said"][0]["who"], "cert:dns:bob");
    team.refused("bob", &["approvals", "approve", &id], "approval_not_yours");
    team.approve("cyd", &id);
    team.does("ada", &under(&UNFREEZE, &id));
}
