//! A collector that is not there, does not answer, or does not want it; and files that are not as they must be.

use std::net::TcpListener;
use std::time::Duration;

use tonic::Status;

use super::collector::Collector;
use super::{secret, send_to};
use crate::support::audit::assert_no_double_sign;
use crate::support::poll;
use crate::support::ports::free_port;
use crate::support::scene::Scene;

const PATIENCE: Duration = Duration::from_secs(60);
const DROPPED: &str = "sigward_otlp_spans_dropped_total";
const EXPORTED: &str = "sigward_otlp_spans_exported_total";

#[track_caller]
fn comes_to_be_dropped(scene: &Scene, reason: &str) -> f64 {
    let dropped = || {
        let metrics = scene.signer.metrics();
        metrics
            .sum(DROPPED, &[("reason", reason)])
            .filter(|count| *count > 0.0)
    };
    poll(PATIENCE, dropped).unwrap_or_else(|| panic!("nothing is\n{}", scene.signer.log_tail()))
}

#[test]
fn a_collector_that_is_away_costs_no_vote_and_gets_the_next_ones_when_it_is_back() {
    let port = free_port();
    let mut scene = Scene::new();
    send_to(&scene.signer, &format!("http://127.0.0.1:{port}"), &[]);
    scene.start();
    assert_eq!(scene.signer.check("traces"), "ok", "nobody has asked it yet");
    scene.sign(1..=10);
    comes_to_be_dropped(&scene, "away");
    assert_eq!(scene.signer.check("traces"), "failing");
    assert!(
        scene.signer.comes_ready(),
        "it is told, and keeps nobody from signing"
    );
    scene.sign(11..=20);
    let said = scene.log().matches("the collector does not take them").count();
    assert_eq!(said, 1, "{}", scene.log());

    let collector = Collector::at(port, None);
    let mut height = 20;
    let back = poll(PATIENCE, || {
        height += 1;
        scene.sign(height..=height);
        (collector.asked() > 0).then_some(())
    });
    assert!(back.is_some(), "{}", scene.signer.log_tail());
    let told = poll(PATIENCE, || {
        scene
            .log()
            .contains("the collector takes them again")
            .then_some(())
    });
    assert!(told.is_some(), "{}", scene.log());
    assert_eq!(scene.signer.check("traces"), "ok");
    assert!(scene.signer.metrics().sum(EXPORTED, &[]).unwrap() > 0.0);
    scene.signer.terminate();
    assert_no_double_sign(&scene.signer);
}

#[test]
fn a_collector_that_never_answers_costs_no_vote_and_no_end() {
    // Its backlog takes connections, and nobody reads them.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = silent.local_addr().unwrap().port();
    for protocol in ["grpc", "http/protobuf"] {
        let mut scene = Scene::new();
        let more = [("protocol", protocol.into()), ("timeout_ms", 200.into())];
        send_to(&scene.signer, &format!("http://127.0.0.1:{port}"), &more);
        scene.start();
        scene.sign(1..=10);
        comes_to_be_dropped(&scene, "away");
        scene.sign(11..=20);
        // Within its time, though spans are left.
        scene.signer.terminate();
        assert_no_double_sign(&scene.signer);
    }
}

#[test]
fn a_collector_that_does_not_want_them_is_not_asked_again() {
    let collector = Collector::at(0, Some(Status::permission_denied("\u{1b}[2J who are you")));
    let mut scene = Scene::new();
    send_to(&scene.signer, &collector.endpoint(), &[]);
    scene.start();
    scene.sign(1..=1);
    // A root and its stages.
    assert!(comes_to_be_dropped(&scene, "refused") >= 7.0);
    assert_eq!(collector.asked(), 1);
    assert!(!scene.log().contains('\u{1b}'), "{}", scene.log());
    scene.sign(2..=5);
    scene.signer.terminate();
    assert_no_double_sign(&scene.signer);
}

#[test]
fn a_start_with_files_that_are_not_as_they_must_be_is_refused() {
    let mut scene = Scene::new();
    let headers = scene.signer.home().join("otlp.headers");
    send_to(
        &scene.signer,
        "https://localhost:1",
        &[("headers_file", "otlp.headers".into())],
    );
    let mut refused = |with: &str| {
        let log = scene.try_start().unwrap_err().log;
        assert!(log.contains(with), "{with} in\n{log}");
        assert!(!log.contains("collectors-secret"), "{log}");
    };
    refused("otlp_headers_unreadable: ");
    secret(&headers, "authorization: collectors-secret", 0o644);
    refused("otlp_headers_permissions: ");
    secret(&headers, "collectors-secret", 0o600);
    refused("otlp_headers_invalid: ");
    secret(&headers, "authorization: collectors-secret", 0o600);
    let ca = scene.signer.home().join("no.pem");
    std::fs::write(ca, "nothing").unwrap();
    send_to(
        &scene.signer,
        "https://localhost:1",
        &[("ca_file", "no.pem".into())],
    );
    let log = scene.try_start().unwrap_err().log;
    assert!(log.contains("tls_file_invalid: "), "{log}");
    send_to(&scene.signer, "http://collector.example.org:4317", &[]);
    let log = scene.try_start().unwrap_err().log;
    assert!(
        log.contains("config_invalid: ") && log.contains("leaves this machine without TLS"),
        "{log}"
    );
}
