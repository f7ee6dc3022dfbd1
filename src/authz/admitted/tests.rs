//! The second question: which keys and chains a call may act on, and which it sees.

use sigward_policies::authz::{Policy, PolicyVersion, RuleId, Tick};
use sigward_policies::model::algorithm::{Algorithm, PublicKey};
use sigward_policies::model::caller::{Caller, SubjectName};
use sigward_policies::model::id::{KeyName, UnixSeconds};

use super::*;
use crate::store::Context;

const DOCUMENT: &str = r#"
    version = 1
    [[rule]]
    id = "never-the-treasury"
    effect = "deny"
    subjects = ["dns:**", "uid:7"]
    operations = ["*"]
    keys = ["ed25519:0909090909090909090909090909090909090909090909090909090909090909"]
    [[rule]]
    id = "validators"
    effect = "allow"
    subjects = ["dns:ada"]
    operations = ["key.show", "key.list", "state.allow"]
    keys = ["validator-*"]
    rate = { count = 3, per_seconds = 60 }
    [[rule]]
    id = "testnets"
    effect = "allow"
    subjects = ["dns:ada"]
    operations = ["state.allow"]
    chains = ["test-*"]
    [[rule]]
    id = "each"
    effect = "allow"
    subjects = ["dns:ada"]
    operations = ["key.adopt"]
    rate = { count = 1, per_seconds = 60, each = ["key"] }
    [[rule]]
    id = "together"
    effect = "allow"
    subjects = ["dns:ada"]
    operations = ["unfreeze"]
    keys = ["validator-*"]
    approvals = 2
"#;

fn policies(mode: Mode) -> Arc<Policies> {
    let policies = Arc::new(Policies::default());
    let policy = Policy::parse(DOCUMENT, PolicyVersion([1; 32])).unwrap();
    policies.replace(Some(policy), mode);
    policies
}

fn ada() -> Caller {
    Caller::Certificate {
        name: SubjectName::dns("ada").unwrap(),
    }
}

fn call(policies: &Arc<Policies>, caller: &Caller, operation: Operation) -> Admitted {
    let call = Call {
        caller,
        context: &Context::default(),
        path: "/sigward.v1.X/Y",
        operation: Some(operation),
        from: None,
        now: UnixSeconds(1_000_000),
        tick: Tick(0),
    };
    policies.admit(call).unwrap()
}

fn key(name: &str, byte: u8) -> KeyFacts {
    KeyFacts {
        name: KeyName::new(name).unwrap(),
        public_key: PublicKey::new(Algorithm::Ed25519, &[byte; 32]).ok(),
        provider: Some("software".into()),
    }
}

fn chain(id: &str) -> ChainId {
    ChainId::new(id).unwrap()
}

fn code(outcome: Result<MayAct, Denial>) -> &'static str {
    outcome.err().map_or("", |denial| denial.refusal.code.as_str())
}

#[test]
fn every_key_and_chain_of_an_act_must_be_allowed() {
    let policies = policies(Mode::Enforced);
    let (one, treasury) = (key("validator-1", 1), key("treasury", 9));
    let ask = |operation, about: &[About]| code(call(&policies, &ada(), operation).may(about));
    use Operation as O;
    let on = |key: &KeyFacts, id| About::key_on(key.clone(), chain(id));
    assert_eq!(ask(O::KeyShow, &[About::key(one.clone())]), "");
    assert_eq!(
        ask(O::KeyShow, &[]),
        "not_permitted",
        "about none is not about validators"
    );
    assert_eq!(ask(O::KeyShow, &[About::key(treasury.clone())]), "not_permitted");
    assert_eq!(ask(O::StateAllow, &[on(&key("other", 2), "test-1")]), "");
    assert_eq!(
        ask(O::StateAllow, &[on(&key("other", 2), "main-1")]),
        "not_permitted"
    );
    assert_eq!(ask(O::StateAllow, &[on(&treasury, "test-1")]), "not_permitted");
    assert_eq!(
        ask(O::StateAllow, &[on(&one, "main-1"), on(&treasury, "test-1")]),
        "not_permitted",
        "one no is a no"
    );
    assert_eq!(ask(O::Unfreeze, &[About::key(one)]), "approval_required");
}

#[test]
fn an_act_waits_for_the_most_that_a_rule_wants() {
    let one = About::key(key("validator-1", 1));
    let ask = |mode, about: &[About]| {
        let policies = policies(mode);
        let call = call(&policies, &ada(), Operation::Unfreeze);
        let outcome = call
            .may_once(about)
            .map(|may| may.into_parts().1.map(|needed| needed.others));
        outcome.map_err(|denial| denial.refusal.code.as_str())
    };
    assert_eq!(ask(Mode::Enforced, std::slice::from_ref(&one)), Ok(Some(2)));
    assert_eq!(
        ask(Mode::Enforced, &[one.clone(), About::key(key("other", 2))]),
        Err("not_permitted"),
        "no number of approvals makes up for a right"
    );
    assert_eq!(ask(Mode::Enforced, &[]), Err("not_permitted"));
    assert_eq!(
        ask(Mode::DryRun, &[one]),
        Ok(Some(2)),
        "a document that is tried out gives a stranger no more than it says"
    );
}

#[test]
fn what_cannot_say_what_it_is_about_is_judged_as_if_it_were_about_everything() {
    let text = "version = 1
        [[rule]]
        id = \"one\"
        effect = \"allow\"
        subjects = [\"uid:*\"]
        operations = [\"state.allow\"]
        keys = [\"test-*\"]
        approvals = 1
        [[rule]]
        id = \"three\"
        effect = \"allow\"
        subjects = [\"uid:*\"]
        operations = [\"state.allow\"]
        keys = [\"validator-*\"]
        approvals = 3
        [[rule]]
        id = \"never\"
        effect = \"deny\"
        subjects = [\"uid:7\"]
        operations = [\"state.allow\"]
        keys = [\"treasury\"]";
    let policies = Arc::new(Policies::default());
    let ask = |mode, uid| {
        let policy = Policy::parse(text, PolicyVersion([1; 32])).unwrap();
        policies.replace(Some(policy), mode);
        let call = call(&policies, &Caller::LocalUser { uid }, Operation::StateAllow);
        let may = call.may_whatever();
        may.map(|may| may.into_parts().1.map(|needed| needed.others))
            .map_err(|denial| denial.refusal.code.as_str())
    };
    assert_eq!(ask(Mode::Enforced, 0), Ok(Some(3)));
    assert_eq!(ask(Mode::Enforced, 7), Err("not_permitted"));
    assert_eq!((ask(Mode::DryRun, 0), ask(Mode::DryRun, 7)), (Ok(None), Ok(None)));
}

#[test]
fn a_call_that_asks_for_more_than_its_procedure_says_is_judged_as_that() {
    let policies = policies(Mode::Enforced);
    let admitted = call(&policies, &ada(), Operation::KeyShow).rather(Operation::KeyDestroy);
    assert_eq!(admitted.operation_name(), "key.destroy");
    let judged = admitted.judged();
    assert_eq!(
        code(admitted.may(&[About::key(key("validator-1", 1))])),
        "not_permitted"
    );
    assert!(judged.was_asked());
    let first = call(&policies, &ada(), Operation::KeyShow);
    let judged = first.judged();
    assert_eq!(code(first.rather(Operation::KeyList).may(&[])), "not_permitted");
    assert!(judged.was_asked(), "whoever admitted it sees that it was asked");
}

#[test]
fn a_rate_is_counted_once_for_each_call_and_not_for_what_is_refused() {
    let policies = policies(Mode::Enforced);
    let ask = |operation, about: &[About]| code(call(&policies, &ada(), operation).may(about));
    let two = [
        About::key(key("validator-1", 1)),
        About::key(key("validator-2", 2)),
    ];
    let refused = [About::key(key("validator-1", 1)), About::key(key("treasury", 9))];
    for _ in 0..9 {
        assert_eq!(ask(Operation::KeyShow, &refused), "not_permitted");
    }
    for _ in 0..2 {
        assert_eq!(ask(Operation::KeyShow, &two), "");
    }
    assert!(call(&policies, &ada(), Operation::KeyList).look().is_ok());
    assert_eq!(ask(Operation::KeyShow, &two), "rate_limited");
    let looked = call(&policies, &ada(), Operation::KeyList).look();
    assert_eq!(looked.unwrap_err().refusal.code.as_str(), "rate_limited");
    // Each key for itself.
    assert_eq!(ask(Operation::KeyAdopt, &two), "");
    assert_eq!(ask(Operation::KeyAdopt, &two[..1]), "rate_limited");
    assert_eq!(ask(Operation::KeyAdopt, &[About::key(key("third", 3))]), "");
}

#[test]
fn a_list_shows_what_a_rule_allows_and_an_administrator_all_but_what_one_denies() {
    let policies = policies(Mode::Enforced);
    let (one, treasury) = (About::key(key("validator-1", 1)), About::key(key("treasury", 9)));
    let other = About::key(key("other", 2));
    let seen = |policies: &Arc<Policies>, caller: &Caller| {
        let sight = call(policies, caller, Operation::KeyList).look().unwrap();
        [&one, &other, &treasury, &About::default()].map(|about| sight.sees(about))
    };
    assert_eq!(seen(&policies, &ada()), [true, false, false, false]);
    let (seven, eight) = (Caller::LocalUser { uid: 7 }, Caller::LocalUser { uid: 8 });
    assert_eq!(seen(&policies, &seven), [true, true, false, true]);
    assert_eq!(seen(&policies, &eight), [true; 4]);
    let tried = self::policies(Mode::DryRun);
    assert_eq!(seen(&tried, &seven), [true; 4], "it is only tried out");
    let none = Arc::new(Policies::default());
    assert_eq!(seen(&none, &seven), [true; 4]);
    assert!(call(&none, &seven, Operation::KeyList).look().unwrap().is_whole());
}

#[test]
fn one_thing_is_seen_from_any_side_and_counted_by_the_rule_that_shows_it() {
    let policies = policies(Mode::Enforced);
    let look = |about: &[About]| {
        let looked = call(&policies, &ada(), Operation::StateAllow).look_at(about);
        looked.err().map_or("", |denial| denial.refusal.code.as_str())
    };
    let other = key("other", 2);
    let sides = [
        About::key(other.clone()),
        About::key_on(other.clone(), chain("main-1")),
        About::key_on(other, chain("test-1")),
    ];
    for _ in 0..9 {
        assert_eq!(look(&sides), "", "`testnets` counts nothing");
        assert_eq!(look(&sides[..2]), "not_permitted");
    }
    let one = [About::key(key("validator-1", 1))];
    for answer in ["", "", "", "rate_limited"] {
        assert_eq!(look(&one), answer);
    }
    assert_eq!(look(&[]), "not_permitted");
}

#[test]
fn who_admits_sees_whether_it_was_asked() {
    let policies = policies(Mode::Enforced);
    let admitted = call(&policies, &ada(), Operation::KeyShow);
    let judged = admitted.judged();
    assert!(!judged.was_asked());
    drop(admitted);
    assert!(!judged.was_asked(), "whoever drops it has not asked");
    let admitted = call(&policies, &ada(), Operation::KeyShow);
    let judged = admitted.judged();
    assert_eq!(code(admitted.may(&[])), "not_permitted");
    assert!(judged.was_asked());
}

#[test]
fn a_document_that_is_tried_out_lets_the_administrator_through_and_nobody_else() {
    let policies = policies(Mode::DryRun);
    let treasury = [About::key(key("treasury", 9))];
    let seven = Caller::LocalUser { uid: 7 };
    assert_eq!(
        code(call(&policies, &seven, Operation::KeyShow).may(&treasury)),
        ""
    );
    assert_eq!(
        code(call(&policies, &ada(), Operation::KeyShow).may(&treasury)),
        "not_permitted"
    );
}

#[test]
fn what_decided_is_known_whatever_it_was() {
    use Operation as O;
    let policy = PolicyVersion([1; 32]);
    let rule = |name: &str| Ruling::Rule {
        policy,
        rule: RuleId::parse(name).unwrap(),
    };
    let no_rule = Ruling::NoRule { policy };
    let [one, other, treasury] =
        [("validator-1", 1), ("other", 2), ("treasury", 9)].map(|(name, byte)| About::key(key(name, byte)));
    let ruling = |policies: &Arc<Policies>, caller: &Caller, operation, about: &About| match call(
        policies, caller, operation,
    )
    .may_once(std::slice::from_ref(about))
    {
        Ok(may) => may.into_parts().0.who().context.ruling.clone().unwrap(),
        Err(denial) => denial.ruling,
    };
    let (seven, eight) = (Caller::LocalUser { uid: 7 }, Caller::LocalUser { uid: 8 });
    let enforced = policies(Mode::Enforced);
    for (caller, operation, about, wanted) in [
        (&ada(), O::KeyShow, &one, rule("validators")),
        (&ada(), O::KeyShow, &other, no_rule.clone()),
        (&ada(), O::KeyShow, &treasury, rule("never-the-treasury")),
        (&ada(), O::Unfreeze, &one, rule("together")),
        (&seven, O::KeyShow, &treasury, rule("never-the-treasury")),
        (&eight, O::KeyShow, &treasury, no_rule.clone()),
    ] {
        assert_eq!(ruling(&enforced, caller, operation, about), wanted, "{operation}");
    }
    let tried = policies(Mode::DryRun);
    assert_eq!(ruling(&tried, &seven, O::KeyShow, &treasury), Ruling::BuiltIn);
    let none = Arc::new(Policies::default());
    assert_eq!(ruling(&none, &eight, O::KeyShow, &treasury), Ruling::BuiltIn);
    // What lets somebody look is not what hides one thing from them.
    let sight = call(&enforced, &seven, O::KeyList).look().unwrap();
    assert_eq!(sight.who().context.ruling, Some(no_rule.clone()));
    assert_eq!(sight.ruling_on(&treasury), rule("never-the-treasury"));
    assert_eq!(sight.ruling_on(&other), no_rule);
}

#[test]
fn who_reads_on_is_asked_again_as_what_it_was_let_in_for() {
    let document = |operations: &str| {
        let text = format!(
            "version = 1\n[[rule]]\nid = \"reads\"\neffect = \"allow\"\nsubjects = [\"dns:ada\"]\noperations = {operations}"
        );
        Policy::parse(&text, PolicyVersion([1; 32])).unwrap()
    };
    let policies = Arc::new(Policies::default());
    policies.replace(
        Some(document("[\"audit.read\", \"audit.export\"]")),
        Mode::Enforced,
    );
    let admitted = call(&policies, &ada(), Operation::AuditRead);
    let judged = admitted.judged();
    let _may = admitted.rather(Operation::AuditExport).may(&[]).unwrap();
    assert!(judged.stands(UnixSeconds(0)).is_ok());
    policies.replace(Some(document("[\"audit.read\"]")), Mode::Enforced);
    assert!(
        judged.stands(UnixSeconds(0)).is_err(),
        "an export, and only reading is left"
    );
}
