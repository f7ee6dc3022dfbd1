//! A real Prometheus scrapes a real sigward, and every query that is shipped is asked of it.

use std::collections::BTreeMap;
use std::process::Command;
use std::time::Duration;

use serde_json::Value;

use super::queries::{of_alerts, of_dashboard, selectors};
use super::stage::Stage;
use crate::support::http;
use crate::support::poll;
use crate::support::ports::free_port;
use crate::support::process::{Process, tail};

/// Selectors that find nothing here, and why.
pub(super) const EMPTY: &[(&str, &str)] = &[
    (
        r#"sigward_sign_requests_total{result="failed"}"#,
        "nothing fails in this scene; a series is born with its first failure",
    ),
    (
        "sigward_cert_expiry_timestamp_seconds",
        "this scene has no [listen]; tests/it/tls looks at what one exports",
    ),
];

/// Queries need two samples a second apart, and rates some more.
const PATIENCE: Duration = Duration::from_secs(60);

struct Prometheus {
    _process: Process,
    port: u16,
}

impl Prometheus {
    fn start(stage: &Stage) -> Self {
        let port = free_port();
        let config = stage.home.path("prometheus.yml");
        let text = format!(
            "global: {{ scrape_interval: 1s }}\nscrape_configs:\n  - job_name: sigward\n    static_configs: [{{ targets: ['127.0.0.1:{}'] }}]\n",
            stage.signer.http_port()
        );
        std::fs::write(&config, text).unwrap();
        let mut command = Command::new("prometheus");
        command
            .arg(format!("--config.file={}", config.display()))
            .arg(format!(
                "--storage.tsdb.path={}",
                stage.home.path("tsdb").display()
            ))
            .arg(format!("--web.listen-address=127.0.0.1:{port}"));
        let log = stage.home.path("prometheus.log");
        let prometheus = Self {
            _process: Process::start(command, &log),
            port,
        };
        let ready = poll(PATIENCE, || {
            http::get(port, "/-/ready")
                .ok()
                .filter(|response| response.status == 200)
        });
        assert!(ready.is_some(), "prometheus is not ready\n{}", tail(&log));
        prometheus
    }

    /// The series that a query finds now; an error is why it is none.
    fn ask(&self, query: &str) -> Result<usize, String> {
        let escaped: String = query.bytes().map(|byte| format!("%{byte:02X}")).collect();
        let response = http::get(self.port, &format!("/api/v1/query?query={escaped}"))
            .map_err(|error| error.to_string())?;
        let answer: Value = serde_json::from_str(&response.body).map_err(|error| error.to_string())?;
        if answer["status"] != "success" {
            return Err(answer["error"].to_string());
        }
        // Not a number is no answer: a panel would show nothing.
        let result = answer["data"]["result"].as_array().ok_or("no result")?;
        Ok(result.iter().filter(|series| series["value"][1] != "NaN").count())
    }
}

#[test]
fn every_query_that_is_shipped_parses_and_finds_something() {
    let mut stage = Stage::new();
    let prometheus = Prometheus::start(&stage);
    stage.ten_heights();
    // Dashboard queries must find something as they stand. An alert that finds something fires; so its parts must.
    let mut wanted: BTreeMap<String, String> = of_dashboard()
        .into_iter()
        .map(|query| (query.text, query.place))
        .collect();
    for alert in of_alerts() {
        if let Err(error) = prometheus.ask(&alert.text) {
            panic!("{}: {error}", alert.place);
        }
        for selector in selectors(&alert.text) {
            wanted.insert(selector, alert.place.clone());
        }
    }
    wanted.retain(|query, _| !EMPTY.iter().any(|(empty, _)| empty == query));
    let asked = wanted.len();
    let mut height = 10;
    let all = poll(PATIENCE, || {
        // Rates of what stands still are nothing: the chain goes on while Prometheus looks.
        height += 1;
        stage.height(height);
        wanted.retain(|query, place| match prometheus.ask(query) {
            Ok(found) => found == 0,
            Err(error) => panic!("{place}: {query}: {error}"),
        });
        wanted.is_empty().then_some(())
    });
    assert!(all.is_some(), "nothing is found by {wanted:#?}");
    println!("{asked} queries found something");
    // What is excused finds nothing indeed: a list that grows stale hides what it was not written for.
    for (query, reason) in EMPTY {
        assert_eq!(
            prometheus.ask(query),
            Ok(0),
            "{query} finds something; it was excused: {reason}"
        );
    }
    // The alerts that this scene should raise, and the one for the node that is not there, are found as they stand.
    for alert in [
        "SigwardNodeDisconnected",
        "SigwardDoubleSignConflict",
        "SigwardHeightJump",
    ] {
        let query = of_alerts()
            .into_iter()
            .find(|query| query.place == alert)
            .unwrap();
        assert_ne!(prometheus.ask(&query.text), Ok(0), "{alert}");
    }
    for alert in [
        "SigwardDown",
        "SigwardNotReady",
        "SigwardStoreUnhealthy",
        "SigwardChainDisconnected",
        "SigwardFrozen",
    ] {
        let query = of_alerts()
            .into_iter()
            .find(|query| query.place == alert)
            .unwrap();
        assert_eq!(prometheus.ask(&query.text), Ok(0), "{alert}");
    }
}
