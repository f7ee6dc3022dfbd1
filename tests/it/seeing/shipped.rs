//! What `dist/` holds is well made: promtool accepts and tests the alerts, every name in it is exported, every alert leads to a page.

use std::process::Command;

use super::prometheus::EMPTY;
use super::queries::{base, dashboard, dist, exported, of_alerts, of_dashboard, selectors};
use super::stage::Stage;
use crate::support::http;

#[test]
fn promtool_accepts_the_alerts_and_sees_each_of_them_fire() {
    for arguments in [
        ["check", "rules", "alerts.yml"],
        ["test", "rules", "alerts_test.yml"],
    ] {
        let output = Command::new("promtool")
            .args(arguments)
            .current_dir(dist("prometheus"))
            .output()
            .expect("promtool is there: scripts/setup.sh monitoring");
        let said = [output.stdout, output.stderr].concat();
        assert!(
            output.status.success(),
            "{arguments:?}\n{}",
            String::from_utf8_lossy(&said)
        );
    }
    let tests = std::fs::read_to_string(dist("prometheus/alerts_test.yml")).unwrap();
    for alert in of_alerts() {
        assert!(
            tests.contains(&format!("- name: {} fires", alert.place)),
            "no test of {}",
            alert.place
        );
    }
}

#[test]
fn every_name_in_dashboard_and_alerts_is_exported() {
    let mut stage = Stage::new();
    stage.ten_heights();
    let text = http::get(stage.signer.http_port(), "/metrics").unwrap().body;
    let exported = exported(&text);
    let tests = std::fs::read_to_string(dist("prometheus/alerts_test.yml")).unwrap();
    let mut named = selectors(&tests);
    for query in of_dashboard().into_iter().chain(of_alerts()) {
        named.extend(selectors(&query.text));
    }
    let variables = dashboard()["templating"].to_string();
    named.extend(selectors(&variables.replace("\\\"", "\"")));
    for selector in named {
        let name = selector.split('{').next().unwrap();
        let excused = EMPTY.iter().any(|(empty, _reason)| *empty == name);
        assert!(
            excused || exported.contains_key(base(name)),
            "{name} is not exported"
        );
    }
}

#[test]
fn every_alert_leads_to_a_heading_of_the_monitoring_page() {
    let alerts = std::fs::read_to_string(dist("prometheus/alerts.yml")).unwrap();
    let page = std::fs::read_to_string(dist("../docs/monitoring.md")).unwrap();
    for alert in of_alerts() {
        let link = format!("runbook: \"docs/monitoring.md#{}\"", alert.place.to_lowercase());
        assert!(alerts.contains(&link), "{}: no {link}", alert.place);
        assert!(
            page.contains(&format!("\n### {}\n", alert.place)),
            "docs/monitoring.md has no ### {}",
            alert.place
        );
    }
}

#[test]
fn the_dashboard_is_one_that_grafana_imports() {
    let board = dashboard();
    assert!(board["schemaVersion"].as_u64().unwrap() >= 39);
    assert_eq!(board["templating"]["list"][0]["type"], "datasource");
    let panels = board["panels"].as_array().unwrap();
    let mut ids: Vec<_> = panels.iter().map(|panel| panel["id"].as_u64().unwrap()).collect();
    let rows = panels.iter().filter(|panel| panel["type"] == "row").count();
    assert!(rows >= 6, "{rows} rows");
    for panel in panels.iter().filter(|panel| panel["type"] != "row") {
        assert_eq!(panel["datasource"]["uid"], "${datasource}", "{}", panel["title"]);
        let at = &panel["gridPos"];
        assert!(
            at["x"].as_u64().unwrap() + at["w"].as_u64().unwrap() <= 24,
            "{}",
            panel["title"]
        );
    }
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), panels.len());
}
