//! What a call's record says of its circumstances, and what its answer says of its trace, seen from another machine.

use std::process::Command;

use serde_json::Value;

use super::stage::{PATIENCE, Stage, said};
use crate::support::poll;

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
const LIST: &str = "/sigward.v1.KeyService/List";

/// The headers of the answer to an empty message, by name.
fn ask(stage: &Stage, path: &str, headers: &[&str]) -> Vec<(String, String)> {
    let body = stage.home.path("empty");
    std::fs::write(&body, [0; 5]).unwrap();
    let body = format!("@{}", body.display());
    let url = stage.url(path);
    let mut more = vec!["-D", "-", "-o", "/dev/null", "--data-binary", &body, &url];
    for header in ["content-type: application/grpc", "te: trailers"]
        .iter()
        .chain(headers)
    {
        more.extend(["-H", header]);
    }
    let output = stage.curl(Some(&stage.client("admin")), &more);
    assert!(output.status.success(), "{}", said(&output));
    String::from_utf8(output.stdout)
        .unwrap()
        .lines()
        .filter_map(|line| line.split_once(": "))
        .map(|(name, value)| (name.to_lowercase(), value.trim().to_owned()))
        .collect()
}

/// The trace and the request that an answer names.
fn told(headers: &[(String, String)]) -> (String, String) {
    let of = |name: &str| {
        let found: Vec<_> = headers.iter().filter(|(known, _)| known == name).collect();
        assert_eq!(found.len(), 1, "{name} in {headers:?}");
        found[0].1.clone()
    };
    let parent = of("traceparent");
    let parts: Vec<_> = parent.split('-').collect();
    assert_eq!((parts.len(), parts[0]), (4, "00"), "{parent}");
    assert_eq!(parts[2], of("x-request-id"));
    (parts[1].to_owned(), parts[2].to_owned())
}

fn found(stage: &Stage, filters: &[&str]) -> Vec<Value> {
    let mut arguments = vec!["audit", "query", "--json"];
    arguments.extend(filters);
    let text = stage.signer.run(&arguments);
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

#[test]
fn a_call_is_answered_and_recorded_in_its_trace() {
    let stage = Stage::serving();
    // A health check is answered like every call; so is what is no gRPC at all.
    let well = ask(&stage, "/grpc.health.v1.Health/Check", &[]);
    assert_ne!(told(&well).0, TRACE);
    let denied = ask(&stage, LIST, &[&format!("traceparent: {PARENT}")]);
    let (trace, span) = told(&denied);
    assert_eq!(trace, TRACE);
    assert_ne!(span, "b7ad6b7169203331", "a span of its own");

    let recorded = || found(&stage, &["--trace", TRACE]);
    let record = poll(PATIENCE, || recorded().pop()).expect("the denial is put on record");
    assert_eq!(record["subject"], "cert:dns:admin");
    assert_eq!(record["trace_id"], TRACE);
    assert_eq!(record["decision"], "denied");
    assert_eq!(record["ruling"]["rule"], "(built-in)");
    assert_eq!(record["form"], 2);
    let certificate = stage.client("admin");
    let shown = Command::new("openssl")
        .args(["x509", "-noout", "-fingerprint", "-sha256", "-in"])
        .arg(certificate)
        .output()
        .unwrap();
    let fingerprint = said(&shown).trim().rsplit('=').next().unwrap().replace(':', "");
    let proof = &record["authentication"];
    assert_eq!(proof["method"], "certificate");
    assert_eq!(proof["certificate_sha256"], fingerprint.to_lowercase());
    assert!(stage.signer.log().contains(TRACE), "{}", stage.signer.log_tail());

    // Nonsense is no error: the call is answered as it would be, in a trace of its own.
    let longest = format!("traceparent: {}", "0".repeat(4000));
    let two = format!("traceparent: {PARENT}");
    for headers in [
        &["traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331"][..],
        &["traceparent: ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"],
        &["traceparent: 00-00000000000000000000000000000000-b7ad6b7169203331-01"],
        &[&two, "traceparent: nonsense"],
        &[&longest],
    ] {
        let answer = ask(&stage, LIST, headers);
        assert_ne!(told(&answer).0, TRACE, "{headers:?}");
        assert!(
            answer
                .iter()
                .any(|(name, value)| name == "grpc-status" && value == "7"),
            "{answer:?}"
        );
    }
}

#[test]
fn a_record_names_the_rule_and_the_policy_that_decided() {
    let stage = Stage::new();
    let policy = stage.signer.home().join("policy.toml");
    std::fs::write(
        &policy,
        "version = 1\n[[rule]]\nid = \"no-lists\"\neffect = \"deny\"\nsubjects = [\"dns:admin\"]\noperations = [\"key.list\"]\n\
         [[rule]]\nid = \"read\"\neffect = \"allow\"\nsubjects = [\"dns:admin\"]\noperations = [\"audit.read\"]\n",
    )
    .unwrap();
    stage.signer.configure(|config| {
        let mut policy = toml::Table::new();
        policy.insert("file".to_owned(), "policy.toml".into());
        config.insert("policy".to_owned(), policy.into());
    });
    let mut stage = stage;
    stage.signer.start();
    let policy = policy.to_str().unwrap();
    let checked = stage.signer.json(&["policy", "check", policy, "--json"]);
    let version = checked["version"].as_str().unwrap();
    ask(&stage, LIST, &[]);
    ask(&stage, "/sigward.v1.StateService/List", &[]);
    for (rule, operation) in [("no-*", "rpc.key"), ("(no rule)", "rpc.state")] {
        let filters = ["--rule", rule, "--decision", "denied"];
        let record = poll(PATIENCE, || found(&stage, &filters).pop()).expect("a denial on record");
        assert_eq!(record["ruling"]["policy"], version, "{record}");
        assert_eq!(record["operation"], operation, "{record}");
    }
    // What the administrator of this machine does, no rule is about.
    let acts = found(&stage, &["--operation", "audit.query"]);
    let act = acts.first().expect("an earlier reading");
    assert_eq!(act["authentication"]["method"], "peer_credentials");
    assert_eq!(act["ruling"]["rule"], "(no rule)");
    assert_eq!(act["trace_id"].as_str().unwrap().len(), 32);
}
