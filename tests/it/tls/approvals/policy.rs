//! The policy is changed by those who may change it, with whom it says; whoever may have the configuration taken over is not one of them
//! by that.

use std::time::Duration;

use super::super::stage::said;
use super::{POLICY, Team, id_in, refused, under};
use crate::support::poll;

/// One of the team must agree when somebody on the machine changes the policy; ada reloads, and dan may change the policy with two others.
const GUARDED: &str = r#"
[[rule]]
id = "at-the-machine"
effect = "allow"
subjects = ["uid:*"]
operations = ["policy.write"]
approvals = 1
[[rule]]
id = "who-reloads"
effect = "allow"
subjects = ["dns:ada", "dns:dan"]
operations = ["config.reload"]
[[rule]]
id = "who-writes"
effect = "allow"
subjects = ["dns:dan"]
operations = ["policy.write"]
approvals = 2
"#;

const RELOAD: [&str; 1] = ["reload"];

/// The policy in force, as every reload that it has to judge names it.
fn guarded() -> Team {
    let team = Team::new();
    write(&team, "");
    // The one that runs knows no rule about it.
    team.stage.signer.run(&RELOAD);
    team
}

/// Nobody may both write the policy and take keys.
fn write(team: &Team, more: &str) {
    let base = POLICY.replace("uid:*", "dns:keeper");
    team.write_policy(&format!("{base}{GUARDED}{more}"));
}

/// Adds a rule to the file that lets bob list keys.
fn rewrite(team: &Team, id: &str) {
    let more = format!(
        "[[rule]]\nid = \"{id}\"\neffect = \"allow\"\nsubjects = [\"dns:bob\"]\noperations = [\"key.list\"]\n"
    );
    write(team, &more);
}

fn bob_lists_keys(team: &Team) -> bool {
    team.ask("bob", &["keys", "list"]).status.success()
}

#[test]
fn a_reload_changes_the_policy_once_somebody_else_agrees_to_exactly_that() {
    let team = guarded();
    let signer = &team.stage.signer;
    rewrite(&team, "first");
    let dry = signer.run(&["reload", "--dry-run"]);
    assert!(dry.contains("rule at-the-machine wants 1 approval "), "{dry}");
    let asked = refused(&signer.attempt(&RELOAD), "reload", "approval_required");
    let id = id_in(&asked);
    assert!(!bob_lists_keys(&team), "{asked}");
    // A colleague's lunch takes no signer out of rotation, and wakes nobody.
    assert!(signer.ready().0, "{}", signer.log_tail());
    assert!(
        !signer.log().contains("was not reloaded"),
        "{}",
        signer.log_tail()
    );
    let shown = team.request(&id).to_string();
    assert!(
        shown.contains("policy.write") && shown.contains("put the policy with SHA-256"),
        "{shown}"
    );
    team.approve("bob", &id);

    // What was approved is one document, and no other.
    rewrite(&team, "second");
    refused(
        &signer.attempt(&under(&RELOAD, &id)),
        "another document",
        "approval_void",
    );
    assert!(!bob_lists_keys(&team));
    rewrite(&team, "first");
    // For scripts, the id stands by itself; for hands, its first digits do.
    let json = signer.attempt(&["reload", "--json"]);
    let json: serde_json::Value = serde_json::from_slice(&json.stderr).unwrap();
    assert_eq!(
        (&json["code"], &json["approval"]),
        (&"approval_required".into(), &id.as_str().into()),
        "{json}"
    );
    assert!(json["hint"].as_str().unwrap().contains(&id), "{json}");
    assert_eq!(signer.attempt(&under(&RELOAD, "zzzz")).status.code(), Some(2));
    signer.run(&under(&RELOAD, &id[..8]));
    assert!(bob_lists_keys(&team) && signer.comes_ready());
    assert_eq!(team.request(&id)["state"], "used");
    signer.run(&["audit", "verify"]);
}

#[test]
fn a_signal_is_worth_no_more_than_the_word_of_who_sent_it() {
    let team = guarded();
    let signer = &team.stage.signer;
    rewrite(&team, "first");
    signer.hang_up();
    let refused = || signer.log().contains("approval_required").then_some(());
    poll(Duration::from_secs(30), refused).unwrap_or_else(|| panic!("{}", signer.log_tail()));
    assert!(!bob_lists_keys(&team));
    // It has asked; the user who runs sigward is who asked.
    let waiting = signer.json(&["approvals", "list", "--json"]);
    let id = waiting[0]["id"]
        .as_str()
        .unwrap_or_else(|| panic!("{waiting}"))
        .to_owned();
    team.approve("cyd", &id);
    signer.run(&under(&RELOAD, &id));
    assert!(bob_lists_keys(&team));
}

#[test]
fn to_reload_is_not_to_change_the_policy() {
    let team = guarded();
    team.does("ada", &RELOAD);
    rewrite(&team, "first");
    let told = team.refused("ada", &RELOAD, "not_permitted");
    assert!(told.contains("may not put another policy in force"), "{told}");
    assert!(!bob_lists_keys(&team));
    let id = team.waits("dan", &RELOAD);
    team.approved(&id);
    team.does("dan", &under(&RELOAD, &id));
    assert!(
        bob_lists_keys(&team),
        "{}",
        said(&team.ask("bob", &["keys", "list"]))
    );
}
