//! Reads the queries out of what is shipped in `dist/`, and the metric names out of queries and out of `/metrics`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use serde_json::Value;

/// A query of the dashboard or of an alert, and where it stands.
#[derive(Clone, Debug)]
pub(super) struct Query {
    pub(super) place: String,
    pub(super) text: String,
}

pub(super) fn dist(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("dist").join(name)
}

pub(super) fn dashboard() -> Value {
    serde_json::from_str(&std::fs::read_to_string(dist("grafana/sigward.json")).unwrap()).unwrap()
}

/// Every query of the dashboard, with its variables filled in as Grafana does for "All".
pub(super) fn of_dashboard() -> Vec<Query> {
    let board = dashboard();
    let mut queries = Vec::new();
    for panel in board["panels"].as_array().unwrap() {
        for target in panel["targets"].as_array().into_iter().flatten() {
            let text = target["expr"].as_str().unwrap();
            let text = text
                .replace("$__rate_interval", "10s")
                .replace("$instance", ".*")
                .replace("$chain", ".*");
            assert!(!text.contains('$'), "an unknown variable: {text}");
            queries.push(Query {
                place: panel["title"].as_str().unwrap().to_owned(),
                text,
            });
        }
    }
    assert!(queries.len() > 30, "{}", queries.len());
    queries
}

/// Every alert's query. The file is YAML of a plain kind: `expr: …` on its line, or `expr: >-` and deeper lines.
pub(super) fn of_alerts() -> Vec<Query> {
    let text = std::fs::read_to_string(dist("prometheus/alerts.yml")).unwrap();
    let mut queries: Vec<Query> = Vec::new();
    let mut lines = text.lines().peekable();
    let mut name = String::new();
    while let Some(line) = lines.next() {
        if let Some(alert) = line.trim().strip_prefix("- alert: ") {
            alert.clone_into(&mut name);
        } else if let Some(expr) = line.trim().strip_prefix("expr: ") {
            let mut text = expr.to_owned();
            if expr == ">-" {
                text.clear();
                while let Some(more) = lines.next_if(|next| next.starts_with("          ")) {
                    text = format!("{text} {}", more.trim());
                }
            }
            queries.push(Query {
                place: name.clone(),
                text: text.trim().to_owned(),
            });
        }
    }
    assert_eq!(queries.len(), text.matches("- alert: ").count());
    queries
}

/// The selectors of a query: each metric of ours with its labels, if it has some.
pub(super) fn selectors(query: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for (at, _) in query.match_indices("sigward_") {
        let rest = &query[at..];
        let end = rest
            .find(|c: char| !c.is_ascii_alphanumeric() && c != '_')
            .unwrap_or(rest.len());
        let labels = rest[end..]
            .strip_prefix('{')
            .map_or(0, |labels| labels.find('}').unwrap() + 2);
        found.insert(rest[..end + labels].to_owned());
    }
    found
}

/// A metric as `/metrics` tells of it: its type, and the names of the labels that its samples carry.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub(super) struct Exported {
    pub(super) kind: String,
    pub(super) help: String,
    pub(super) labels: BTreeSet<String>,
}

/// What is exported, by the name that one asks for it with (OpenMetrics: a counter's samples end with `_total`, an info's with
/// `_info`; a histogram's with `_bucket`, `_sum` and `_count`).
pub(super) fn exported(text: &str) -> BTreeMap<String, Exported> {
    let mut all: BTreeMap<String, Exported> = BTreeMap::new();
    let mut helps = BTreeMap::new();
    for line in text.lines() {
        if let Some((name, help)) = line.strip_prefix("# HELP ").and_then(|rest| rest.split_once(' ')) {
            helps.insert(name, help);
        } else if let Some((name, kind)) = line.strip_prefix("# TYPE ").and_then(|rest| rest.split_once(' '))
        {
            let suffix = match kind {
                "counter" => "_total",
                "info" => "_info",
                _ => "",
            };
            let exported = Exported {
                kind: kind.to_owned(),
                help: (*helps.get(name).unwrap_or(&"")).to_owned(),
                labels: BTreeSet::new(),
            };
            all.insert(format!("{name}{suffix}"), exported);
        } else if let Some((series, rest)) = line.split_once('{').filter(|_| !line.starts_with('#')) {
            let labels = rest.split_once('}').unwrap().0;
            let names = labels
                .split("\",")
                .filter_map(|label| Some(label.split_once("=\"")?.0.to_owned()));
            if let Some(metric) = all.get_mut(base(series)) {
                metric.labels.extend(names.filter(|name| name != "le"));
            }
        }
    }
    all
}

/// The name without a histogram's suffix.
pub(super) fn base(series: &str) -> &str {
    for suffix in ["_bucket", "_sum", "_count"] {
        if let Some(base) = series.strip_suffix(suffix) {
            return base;
        }
    }
    series
}

#[test]
fn selectors_are_found_with_and_without_labels() {
    let found = selectors(
        r#"rate(sigward_a_total{x="1",y=~"a|b"}[5m]) / on (z) sigward_b unless sigward_c offset 1m"#,
    );
    let expected = [r#"sigward_a_total{x="1",y=~"a|b"}"#, "sigward_b", "sigward_c"];
    assert_eq!(found, expected.map(str::to_owned).into());
}
