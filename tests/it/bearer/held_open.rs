//! An answer that is held open by a token ends with it.

use std::time::Duration;

use sha2::{Digest as _, Sha256};

use super::stage::{Stage, bearer, encode, now};
use crate::support::poll;

const TAIL: &str = "/sigward.v1.AuditService/Tail";
/// `follow = true`, as gRPC sends it.
const FOLLOW: &[u8] = &[0, 0, 0, 0, 2, 0x18, 1];

/// A stage where tokens of `ci` may read the chain.
fn stage() -> Stage {
    let stage = Stage::serving();
    std::fs::write(
        stage.file("policy.toml"),
        "version = 1\n[[rule]]\nid = \"read\"\neffect = \"allow\"\nsubjects = [\"jwt:ci/*\"]\noperations = [\"audit.read\"]\n",
    )
    .unwrap();
    stage.signer.configure(|config| {
        let policy = [("file".to_owned(), "policy.toml".into())].into_iter().collect();
        config.insert("policy".to_owned(), toml::Value::Table(policy));
    });
    stage.signer.run(&["reload"]);
    stage
}

/// A token of `stage`, for following the chain, that ends then.
fn following(stage: &Stage, ends: i64) -> String {
    stage.with(|claims| {
        claims["exp"] = ends.into();
        claims["path"] = TAIL.into();
        claims["body_sha256"] = encode(Sha256::digest(FOLLOW)).into();
    })
}

/// Whoever shows a token of two seconds may follow the chain for as long, and for the five by which clocks may differ.
#[test]
fn who_follows_by_a_token_sees_nothing_after_its_end() {
    let stage = stage();
    let ends = now() + 2;
    let token = following(&stage, ends);
    // It was let in, it was held open until then, and it was told why it is not any more: nothing else says this sentence.
    let (code, message) = stage.call(TAIL, FOLLOW, &[&bearer(&token)]);
    assert!(now() > ends, "it ended before the token did");
    assert_eq!(code, "16", "{message}");
    assert!(
        message.starts_with("token_refused: the token of this request has ended"),
        "{message}"
    );
    let tail = stage.signer.run(&["audit", "tail"]);
    assert!(
        tail.lines()
            .any(|line| line.contains("audit.tail") && line.contains("jwt:ci/deploy")),
        "{tail}"
    );
    stage.assert_unharmed();
}

#[test]
fn who_follows_by_a_token_sees_nothing_after_its_revocation() {
    let stage = stage();
    let ends = now() + 200;
    let token = following(&stage, ends);
    std::thread::scope(|scope| {
        let follower = scope.spawn(|| stage.call(TAIL, FOLLOW, &[&bearer(&token)]));
        // It is in when it is on record.
        let let_in = poll(Duration::from_secs(60), || {
            let tail = stage.signer.run(&["audit", "query", "--operation", "audit.tail"]);
            tail.contains("jwt:ci/deploy").then_some(())
        });
        assert!(let_in.is_some(), "{}", stage.signer.log_tail());
        stage.issuers(&[("ci", &["sub:deploy"]), ("alice", &[])]);
        stage.signer.run(&["reload"]);
        let (code, message) = follower.join().unwrap();
        assert!(now() < ends, "it went on to the token's end");
        assert_eq!(code, "16", "{message}");
        assert!(message.contains("is revoked"), "{message}");
    });
    stage.assert_unharmed();
}
