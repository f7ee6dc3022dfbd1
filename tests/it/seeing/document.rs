//! docs/monitoring.md tells of every metric, and of no other.

use std::collections::BTreeMap;

use super::queries::{dist, exported};
use super::stage::Stage;
use crate::support::http;

#[test]
fn the_page_lists_every_metric_with_its_type_and_labels_and_no_other() {
    let mut stage = Stage::new();
    stage.ten_heights();
    let text = http::get(stage.signer.http_port(), "/metrics").unwrap().body;
    let told: BTreeMap<String, String> = exported(&text)
        .into_iter()
        .map(|(name, metric)| {
            let labels: Vec<_> = metric
                .labels
                .into_iter()
                .map(|label| format!("`{label}`"))
                .collect();
            (
                name,
                format!("{} | {}", metric.kind, labels.join(", "))
                    .trim_end()
                    .to_owned(),
            )
        })
        .collect();
    let page = std::fs::read_to_string(dist("../docs/monitoring.md")).unwrap();
    // Without doors there is nothing of them that ends; `tls::clients` and `bearer::clients` read it where there is.
    let mut listed = listed(&page);
    for door in ["", "bearer_"] {
        let ends = format!("sigward_{door}cert_expiry_timestamp_seconds");
        assert!(listed.remove(&ends).is_some(), "{ends}");
    }
    let (of_tokens, of_all): (BTreeMap<_, _>, BTreeMap<_, _>) = listed
        .into_iter()
        .partition(|(name, _)| name.starts_with("sigward_provider_"));
    assert_eq!(
        told, of_all,
        "left: what /metrics prints; right: docs/monitoring.md"
    );
    // Without a token there is nothing to tell of one; `token::staying` reads these where there is.
    let names: Vec<_> = of_tokens.keys().map(String::as_str).collect();
    assert_eq!(names, crate::token::METRICS);
}

fn listed(page: &str) -> BTreeMap<String, String> {
    page.lines()
        .filter_map(|line| line.strip_prefix("| `sigward_"))
        .filter_map(|line| {
            let mut cells = line.split('|').map(str::trim);
            let name = cells.next()?.strip_suffix('`')?;
            let (kind, labels) = (cells.next()?, cells.next()?);
            Some((
                format!("sigward_{name}"),
                format!("{kind} | {labels}").trim_end().to_owned(),
            ))
        })
        .collect()
}
