//! `sigward --server`: an operator at another machine.

use std::path::Path;
use std::process::Output;

use super::stage::{Stage, said};

fn ask(stage: &Stage, server: &str, client: &Path, arguments: &[&str]) -> Output {
    // No home here: nothing of this machine is looked at.
    let nowhere = stage.home.path("nowhere");
    std::process::Command::new(env!("CARGO_BIN_EXE_sigward"))
        .args(arguments)
        .args(["--server", server, "--home"])
        .arg(nowhere)
        .arg("--certificate")
        .arg(client)
        .env("SIGWARD_PRIVATE_KEY", client.with_extension("key"))
        .env("SIGWARD_CA", stage.pki("ca.crt"))
        .output()
        .unwrap()
}

#[test]
fn an_operator_asks_another_machine_and_gets_its_answers() {
    let stage = Stage::serving();
    let (url, admin) = (stage.url(""), stage.client("admin"));
    let status = ask(&stage, &url, &admin, &["status"]);
    assert!(
        status.status.success() && said(&status).contains("ready"),
        "{}",
        said(&status)
    );
    let denied = ask(&stage, &url, &admin, &["keys", "list"]);
    assert_eq!(denied.status.code(), Some(3), "{}", said(&denied));
    assert!(
        said(&denied).contains("not_permitted: cert:dns:admin"),
        "{}",
        said(&denied)
    );
    for arguments in [
        &["init"][..],
        &["state", "adopt", "--above", "9"],
        &["audit", "verify", "--anchor", "/dev/zero"],
        &["pki", "show"],
        &["serve"],
    ] {
        let here = ask(&stage, &url, &admin, arguments);
        assert_eq!(here.status.code(), Some(3), "{arguments:?}: {}", said(&here));
        assert!(
            said(&here).contains("only_here: "),
            "{arguments:?}: {}",
            said(&here)
        );
    }
    assert!(!stage.home.path("nowhere").exists());
    // Another name than the certificate's, nobody there, and no address at all.
    let name = format!("https://127.0.0.2:{}", stage.port);
    let nobody = "https://localhost:1".to_owned();
    for server in [name, nobody] {
        let output = ask(&stage, &server, &admin, &["status"]);
        assert_eq!(output.status.code(), Some(1), "{server}: {}", said(&output));
        assert!(
            said(&output).contains("server_unreachable: "),
            "{server}: {}",
            said(&output)
        );
    }
    for server in [
        "http://localhost",
        "localhost",
        "https://a@localhost",
        "https://localhost/x",
    ] {
        let output = ask(&stage, server, &admin, &["status"]);
        assert!(
            said(&output).contains("is no address of a sigward"),
            "{server}: {}",
            said(&output)
        );
        assert_eq!(output.status.code(), Some(2), "{server}");
    }
    stage.signer.run(&["pki", "revoke", "admin"]);
    stage.signer.run(&["reload"]);
    let output = ask(&stage, &url, &admin, &["status"]);
    assert_eq!(output.status.code(), Some(3), "{}", said(&output));
    assert!(
        said(&output).contains("certificate_refused: ") && !said(&output).contains("Unknown error"),
        "{}",
        said(&output)
    );
}

/// What is shown at the wrong port, and what is not shown at all.
#[test]
fn who_shows_the_wrong_thing_is_told_what_is_wanted() {
    let stage = Stage::serving();
    let folder = stage.home.path("").display().to_string();
    stage.signer.run(&["token", "keygen", "lena", "--out", &folder]);
    let key = stage.home.path("lena.key");
    let ask = |more: &[&str]| {
        std::process::Command::new(env!("CARGO_BIN_EXE_sigward"))
            .args(["status", "--server", &stage.url(""), "--home"])
            .arg(stage.home.path("nowhere"))
            .args(more)
            .env("SIGWARD_CA", stage.pki("ca.crt"))
            .output()
            .unwrap()
    };
    let output = ask(&["--token-key", key.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(3), "{}", said(&output));
    assert!(
        said(&output).contains("certificate_refused: ") && said(&output).contains("[listen.bearer]"),
        "{}",
        said(&output)
    );
    assert!(!said(&output).contains("Unknown error"), "{}", said(&output));
    for (more, code, part) in [
        (&[][..], 2, "--token-key FILE"),
        (
            &["--token-key", key.to_str().unwrap(), "--token-as", "lena"],
            2,
            "ISSUER/SUBJECT",
        ),
        (&["--api-key", "sigward_0123456789"], 2, "revoke it"),
    ] {
        let output = ask(more);
        assert_eq!(output.status.code(), Some(code), "{more:?}: {}", said(&output));
        assert!(said(&output).contains(part), "{more:?}: {}", said(&output));
        assert!(!said(&output).contains("sigward_0123456789"), "{}", said(&output));
    }
}

#[test]
fn an_operator_elsewhere_may_what_a_rule_allows_and_no_more() {
    let stage = Stage::serving();
    stage.signer.run(&["pki", "client", "other"]);
    let (url, admin, other) = (stage.url(""), stage.client("admin"), stage.client("other"));
    std::fs::write(
        stage.signer.home().join("policy.toml"),
        "version = 1\n\
         [[rule]]\nid = \"look\"\neffect = \"allow\"\nsubjects = [\"dns:admin\"]\noperations = [\"key.list\", \"freeze\"]\nfrom = [\"127.0.0.0/8\"]\n\
         [[rule]]\nid = \"far\"\neffect = \"allow\"\nsubjects = [\"dns:other\"]\noperations = [\"key.list\"]\nfrom = [\"10.0.0.0/8\"]\n",
    )
    .unwrap();
    stage.signer.configure(|config| {
        let policy = [("file".to_owned(), "policy.toml".into())].into_iter().collect();
        config.insert("policy".to_owned(), toml::Value::Table(policy));
    });
    stage.signer.run(&["reload"]);
    let unseen = ask(&stage, &url, &other, &["status"]);
    assert!(
        said(&unseen).contains("no chain that you may see"),
        "{}",
        said(&unseen)
    );
    for (who, arguments, allowed) in [
        (&admin, &["keys", "list"][..], true),
        (&admin, &["freeze", "--all", "--reason", "a test"], true),
        (&admin, &["unfreeze", "--all", "--reason", "a test"], false),
        (&admin, &["keys", "create", "mine"], false),
        (&other, &["keys", "list"], false),
    ] {
        let output = ask(&stage, &url, who, arguments);
        assert_eq!(
            output.status.success(),
            allowed,
            "{arguments:?}: {}",
            said(&output)
        );
        assert!(
            allowed || said(&output).contains("not_permitted"),
            "{arguments:?}: {}",
            said(&output)
        );
    }
    let records = stage.signer.run(&["audit", "tail"]);
    assert!(
        records.contains("cert:dns:admin") && records.contains("rpc.key"),
        "{records}"
    );
}
