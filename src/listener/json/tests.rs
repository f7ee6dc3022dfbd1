#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{Request, Response};
use serde_json::{Value, json};
use sigward_proto::Procedure;
use tonic::Status;
use tonic::service::Routes;

use super::{Json, Methods};

/// Messages of a procedure, there and back.
fn both_ways(path: &str, json: &str) -> Result<String, String> {
    let methods = Methods::new();
    let method = methods.of_path(path).unwrap();
    let message = method.request(json.as_bytes())?;
    let back = method.request_in_json(&message).unwrap();
    assert_eq!(method.request(&back).unwrap(), message, "{json}");
    Ok(String::from_utf8(back).unwrap())
}

#[test]
fn every_procedure_can_be_called_and_four_of_all_answer_by_streams() {
    let methods = Methods::new();
    for procedure in Procedure::ALL {
        assert!(methods.of_path(procedure.path()).is_some(), "{procedure:?}");
    }
    let streams: Vec<_> = methods
        .paths()
        .filter(|path| methods.of_path(path).unwrap().streams)
        .collect();
    assert_eq!(
        streams,
        [
            "/grpc.health.v1.Health/Watch",
            "/sigward.v1.AuditService/Query",
            "/sigward.v1.AuditService/Tail",
            "/sigward.v1.AuditService/Verify"
        ]
    );
    assert!(methods.of_path("/sigward.v1.KeyService/").is_none());
}

#[test]
fn a_body_is_told_by_its_place_and_never_by_its_content() {
    const CREATE: &str = "/sigward.v1.KeyService/Create";
    let deep = "[".repeat(100_000);
    let deep_object = "{\"a\":".repeat(100_000);
    for (json, wanted) in [
        ("", "there is no body"),
        ("  ", "there is no body"),
        ("{", "EOF while parsing an object, at line 1 column 1"),
        ("[]", "another value than an object"),
        ("null", "another value than an object"),
        ("\"SECRET\"", "another value than an object"),
        ("{}{}", "trailing characters, at line 1 column 3"),
        ("{\"name\":\n \"SECRET}", "EOF while parsing a string"),
        (
            "{\"SECRET\":1}",
            "a field that is not there; sigward.v1.CreateKeyRequest has name",
        ),
        ("{\"name\":{\"SECRET\":\"SECRET\"}}", "another value than"),
        (
            "{\"name\":\"a\",\"name\":\"SECRET\"}",
            "a field that is there twice",
        ),
        (
            "{\"chainId\":\"a\",\"chain_id\":\"SECRET\"}",
            "a field that is there twice",
        ),
        ("{\"x\":[{\"a\":1,\"a\":2}]}", "a field that is there twice"),
        ("{\"name\":\"\\ud800SECRET\"}", "at line 1 column"),
        (&deep, "another value than an object"),
        (&deep_object, "recursion limit exceeded"),
    ] {
        let why = both_ways(CREATE, json).unwrap_err();
        assert!(why.contains(wanted), "{json:.60}: {why}");
        assert!(!why.contains("SECRET") && why.len() < 300, "{why}");
    }
    let why = Methods::new()
        .of_path(CREATE)
        .unwrap()
        .request(b"{\"name\":\"\xff\"}")
        .unwrap_err();
    assert!(why.contains("unicode"), "{why}");
}

#[test]
fn messages_are_those_of_proto3() {
    // Both spellings, large numbers as words, nothing as its default; and the answer has every field.
    let json = both_ways(
        "/sigward.v1.HoldService/SetStopLine",
        "{\"height\":\"9007199254740993\",\"chain_id\":null}",
    );
    let json: Value = serde_json::from_str(&json.unwrap()).unwrap();
    assert_eq!(json["height"], "9007199254740993", "{json}");
    assert!(both_ways("/sigward.v1.HoldService/SetStopLine", "{\"height\":1.5}").is_err());
    assert!(
        both_ways(
            "/sigward.v1.HoldService/SetStopLine",
            "{\"height\":\"99999999999999999999\"}"
        )
        .is_err()
    );
    let status = Methods::new();
    let status = status.of_path("/sigward.v1.StatusService/Get").unwrap();
    let answer: Value = serde_json::from_slice(&status.answer(b"").unwrap()).unwrap();
    assert_eq!(
        (&answer["ready"], &answer["chains"]),
        (&json!(false), &json!([])),
        "{answer}"
    );
    assert!(status.answer(&[0xff]).is_err());
}

async fn health() -> Json {
    let (_reporter, service) = tonic_health::server::health_reporter();
    Json::before(Routes::new(service).into_axum_router())
}

async fn ask(json: &Json, change: impl FnOnce(&mut Request<Body>)) -> (Response<()>, Value) {
    let mut request = Request::new(Body::from("{}"));
    *request.method_mut() = axum::http::Method::POST;
    *request.uri_mut() = "/grpc.health.v1.Health/Check".parse().unwrap();
    request
        .headers_mut()
        .insert("content-type", "application/json".parse().unwrap());
    change(&mut request);
    let (head, body) = json.answer(request).await.into_parts();
    assert_eq!(head.headers["content-type"], "application/json");
    let body = to_bytes(body, 1 << 20).await.unwrap();
    (
        Response::from_parts(head, ()),
        serde_json::from_slice(&body).unwrap(),
    )
}

#[tokio::test]
async fn what_grpc_answers_is_told_in_json() {
    let json = health().await;
    let (head, body) = ask(&json, |request| {
        request
            .headers_mut()
            .insert("connect-protocol-version", "1".parse().unwrap());
        request
            .headers_mut()
            .insert("connect-timeout-ms", "9999999999".parse().unwrap());
    })
    .await;
    assert_eq!(
        (head.status().as_u16(), body),
        (200, json!({ "status": "SERVING" }))
    );
    let (head, body) = ask(&json, |request| {
        *request.body_mut() = Body::from("{\"service\":\"x\"}")
    })
    .await;
    assert_eq!(
        (head.status().as_u16(), &body["code"]),
        (404, &json!("not_found"))
    );
    // A body that says nothing of a health service's: by gRPC's own way through the service.
    let (head, body) = ask(&json, |request| {
        *request.body_mut() = Body::from("{\"service\":[]}")
    })
    .await;
    assert_eq!(
        (head.status().as_u16(), &body["code"]),
        (400, &json!("invalid_argument"))
    );
    let message = body["message"].as_str().unwrap();
    assert!(
        message.starts_with("invalid_json: another value than"),
        "{message}"
    );
    let info = &body["details"][0];
    assert_eq!(
        (&info["type"], &info["debug"]["reason"]),
        (&json!("google.rpc.ErrorInfo"), &json!("invalid_json"))
    );
    let long = vec![b' '; (1 << 20) + 1];
    let (head, body) = ask(&json, |request| *request.body_mut() = Body::from(long)).await;
    assert_eq!(
        (head.status().as_u16(), &body["code"]),
        (400, &json!("out_of_range"))
    );
    let watch = "/grpc.health.v1.Health/Watch".parse().unwrap();
    let (head, body) = ask(&json, |request| *request.uri_mut() = watch).await;
    assert_eq!(
        (head.status().as_u16(), &body["code"]),
        (501, &json!("unimplemented")),
        "{body}"
    );
    assert!(body["message"].as_str().unwrap().starts_with("stream_refused: "));
}

#[tokio::test]
async fn what_is_no_call_is_told_what_would_be_one() {
    let json = health().await;
    let header = |name: &'static str, value: &'static str| {
        move |request: &mut Request<Body>| {
            request.headers_mut().append(name, value.parse().unwrap());
        }
    };
    for (name, value, wanted, code) in [
        ("content-type", "application/json", 415, "content_type_refused"),
        ("content-encoding", "gzip", 415, "encoding_refused"),
        ("connect-protocol-version", "2", 400, "invalid_parameters"),
        ("connect-timeout-ms", "-1", 400, "invalid_parameters"),
        ("connect-timeout-ms", "12345678901", 400, "invalid_parameters"),
    ] {
        let (head, body) = ask(&json, header(name, value)).await;
        assert_eq!(head.status().as_u16(), wanted, "{name}: {value}");
        assert_eq!(body["details"][0]["debug"]["reason"], code, "{body}");
    }
    for (kind, wanted) in [
        ("text/plain", 415),
        ("application/jsonp", 415),
        ("application/json; charset=latin1", 415),
        ("Application/JSON; charset=UTF-8", 200),
    ] {
        let (head, _) = ask(&json, |request| {
            request
                .headers_mut()
                .insert("content-type", kind.parse().unwrap());
        })
        .await;
        assert_eq!(head.status().as_u16(), wanted, "{kind}");
    }
    let (head, _) = ask(&json, |request| *request.method_mut() = axum::http::Method::GET).await;
    assert_eq!(
        (head.status().as_u16(), &head.headers()["allow"]),
        (405, &"POST".parse().unwrap())
    );
    for (path, wanted) in [
        ("/", "sigward.v1.KeyService"),
        ("/sigward.v1.KeyService/Lst", "/sigward.v1.KeyService has "),
        ("/sigward.v1.KeyService/List/", "sigward.v1.KeyService"),
    ] {
        let (head, body) = ask(&json, |request| *request.uri_mut() = path.parse().unwrap()).await;
        let message = body["message"].as_str().unwrap();
        assert_eq!(head.status().as_u16(), 404, "{path}");
        assert!(
            message.starts_with("not_found: ") && message.contains(wanted),
            "{message}"
        );
    }
    let query = "/grpc.health.v1.Health/Check?encoding=json&message={}".parse();
    let (head, _) = ask(&json, |request| *request.uri_mut() = query.unwrap_or_default()).await;
    assert!(matches!(head.status().as_u16(), 400 | 404));
}

#[tokio::test]
async fn a_call_of_nothing_meets_admission_too_and_who_asks_what_there_is_does_not() {
    let (seen, mut met) = tokio::sync::mpsc::unbounded_channel();
    let no = move |request: Request<Body>| {
        seen.send(request.uri().path().to_owned()).unwrap();
        async { Status::permission_denied("not_permitted: no rule allows it").into_http::<Body>() }
    };
    let json = Json::before(Router::new().fallback(no));
    for path in [
        "/",
        "/no.such.Service/Method",
        "/favicon.ico",
        "/sigward.v1.KeyService/Lst",
    ] {
        let (head, body) = ask(&json, |request| *request.uri_mut() = path.parse().unwrap()).await;
        // It says what there is, whatever admission says.
        assert_eq!(
            (head.status().as_u16(), &body["code"]),
            (404, &json!("not_found")),
            "{path}"
        );
        if path != "/" {
            assert_eq!(met.try_recv().unwrap(), path);
        }
        assert!(met.try_recv().is_err(), "{path}");
    }
}

#[tokio::test]
async fn who_may_not_call_is_refused_before_a_byte_is_parsed() {
    let no = || async { Status::permission_denied("not_permitted: no rule allows it").into_http::<Body>() };
    let json = Json::before(Router::new().fallback(no));
    let (head, body) = ask(&json, |request| {
        *request.body_mut() = Body::from("not JSON at all")
    })
    .await;
    assert_eq!(
        (head.status().as_u16(), &body["code"]),
        (403, &json!("permission_denied"))
    );
    assert_eq!(body["message"], "not_permitted: no rule allows it");
    assert_eq!(
        body["details"][0]["debug"],
        json!({ "reason": "not_permitted", "domain": "sigward" })
    );
    // An answer that is no answer.
    let empty = || async { Response::new(Body::empty()) };
    let (head, _) = ask(&Json::before(Router::new().fallback(empty)), |_| {}).await;
    assert_eq!(head.status().as_u16(), 500);
}
