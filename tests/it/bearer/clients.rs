//! Those who come in.

use super::stage::{EMPTY, STATUS, Stage, bearer, said};

#[test]
fn curl_and_grpcurl_come_in_with_a_token_for_each_request() {
    let stage = Stage::serving();
    for (version, shown) in [("--http2", "2"), ("--http1.1", "1.1")] {
        for (path, wanted) in [
            ("/livez", "ok\n"),
            ("/readyz?verbose", "\"ready\":true"),
            (
                "/metrics",
                "sigward_bearer_cert_expiry_timestamp_seconds{what=\"server\"} 1",
            ),
        ] {
            let header = bearer(&stage.token("GET", path, b""));
            let out = ["-w", "%{http_version} %{http_code}"];
            let output = stage.curl(&[version, "-H", &header, out[0], out[1], &stage.url(path)]);
            let text = said(&output);
            assert!(
                text.contains(wanted) && text.ends_with(&format!("{shown} 200")),
                "{text}"
            );
        }
        // Without one there is nothing, and it says what would be something.
        let output = stage.curl(&[version, "-i", &stage.url("/livez")]);
        let text = said(&output).to_lowercase();
        assert!(
            text.contains(" 401") && text.contains("www-authenticate: bearer"),
            "{text}"
        );
        assert!(text.contains("token_refused: send `authorization"), "{text}");
    }
    let status = stage.grpcurl(
        &stage.token("POST", STATUS, EMPTY),
        "sigward.v1.StatusService/Get",
    );
    assert!(
        status.status.success() && said(&status).contains("\"serving\": true"),
        "{}",
        said(&status)
    );
    // An issuer that has never heard of us, and curl's own gRPC.
    let (code, message) = stage.show(&stage.with(|_| {}));
    assert_eq!((code.as_str(), message.as_str()), ("0", ""));
    // Health is a service like any other.
    let health = "/grpc.health.v1.Health/Check";
    let token = stage.token("POST", health, EMPTY);
    assert_eq!(stage.call(health, EMPTY, &[&bearer(&token)]).0, "0");
    let without = stage.call(health, EMPTY, &[]);
    assert_eq!(without.0, "16", "{}", without.1);
    stage.assert_unharmed();
}

#[test]
fn a_token_says_who_and_a_rule_says_what() {
    let stage = Stage::serving();
    let list = "/sigward.v1.KeyService/List";
    let ask = || stage.call(list, EMPTY, &[&bearer(&stage.token("POST", list, EMPTY))]);
    let (code, message) = ask();
    assert_eq!(code, "7", "{message}");
    assert!(
        message.contains("not_permitted: jwt:ci/deploy may not call this"),
        "{message}"
    );
    std::fs::write(
        stage.file("policy.toml"),
        "version = 1\n\
         [[rule]]\nid = \"look\"\neffect = \"allow\"\nsubjects = [\"jwt:ci/*\"]\noperations = [\"key.list\", \"key.backup\", \"freeze\"]\nfrom = [\"127.0.0.0/8\"]\n\
         [[rule]]\nid = \"far\"\neffect = \"allow\"\nsubjects = [\"jwt:alice/**\"]\noperations = [\"key.list\"]\nfrom = [\"10.0.0.0/8\"]\n",
    )
    .unwrap();
    stage.signer.configure(|config| {
        let policy = [("file".to_owned(), "policy.toml".into())].into_iter().collect();
        config.insert("policy".to_owned(), toml::Value::Table(policy));
    });
    stage.signer.run(&["reload"]);
    assert_eq!(ask().0, "0");
    // A rule allows it; a private key would come along.
    let make = "/sigward.v1.BackupService/Make";
    let token = stage.token("POST", make, EMPTY);
    let (code, message) = stage.call(make, EMPTY, &[&bearer(&token)]);
    assert!(
        code == "7" && message.contains("carries private keys"),
        "{code} {message}"
    );
    let denied = stage.ask(&["keys", "list"]);
    assert_eq!(denied.status.code(), Some(3), "{}", said(&denied));
    assert!(
        said(&denied).contains("not_permitted: jwt:alice/alice"),
        "{}",
        said(&denied)
    );
    let explained = stage.signer.attempt(&[
        "policy",
        "explain",
        "--as",
        "jwt:ci/deploy",
        "--op",
        "key.list",
        "--from",
        "127.0.0.1",
    ]);
    assert!(explained.status.success(), "{}", said(&explained));
    // What was let in and then denied is on record, and how they proved who they are stands there too.
    let tail = stage.signer.run(&["audit", "tail"]);
    assert!(
        tail.lines().any(|line| line.contains("denied")
            && line.contains("rpc.key")
            && line.contains("jwt:ci/deploy")),
        "{tail}"
    );
}

#[test]
fn an_operator_without_a_certificate_asks_another_machine() {
    let stage = Stage::serving();
    let status = stage.ask(&["status"]);
    assert!(
        status.status.success() && said(&status).contains("ready"),
        "{}",
        said(&status)
    );
    let json = stage.ask(&["status", "--json"]);
    let json: serde_json::Value = serde_json::from_slice(&json.stdout).unwrap();
    assert_eq!(json["serving"], true);
    // Several calls in one command; and one whose answer is a stream.
    let top = stage.ask(&["top", "--once"]);
    assert!(top.status.success(), "{}", said(&top));
    let tail = stage.ask(&["audit", "tail"]);
    assert_eq!(tail.status.code(), Some(3), "{}", said(&tail));
    assert!(
        said(&tail).contains("not_permitted: jwt:alice/alice"),
        "{}",
        said(&tail)
    );
    // For another audience than the signer's, and as somebody whom nobody vouches for.
    let other = stage.ask(&["status", "--token-audience", "https://other:1"]);
    assert_eq!(other.status.code(), Some(3), "{}", said(&other));
    assert!(
        said(&other).contains("token_refused: the token is for another audience"),
        "{}",
        said(&other)
    );
    let somebody = stage.ask(&["status", "--token-as", "ci/admin"]);
    assert!(
        said(&somebody).contains("token_refused: no issuer"),
        "{}",
        said(&somebody)
    );
    assert!(!stage.home.path("nowhere").exists());
    stage.assert_unharmed();
}

#[test]
fn keys_are_made_for_their_owner_alone_and_never_over_others() {
    use std::os::unix::fs::PermissionsExt;
    let stage = Stage::new();
    let mode = |name: &str| std::fs::metadata(stage.file(name)).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode("ci.key"), mode("ci.pub")), (0o600, 0o644));
    let folder = stage.signer.home().display().to_string();
    let before = std::fs::read(stage.file("ci.key")).unwrap();
    let again = stage.signer.attempt(&["token", "keygen", "ci", "--out", &folder]);
    assert!(said(&again).contains("file_exists: "), "{}", said(&again));
    assert_eq!(std::fs::read(stage.file("ci.key")).unwrap(), before);
    // openssl reads both, and they belong together.
    let public = std::process::Command::new("openssl")
        .args(["pkey", "-pubout", "-in"])
        .arg(stage.file("ci.key"))
        .output()
        .unwrap();
    assert_eq!(public.stdout, std::fs::read(stage.file("ci.pub")).unwrap());
    // And we read what openssl makes.
    let theirs = stage.file("theirs.key");
    let made = std::process::Command::new("openssl")
        .args(["genpkey", "-algorithm", "ed25519", "-out"])
        .arg(&theirs)
        .output()
        .unwrap();
    assert!(made.status.success(), "{}", said(&made));
    std::fs::set_permissions(&theirs, PermissionsExt::from_mode(0o600)).unwrap();
    let sign = |more: &[&str]| {
        let mut all = vec![
            "token",
            "sign",
            "--key",
            theirs.to_str().unwrap(),
            "--audience",
            "a",
        ];
        all.extend(more);
        stage.signer.attempt(&all)
    };
    let token = sign(&["GET", "/livez"]);
    assert_eq!(said(&token).trim().split('.').count(), 3, "{}", said(&token));
    for (more, wanted) in [
        (&["GET", "livez"][..], "is no path"),
        (&["--valid", "301", "GET", "/livez"], "301 is not in"),
        (&["--as", "me", "GET", "/livez"], "ISSUER/SUBJECT"),
        (&["GET", "/livez", "/no/such/file"], "file_io: "),
    ] {
        let output = sign(more);
        assert!(
            !output.status.success() && said(&output).contains(wanted),
            "{}",
            said(&output)
        );
    }
    std::fs::set_permissions(&theirs, PermissionsExt::from_mode(0o640)).unwrap();
    let open = sign(&["GET", "/livez"]);
    assert!(said(&open).contains("file_permissions: "), "{}", said(&open));
    for bad in ["C I", "a/b", ""] {
        let output = stage.signer.attempt(&["token", "keygen", bad, "--out", &folder]);
        assert!(!output.status.success(), "{}", said(&output));
    }
}

#[test]
fn a_bad_issuer_refuses_at_the_start_and_changes_nothing_at_a_reload() {
    let mut stage = Stage::new();
    let good = std::fs::read(stage.file("ci.pub")).unwrap();
    std::fs::write(stage.file("ci.pub"), "nonsense").unwrap();
    for arguments in [&["config", "check"][..], &["serve"]] {
        let output = stage.signer.attempt(arguments);
        assert!(!output.status.success());
        assert!(
            said(&output).contains("issuer_key_invalid: "),
            "{}",
            said(&output)
        );
    }
    std::fs::write(stage.file("ci.pub"), &good).unwrap();
    stage.signer.start();
    stage.until_it_takes_tokens();
    std::fs::write(stage.file("ci.pub"), "nonsense").unwrap();
    let output = stage.signer.attempt(&["reload"]);
    assert!(
        said(&output).contains("issuer_key_invalid: "),
        "{}",
        said(&output)
    );
    std::fs::write(stage.file("ci.pub"), &good).unwrap();
    assert_eq!(stage.show(&stage.with(|_| {})).0, "0", "the ones in force stay");
    stage.signer.run(&["reload"]);
    assert_eq!(stage.show(&stage.with(|_| {})).0, "0");
}
