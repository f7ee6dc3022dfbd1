//! Answers that are held open: they end with the certificate, or with the rule, that let them begin, and not with the connection's age.

use std::io::Read as _;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::Duration;

use super::frames::{PREFACE, SETTINGS, frame};
use super::stage::{PATIENCE, Stage};
use crate::support::poll;

const RULES: &str = r#"
version = 1
[[rule]]
id = "readers"
effect = "allow"
subjects = ["dns:ada", "dns:bob", "dns:cyd"]
operations = ["audit.read"]
"#;

struct Follower(Child);

impl Follower {
    fn of(stage: &Stage, who: &str) -> Self {
        let certificate = stage.client(who);
        let file = |name: &str| std::fs::File::create(stage.home.path(&format!("{who}.{name}"))).unwrap();
        let child = Command::new(env!("CARGO_BIN_EXE_sigward"))
            .args(["audit", "tail", "--follow", "--server", &stage.url(""), "--home"])
            .arg(stage.home.path("nowhere"))
            .arg("--certificate")
            .arg(&certificate)
            .env("SIGWARD_PRIVATE_KEY", certificate.with_extension("key"))
            .env("SIGWARD_CA", stage.pki("ca.crt"))
            .stdin(Stdio::null())
            .stdout(file("out"))
            .stderr(file("err"))
            .spawn()
            .unwrap();
        let follower = Self(child);
        let said = || follower.said(stage, who, "out");
        poll(PATIENCE, || said().contains("audit.tail").then_some(()))
            .unwrap_or_else(|| panic!("{who} sees nothing: {}", follower.said(stage, who, "err")));
        follower
    }

    fn said(&self, stage: &Stage, who: &str, what: &str) -> String {
        let mut text = String::new();
        let mut file = std::fs::File::open(stage.home.path(&format!("{who}.{what}"))).unwrap();
        file.read_to_string(&mut text).unwrap();
        text
    }

    fn goes_on(&mut self) -> bool {
        self.0.try_wait().unwrap().is_none()
    }

    /// Waits until it ends by itself; what it then says.
    fn end(&mut self, stage: &Stage, who: &str) -> String {
        let status = poll(PATIENCE, || self.0.try_wait().unwrap());
        let said = self.said(stage, who, "err");
        let status = status.unwrap_or_else(|| panic!("{who} still follows: {said}"));
        assert!(!status.success(), "{who}: {said}");
        said
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        let _ended = self.0.kill();
        let _gone = self.0.wait();
    }
}

#[test]
fn who_follows_stops_seeing_when_the_certificate_is_revoked_or_the_rule_is_gone() {
    let mut stage = Stage::new();
    for who in ["ada", "bob", "cyd"] {
        stage.signer.run(&["pki", "client", who]);
    }
    let policy = stage.signer.home().join("policy.toml");
    std::fs::write(&policy, RULES).unwrap();
    stage.signer.configure(|config| {
        let policy = [("file".to_owned(), "policy.toml".into())].into_iter().collect();
        config.insert("policy".to_owned(), toml::Value::Table(policy));
    });
    stage.signer.start();
    let (mut ada, mut bob, mut cyd) = (
        Follower::of(&stage, "ada"),
        Follower::of(&stage, "bob"),
        Follower::of(&stage, "cyd"),
    );

    // Nobody reloads: the files are looked at, and those who follow are asked again.
    stage.signer.run(&["pki", "revoke", "ada"]);
    let said = ada.end(&stage, "ada");
    assert!(said.contains("certificate_refused"), "{said}");
    assert!(bob.goes_on() && cyd.goes_on(), "{}", stage.signer.log_tail());

    std::fs::write(&policy, RULES.replace("\"dns:bob\", ", "")).unwrap();
    stage.signer.run(&["reload"]);
    let said = bob.end(&stage, "bob");
    assert!(said.contains("not_permitted"), "{said}");
    assert!(cyd.goes_on(), "{}", stage.signer.log_tail());
    // Whoever may still follow sees what happens now.
    stage
        .signer
        .run(&["freeze", "--all", "--reason", "a drill of the tests"]);
    let seen = || {
        cyd.said(&stage, "cyd", "out")
            .contains("a drill of the tests")
            .then_some(())
    };
    poll(PATIENCE, seen).expect("cyd follows");
    stage.assert_unharmed();
}

/// A connection takes requests for a second, and 10 more were once all that was left to what is under way.
#[test]
fn who_follows_outlives_the_age_of_the_connection_and_is_told_of_the_end_of_its_own() {
    let mut stage = Stage::new();
    let policy = stage.signer.home().join("policy.toml");
    std::fs::write(&policy, RULES.replace("dns:ada", "dns:admin")).unwrap();
    stage.signer.configure(|config| {
        let policy = [("file".to_owned(), "policy.toml".into())].into_iter().collect();
        config.insert("policy".to_owned(), toml::Value::Table(policy));
        let bounds: toml::Table = "connection_age_s = 1\nstream_age_s = 25".parse().unwrap();
        config["listen"]
            .as_table_mut()
            .unwrap()
            .insert("bounds".to_owned(), bounds.into());
    });
    stage.signer.start();
    let mut follower = Follower::of(&stage, "admin");

    // Another connection is told to come again (GOAWAY, of stream 0, which leaves room for what is on its way).
    let mut idle = stage.raw("h2");
    idle.send(&[PREFACE, &frame(SETTINGS, 0, 0, &[])].concat())
        .unwrap();
    let goaway = "\0\0\u{8}\u{7}\0\0\0\0\0\u{7f}";
    let heard = idle.read_until(goaway);
    assert!(heard.contains(goaway), "{heard:?}");

    sleep(Duration::from_secs(13));
    assert!(follower.goes_on(), "{}", follower.said(&stage, "admin", "err"));
    stage
        .signer
        .run(&["freeze", "--all", "--reason", "a drill of the tests"]);
    let seen = || {
        let said = follower.said(&stage, "admin", "out");
        said.contains("a drill of the tests").then_some(())
    };
    poll(PATIENCE, seen).expect("it follows beyond the age of its connection");

    let said = follower.end(&stage, "admin");
    assert!(
        said.contains("deadline_exceeded: this answer was held open for 25 s")
            && said.contains("stream_age_s"),
        "{said}"
    );
    stage.assert_unharmed();
}
