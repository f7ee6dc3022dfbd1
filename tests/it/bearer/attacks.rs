//! Those who do not come in.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::process::{Child, Command, Stdio};

use serde_json::json;

use super::stage::{EMPTY, STATUS, Stage, bearer, encode, now, said};

const REPLAYED: &str = "token_replayed";
const REFUSED: &str = "token_refused";

#[test]
fn a_token_that_was_seen_by_somebody_else_is_of_no_use_to_them() {
    let stage = Stage::serving();
    let token = stage.with(|_| {});
    assert_eq!(stage.show(&token).0, "0");
    let before = stage.refused(REPLAYED);
    for _ in 0..3 {
        let (code, message) = stage.show(&token);
        assert_eq!(code, "16", "{message}");
        assert!(message.starts_with("token_replayed: "), "{message}");
    }
    assert_eq!(stage.refused(REPLAYED), before + 3.0);
    // One that was caught on its way: for another call, and with another body.
    let list = "/sigward.v1.KeyService/List";
    let (code, message) = stage.call(list, EMPTY, &[&bearer(&stage.with(|_| {}))]);
    assert!(
        code == "16" && message.contains("another method or path"),
        "{code} {message}"
    );
    let token = stage.with(|_| {});
    let (code, message) = stage.call(STATUS, &[0, 0, 0, 0, 2, 8, 1], &[&bearer(&token)]);
    assert!(
        code == "16" && message.contains("another body"),
        "{code} {message}"
    );
    // It is used up by that.
    assert!(stage.show(&token).1.starts_with(REPLAYED));
    // And over HTTP, where it was for gRPC.
    let output = stage.curl(&["-H", &bearer(&stage.with(|_| {})), &stage.url(STATUS)]);
    assert!(
        said(&output).contains("another method or path"),
        "{}",
        said(&output)
    );
    stage.assert_unharmed();
}

#[test]
fn a_token_that_is_wrong_in_any_way_is_refused_counted_and_not_put_on_record() {
    let stage = Stage::serving();
    let before = stage.refused(REFUSED);
    let (header, claims) = (stage.header(), stage.claims());
    let head = |name: &str, value: &str| {
        let mut header = header.clone();
        header[name] = json!(value);
        stage.sign(&header.to_string(), &claims.to_string())
    };
    let claim = |name: &str, value: serde_json::Value| stage.with(|claims| claims[name] = value);
    let signed = format!("{}.{}", encode(header.to_string()), encode(claims.to_string()));
    // HMAC-SHA-256 with the public key's file as the secret.
    let hs256 = {
        let head = header.to_string().replace("EdDSA", "HS256");
        let signed = format!("{}.{}", encode(head), encode(claims.to_string()));
        let secret: String = std::fs::read(stage.file("ci.pub"))
            .unwrap()
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        std::fs::write(stage.home.path("signed"), &signed).unwrap();
        let mac = Command::new("openssl")
            .args([
                "dgst",
                "-sha256",
                "-binary",
                "-mac",
                "HMAC",
                "-macopt",
                &format!("hexkey:{secret}"),
            ])
            .arg(stage.home.path("signed"))
            .output()
            .unwrap();
        assert_eq!(mac.stdout.len(), 32, "{}", said(&mac));
        format!("{signed}.{}", encode(mac.stdout))
    };
    let twice = format!(
        "{{\"sub\":\"admin\",{}",
        claims.to_string().strip_prefix('{').unwrap()
    );
    let alice = {
        let mut claims = claims.clone();
        claims["iss"] = json!("alice");
        stage.sign(&header.to_string(), &claims.to_string())
    };
    let cases = [
        ("no signature", format!("{signed}."), "64 bytes"),
        (
            "alg none",
            format!(
                "{}.{}.",
                encode(header.to_string().replace("EdDSA", "none")),
                encode(claims.to_string())
            ),
            "EdDSA",
        ),
        ("alg none, signed", head("alg", "none"), "EdDSA"),
        ("HS256 by the public key", hs256, "EdDSA"),
        ("another kid", head("kid", "x"), "no issuer"),
        ("another issuer's name", alice, "no issuer"),
        ("a token of another kind", head("typ", "JWT"), "the type"),
        (
            "said twice",
            stage.sign(&header.to_string(), &twice),
            "duplicate field `sub`",
        ),
        ("too long", claim("exp", json!(now() + 301)), "exp is 1 to 300"),
        (
            "expired",
            stage.with(|claims| {
                claims["iat"] = json!(now() - 100);
                claims["exp"] = json!(now() - 50);
            }),
            "expired",
        ),
        (
            "not yet",
            stage.with(|claims| {
                claims["iat"] = json!(now() + 60);
                claims["exp"] = json!(now() + 120);
            }),
            "future",
        ),
        ("not before", claim("nbf", json!(now() + 60)), "future"),
        (
            "of before the start",
            stage.with(|claims| {
                claims["iat"] = json!(now() - 200);
                claims["exp"] = json!(now() + 60);
            }),
            "before sigward started",
        ),
        (
            "for another server",
            claim("aud", json!("https://other:1")),
            "audience",
        ),
        ("an id to guess", claim("jti", json!("7")), "128 random bits"),
        ("half a token", signed[..40].to_owned(), "three words"),
        ("10 KB", "a".repeat(10 << 10), "at most 4096 bytes"),
    ];
    let count = cases.len();
    for (what, token, wanted) in cases {
        let (code, message) = stage.show(&token);
        assert!(
            code == "16" && message.contains(wanted),
            "{what}: {code} {message}"
        );
        assert!(message.starts_with("token_refused: "), "{what}: {message}");
    }
    // Clocks may differ a little.
    let ahead = stage.with(|claims| claims["iat"] = json!(now() + 2));
    assert_eq!(stage.show(&ahead).0, "0");
    // None, two, another scheme, and one in the URL.
    let good = bearer(&stage.with(|_| {}));
    for headers in [
        &[][..],
        &[&*good, &*good],
        &["authorization: Basic YTpi", &*good],
        &["authorization: Basic YTpi"],
    ] {
        let (code, message) = stage.call(STATUS, EMPTY, headers);
        assert!(
            code == "16" && message.starts_with(REFUSED),
            "{headers:?}: {message}"
        );
    }
    let (_, token) = good.split_once("Bearer ").unwrap();
    let in_url = stage.curl(&[&stage.url(&format!("/livez?access_token={token}"))]);
    assert!(said(&in_url).contains("token_refused: send"), "{}", said(&in_url));
    #[allow(clippy::cast_precision_loss)]
    let wanted = before + (count + 5) as f64;
    assert_eq!(stage.refused(REFUSED), wanted);
    assert_eq!(stage.show(token).0, "0", "it was never used");
    // 64 KB are more than a head may have: refused before anything looks at it.
    for version in ["--http2", "--http1.1"] {
        let header = stage.home.path("header");
        std::fs::write(&header, bearer(&"a".repeat(64 << 10))).unwrap();
        let header = format!("@{}", header.display());
        let output = stage.curl(&[version, "-H", &header, "-w", "%{http_code}", &stage.url("/livez")]);
        assert!(!said(&output).contains("200"), "{}", said(&output));
    }
    stage.until_it_takes_tokens();
    stage.assert_unharmed();
}

#[test]
fn a_body_is_not_read_before_its_token_is_good_for_the_rest() {
    let stage = Stage::serving();
    // The head of a large body, and no body: the answer does not wait for it.
    let mut raw = Raw::connect(&stage);
    raw.send("POST /livez HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000\r\n\r\n");
    assert!(raw.line().contains("401"));
    // One with a good head, and a body that is more than there is room for.
    let path = "/sigward.v1.StatusService/Get";
    let large = vec![0; (1 << 20) + 64];
    let token = stage.token("POST", path, b"");
    let (code, message) = stage.call(path, &large, &[&bearer(&token)]);
    assert!(
        code == "16" && message.contains("longer than 1 MiB"),
        "{code} {message}"
    );
    // Two authorization headers smuggled into one field, and a body that is said twice to be of some length.
    let token = stage.token("GET", "/livez", b"");
    let mut raw = Raw::connect(&stage);
    raw.send(&format!(
        "GET /livez HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}, Bearer {token}\r\n\r\n"
    ));
    assert!(raw.line().contains("401"));
    let mut raw = Raw::connect(&stage);
    raw.send(&format!(
        "POST /livez HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n"
    ));
    let all = raw.rest();
    assert!(!all.contains(" 200 ") && !all.contains("sigward_"), "{all}");
    // What never made it to its own request is still good.
    let output = stage.curl(&["-H", &bearer(&token), &stage.url("/livez")]);
    assert_eq!(said(&output), "ok\n");
    stage.assert_unharmed();
}

#[test]
fn whoever_is_revoked_is_out_with_the_next_request_of_an_open_connection() {
    let stage = Stage::serving();
    let mut raw = Raw::connect(&stage);
    let get = |raw: &mut Raw| {
        let token = stage.token("GET", "/livez", b"");
        raw.send(&format!(
            "GET /livez HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n\r\n"
        ));
        raw.answer()
    };
    assert!(get(&mut raw).contains("200 OK"));
    let reload = |issuers: &[(&str, &[&str])]| {
        stage.issuers(issuers);
        stage.signer.run(&["reload"])
    };
    let told = reload(&[("ci", &["sub:deploy"]), ("alice", &[])]);
    assert!(told.contains("sub:deploy"), "{told}");
    let answer = get(&mut raw);
    assert!(
        answer.contains("401") && answer.contains("is revoked"),
        "{answer}"
    );
    assert!(stage.ask(&["status"]).status.success());
    let named = "0123456789abcdef0123456789abcdef";
    reload(&[("ci", &[&format!("jti:{named}")]), ("alice", &[])]);
    assert!(get(&mut raw).contains("200 OK"));
    let (code, message) = stage.show(&stage.with(|claims| claims["jti"] = json!(named)));
    assert!(code == "16" && message.contains("is revoked"), "{code} {message}");
    reload(&[("alice", &[])]);
    assert!(get(&mut raw).contains("no issuer that is known here"));
    assert!(stage.ask(&["status"]).status.success());
    // The whole table gone: the door stands until a restart, and nobody is believed there.
    stage.signer.configure(|config| drop(config.remove("listen")));
    let told = stage.signer.run(&["reload"]);
    assert!(
        told.contains("listen.bearer") && told.contains("restart"),
        "{told}"
    );
    let gone = stage.ask(&["status"]);
    assert!(
        said(&gone).contains("token_refused: no issuer"),
        "{}",
        said(&gone)
    );
    stage.assert_unharmed();
}

#[test]
fn a_token_of_before_a_restart_is_of_no_use_after_it() {
    let mut stage = Stage::serving();
    let (used, unused) = (
        stage.with(|claims| claims["exp"] = json!(now() + 290)),
        stage.with(|_| {}),
    );
    assert_eq!(stage.show(&used).0, "0");
    stage.signer.stop();
    stage.signer.start();
    for token in [&used, &unused] {
        let (code, message) = stage.show(token);
        assert!(
            code == "16" && message.contains("before sigward started"),
            "{code} {message}"
        );
    }
    stage.until_it_takes_tokens();
    assert!(stage.show(&used).1.contains("before sigward started"));
}

#[test]
fn neither_plaintext_nor_old_tls_is_spoken() {
    let stage = Stage::serving();
    let header = bearer(&stage.token("GET", "/livez", b""));
    let output = stage.curl(&["-H", &header, "--tls-max", "1.2", &stage.url("/livez")]);
    assert!(said(&output).contains("protocol version"), "{}", said(&output));
    let plain = format!("http://localhost:{}/livez", stage.port);
    let output = stage.curl(&["-H", &header, &plain]);
    assert!(
        !output.status.success() && !said(&output).contains("ok\n"),
        "{}",
        said(&output)
    );
    stage.assert_unharmed();
}

/// A TLS connection whose bytes are ours.
pub(super) struct Raw {
    child: Child,
    stdout: BufReader<std::process::ChildStdout>,
}

impl Raw {
    pub(super) fn connect(stage: &Stage) -> Self {
        let mut child = Command::new("openssl")
            .args([
                "s_client",
                "-quiet",
                "-verify_return_error",
                "-servername",
                "localhost",
                "-alpn",
                "http/1.1",
            ])
            .args(["-connect", &format!("127.0.0.1:{}", stage.port), "-CAfile"])
            .arg(stage.file("pki/ca.crt"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        Self { child, stdout }
    }

    pub(super) fn send(&mut self, text: &str) {
        let stdin = self.child.stdin.as_mut().unwrap();
        stdin.write_all(text.as_bytes()).unwrap();
        stdin.flush().unwrap();
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.stdout.read_line(&mut line).unwrap();
        line
    }

    /// One answer with its body.
    pub(super) fn answer(&mut self) -> String {
        let (mut all, mut length) = (String::new(), 0);
        loop {
            let line = self.line();
            assert!(!line.is_empty(), "the connection ended: {all}");
            if let Some(said) = line.to_lowercase().strip_prefix("content-length: ") {
                length = said.trim().parse().unwrap();
            }
            all.push_str(&line);
            if line.trim().is_empty() {
                break;
            }
        }
        let mut body = vec![0; length];
        self.stdout.read_exact(&mut body).unwrap();
        all + &String::from_utf8(body).unwrap()
    }

    /// Everything until the server ends the connection.
    fn rest(&mut self) -> String {
        let mut all = Vec::new();
        let _reset = self.stdout.read_to_end(&mut all);
        String::from_utf8_lossy(&all).into_owned()
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        let _ended = self.child.kill();
        let _gone = self.child.wait();
    }
}
