//! What a key is good for, and what it is not.

use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use sigward_proto::Procedure;

use super::super::attacks::Raw;
use super::super::stage::{EMPTY, Stage, bearer, said};
use super::{WHO_AM_I, json};
use crate::support::poll;

/// Everything that a document can give to API keys. It refuses none of it, and says what they do not get.
const GENEROUS: &str = "version = 1\n[[rule]]\nid = \"robots\"\neffect = \"allow\"\nsubjects = [\"apikey:*\"]\n\
    operations = [\"sign.*\", \"key.*\", \"state.*\", \"status.read\", \"freeze\", \"unfreeze\", \"approval.*\", \"api_key.*\", \"audit.*\"]\n";

#[test]
fn a_key_says_who_it_is_and_is_let_near_nothing_else_whatever_a_rule_says() {
    let stage = Stage::serving();
    let key = stage.api_key("ci");
    let header = bearer(&key);
    assert_eq!(stage.shows(&key), ("0".to_owned(), String::new()));
    let grpcurl = stage.grpcurl(&key, WHO_AM_I.trim_start_matches('/'));
    let text = said(&grpcurl);
    assert!(
        text.contains("\"subject\": \"apikey:ci\"")
            && text.contains("PROOF_API_KEY")
            && text.contains("endsAt"),
        "{text}"
    );
    stage.policy(GENEROUS);
    let checked = stage.signer.run(&["policy", "check"]);
    assert!(
        checked.contains("rule robots gives apikey:* ") && checked.contains("for signing only"),
        "{checked}"
    );
    let explain = |op: &str| {
        stage
            .signer
            .run(&["policy", "explain", "--as", "apikey:ci", "--op", op])
    };
    let told = explain("key.list");
    assert!(told.contains("denied: an API key is for signing only"), "{told}");
    assert!(explain("sign.cometbft.prevote").contains("allowed by rule robots"));
    assert!(explain("whoami").contains("allowed: whoever proves to be somebody"));
    for reloaded in [false, true] {
        if reloaded {
            stage.signer.run(&["reload"]);
        }
        for procedure in Procedure::ALL {
            let (code, message) = stage.call(procedure.path(), EMPTY, &[&header]);
            let wanted = match *procedure {
                Procedure::StatusWhoAmI => "0",
                _ => "7",
            };
            assert_eq!(code, wanted, "{procedure:?}: {message}");
            assert!(
                code == "0" || message.contains("for signing only"),
                "{procedure:?}: {message}"
            );
        }
        assert_eq!(
            stage.call("/grpc.health.v1.Health/Check", EMPTY, &[&header]).0,
            "7"
        );
        for path in ["/livez", "/readyz", "/metrics"] {
            let output = stage.curl(&["-w", "%{http_code}", "-H", &header, &stage.url(path)]);
            let text = said(&output);
            assert!(
                text.ends_with("403") && text.contains("for signing only"),
                "{path}: {text}"
            );
        }
    }
    // What it tried is on record, by its name.
    let tried = poll(Duration::from_secs(60), || {
        let tried = stage.signer.run(&["audit", "query", "--subject", "apikey:ci"]);
        tried.contains("not_permitted").then_some(())
    });
    assert!(tried.is_some(), "{}", stage.signer.run(&["audit", "tail"]));
    stage.assert_unharmed();
}

#[test]
fn a_key_that_does_not_count_is_refused_as_any_other_and_from_the_next_request_on() {
    let stage = Stage::serving();
    let key = stage.api_key("ci");
    let mut raw = Raw::connect(&stage);
    let mut get = |key: &str| {
        raw.send(&format!(
            "GET /livez HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {key}\r\n\r\n"
        ));
        raw.answer()
    };
    assert!(get(&key).contains("403 Forbidden"));
    stage
        .signer
        .run(&["api-key", "revoke", "ci", "--reason", "found in a log"]);
    let answer = get(&key);
    assert!(
        answer.contains("401") && answer.contains("does not count here"),
        "{answer}"
    );
    let revoked = stage.shows(&key);
    assert_eq!(revoked.0, "16", "{}", revoked.1);
    // One that nobody ever made: the same, to the letter. It is a good one of another signer.
    let other = Stage::new();
    let foreign = other.api_key("ci");
    let before = stage.refused("token_refused");
    assert_eq!(stage.shows(&foreign), revoked);
    for slip in [
        &key[..79],
        &key.to_uppercase(),
        &format!("{}{}", &key[..79], if key.ends_with('0') { '1' } else { '0' }),
        &format!("{key}0"),
    ] {
        let (code, message) = stage.shows(slip);
        assert!(code == "16" && message.contains("token_refused: "), "{message}");
        assert!(!message.contains(&key[8..40]), "{message}");
    }
    // Two of them are none; nor is one under another scheme.
    assert_eq!(
        stage.call(WHO_AM_I, EMPTY, &[&bearer(&key), &bearer(&key)]).0,
        "16"
    );
    assert_eq!(
        stage
            .call(WHO_AM_I, EMPTY, &[&format!("authorization: Basic {key}")])
            .0,
        "16"
    );
    assert!(
        stage.refused("token_refused") >= before + 7.0,
        "they are counted as bad tokens are"
    );
    // Revoked for ever: after a restart, and by name.
    let again = stage.signer.attempt(&["api-key", "create", "ci"]);
    assert!(said(&again).contains("api_key_exists: "), "{}", said(&again));
    assert_eq!(again.status.code(), Some(3));
    let mut stage = stage;
    stage.signer.terminate();
    stage.signer.start();
    assert_eq!(stage.shows(&key), revoked);
    stage.assert_unharmed();
}

#[test]
fn everybody_hears_who_they_are() {
    let stage = Stage::serving();
    let file = stage.file("ci.api-key");
    stage.signer.run(&[
        "api-key",
        "create",
        "ci",
        "--days",
        "1",
        "--out",
        file.to_str().unwrap(),
    ]);
    let by_key = stage.whoami(&file, &["--json"]);
    let shown = json(&by_key);
    assert_eq!(shown["subject"], "apikey:ci");
    assert_eq!(shown["proof"], "api_key");
    assert!(
        shown["ends_at"].is_string() && shown["policy"].is_null(),
        "{shown}"
    );
    let by_token = json(&stage.ask(&["whoami", "--json"]));
    assert_eq!(by_token["subject"], "jwt:alice/alice");
    assert_eq!(
        (&by_token["proof"], &by_token["issuer"]),
        (&"token".into(), &"alice".into())
    );
    let local = stage.signer.json(&["whoami", "--json"]);
    assert_eq!(local["proof"], "local");
    assert_eq!(local["subject"], format!("uid:{}", local["uid"]));
    // A rule takes it from nobody, and the policy is told.
    stage.policy("version = 1\n[[rule]]\nid = \"none\"\neffect = \"deny\"\nsubjects = [\"*\"]\noperations = [\"whoami\"]\n");
    stage.signer.run(&["reload"]);
    let shown = json(&stage.whoami(&file, &["--json"]));
    assert_eq!(shown["policy"].as_str().map(str::len), Some(64), "{shown}");
    let text = said(&stage.whoami(&file, &[]));
    assert!(
        text.contains("You are  apikey:ci\n") && text.contains("for signing only"),
        "{text}"
    );
    // What it cannot do the command line says as it says everything.
    let mut list = std::process::Command::new(env!("CARGO_BIN_EXE_sigward"));
    list.args(["keys", "list", "--server", &stage.url(""), "--api-key"])
        .arg(&file)
        .env("SIGWARD_CA", stage.file("pki/ca.crt"));
    let output = list.output().unwrap();
    assert_eq!(output.status.code(), Some(3), "{}", said(&output));
    // As the private key of a certificate or of tokens: what others may read is not used.
    let mode = |mode| std::fs::set_permissions(&file, PermissionsExt::from_mode(mode)).unwrap();
    mode(0o644);
    let open = stage.whoami(&file, &[]);
    assert!(
        said(&open).contains("file_permissions: ") && said(&open).contains("chmod 0600"),
        "{}",
        said(&open)
    );
    mode(0o600);
    std::fs::write(&file, "sigward_00").unwrap();
    let cut = stage.whoami(&file, &[]);
    assert!(said(&cut).contains("holds no whole API key"), "{}", said(&cut));
    stage.assert_unharmed();
}
