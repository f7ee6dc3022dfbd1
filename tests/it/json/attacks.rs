//! Those who do not come in, most of them at the door without TLS.

use std::io::{Read as _, Write as _};
use std::process::Command;

use super::stage::{Door, LIST, STATUS, Stage, bearer, said};

fn post(token: &str, host: &str, more: &str, body: &str) -> String {
    format!(
        "POST {STATUS} HTTP/1.1\r\n{host}Connection: close\r\nContent-Type: application/json\r\nAuthorization: Bearer {token}\r\n{more}\r\n{body}"
    )
}

#[test]
fn a_request_names_this_machine_once_or_nothing_of_it_is_looked_at() {
    let stage = Stage::serving();
    let token = stage.token(STATUS, "{}");
    let length = "Content-Length: 2\r\n";
    for host in [
        "",
        "Host: evil.example\r\n",
        "Host: \r\n",
        "Host: localhost.evil.example\r\n",
        "Host: localhost\r\nHost: localhost\r\n",
        "Host: localhost\r\nHost: evil.example\r\n",
        "Host: localhost, evil.example\r\n",
    ] {
        let answer = stage.raw(post(&token, host, length, "{}").as_bytes());
        assert!(
            answer.starts_with("HTTP/1.1 421") && answer.contains("host_refused"),
            "{host}: {answer}"
        );
    }
    let absolute = post(&token, "Host: localhost\r\n", length, "{}")
        .replace(STATUS, &format!("http://evil.example{STATUS}"));
    assert!(stage.raw(absolute.as_bytes()).contains("host_refused"));
    // HTTP/2 by prior knowledge: curl puts its Host into :authority.
    let two = [
        "--http2-prior-knowledge",
        "-H",
        "Host: evil.example",
        "-H",
        "content-type: application/json",
        "-d",
        "{}",
        "-H",
    ];
    let (header, url) = (bearer(&token), stage.url(Door::Plain, STATUS));
    let output = stage.curl(Door::Plain, &[&two[..], &[&header, &url]].concat());
    assert!(said(&output).contains("host_refused"), "{}", said(&output));
    // Nobody has looked at the token: it is good still, and then it is not.
    let good = post(&token, "Host: localhost\r\n", length, "{}");
    let answer = stage.raw(good.as_bytes());
    assert!(
        answer.starts_with("HTTP/1.1 200") && answer.contains("\"serving\":true"),
        "{answer}"
    );
    assert!(stage.raw(good.as_bytes()).contains("token_replayed"));
    stage.assert_unharmed();
}

/// A page of a browser whose name was bound to 127.0.0.1 reads whatever is answered to it.
#[test]
fn under_another_name_health_is_yes_or_no_and_names_nothing() {
    let stage = Stage::serving();
    let get = |path: &str, host: &str| {
        let answer =
            stage.raw(format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n").as_bytes());
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        (head[9..12].to_owned(), body.to_owned())
    };
    assert_eq!(get("/livez", "signer.pod"), ("200".to_owned(), "ok\n".to_owned()));
    let (_status, body) = get("/readyz", "evil.example");
    let told: serde_json::Value = serde_json::from_str(&body).unwrap();
    assert_eq!(told.as_object().unwrap().keys().collect::<Vec<_>>(), ["ready"]);
    for path in ["/metrics", "/readyz?verbose", "/readyz?a&verbose=1", "/metrics/"] {
        let (status, body) = get(path, "evil.example");
        assert_eq!(status, "421", "{path}: {body}");
        assert!(body.contains("host_refused"), "{path}: {body}");
    }
    for (path, part) in [
        ("/metrics", "sigward_build_info"),
        ("/readyz?verbose", "what_to_do"),
        ("/readyz", "failing"),
    ] {
        let (status, body) = get(path, "localhost");
        assert!(status == "200" || path != "/metrics", "{status} {body}");
        assert!(body.contains(part) || body.contains("checks"), "{path}: {body}");
    }
    stage.assert_unharmed();
}

#[test]
fn a_token_is_for_one_request_at_one_of_the_doors() {
    let stage = Stage::serving();
    let json = ["-H", "content-type: application/json"];
    for (first, second) in [(Door::Plain, Door::Token), (Door::Token, Door::Plain)] {
        let shown = |door: Door, path: &str, body: &str, token: &str| {
            stage.send(
                door,
                path,
                &[json[0], json[1], "-H", &bearer(token), "--data-binary", body],
            )
        };
        let token = stage.token(STATUS, "{}");
        assert_eq!(shown(first, STATUS, "{}", &token).status, 200);
        let again = shown(second, STATUS, "{}", &token);
        assert_eq!(
            (again.status, again.reason()),
            (401, "token_replayed"),
            "{again:?}"
        );
        let other = shown(first, LIST, "{}", &stage.token(STATUS, "{}"));
        assert!(
            other.status == 401 && other.message().contains("another method or path"),
            "{other:?}"
        );
        // The bytes count, and not what they mean.
        let changed = shown(first, STATUS, "{ }", &stage.token(STATUS, "{}"));
        assert!(
            changed.status == 401 && changed.message().contains("another body"),
            "{changed:?}"
        );
        // Nobody learns what a body should have been before its token was good.
        let bad = shown(first, STATUS, "nonsense", "a.b.c");
        assert_eq!((bad.status, bad.reason()), (401, "token_refused"), "{bad:?}");
    }
    stage.assert_unharmed();
}

#[test]
fn a_request_has_one_end_whatever_it_says_of_it() {
    let stage = Stage::serving();
    let token = stage.token(STATUS, "{}");
    let smuggled = "GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n";
    let host = "Host: localhost\r\n";
    for (more, body) in [
        (
            "Content-Length: 2\r\nTransfer-Encoding: chunked\r\n",
            format!("0\r\n\r\n{smuggled}"),
        ),
        (
            "Transfer-Encoding: chunked\r\nContent-Length: 2\r\n",
            format!("2\r\n{{}}\r\n0\r\n\r\n{smuggled}"),
        ),
        (
            "Content-Length: 2\r\nContent-Length: 3\r\n",
            format!("{{}}{smuggled}"),
        ),
        ("Content-Length: +2\r\n", format!("{{}}{smuggled}")),
        ("Content-Length: 2, 3\r\n", format!("{{}}{smuggled}")),
        (
            "Transfer-Encoding: chunked, identity\r\n",
            format!("0\r\n\r\n{smuggled}"),
        ),
        ("Transfer-Encoding: xchunked\r\n", format!("0\r\n\r\n{smuggled}")),
        ("Content-Length : 2\r\n", format!("{{}}{smuggled}")),
        // obs-fold (RFC 9112, section 5.2)
        (
            "X-Folded: a\r\n b\r\nContent-Length: 2\r\n",
            format!("{{}}{smuggled}"),
        ),
        ("X-Nul: a\0b\r\nContent-Length: 2\r\n", format!("{{}}{smuggled}")),
    ] {
        let answer = stage.raw(post(&token, host, more, &body).as_bytes());
        assert!(
            !answer.contains("sigward_build") && !answer.contains("# HELP"),
            "{more}: {answer}"
        );
        assert!(answer.matches("HTTP/1.1 ").count() <= 1, "{more}: {answer}");
    }
    stage.assert_unharmed();
}

#[test]
fn who_sends_slowly_or_without_end_holds_nobody_up() {
    let stage = Stage::serving();
    // A head that never ends; and nothing at all.
    let mut slow = stage.connect();
    slow.write_all(b"POST / HTTP/1.1\r\nHost: localhost\r\nX-")
        .unwrap();
    let mut silent = stage.connect();
    // Bodies that never come, of one issuer by many names.
    let waiting: Vec<_> = (0..20)
        .map(|number| {
            let token = stage.token_of(&format!("ci/{}", number % 4), "POST", STATUS, b"{}");
            let mut stream = stage.connect();
            let head = post(&token, "Host: localhost\r\n", "Content-Length: 2\r\n", "{");
            stream.write_all(head.as_bytes()).unwrap();
            stream
        })
        .collect();
    let token = stage.token_of("alice/alice", "POST", STATUS, b"{}");
    let answer = stage.raw(post(&token, "Host: localhost\r\n", "Content-Length: 2\r\n", "{}").as_bytes());
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    for mut stream in waiting {
        let mut all = String::new();
        stream.read_to_string(&mut all).unwrap();
        assert!(all.contains("401") && all.contains("took too long"), "{all}");
    }
    // Both are closed in the end, unasked.
    for stream in [&mut slow, &mut silent] {
        let mut all = Vec::new();
        stream.read_to_end(&mut all).unwrap();
        let all = String::from_utf8_lossy(&all).into_owned();
        assert!(!all.contains(" 200 "), "{all}");
    }
    stage.assert_unharmed();
}

#[test]
fn what_is_too_large_or_too_deep_is_refused_and_costs_nothing() {
    let stage = Stage::serving();
    stage.allow_looking();
    for body in ["[".repeat(60_000), "{\"a\":".repeat(12_000)] {
        for door in [Door::Certificate, Door::Token, Door::Plain] {
            let answer = stage.call(door, LIST, &body, &[]);
            assert_eq!(
                (answer.status, answer.reason()),
                (400, "invalid_json"),
                "{answer:?}"
            );
        }
    }
    // 1 GB is announced, and comes as long as somebody takes it.
    let token = stage.token(STATUS, "{}");
    let mut stream = stage.connect();
    let head = post(
        &token,
        "Host: localhost\r\n",
        "Content-Length: 1073741824\r\n",
        "",
    );
    stream.write_all(head.as_bytes()).unwrap();
    let _cut = stream.write_all(&vec![b' '; 2 << 20]);
    let mut all = Vec::new();
    let _reset = stream.read_to_end(&mut all);
    let all = String::from_utf8_lossy(&all).into_owned();
    assert!(all.is_empty() || all.contains("longer than 1 MiB"), "{all}");
    let large = stage.home.path("large");
    std::fs::File::create(&large).unwrap().set_len(1 << 30).unwrap();
    for version in ["--http1.1", "--http2"] {
        let large = large.to_str().unwrap();
        let upload = [
            version,
            "-X",
            "POST",
            "-H",
            "content-type: application/json",
            "-H",
            "expect:",
            "-T",
            large,
        ];
        let output = stage.curl(
            Door::Certificate,
            &[&upload[..], &[&stage.url(Door::Certificate, LIST)]].concat(),
        );
        let said = said(&output);
        assert!(
            said.contains("body_too_long") || !output.status.success(),
            "{said}"
        );
    }
    // A head that is too long.
    let long = format!("X-Long: {}\r\n", "a".repeat(64 << 10));
    let answer = stage.raw(post(&token, "Host: localhost\r\n", &long, "").as_bytes());
    assert!(!answer.contains(" 200 "), "{answer}");
    stage.assert_unharmed();
}

#[test]
fn nothing_plain_leaves_the_machine_and_nobody_comes_in_unnamed() {
    let stage = Stage::new();
    let listen = |edit: &dyn Fn(&mut toml::Table)| {
        stage
            .signer
            .configure(|config| edit(config["listen"].as_table_mut().unwrap()));
        let check = stage.signer.attempt(&["config", "check"]);
        let serve = stage.signer.attempt(&["serve"]);
        assert!(
            !check.status.success() && !serve.status.success(),
            "{}",
            said(&serve)
        );
        assert!(said(&serve).contains("listen.plain"), "{}", said(&serve));
        said(&check)
    };
    let place = |address: &'static str| {
        move |listen: &mut toml::Table| {
            let plain = [("address".to_owned(), address.into())].into_iter().collect();
            listen.insert("plain".to_owned(), toml::Value::Table(plain));
        }
    };
    for address in ["0.0.0.0:26662", "192.0.2.1:26662", "[::]:26662"] {
        let told = listen(&place(address));
        assert!(
            told.contains("is not on loopback") && told.contains("[listen.bearer]"),
            "{told}"
        );
    }
    let told = listen(&|listen: &mut toml::Table| {
        place("127.0.0.1:26662")(listen);
        listen["bearer"].as_table_mut().unwrap().remove("issuer");
    });
    assert!(told.contains("nobody whose tokens"), "{told}");
    // What is off by default is off.
    let output = Command::new(env!("CARGO_BIN_EXE_sigward"))
        .args(["init", "--home"])
        .arg(stage.home.path("fresh"))
        .output()
        .unwrap();
    let fresh = stage.home.path("fresh").join("sigward.toml");
    if output.status.success() {
        let text = std::fs::read_to_string(fresh).unwrap();
        assert!(text.lines().any(|line| line == "#[listen.plain]"), "{text}");
    }
}

/// It counts until it is revoked, for whoever got to see it.
#[test]
fn an_api_key_is_neither_shown_nor_told_in_the_clear() {
    const WHO: &str = "/sigward.v1.StatusService/WhoAmI";
    const CREATE: &str = "/sigward.v1.ApiKeyService/Create";
    let stage = Stage::serving();
    let made = stage.signer.json(&["api-key", "create", "robot", "--json"]);
    let header = bearer(made["secret"].as_str().unwrap());
    let json = ["-H", "content-type: application/json", "-d", "{}", "-H", &header];
    let shown = stage.send(Door::Token, WHO, &json);
    assert_eq!(
        (shown.status, &shown.body["subject"]),
        (200, &"apikey:robot".into())
    );
    let refused = stage.send(Door::Plain, WHO, &json);
    assert_eq!((refused.status, refused.reason()), (401, "token_refused"));
    assert!(refused.message().contains("never in the clear"), "{refused:?}");

    stage.allow_looking();
    let refused = stage.call(Door::Plain, CREATE, r#"{"name": "another"}"#, &[]);
    assert_eq!(
        (refused.status, refused.reason()),
        (403, "not_permitted"),
        "{refused:?}"
    );
    assert!(
        refused.message().contains("not shown in the clear"),
        "{refused:?}"
    );
    let made = stage.call(Door::Token, CREATE, r#"{"name": "another"}"#, &[]);
    assert!(made.body["secret"].as_str().unwrap().starts_with("sigward_"));
    stage.assert_unharmed();
}
