//! Calls with tokens as a collector of traces hears of them: what was called and how it went, and never by what.

use std::time::Duration;

use super::stage::{STATUS, Stage, bearer};
use crate::support::poll;
use crate::tracing::otlp::post::{Post, holds};
use crate::tracing::otlp::send_to;

#[test]
fn a_call_in_json_is_told_and_its_token_is_not() {
    let collector = Post::start(None);
    let mut stage = Stage::new();
    let endpoint = format!("http://127.0.0.1:{}", collector.port);
    send_to(&stage.signer, &endpoint, &[("protocol", "http/protobuf".into())]);
    stage.signer.start();
    stage.until_it_takes_tokens();
    let call = |token: &str| {
        let (shown, url) = (bearer(token), stage.url(STATUS));
        let arguments = [
            "-H",
            "content-type: application/json",
            "-d",
            "{}",
            "-H",
            &shown,
            &url,
        ];
        stage.curl(&arguments)
    };
    let token = stage.token("POST", STATUS, b"{}");
    let answered = call(&token);
    assert!(answered.status.success());
    // A second time it is refused, at the door.
    let replayed = String::from_utf8(call(&token).stdout).unwrap();
    assert!(replayed.contains("token_replayed"), "{replayed}");

    let told = |is: &dyn Fn(&crate::tracing::otlp::collector::Span) -> bool| {
        let found = poll(Duration::from_secs(30), || {
            collector.spans().into_iter().find(|span| is(span))
        });
        found.unwrap_or_else(|| panic!("{:#?}", collector.spans()))
    };
    let called = |span: &crate::tracing::otlp::collector::Span| span.name == "sigward.v1.StatusService/Get";
    let refused = told(&|span| {
        let code = span.attributes.get("error.type").map(String::as_str);
        called(span) && code == Some("token_replayed")
    });
    assert_eq!(refused.attributes["rpc.system"], "connect_rpc");
    assert_eq!(
        refused.attributes["rpc.connect_rpc.error_code"],
        "unauthenticated"
    );
    assert!(!refused.error, "it was refused, as it had to be");
    let first = told(&|span| called(span) && span.id != refused.id);
    let stages = |root: &str| -> Vec<String> {
        let mut all = collector.spans();
        all.retain(|span| span.parent == root);
        all.sort_by_key(|span| (span.start, span.end));
        all.into_iter().map(|span| span.name).collect()
    };
    assert_eq!(stages(&refused.id), ["authn"], "it came no further");
    assert_eq!(stages(&first.id), ["authn", "authz", "act"]);

    stage.signer.terminate();
    let bytes = collector.bytes();
    assert!(holds(&bytes, b"connect_rpc"), "the search works");
    for part in token.split('.') {
        assert!(!holds(&bytes, part.as_bytes()), "{part}");
    }
    for name in ["deploy", "authorization", "Bearer"] {
        assert!(!holds(&bytes, name.as_bytes()), "{name}");
    }
}
