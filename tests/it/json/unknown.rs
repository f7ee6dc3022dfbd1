//! Calls of what is not there: told what there is, and on record like every other denial, in bounded numbers.

use std::time::{Duration, Instant};

use serde_json::Value;

use super::stage::{Door, Stage};
use crate::support::poll;

/// Calls of somebody who tries names.
const MANY: u64 = 600;
const NOWHERE: &str = "/sigward.v9.KeyService/Exfiltrate";

impl Stage {
    /// Denials of `subject` that are recorded as this operation: how many records, and how many calls they stand for.
    fn denied(&self, subject: &str, operation: &str) -> (usize, u64) {
        let records = self.signer.run(&[
            "audit",
            "query",
            "--decision",
            "denied",
            "--subject",
            subject,
            "--operation",
            operation,
            "--limit",
            "10000",
            "--json",
        ]);
        let counts: Vec<_> = records
            .lines()
            .map(|line| {
                serde_json::from_str::<Value>(line).unwrap()["count"]
                    .as_u64()
                    .unwrap()
            })
            .collect();
        (counts.len(), counts.iter().sum())
    }

    fn until_denied(&self, subject: &str, operation: &str, calls: u64) -> usize {
        let all = || {
            let (records, counted) = self.denied(subject, operation);
            (counted >= calls).then_some((records, counted))
        };
        let (records, counted) = poll(Duration::from_secs(30), all).unwrap_or_else(|| {
            panic!(
                "{:?}\n{}",
                self.denied(subject, operation),
                self.signer.log_tail()
            )
        });
        assert_eq!(counted, calls, "{subject} {operation}");
        records
    }
}

#[test]
fn a_call_of_nothing_is_on_record_over_json_as_it_is_over_grpc() {
    let stage = Stage::serving();
    let admin = "cert:dns:admin";
    // Who asks what there is calls nothing.
    assert_eq!(stage.send(Door::Certificate, "/", &[]).status, 404);
    assert_eq!(stage.denied(admin, "rpc.other"), (0, 0));

    let grpc = stage.curl(
        Door::Certificate,
        &[
            "--http2",
            "-D",
            "-",
            "-X",
            "POST",
            "-H",
            "content-type: application/grpc",
            "-H",
            "te: trailers",
            &stage.url(Door::Certificate, NOWHERE),
        ],
    );
    let told = String::from_utf8_lossy(&grpc.stdout).into_owned();
    assert!(
        told.contains("grpc-status: 7") && told.contains("not_permitted"),
        "{told}"
    );
    stage.until_denied(admin, "rpc.other", 1);

    let json = stage.call(Door::Certificate, NOWHERE, "{}", &[]);
    assert_eq!((json.status, json.reason()), (404, "not_found"), "{json:?}");
    assert!(json.message().contains("sigward.v1.KeyService"), "{json:?}");
    stage.until_denied(admin, "rpc.other", 2);
    // Under the name of the service, where there is one; and whatever the verb is.
    let json = stage.call(Door::Certificate, "/sigward.v1.KeyService/Lst", "{}", &[]);
    assert!(json.message().contains("List"), "{json:?}");
    stage.until_denied(admin, "rpc.key", 1);
    assert_eq!(stage.send(Door::Certificate, "/favicon.ico", &[]).status, 404);
    stage.until_denied(admin, "rpc.other", 3);
    // By a token, at the other doors.
    for (door, calls) in [(Door::Token, 1), (Door::Plain, 2)] {
        assert_eq!(stage.call(door, NOWHERE, "{}", &[]).status, 404);
        stage.until_denied("jwt:ci/deploy", "rpc.other", calls);
    }
    stage.assert_unharmed();
}

#[test]
fn whoever_tries_many_names_is_counted_and_fills_no_disk() {
    let stage = Stage::serving();
    let begun = Instant::now();
    let urls: Vec<_> = (0..MANY)
        .flat_map(|n| {
            let url = stage.url(Door::Certificate, &format!("/no.such.Service/M{n}"));
            ["-o".to_owned(), "/dev/null".to_owned(), url]
        })
        .collect();
    let mut arguments = vec!["--http2", "-Z", "--no-progress-meter"];
    arguments.extend(urls.iter().map(String::as_str));
    let output = stage.curl(Door::Certificate, &arguments);
    assert!(output.status.success(), "{output:?}");
    // Ten of a kind in a second, and one for the others: however long this machine took for it.
    let seconds = usize::try_from(begun.elapsed().as_secs()).unwrap() + 2;
    let records = stage.until_denied("cert:dns:admin", "rpc.other", MANY);
    assert!(records <= 11 * seconds, "{records} records in {seconds} s");
    stage.assert_unharmed();
}
