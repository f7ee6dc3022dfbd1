//! Documents that must not load, with the sentence that a stranger reads then; and what those that load warn of.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests"
)]

use super::*;
use crate::authz::{Policy, PolicyVersion, Question};
use crate::model::caller::Caller;
use crate::model::id::UnixSeconds;
use crate::model::operation::Operation;

fn parse(text: &str) -> Result<Policy, DocumentError> {
    Policy::parse(text, PolicyVersion([7; 32]))
}

/// A rule with `fields` in place of, or beside, those of a good one.
fn with(fields: &str) -> String {
    let mut text =
        "version = 1\n[subjects]\nops = [\"uid:1\"]\n[roles]\nlooker = [\"*.list\"]\n[[rule]]\n".to_owned();
    for (name, value) in [
        ("id", "\"r\""),
        ("effect", "\"allow\""),
        ("subjects", "[\"ops\"]"),
        ("operations", "[\"key.list\"]"),
    ] {
        if !fields.lines().any(|line| line.split(" =").next() == Some(name)) {
            text.push_str(&format!("{name} = {value}\n"));
        }
    }
    text.push_str(fields);
    text
}

#[test]
fn a_document_that_is_not_understood_is_refused_at_its_line_with_advice() {
    let whole = |text: &str| text.to_owned();
    for (text, said) in [
        (whole(""), "missing field `version`\n  add `version = …`"),
        (
            whole("version = 2"),
            "line 1, column 11: version: this is a document of format 2",
        ),
        (whole("version = \"1\""), "line 1, column 11"),
        (
            whole("version = 1\nrules = []"),
            "line 2, column 1: unknown field `rules`, expected one of `version`, `subjects`, `rule`, `roles`\n  did you mean `rule`?",
        ),
        (
            whole("version = 1\n[subjects]\na = []"),
            "line 3, column 5: subjects.\"a\": an empty list stands for nothing",
        ),
        (
            whole("version = 1\n[subjects]\na = [\"dsn:x\"]"),
            "line 3, column 6: subjects.\"a\": \"dsn:x\": there is no kind of subject called \"dsn\"\n  did you mean `dns`?",
        ),
        (
            whole("version = 1\n[subjects]\n\"a b\" = [\"uid:1\"]"),
            "line 3, column 1: subjects.\"a b\": \"a b\" is no name",
        ),
        (
            whole("version = 1\n[roles]\nadmin = [\"key.list\"]"),
            "line 3, column 1: roles.\"admin\": every document has this role already",
        ),
        (
            whole("version = 1\n[roles]\nx = [\"key.lst\"]"),
            "roles.\"x\": \"key.lst\": there is no such operation\n  did you mean `key.list`?",
        ),
        (
            whole("version = 1\n[roles]\nx = [\"auditor\"]"),
            "there is no such operation\n  this is a role: write roles = [\"auditor\"]",
        ),
        (
            whole("version = 1\n[roles]\nx = [\"sign.ra*\"]"),
            "no operation is called so\n  sign.raw and sign.bn254 stand for themselves only",
        ),
        (
            whole("version = 1\n[roles]\nx = [\"keys.*\"]"),
            "no operation is called so\n  `sigward policy show` lists the operations",
        ),
        (with("colour = 1"), "unknown field `colour`"),
        (with("key = [\"a\"]"), "unknown field `key`, expected one of"),
        (
            with("effect = \"Allow\""),
            "rule[0].effect: unknown effect \"Allow\"\n  did you mean `allow`?",
        ),
        (with("id = \"a b\""), "rule[0].id: \"a b\" is no name"),
        (with("id = \"\""), "rule[0].id: \"\" is no name"),
        (
            with("subjects = []"),
            "rule[0].subjects: an empty list stands for nothing",
        ),
        (
            with("subjects = [\"opps\"]"),
            "\"opps\": no subject of this document is called so\n  did you mean `ops`?",
        ),
        (
            with("subjects = [\"somebody.else\"]"),
            "name it in [subjects], or write a pattern",
        ),
        (with("operations = []"), "rule[0].operations: an empty list"),
        (
            with("operations = [\"sign.cometbft.vote\"]"),
            "\"sign.cometbft.vote\": there is no such operation",
        ),
        (
            with("roles = [\"auditr\"]"),
            "rule[0].roles: \"auditr\": there is no such role\n  did you mean `auditor`?",
        ),
        (with("roles = [\"lookr\"]"), "did you mean `looker`?"),
        (
            with("keys = [\"label:x\"]"),
            "rule[0].keys: \"label:x\": this is no way to name keys",
        ),
        (with("keys = []"), "rule[0].keys: an empty list"),
        (
            with("chains = [\"a b\"]"),
            "rule[0].chains: \"a b\": no chain is called so",
        ),
        (
            with("from = [\"10.0.0.1/8\"]"),
            "rule[0].from: \"10.0.0.1/8\": this is no network\n  bits are set behind the prefix: did you mean 10.0.0.0/8?",
        ),
        (
            with("hours = [\"8-18\"]"),
            "rule[0].hours: \"8-18\": these are no hours\n  write hours in UTC",
        ),
        (
            with("days = [\"monday\"]"),
            "rule[0].days: \"monday\": this is no day",
        ),
        (with("days = [\"tus\"]"), "did you mean `tue`?"),
        (
            with("approvals = 0"),
            "rule[0].approvals: 0 is out of range\n  write a number of others who must approve from 1 to 16",
        ),
        (with("approvals = 17"), "17 is out of range"),
        (
            with("approvals = 1\neffect = \"deny\""),
            "rule[0].approvals: a rule that denies",
        ),
        (
            with("approvals = 1\noperations = [\"unfreeze\", \"freeze\"]"),
            "freeze is among the operations, and what stops signing waits for nobody",
        ),
        (
            with("approvals = 1\noperations = [\"sign.*\"]"),
            "sign.cometbft.proposal is among the operations, and a vote cannot wait",
        ),
        (
            with("rate = { count = 1, per_seconds = 1 }\neffect = \"deny\""),
            "rule[0].rate: a rule that denies",
        ),
        (
            with("rate = { count = 0, per_seconds = 1 }"),
            "rule[0].rate.count: 0 is out of range\n  write a number of times from 1 to 1000000",
        ),
        (
            with("rate = { count = 1, per_seconds = 86401 }"),
            "rule[0].rate.per_seconds: 86401 is out of range",
        ),
        (with("rate = { count = 1 }"), "missing field `per_seconds`"),
        (
            with("rate = { count = 1, per_second = 1 }"),
            "did you mean `per_seconds`?",
        ),
        (
            with("rate = { count = 1, per_seconds = 1, each = [\"subject\"] }"),
            "rule[0].rate.each: \"subject\": rates are not counted so",
        ),
        (
            whole("version = 1\n[[rule]]\nid = \"r\"\neffect = \"allow\"\nsubjects = [\"uid:1\"]"),
            "line 3, column 6: rule[0]: the rule names no operation",
        ),
        (
            format!(
                "{}\n[[rule]]\nid = \"r\"\neffect = \"deny\"\nsubjects = [\"*\"]\noperations = [\"*\"]",
                with("")
            ),
            "rule[1].id: \"r\" is rule[0] already",
        ),
    ] {
        match parse(&text) {
            Ok(_) => panic!("accepted:\n{text}"),
            Err(error) => {
                let shown = error.to_string();
                assert!(
                    shown.contains(said),
                    "expected {said:?}, got\n{shown}\nfor\n{text}"
                );
                assert_eq!(shown.lines().count(), 2, "{shown}");
                assert!(error.place.is_some() || text.is_empty(), "{shown}");
            }
        }
    }
}

#[test]
fn nobody_both_writes_the_policy_and_takes_keys() {
    let rules = |subjects: [&str; 2], operations: [&str; 2]| {
        let mut text = "version = 1\n".to_owned();
        for (name, (subject, operation)) in ["a", "b"].iter().zip(subjects.iter().zip(operations)) {
            text.push_str(&format!(
                "[[rule]]\nid = \"{name}\"\neffect = \"allow\"\nsubjects = [\"{subject}\"]\noperations = [\"{operation}\"]\n"
            ));
        }
        text
    };
    for (subjects, operations, said) in [
        (
            ["uid:1", "uid:1"],
            ["policy.write", "key.export"],
            "rule a lets uid:1 policy.write, and rule b lets uid:1 key.export",
        ),
        (
            ["uid:1", "uid:1"],
            ["key.destroy", "policy.write"],
            "rule b lets uid:1 policy.write, and rule a lets uid:1 key.destroy",
        ),
        (
            ["dns:*.example", "dns:alice.*"],
            ["policy.*", "key.backup"],
            "rule a lets dns:*.example policy.write, and rule b lets dns:alice.* key.backup",
        ),
        (
            ["*", "uid:1"],
            ["policy.write", "key.*"],
            "rule a lets * policy.write",
        ),
        (
            ["uid:1", "uid:2"],
            ["*", "key.list"],
            "rule a lets uid:1 both policy.write and key.destroy",
        ),
    ] {
        let error = parse(&rules(subjects, operations)).unwrap_err().to_string();
        assert!(error.contains(said), "expected {said:?}, got {error}");
        assert!(error.contains("give policy.write to one subject and the keys to another"));
    }
    for (subjects, operations) in [
        (["uid:1", "uid:2"], ["policy.write", "key.*"]),
        (
            ["dns:a.example", "uri:spiffe://a.example/x"],
            ["policy.write", "key.export"],
        ),
        (
            ["dns:*.gov.example", "dns:*.ops.example"],
            ["policy.write", "key.export"],
        ),
        (["uid:1", "uid:1"], ["policy.write", "key.create"]),
    ] {
        assert!(
            parse(&rules(subjects, operations)).is_ok(),
            "{subjects:?} {operations:?}"
        );
    }
    let role = "version = 1\n[roles]\nking = [\"policy.write\", \"key.destroy\"]";
    let error = parse(role).unwrap_err().to_string();
    assert!(
        error.contains("line 3, column 1: roles.\"king\": the role may both policy.write and key.destroy"),
        "{error}"
    );
    // A rule that denies gives nothing.
    let denies =
        "version = 1\n[[rule]]\nid = \"none\"\neffect = \"deny\"\nsubjects = [\"*\"]\noperations = [\"*\"]";
    assert!(parse(denies).is_ok());
}

#[test]
fn what_is_probably_not_meant_is_told() {
    let text = r#"version = 1
[subjects]
unused = ["uid:1"]
ops = ["uid:2", "uid:3"]
[roles]
spare = ["key.list"]
[[rule]]
id = "first"
effect = "allow"
subjects = ["ops"]
operations = ["key.*"]
[[rule]]
id = "second"
effect = "deny"
subjects = ["uid:3"]
operations = ["key.create"]
keys = ["a"]
[[rule]]
id = "third"
effect = "allow"
subjects = ["*"]
operations = ["key.list"]
"#;
    let warnings: Vec<String> = parse(text)
        .unwrap()
        .warnings()
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(
        warnings,
        [
            "line 3: subject unused is in no rule",
            "line 6: role spare is in no rule",
            "line 8: rule first lets one person alone key.destroy, key.export: `approvals = 1` asks another",
            "line 13: rule second never decides: rule first is before it, and about all of it",
            "line 19: rule third is for anyone who proves to be somebody",
        ]
    );
    assert!(
        parse("version = 1").unwrap().warnings()[0]
            .message
            .starts_with("there is no rule")
    );
}

/// What a rule lets nobody do, because nobody can give what it asks for; and `explain` says so with the daemon's words.
#[test]
fn approvals_that_nobody_can_give_are_warned_of_and_explained_as_a_no() {
    let rule = |subject: &str, operations: &str| {
        let text = format!(
            "version = 1\n[[rule]]\nid = \"r\"\neffect = \"allow\"\nsubjects = [\"{subject}\"]\noperations = [{operations}]\napprovals = 1\n"
        );
        parse(&text).unwrap()
    };
    let ada = Caller::Certificate {
        name: crate::model::caller::SubjectName::dns("ada").unwrap(),
    };
    let lena = Caller::Token {
        holder: crate::model::bearer::TokenHolder::parse("lena/x").unwrap(),
    };
    let ask = |policy: &Policy, subject: &Caller, operation| {
        let question = Question {
            subject,
            operation,
            key: None,
            chain: None,
            from: None,
            now: UnixSeconds(0),
        };
        let explained = policy.explain(&question);
        (explained.is_allowed(), explained.answer())
    };
    let good = rule("dns:ada", "\"unfreeze\", \"stop_line.clear\"");
    assert_eq!(good.warnings(), []);
    assert_eq!(
        ask(&good, &ada, Operation::Unfreeze),
        (true, "allowed by rule r, after 1 other approved".to_owned())
    );

    let acts = rule("dns:ada", "\"unfreeze\", \"key.create\", \"audit.read\"");
    let said = acts.warnings()[0].to_string();
    assert!(
        said.contains("rule r lets nobody do key.create and 1 more"),
        "{said}"
    );
    let (allowed, said) = ask(&acts, &ada, Operation::KeyCreate);
    assert!(
        !allowed && said.starts_with("denied: approval_required: rule r wants 1 approval, and there"),
        "{said}"
    );
    assert!(ask(&acts, &ada, Operation::Unfreeze).0);

    let program = rule("jwt:lena/*", "\"stop_line.clear\"");
    let said = program.warnings()[0].to_string();
    assert!(said.contains("rule r lets jwt:lena/* do nothing"), "{said}");
    let (allowed, said) = ask(&program, &lena, Operation::StopLineClear);
    assert!(
        !allowed && said.starts_with("denied: approval_not_yours: no program speaks"),
        "{said}"
    );
}

/// It gets neither, whatever a rule says, and is warned of once.
#[test]
fn an_api_key_is_no_person_who_could_do_two_things() {
    let rule = |subject: &str, operations: &str| {
        format!(
            "version = 1\n[[rule]]\nid = \"r\"\neffect = \"allow\"\nsubjects = [{subject}]\noperations = [{operations}]\n"
        )
    };
    for operations in ["\"*\"", "\"key.*\""] {
        let policy = parse(&rule("\"apikey:bot\"", operations)).unwrap();
        let said: Vec<_> = policy.warnings().iter().map(ToString::to_string).collect();
        assert_eq!(said.len(), 1, "{said:?}");
        assert!(said[0].contains("an API key is for signing only"), "{said:?}");
    }
    // Somebody else beside it is somebody.
    assert!(parse(&rule("\"apikey:bot\", \"dns:ada\"", "\"*\"")).is_err());
    assert!(parse(&rule("\"apikey:bot\", \"*\"", "\"*\"")).is_err());
    let both = parse(&rule("\"apikey:bot\", \"dns:ada\"", "\"key.*\"")).unwrap();
    assert_eq!(both.warnings().len(), 2, "{:?}", both.warnings());
}

#[test]
fn a_rule_that_can_never_match_is_warned_of() {
    let warnings = |effect: &str, operations: &str, scope: &str| -> Vec<String> {
        let text = format!(
            "version = 1\n[[rule]]\nid = \"r\"\neffect = \"{effect}\"\nsubjects = [\"uid:1\"]\noperations = [{operations}]\n{scope}"
        );
        let policy = parse(&text).unwrap();
        policy
            .warnings()
            .iter()
            .map(|warning| warning.message.clone())
            .collect()
    };
    let keys = "keys = [\"a\"]";
    for (effect, operations, scope, wanted) in [
        (
            "allow",
            "\"audit.read\"",
            keys,
            "never decides: it names keys or chains, and audit.read is about none",
        ),
        (
            "deny",
            "\"audit.read\", \"config.reload\"",
            "chains = [\"c-1\"]",
            "config.reload, audit.read are about none",
        ),
        (
            "allow",
            "\"audit.read\", \"key.show\"",
            keys,
            "allows nobody audit.read",
        ),
    ] {
        let said = warnings(effect, operations, scope);
        assert!(
            said.len() == 1 && said[0].contains(wanted),
            "{operations}: {said:?}"
        );
    }
    for (effect, operations, scope) in [
        ("allow", "\"audit.read\"", ""),
        ("allow", "\"key.show\", \"status.read\"", keys),
        // Whoever denies everything of a key denies what is about keys.
        ("deny", "\"*\"", keys),
    ] {
        assert_eq!(
            warnings(effect, operations, scope),
            Vec::<String>::new(),
            "{operations}"
        );
    }
}

#[test]
fn sizes_have_bounds() {
    let error = parse(&format!("version = 1 #{}", "x".repeat(MAX_DOCUMENT))).unwrap_err();
    assert!(error.message.contains("262144 bytes"));
    let rule = |id: usize| {
        format!(
            "[[rule]]\nid = \"r{id}\"\neffect = \"deny\"\nsubjects = [\"uid:1\"]\noperations = [\"freeze\"]\n"
        )
    };
    let rules: String = (0..=MAX_RULES).map(rule).collect();
    let error = parse(&format!("version = 1\n{rules}")).unwrap_err();
    assert!(error.message.contains("1001 rules"), "{error}");
    // A named subject counts wherever it is named.
    let many: Vec<String> = (0..300).map(|uid| format!("\"uid:{uid}\"")).collect();
    let rules: String = (0..20)
        .map(|id| rule(id).replace("\"uid:1\"", "\"many\""))
        .collect();
    let error = parse(&format!(
        "version = 1\n[subjects]\nmany = [{}]\n{rules}",
        many.join(",")
    ))
    .unwrap_err();
    assert!(error.message.contains("more than 4000 patterns"), "{error}");
    // Nested deeply: the reader's own bound, and no stack that overflows.
    assert!(parse(&format!("version = {}", "[".repeat(100_000))).is_err());
}

#[test]
fn a_hostile_document_forges_no_line_of_an_error() {
    for text in [
        "version = 1\n\"\\u001b[2J\\nx\" = 1",
        "version = 1\n[subjects]\n\"a\\nb\\u001b\" = [\"uid:1\"]",
        "version = 1\n[subjects]\na = [\"uid:\\u001b[31m\\n\"]",
        "version = 1\n[subjects]\na = [\"\\u001b[31m\\nx:1\"]",
        "version = \"\u{202e}\"",
    ] {
        let shown = parse(text).unwrap_err().to_string();
        assert!(
            shown.lines().count() == 2 && !shown.contains(['\u{1b}', '\u{202e}']),
            "{shown:?}"
        );
    }
}
