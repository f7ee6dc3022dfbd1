//! What somebody tries who would rather not wait for the others.

use sigward_proto::v1::approval_service_client::ApprovalServiceClient;
use sigward_proto::v1::state_service_client::StateServiceClient;
use sigward_proto::v1::{AllowStateRequest, ApproveRequest, ListApprovalsRequest};

use super::super::stage::said;
use super::{CHAIN, KEY, POLICY, Team, UNFREEZE, under};
use crate::support::admin;

#[test]
fn nobody_approves_their_own_or_twice_or_by_another_certificate_of_the_same_name() {
    let team = Team::new();
    team.freeze();
    let id = team.waits("ada", &UNFREEZE);
    let approve = ["approvals", "approve", &id];
    team.refused("ada", &approve, "approval_not_yours");
    team.approve("bob", &id);
    team.refused("bob", &approve, "approval_not_yours");
    let usage = "extendedKeyUsage=clientAuth\n";
    for (file, name) in [("ada-again", "DNS:ada"), ("bob-again", "DNS:BOB")] {
        let twin = team
            .stage
            .odd_client(file, &format!("{usage}subjectAltName={name}\n"), "1");
        let output = team.with(&twin, &approve);
        super::refused(&output, file, "approval_not_yours");
    }
    // Whom no rule lets speak, nobody hears; and the request of one is of no use to another.
    team.refused("admin", &approve, "not_permitted");
    team.approve("cyd", &id);
    team.refused("dan", &approve, "approval_not_yours");
    for who in ["bob", "dan"] {
        team.refused(who, &under(&UNFREEZE, &id), "approval_not_yours");
    }
    assert!(team.is_frozen());
    assert_eq!(team.request(&id)["said"].as_array().unwrap().len(), 2);
    // All of that is on record, gathered within a second.
    let tried = crate::support::poll(super::super::stage::PATIENCE, || {
        let records = team.records();
        let of = |who: &str, what: &str| {
            let mut lines = records.lines();
            lines.any(|line| line.contains(who) && line.contains(what) && line.contains("approval_not_yours"))
        };
        (of("cert:dns:ada", "approval.approve") && of("cert:dns:bob", "approval.use")).then_some(())
    });
    assert!(tried.is_some(), "{}", team.records());
}

#[test]
fn a_request_is_for_one_act_and_one_alone() {
    let team = Team::new();
    team.freeze();
    let id = team.waits("ada", &UNFREEZE);
    team.approved(&id);
    let allow = |until: &'static str| ["state", "allow", "--key", KEY, "--chain", CHAIN, "--until", until];
    for swapped in [
        &["unfreeze", "--all", "--reason", "the drill is over!"][..],
        &allow("1000000"),
    ] {
        let void = team.refused("ada", &under(swapped, &id), "approval_void");
        assert!(void.contains("other parameters"), "{void}");
    }
    team.refused("ada", &under(&UNFREEZE, &"0".repeat(32)), "approval_not_found");
    // Not the digits that it begins with; and what is no id at all.
    team.refused("ada", &under(&UNFREEZE, &id[1..]), "approval_not_found");
    for odd in ["", "zz", "../../x"] {
        let output = team.ask("ada", &under(&UNFREEZE, odd));
        assert_eq!(output.status.code(), Some(2), "{odd}: {}", super::said(&output));
        assert!(
            super::said(&output).contains("invalid_parameters: "),
            "{odd}: {}",
            super::said(&output)
        );
    }
    team.does("ada", &under(&UNFREEZE, &id));
    // Replayed, at once and over the same state again.
    team.refused("ada", &under(&UNFREEZE, &id), "hold_not_found");
    team.freeze();
    let void = team.refused("ada", &under(&UNFREEZE, &id), "approval_void");
    assert!(void.contains("it was used"), "{void}");
    assert!(team.is_frozen());

    // Approved for one height, asked for another.
    let id = team.waits("ada", &allow("1000000"));
    team.approved(&id);
    team.refused("ada", &under(&allow("1000001"), &id), "approval_void");
    team.does("ada", &under(&allow("1000000"), &id));
}

#[test]
fn what_changes_in_between_voids_it() {
    let team = Team::new();
    let signer = &team.stage.signer;
    team.freeze();
    // The state: somebody at the machine lifted that freeze, and there is another one.
    let id = team.waits("ada", &UNFREEZE);
    team.approved(&id);
    signer.run(&["unfreeze", "--all", "--reason", "by hand"]);
    signer.run(&["freeze", "--all", "--reason", "something else is wrong"]);
    let void = team.refused("ada", &under(&UNFREEZE, &id), "approval_void");
    assert!(void.contains("the state has changed"), "{void}");

    // The policy: even one that says the same about this.
    let (half, whole) = (team.waits("ada", &UNFREEZE), {
        let other = ["unfreeze", "--all", "--reason", "another one"];
        let id = team.waits("ada", &other);
        team.approved(&id);
        id
    });
    team.approve("bob", &half);
    team.write_policy(&format!("{POLICY}# another edition\n"));
    signer.run(&["reload"]);
    for outcome in [
        team.refused("cyd", &["approvals", "approve", &half], "approval_void"),
        team.refused(
            "ada",
            &under(&["unfreeze", "--all", "--reason", "another one"], &whole),
            "approval_void",
        ),
    ] {
        assert!(outcome.contains("the policy has changed"), "{outcome}");
    }
    // A new one is made under the new policy.
    let id = team.waits("ada", &UNFREEZE);
    assert!(id != half);
    team.approved(&id);
    team.does("ada", &under(&UNFREEZE, &id));

    // A policy that asks nobody any more: what was approved for is not needed, and that is said.
    team.freeze();
    team.write_policy(&POLICY.replace("approvals = 2", ""));
    signer.run(&["reload"]);
    team.refused("ada", &under(&UNFREEZE, &id), "approval_void");
    team.does("ada", &UNFREEZE);
}

#[test]
fn a_flood_of_requests_of_one_leaves_room_for_the_others() {
    let team = Team::new();
    team.freeze();
    let reasons: Vec<String> = (0..12).map(|n| format!("reason {n}")).collect();
    let ask = |who: &str, reason: &str| team.ask(who, &["unfreeze", "--all", "--reason", reason]);
    let mut codes = Vec::new();
    for reason in &reasons {
        let text = said(&ask("ada", reason));
        codes.push(text.contains("approval_limit: "));
    }
    assert_eq!(codes.iter().filter(|limited| **limited).count(), 4, "{codes:?}");
    // What waits already is found, not made again.
    assert!(said(&ask("ada", &reasons[0])).contains("approval_required: "));
    let id = team.waits("bob", &UNFREEZE);
    team.approve("cyd", &id);
    team.approve("dan", &id);
    team.does("bob", &under(&UNFREEZE, &id));
    assert_eq!(
        team.stage
            .signer
            .json(&["approvals", "list", "--json"])
            .as_array()
            .unwrap()
            .len(),
        8
    );
}

/// The services themselves: what the command line would not send.
#[test]
fn the_services_take_nothing_on_trust() {
    let team = Team::new();
    team.write_policy(&POLICY.replace("\"key.export\", \"key.backup\"", "\"state.allow\""));
    team.stage.signer.run(&["reload"]);
    let socket = team.stage.signer.home().join("admin.sock");
    let allow = |wait: &'static str| {
        let mut request = tonic::Request::new(AllowStateRequest {
            key: KEY.to_owned(),
            chain_id: CHAIN.to_owned(),
            until: 1_000_000,
        });
        request
            .metadata_mut()
            .insert("sigward-approval-wait", wait.parse().unwrap());
        request
    };
    let id = admin::block_on(async {
        let channel = admin::connect(&socket).await;
        let mut states = StateServiceClient::new(channel.clone());
        for wait in ["0", "-1", "86401", "x", ""] {
            let refused = states.allow(allow(wait)).await.unwrap_err();
            assert!(
                refused.message().starts_with("invalid_parameters: "),
                "{wait}: {refused}"
            );
        }
        let refused = states.allow(allow("2")).await.unwrap_err();
        assert!(refused.message().starts_with("approval_required: "), "{refused}");
        let mut approvals = ApprovalServiceClient::new(channel);
        let listed = approvals.list(ListApprovalsRequest { all: true }).await.unwrap();
        let asked = listed.into_inner().approvals.remove(0);
        assert_eq!((asked.key.as_str(), asked.chain_id.as_str()), (KEY, CHAIN));
        for digest in [Vec::new(), vec![0; 31], vec![0; 32]] {
            let request = ApproveRequest {
                id: asked.id.clone(),
                digest,
                reason: String::new(),
            };
            let refused = approvals.approve(request).await.unwrap_err();
            assert!(
                refused.message().starts_with("invalid_parameters: ")
                    || refused.message().starts_with("approval_void: "),
                "{refused}"
            );
        }
        asked.id
    });
    // Its two seconds are over: nobody says yes any more, and that it ended is on record as soon as anybody tries.
    std::thread::sleep(std::time::Duration::from_secs(3));
    let void = team.refused("bob", &["approvals", "approve", &id], "approval_void");
    assert!(void.contains("it has expired"), "{void}");
    assert_eq!(team.request(&id)["state"], "expired");
    let records = team.records();
    assert!(
        records
            .lines()
            .any(|line| line.contains("approval.expire") && line.contains(&id)),
        "{records}"
    );
}
