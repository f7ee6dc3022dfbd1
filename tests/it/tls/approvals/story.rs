//! How it goes when everybody does what they should: asked, looked at, approved by two, done once, and all of it on record.

use super::super::stage::said;
use super::{Team, UNFREEZE, under};

#[test]
fn an_act_waits_for_two_others_and_is_then_done_once() {
    let team = Team::new();
    team.freeze();
    let told = team.refused("ada", &UNFREEZE, "approval_required");
    let id = team.waits("ada", &UNFREEZE);
    assert!(
        told.contains("waits for 2 of 2 approvals")
            && told.contains(&format!("`sigward approvals approve {id}`"))
            && told.contains(&format!("--approval {id}")),
        "asked twice is one request, and what comes next is told: {told}"
    );
    assert!(team.is_frozen());

    let list = team.does("bob", &["approvals", "list"]);
    assert!(
        list.contains(&id)
            && list.contains("open     0 of 2  cert:dns:ada: lift")
            && list.lines().count() == 1,
        "{list}"
    );
    let shown = team.does("bob", &["approvals", "show", &id[..8]]);
    assert!(
        shown.contains("the drill is over") && shown.contains("asked by   cert:dns:ada at "),
        "{shown}"
    );
    team.refused("ada", &under(&UNFREEZE, &id), "approval_required");
    team.approve("bob", &id);
    let one = team.refused("ada", &under(&UNFREEZE, &id), "approval_required");
    assert!(one.contains("waits for 1 more"), "{one}");
    let digest = team.request(&id)["digest"].as_str().unwrap().to_owned();
    let other = ["approvals", "approve", &id, "--digest", "00"];
    team.refused("cyd", &other, "approval_void");
    let done = team.does(
        "cyd",
        &[
            "approvals",
            "approve",
            &id,
            "--digest",
            &digest,
            "--reason",
            "fine",
        ],
    );
    assert!(
        done.contains("approved, 2 of 2") && done.contains(&format!("--approval {id}")),
        "{done}"
    );
    assert_eq!(team.request(&id)["state"], "approved");
    let forgot = team.refused("ada", &UNFREEZE, "approval_required");
    assert!(
        forgot.contains("rests on what others have approved") && forgot.contains(&id),
        "{forgot}"
    );
    assert!(team.is_frozen(), "an approval does nothing by itself");

    team.does("ada", &under(&UNFREEZE, &id));
    assert!(!team.is_frozen());
    let kept = team.request(&id);
    assert_eq!(kept["state"], "used");
    assert_eq!(kept["said"][1]["who"], "cert:dns:cyd");
    assert_eq!(
        team.does("bob", &["approvals", "list"]),
        "Nothing waits for approval.\n"
    );
    assert!(team.does("bob", &["approvals", "list", "--all"]).contains("used"));

    let records = team.records();
    let at = |what: &str| {
        records
            .lines()
            .position(|line| line.contains(what) && line.contains(&id))
            .unwrap_or_else(|| panic!("no {what} of {id} in\n{records}"))
    };
    assert!(at("approval.request") < at("approval.approve"));
    let used = at("approval.use");
    let lines: Vec<_> = records.lines().collect();
    assert!(
        lines[used].contains("approved by cert:dns:bob, cert:dns:cyd")
            && lines[used + 1].contains("unfreeze"),
        "the act's own record follows, in one commit:\n{records}"
    );
    team.stage.signer.run(&["audit", "verify"]);
}

#[test]
fn requests_and_what_was_said_on_them_outlive_kill_9() {
    let mut team = Team::new();
    team.freeze();
    let id = team.waits("ada", &UNFREEZE);
    team.approve("bob", &id);
    team.stage.signer.kill();
    team.stage.signer.start();
    assert_eq!(team.request(&id)["said"][0]["who"], "cert:dns:bob");
    team.approve("cyd", &id);
    team.stage.signer.kill();
    team.stage.signer.start();
    team.does("ada", &under(&UNFREEZE, &id));
    assert!(!team.is_frozen());
}

#[test]
fn whoever_asked_takes_it_back_and_anybody_says_no() {
    let team = Team::new();
    team.freeze();
    for who in ["ada", "cyd"] {
        let id = team.waits("ada", &UNFREEZE);
        team.approve("bob", &id);
        team.does(who, &["approvals", "reject", &id, "--reason", "not yet"]);
        assert_eq!(team.request(&id)["state"], "rejected");
        let void = team.refused("ada", &under(&UNFREEZE, &id), "approval_void");
        assert!(void.contains("it was rejected"), "{void}");
        team.refused("dan", &["approvals", "approve", &id], "approval_void");
    }
    assert!(team.is_frozen());
    assert!(team.records().contains("not yet"));
    let help = team.ask("ada", &["approvals", "--help"]);
    assert!(said(&help).contains("--approval 3f2a"), "{}", said(&help));
}
