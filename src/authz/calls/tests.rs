//! The first look: who comes nearer, and who is told no before a byte is read.

use std::sync::Arc;

use sigward_policies::authz::{Policy, PolicyVersion};
use sigward_policies::model::caller::SubjectName;

use super::*;

const DOCUMENT: &str = r#"
    version = 1
    [[rule]]
    id = "not-the-treasury"
    effect = "deny"
    subjects = ["dns:**"]
    operations = ["state.allow"]
    keys = ["treasury"]
    [[rule]]
    id = "lock-out"
    effect = "deny"
    subjects = ["uid:7"]
    operations = ["freeze"]
    [[rule]]
    id = "oncall"
    effect = "allow"
    subjects = ["dns:*.oncall.example.org"]
    operations = ["key.backup", "state.allow", "freeze", "state.show"]
    from = ["10.8.0.0/24"]
    [[rule]]
    id = "some-keys"
    effect = "allow"
    subjects = ["dns:**"]
    operations = ["key.show"]
    keys = ["validator-*"]
    [[rule]]
    id = "together"
    effect = "allow"
    subjects = ["dns:**"]
    operations = ["unfreeze"]
    approvals = 2
"#;

fn asked(policies: &Arc<Policies>, caller: &Caller, operation: Operation, from: &str) -> bool {
    let call = Call {
        caller,
        context: &Context::default(),
        path: "/sigward.v1.X/Y",
        operation: Some(operation),
        from: from.parse().ok(),
        now: UnixSeconds(1_000_000),
        tick: Tick(0),
    };
    match policies.admit(call) {
        Ok(_) => true,
        Err(Denial { refusal, .. }) => {
            assert_eq!(refusal.code.as_str(), "not_permitted");
            false
        }
    }
}

#[test]
fn a_call_comes_nearer_where_some_key_or_chain_could_be_allowed() {
    let policies = Arc::new(Policies::default());
    let eve = Caller::Certificate {
        name: SubjectName::dns("eve.oncall.example.org").unwrap(),
    };
    let (seven, eight) = (Caller::LocalUser { uid: 7 }, Caller::LocalUser { uid: 8 });
    use Operation as O;
    assert!(!asked(&policies, &eve, O::Freeze, "10.8.0.7"));
    assert!(asked(&policies, &seven, O::Freeze, ""));
    let policy = || Policy::parse(DOCUMENT, PolicyVersion([1; 32])).unwrap();
    policies.replace(Some(policy()), Mode::Enforced);
    for (caller, operation, from, wanted) in [
        (&eve, O::Freeze, "10.8.0.7", true),
        (&eve, O::Freeze, "10.9.0.7", false),
        (&eve, O::Freeze, "", false),
        // It may be about another key than the treasury.
        (&eve, O::StateAllow, "10.8.0.7", true),
        (&eve, O::StateShow, "10.8.0.7", true),
        // A rule allows it; a private key would come along.
        (&eve, O::KeyBackup, "10.8.0.7", false),
        // It may be about a validator.
        (&eve, O::KeyShow, "10.8.0.7", true),
        (&eve, O::Unfreeze, "10.8.0.7", true),
        (&eve, O::KeyExport, "10.8.0.7", false),
        (&eve, O::KeyList, "10.8.0.7", false),
        (&seven, O::Freeze, "", false),
        (&seven, O::KeyExport, "", true),
        (&eight, O::Freeze, "", true),
    ] {
        assert_eq!(
            asked(&policies, caller, operation, from),
            wanted,
            "{operation} {from}"
        );
    }
    policies.replace(Some(policy()), Mode::DryRun);
    assert!(
        asked(&policies, &seven, O::Freeze, ""),
        "what it would deny is let through"
    );
    assert!(
        !asked(&policies, &eve, O::KeyList, ""),
        "and nothing more than without it"
    );
}

#[test]
fn no_node_calls_anything() {
    let policies = Arc::new(Policies::default());
    let node = crate::authn::dialled_node(
        &sigward_policies::model::id::ChainId::new("c-1").unwrap(),
        &sigward_policies::model::id::NodeName::new("n").unwrap(),
    );
    assert!(!asked(&policies, &node, Operation::StatusRead, ""));
}
