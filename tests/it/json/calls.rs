//! Those who come in, and what they are told.

use serde_json::{Map, Value, json};

use super::stage::{Answer, Door, LIST, STATUS, Stage, bearer, said};

const DOORS: [Door; 3] = [Door::Certificate, Door::Token, Door::Plain];

#[test]
fn curl_calls_a_procedure_at_every_door_by_both_versions_of_http() {
    let stage = Stage::serving();
    for door in DOORS {
        let two = if door == Door::Plain {
            "--http2-prior-knowledge"
        } else {
            "--http2"
        };
        for (version, shown) in [(two, "http/2 200"), ("--http1.1", "http/1.1 200")] {
            let connect = ["connect-protocol-version: 1", "connect-timeout-ms: 20000"];
            let answer = stage.call(door, STATUS, "{}", &[version, "-H", connect[0], "-H", connect[1]]);
            assert!(answer.head.starts_with(shown), "{door:?} {version}: {answer:?}");
            assert!(
                answer.head.contains("content-type: application/json"),
                "{answer:?}"
            );
            assert_eq!(answer.body["instance"]["serving"], true, "{answer:?}");
        }
        // Health is a procedure like any other, and a path of its own.
        let health = stage.call(door, "/grpc.health.v1.Health/Check", "{}", &[]);
        assert_eq!(health.body, json!({ "status": "SERVING" }));
    }
    // A token for each request, or nothing; the plain door asks health for none, under whatever name.
    for door in [Door::Token, Door::Plain] {
        let kind = ["-H", "content-type: application/json", "-d", "{}"];
        let none = stage.send(door, STATUS, &kind);
        assert_eq!((none.status, none.reason()), (401, "token_refused"), "{none:?}");
        assert_eq!(none.body["code"], "unauthenticated");
        assert!(none.head.contains("www-authenticate: bearer"), "{none:?}");
    }
    for (path, host) in [
        ("/livez", "probe.example"),
        ("/readyz", "probe.example"),
        ("/metrics", "localhost"),
    ] {
        let output = stage.curl(
            Door::Plain,
            &[
                "-f",
                "-H",
                &format!("Host: {host}"),
                &stage.url(Door::Plain, path),
            ],
        );
        assert!(output.status.success(), "{path}: {}", said(&output));
    }
    // gRPC itself at the plain door, by prior knowledge.
    let frame = stage.home.path("frame");
    std::fs::write(&frame, [0; 5]).unwrap();
    let (data, token) = (
        format!("@{}", frame.display()),
        bearer(&stage.token_of("ci/deploy", "POST", STATUS, &[0; 5])),
    );
    let grpc = [
        "--http2-prior-knowledge",
        "-D",
        "-",
        "-o",
        "/dev/null",
        "-H",
        "content-type: application/grpc",
        "-H",
        "te: trailers",
    ];
    let more = [
        "-H",
        &token,
        "--data-binary",
        &data,
        &stage.url(Door::Plain, STATUS),
    ];
    let output = stage.curl(Door::Plain, &[&grpc[..], &more[..]].concat());
    assert!(said(&output).contains("grpc-status: 0"), "{}", said(&output));
    stage.assert_unharmed();
}

#[test]
fn who_may_not_is_told_so_and_on_record_as_over_grpc() {
    let stage = Stage::serving();
    for door in DOORS {
        let who = if door == Door::Certificate {
            "cert:dns:admin"
        } else {
            "jwt:ci/deploy"
        };
        // What stands in the body is nobody's concern yet.
        for body in ["{}", "no JSON", "{\"nothing\":1}"] {
            let answer = stage.call(door, LIST, body, &[]);
            assert_eq!(
                (answer.status, answer.reason()),
                (403, "not_permitted"),
                "{answer:?}"
            );
            assert_eq!(answer.body["code"], "permission_denied");
            assert_eq!(
                answer.message(),
                format!("not_permitted: {who} may not call this; no rule allows it")
            );
        }
        let tail = stage.signer.run(&["audit", "tail"]);
        let on_record =
            |line: &str| line.contains("denied") && line.contains("rpc.key") && line.contains(who);
        assert!(tail.lines().any(on_record), "{tail}");
    }
    // Whatever rules say, keys do not come in by the network.
    stage.allow_looking();
    for door in DOORS {
        assert_eq!(stage.call(door, LIST, "{}", &[]).status, 200);
        for path in ["/sigward.v1.KeyService/Import", "/sigward.v1.BackupService/Make"] {
            let answer = stage.call(door, path, "{\"name\":\"x\"}", &[]);
            assert_eq!(
                (answer.status, answer.reason()),
                (403, "not_permitted"),
                "{answer:?}"
            );
            assert!(answer.message().contains("carries private keys"), "{answer:?}");
        }
    }
    stage.assert_unharmed();
}

#[test]
fn the_same_call_by_grpcurl_says_the_same() {
    let stage = Stage::serving();
    stage.allow_looking();
    stage.signer.create_key("validator");
    stage.signer.create_key("other");
    stage
        .signer
        .run(&["freeze", "--key", "other", "--reason", "a test"]);
    for (service, method, message) in [
        ("KeyService", "List", "{}"),
        ("KeyService", "Get", "{\"name\":\"validator\"}"),
        ("KeyService", "Get", "{\"name\":\"nobody\"}"),
        ("KeyService", "Get", "{\"name\":\"NO NAME\"}"),
        ("KeyService", "Get", "{}"),
        ("KeyService", "Import", "{}"),
        ("StateService", "Show", "{}"),
        ("HoldService", "ListHolds", "{}"),
        ("NodeService", "List", "{\"chainId\":\"chain-1\"}"),
        ("NodeService", "List", "{\"chain_id\":\"\"}"),
        ("HsmService", "List", "{}"),
        ("ApprovalService", "List", "{}"),
        ("ApprovalService", "Show", "{\"id\":\"00\"}"),
    ] {
        let by_json = stage.call(
            Door::Certificate,
            &format!("/sigward.v1.{service}/{method}"),
            message,
            &[],
        );
        let by_grpc = stage.grpcurl(&format!("sigward.v1.{service}/{method}"), message);
        let what = format!("{service}.{method} {message}:\n{by_json:?}\n{}", said(&by_grpc));
        if by_json.status == 200 {
            let theirs: Value = serde_json::from_slice(&by_grpc.stdout).unwrap_or_else(|_| panic!("{what}"));
            assert_eq!(
                without_defaults(by_json.body.clone()),
                without_defaults(theirs),
                "{what}"
            );
        } else {
            // grpcurl tells an error as a google.rpc.Status in JSON.
            let theirs: Value = serde_json::from_slice(&by_grpc.stderr).unwrap_or_else(|_| panic!("{what}"));
            assert_eq!(by_json.body["message"], theirs["message"], "{what}");
            assert!(!by_json.reason().is_empty(), "{what}");
        }
    }
    stage.assert_unharmed();
}

#[test]
fn what_is_no_call_is_told_what_would_be_one() {
    let stage = Stage::serving();
    stage.allow_looking();
    let door = Door::Certificate;
    let json = ["-H", "content-type: application/json"];
    let check = |answer: Answer, status: u16, reason: &str| {
        assert_eq!((answer.status, answer.reason()), (status, reason), "{answer:?}");
        answer
    };
    let get = check(stage.send(door, STATUS, &[]), 405, "method_not_allowed");
    assert!(get.head.contains("allow: post"), "{get:?}");
    check(
        stage.send(door, STATUS, &["-d", "a=b"]),
        415,
        "content_type_refused",
    );
    check(
        stage.send(door, STATUS, &["-X", "POST"]),
        415,
        "content_type_refused",
    );
    let nothing = check(stage.send(door, "/", &[]), 404, "not_found");
    assert!(nothing.message().contains("sigward.v1.KeyService"), "{nothing:?}");
    let lst = check(
        stage.send(
            door,
            "/sigward.v1.KeyService/Lst",
            &[json[0], json[1], "-d", "{}"],
        ),
        404,
        "not_found",
    );
    assert!(lst.message().contains("List"), "{lst:?}");
    let tail = check(
        stage.call(door, "/sigward.v1.AuditService/Tail", "{}", &[]),
        501,
        "stream_refused",
    );
    assert_eq!(tail.body["code"], "unimplemented");
    let field = check(stage.call(door, LIST, "{\"nme\":1}", &[]), 400, "invalid_json");
    assert!(field.message().contains("at line 1 column"), "{field:?}");
    check(stage.call(door, LIST, "", &[]), 400, "invalid_json");
    check(
        stage.call(door, &format!("{LIST}?x=1"), "{}", &[]),
        400,
        "invalid_parameters",
    );
    // No page of a browser is let in by its own preflight.
    let origin = [
        "-X",
        "OPTIONS",
        "-H",
        "Origin: https://evil.example",
        "-H",
        "Access-Control-Request-Method: POST",
    ];
    let preflight = check(stage.send(door, LIST, &origin), 405, "method_not_allowed");
    assert!(!preflight.head.contains("access-control"), "{preflight:?}");
    stage.assert_unharmed();
}

/// proto3 in JSON leaves out what is its default, or does not; both are right.
fn without_defaults(value: Value) -> Value {
    let is_default = |value: &Value| match value {
        Value::Null | Value::Bool(false) => true,
        Value::Number(number) => number.as_f64() == Some(0.0),
        Value::String(text) => text.is_empty() || text == "0" || text.ends_with("_UNSPECIFIED"),
        Value::Array(list) => list.is_empty(),
        Value::Bool(true) | Value::Object(_) => false,
    };
    match value {
        Value::Object(fields) => {
            let kept = fields
                .into_iter()
                .map(|(name, value)| (name, without_defaults(value)));
            Value::Object(
                kept.filter(|(_, value)| !is_default(value))
                    .collect::<Map<_, _>>(),
            )
        }
        Value::Array(list) => list.into_iter().map(without_defaults).collect(),
        other => other,
    }
}
