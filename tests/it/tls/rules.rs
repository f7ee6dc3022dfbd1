//! Rules about keys and chains, met by clients on another machine: what they may do, what they see, and what they cannot find out.

use base64::prelude::{BASE64_STANDARD, Engine as _};
use serde_json::Value;
use sigward_proto::Procedure;

use super::calls::{Answer, Client, ask, message};
use super::stage::{PATIENCE, Stage, said};
use crate::support::grpcurl::shows;
use crate::support::poll;

/// Everything that names keys or chains, and carries no private key.
const ACTS: &str = "[\"key.show\", \"key.list\", \"key.adopt\", \"state.*\", \"freeze\", \"unfreeze\", \"stop_line.*\", \"hold.list\", \
     \"node.*\", \"provider.*\", \"status.read\"]";
/// Those of them that are about one key, one chain, or the nodes of one.
const NAMING: [Procedure; 16] = [
    Procedure::HoldFreeze,
    Procedure::HoldUnfreeze,
    Procedure::HoldSetStopLine,
    Procedure::HoldClearStopLine,
    Procedure::KeyGet,
    Procedure::KeyAdopt,
    Procedure::NodeList,
    Procedure::NodeDrain,
    Procedure::NodeUndrain,
    Procedure::StateShow,
    Procedure::StateInit,
    Procedure::StateImport,
    Procedure::StateExport,
    Procedure::StateAllow,
    Procedure::StateWithdrawAllow,
    Procedure::StateRebind,
];

fn rule(id: &str, effect: &str, subject: &str, operations: &str, more: &str) -> String {
    format!(
        "[[rule]]\nid = \"{id}\"\neffect = \"{effect}\"\nsubjects = [\"dns:{subject}\"]\noperations = {operations}\n{more}\n"
    )
}

/// Puts these rules in force.
fn rules(stage: &Stage, rules: &[String]) {
    let text = format!("version = 1\n{}", rules.concat());
    std::fs::write(stage.signer.home().join("policy.toml"), text).unwrap();
    stage.signer.configure(|config| {
        let policy = [("file".to_owned(), "policy.toml".into())].into_iter().collect();
        config.insert("policy".to_owned(), toml::Value::Table(policy));
    });
    stage.signer.run(&["reload"]);
}

/// A key, and a chain that it signs for as soon as the configuration is read again.
fn key_on(stage: &Stage, key: &str, chain: &str) {
    made(stage, key, chain);
}

/// The same; the public key of what was made, as rules write it.
fn made(stage: &Stage, key: &str, chain: &str) -> String {
    let validator = stage.signer.create_key(key);
    let socket = format!("unix://{}", stage.home.path(&format!("{chain}.sock")).display());
    stage.signer.add_chain_at(chain, key, &[("a", socket.as_str())]);
    let public_key = BASE64_STANDARD.decode(validator.public_key).unwrap();
    format!("ed25519:{}", hex::encode(public_key))
}

fn stage(clients: &[&str]) -> Stage {
    let mut stage = Stage::new();
    key_on(&stage, "validator", "main-1");
    for client in clients {
        stage.signer.run(&["pki", "client", client]);
    }
    stage.signer.start();
    stage
}

fn naming(stage: &Stage, client: &str, key: &str, chain: &str) -> Vec<Answer> {
    let calls: Vec<_> = NAMING
        .iter()
        .map(|procedure| (*procedure, message(*procedure, key, chain)))
        .collect();
    ask(stage, &Client::Certificate(&stage.client(client)), &calls)
}

/// grpcurl, what it prints.
fn grpcurl(stage: &Stage, client: &str, method: &str, body: &str) -> (bool, String) {
    let mut command = crate::support::grpcurl::grpcurl(&stage.pki("ca.crt"));
    shows(&mut command, &stage.client(client));
    let output = command
        .args([
            "-d",
            body,
            &format!("localhost:{}", stage.port),
            &format!("sigward.v1.{method}"),
        ])
        .output()
        .unwrap();
    (output.status.success(), said(&output))
}

fn json(stage: &Stage, client: &str, method: &str) -> Value {
    let (good, text) = grpcurl(stage, client, method, "{}");
    assert!(good, "{method}: {text}");
    serde_json::from_str(&text).unwrap()
}

#[test]
fn a_key_that_one_may_not_use_and_one_that_is_not_there_are_answered_alike() {
    let stage = stage(&["ada", "bob"]);
    rules(
        &stage,
        &[
            rule("ada", "allow", "ada", ACTS, "keys = [\"validator*\"]"),
            rule("bob", "allow", "bob", ACTS, ""),
        ],
    );
    let before = [
        naming(&stage, "ada", "treasury", "other-1"),
        naming(&stage, "bob", "treasury", "other-1"),
    ];
    for (procedure, answer) in NAMING.iter().chain(&NAMING).zip(before.iter().flatten()) {
        assert!(
            answer.is_denied() && answer.status == "5",
            "{procedure:?}: {answer:?}"
        );
    }
    assert_eq!(before[0], before[1], "the same of a name that a rule would allow");

    let public_key = made(&stage, "treasury", "other-1");
    stage.signer.run(&["reload"]);
    stage
        .signer
        .run(&["freeze", "--key", "treasury", "--reason", "secret"]);
    // Hidden from the one because no rule names it, from the other because a rule denies it by itself.
    rules(
        &stage,
        &[
            rule("ada", "allow", "ada", ACTS, "keys = [\"validator*\"]"),
            rule(
                "not-this",
                "deny",
                "bob",
                "[\"*\"]",
                &format!("keys = [\"{public_key}\"]"),
            ),
            rule("bob", "allow", "bob", ACTS, ""),
        ],
    );
    assert_eq!(before[0], naming(&stage, "ada", "treasury", "other-1"));
    assert_eq!(before[1], naming(&stage, "bob", "treasury", "other-1"));
    // What they did not hear is on record; of so many kinds at once some are gathered for a second.
    let tail = || stage.signer.run(&["audit", "tail", "--lines", "300"]);
    for who in ["cert:dns:ada", "cert:dns:bob"] {
        for what in ["key.show", "state.allow", "freeze", "node.drain"] {
            let denied = |line: &str| {
                line.contains("denied")
                    && line.contains(who)
                    && line.contains(what)
                    && line.contains("not_permitted")
            };
            let noted = poll(PATIENCE, || tail().lines().any(denied).then_some(()));
            assert!(noted.is_some(), "{who} {what}: {}", tail());
        }
    }
    stage.assert_unharmed();
}

#[test]
fn lists_show_what_a_rule_lets_one_use() {
    let mut stage = Stage::new();
    key_on(&stage, "hub-key", "main-1");
    key_on(&stage, "treasury", "other-1");
    for client in ["ada", "carl", "nobody"] {
        stage.signer.run(&["pki", "client", client]);
    }
    stage.signer.start();
    rules(
        &stage,
        &[
            rule("by-key", "allow", "ada", ACTS, "keys = [\"hub-*\"]"),
            rule("by-chain", "allow", "carl", ACTS, "chains = [\"other-*\"]"),
        ],
    );
    for (key, chain) in [("hub-key", "main-1"), ("treasury", "other-1")] {
        stage.signer.run(&["freeze", "--key", key, "--reason", key]);
        stage.signer.run(&["freeze", "--chain", chain, "--reason", chain]);
    }
    for (client, key, chain, hidden) in [
        ("ada", "hub-key", "main-1", ["treasury", "other-1"]),
        ("carl", "treasury", "other-1", ["hub-key", "main-1"]),
    ] {
        for (method, field, rows) in [
            ("KeyService/List", "keys", 1),
            ("StateService/Show", "states", 1),
            ("NodeService/List", "nodes", 1),
            ("HoldService/ListHolds", "holds", 2),
            ("StatusService/Get", "chains", 1),
        ] {
            let shown = json(&stage, client, method);
            assert_eq!(
                shown[field].as_array().unwrap().len(),
                rows,
                "{client} {method}: {shown}"
            );
            let text = shown.to_string();
            assert!(
                text.contains(key) || text.contains(chain),
                "{client} {method}: {text}"
            );
            for word in hidden {
                assert!(!text.contains(word), "{client} {method} shows {word}: {text}");
            }
        }
    }
    // The administrator of this machine sees all of it, and whoever no rule names nothing.
    assert_eq!(
        stage
            .signer
            .json(&["keys", "list", "--json"])
            .as_array()
            .unwrap()
            .len(),
        2
    );
    let (good, said) = grpcurl(&stage, "nobody", "KeyService/List", "{}");
    assert!(!good && said.contains("PermissionDenied"), "{said}");
    let shown = json(&stage, "nobody", "StatusService/Get");
    assert!(
        shown.get("chains").is_none() && shown["instance"]["serving"] == true,
        "{shown}"
    );
    stage.assert_unharmed();
}

#[test]
fn a_rule_about_a_key_lets_its_acts_happen_and_no_others() {
    let stage = stage(&["ada", "eve"]);
    key_on(&stage, "treasury", "other-1");
    rules(
        &stage,
        &[
            rule(
                "seldom",
                "allow",
                "eve",
                "[\"key.show\"]",
                "keys = [\"validator\"]\nrate = { count = 2, per_seconds = 3600 }",
            ),
            rule("ada", "allow", "ada", ACTS, "keys = [\"validator\"]"),
            rule(
                "ada-makes",
                "allow",
                "ada",
                "[\"key.create\"]",
                "keys = [\"consumer-*\"]",
            ),
        ],
    );
    for (method, body, answer) in [
        ("KeyService/Get", "{\"name\":\"validator\"}", ""),
        (
            "KeyService/Create",
            "{\"name\":\"consumer-1\",\"algorithm\":\"ed25519\"}",
            "",
        ),
        (
            "KeyService/Create",
            "{\"name\":\"provider-1\",\"algorithm\":\"ed25519\"}",
            "PermissionDenied",
        ),
        (
            "StateService/Allow",
            "{\"key\":\"validator\",\"chain_id\":\"main-1\",\"until\":100}",
            "",
        ),
        (
            "StateService/Allow",
            "{\"key\":\"treasury\",\"chain_id\":\"other-1\",\"until\":100}",
            "NotFound",
        ),
        ("HoldService/Freeze", "{\"scope\":{\"key\":\"validator\"}}", ""),
        (
            "HoldService/Unfreeze",
            "{\"scope\":{\"key\":\"validator\"},\"reason\":\"over\"}",
            "",
        ),
        // Other keys would stop too.
        (
            "HoldService/Freeze",
            "{\"scope\":{\"all\":true}}",
            "PermissionDenied",
        ),
        (
            "HoldService/Freeze",
            "{\"scope\":{\"chain_id\":\"main-1\"}}",
            "NotFound",
        ),
        (
            "NodeService/Drain",
            "{\"chain_id\":\"main-1\",\"name\":\"a\",\"force\":true}",
            "",
        ),
        (
            "NodeService/Drain",
            "{\"chain_id\":\"other-1\",\"name\":\"a\",\"force\":true}",
            "NotFound",
        ),
        (
            "HsmService/LogInOnce",
            "{\"provider\":\"none\"}",
            "PermissionDenied",
        ),
    ] {
        let (good, said) = grpcurl(&stage, "ada", method, body);
        assert_eq!(good, answer.is_empty(), "{method} {body}: {said}");
        assert!(said.contains(answer), "{method} {body}: {said}");
    }
    // Nothing was frozen but for a moment, and nothing was made but what a rule names.
    let status = stage.signer.json(&["status", "--json"]);
    assert!(!status.to_string().contains("\"frozen\":true"), "{status}");
    let keys = stage.signer.run(&["keys", "list"]);
    assert!(
        keys.contains("consumer-1") && !keys.contains("provider-1"),
        "{keys}"
    );
    // A call counts once; what is refused for its key does not count.
    let get = |key: &str| {
        grpcurl(
            &stage,
            "eve",
            "KeyService/Get",
            &format!("{{\"name\":\"{key}\"}}"),
        )
    };
    for _ in 0..2 {
        assert!(get("treasury").1.contains("NotFound"));
        assert!(get("validator").0);
    }
    let (good, said) = get("validator");
    assert!(
        !good && said.contains("ResourceExhausted") && said.contains("rate_limited"),
        "{said}"
    );
    stage.assert_unharmed();
}

/// What is named is opened by nobody but the administrator of the machine, and only if it is a file with an end.
#[test]
fn whoever_verifies_from_another_machine_names_no_file_and_one_on_this_machine_names_a_file() {
    let stage = stage(&["eve"]);
    rules(&stage, &[rule("eve", "allow", "eve", "[\"audit.verify\"]", "")]);
    let verify = |anchor: &str| {
        grpcurl(
            &stage,
            "eve",
            "AuditService/Verify",
            &format!("{{\"anchor\": \"{anchor}\"}}"),
        )
    };
    let words: Vec<_> = ["/dev/zero", "/etc/passwd", "/nowhere"].map(verify).into();
    for (good, text) in &words {
        assert!(!good && text.contains("anchor_refused: "), "{text}");
        assert_eq!(text, &words[0].1);
    }
    let pipe = stage.home.path("pipe");
    let made = std::process::Command::new("mkfifo").arg(&pipe).status().unwrap();
    assert!(made.success());
    let database = stage.signer.home().join("state/guard.db");
    assert!(database.exists());
    for anchor in [pipe.as_path(), &database, std::path::Path::new("/dev/zero")] {
        let refused = stage
            .signer
            .attempt(&["audit", "verify", "--anchor", anchor.to_str().unwrap()]);
        assert_eq!(refused.status.code(), Some(3), "{}", said(&refused));
        assert!(said(&refused).contains("anchor_refused: "), "{}", said(&refused));
    }
    // Nothing of it goes on.
    let (good, text) = verify("");
    assert!(good && text.contains("outcome"), "{text}");
    stage.signer.run(&["audit", "verify"]);
    stage.assert_unharmed();
}
