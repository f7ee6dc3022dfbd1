//! What plain HTTP tells on the TLS port, and to whom; what is asked as more than its procedure says.

use prost::Message as _;
use sigward_proto::Procedure;
use sigward_proto::v1::QueryRequest;

use super::calls::{Client, ask};
use super::stage::{Stage, said};

const RULES: &str = r#"
version = 1
[[rule]]
id = "prometheus"
effect = "allow"
subjects = ["dns:prometheus"]
operations = ["status.read"]
[[rule]]
id = "scoped"
effect = "allow"
subjects = ["dns:scoped"]
operations = ["status.read", "key.list"]
keys = ["nothing-here"]
[[rule]]
id = "night"
effect = "allow"
subjects = ["dns:night"]
roles = ["runbook"]
[[rule]]
id = "auditor"
effect = "allow"
subjects = ["dns:auditor"]
roles = ["auditor"]
"#;

fn stage() -> Stage {
    let mut stage = Stage::new();
    stage.signer.create_key("validator");
    let socket = format!("unix://{}", stage.home.path("main-1.sock").display());
    stage
        .signer
        .add_chain_at("main-1", "validator", &[("a", socket.as_str())]);
    for who in ["prometheus", "scoped", "night", "auditor"] {
        stage.signer.run(&["pki", "client", who]);
    }
    std::fs::write(stage.signer.home().join("policy.toml"), RULES).unwrap();
    stage.signer.start();
    stage
}

/// The status, and the body.
fn get(stage: &Stage, who: &str, path: &str) -> (String, String) {
    let output = stage.curl(
        Some(&stage.client(who)),
        &["--write-out", "\n%{http_code}", &stage.url(path)],
    );
    let text = said(&output);
    let (body, code) = text.trim_end().rsplit_once('\n').unwrap();
    (code.to_owned(), body.trim_end().to_owned())
}

#[test]
fn names_of_chains_and_nodes_are_told_to_whom_a_rule_lets_see_all_of_them() {
    let stage = stage();
    let names = |who: &str, path: &str| get(&stage, who, path).1.contains("main-1");
    // Without a policy a certificate is enough, as for the status.
    assert!(names("scoped", "/metrics") && names("scoped", "/readyz?verbose"));
    stage.signer.configure(|config| {
        let policy = [("file".to_owned(), "policy.toml".into())].into_iter().collect();
        config.insert("policy".to_owned(), toml::Value::Table(policy));
    });
    stage.signer.run(&["reload"]);
    for who in ["prometheus", "night"] {
        assert!(names(who, "/metrics") && names(who, "/readyz?verbose"), "{who}");
    }
    for path in ["/metrics", "/readyz?verbose", "/readyz?a&verbose=1"] {
        for who in ["scoped", "admin"] {
            let (code, body) = get(&stage, who, path);
            assert_eq!(code, "403", "{who} {path}: {body}");
            assert!(
                body.contains("not_permitted: ") && !body.contains("main-1"),
                "{who} {path}: {body}"
            );
        }
    }
    for who in ["prometheus", "scoped", "admin"] {
        assert_eq!(get(&stage, who, "/livez"), ("200".to_owned(), "ok".to_owned()));
        let (_, body) = get(&stage, who, "/readyz");
        assert!(
            ["{\"ready\":true}", "{\"ready\":false}"].contains(&body.as_str()),
            "{who}: {body}"
        );
    }
    let records = stage.signer.run(&["audit", "tail", "--lines", "100"]);
    let denied = |line: &str| line.contains("denied") && line.contains("cert:dns:scoped");
    assert!(records.lines().any(denied), "{records}");
    stage.assert_unharmed();
}

#[test]
fn to_take_the_audit_chain_out_is_more_than_to_look_at_it_and_an_empty_list_tells_nothing() {
    let stage = stage();
    stage.signer.configure(|config| {
        let policy = [("file".to_owned(), "policy.toml".into())].into_iter().collect();
        config.insert("policy".to_owned(), toml::Value::Table(policy));
    });
    stage.signer.run(&["reload"]);
    let query = |export| {
        let request = QueryRequest {
            limit: 1,
            export,
            ..QueryRequest::default()
        };
        (Procedure::AuditQuery, request.encode_to_vec())
    };
    for (who, looks, takes) in [("auditor", true, true), ("night", true, false)] {
        let answers = ask(
            &stage,
            &Client::Certificate(&stage.client(who)),
            &[query(false), query(true)],
        );
        let allowed: Vec<_> = answers.iter().map(|answer| !answer.is_denied()).collect();
        assert_eq!(allowed, [looks, takes], "{who}: {answers:?}");
    }
    let records = stage.signer.run(&["audit", "tail", "--lines", "100"]);
    let denied = |line: &str| line.contains("denied") && line.contains("cert:dns:night");
    assert!(records.lines().any(denied), "{records}");

    let certificate = stage.client("scoped");
    let listed = std::process::Command::new(env!("CARGO_BIN_EXE_sigward"))
        .args(["keys", "list", "--server", &stage.url(""), "--home"])
        .arg(stage.home.path("nowhere"))
        .arg("--certificate")
        .arg(&certificate)
        .env("SIGWARD_PRIVATE_KEY", certificate.with_extension("key"))
        .env("SIGWARD_CA", stage.pki("ca.crt"))
        .output()
        .unwrap();
    let text = said(&listed);
    assert!(text.contains("There is no key that you may see"), "{text}");
}
