//! Reads what `/metrics` says (OpenMetrics text, one `name{labels} value` a line).

use super::http;

/// 1 while a node is connected, 0 otherwise; labels `chain` and `node`.
pub(crate) const NODE_CONNECTED: &str = "sigward_node_connected";
/// Requests that a rule said no to; labels `chain`, `node`, `reason`.
pub(crate) const REFUSALS: &str = "sigward_refusals_total";

/// One sample.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Sample {
    pub(crate) name: String,
    pub(crate) labels: Vec<(String, String)>,
    pub(crate) value: f64,
}

/// All samples of one moment.
pub(crate) struct Metrics(Vec<Sample>);

impl Metrics {
    /// Asks a running sigward.
    pub(crate) fn read(port: u16) -> Option<Self> {
        let response = http::get(port, "/metrics")
            .ok()
            .filter(|response| response.status == 200)?;
        Some(Self::parse(&response.body))
    }

    fn parse(text: &str) -> Self {
        let lines = text
            .lines()
            .filter(|line| !line.is_empty() && !line.starts_with('#'));
        Self(
            lines
                .map(|line| sample(line).unwrap_or_else(|| panic!("not a sample: {line}")))
                .collect(),
        )
    }

    /// The sum over all samples of `name` that carry all of `labels`; `None` when there is none.
    pub(crate) fn sum(&self, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
        let carries = |sample: &&Sample| {
            labels
                .iter()
                .all(|(key, value)| sample.labels.iter().any(|(k, v)| k == key && v == value))
        };
        let found: Vec<f64> = self
            .0
            .iter()
            .filter(|sample| sample.name == name)
            .filter(carries)
            .map(|s| s.value)
            .collect();
        (!found.is_empty()).then(|| found.iter().sum())
    }
}

fn sample(line: &str) -> Option<Sample> {
    // Labels of ours never hold braces or escaped quotes: chain ids and node names are plain words.
    let (series, value) = match line.split_once('}') {
        Some((series, rest)) => (series, rest.split_whitespace().next()?),
        None => {
            let mut words = line.split_whitespace();
            (words.next()?, words.next()?)
        }
    };
    let (name, labels) = series.split_once('{').unwrap_or((series, ""));
    let labels = labels
        .split("\",")
        .filter(|label| !label.is_empty())
        .map(|label| {
            let (key, value) = label.split_once("=\"")?;
            Some((key.trim().to_owned(), value.trim_end_matches('"').to_owned()))
        });
    Some(Sample {
        name: name.to_owned(),
        labels: labels.collect::<Option<_>>()?,
        value: value.parse().ok()?,
    })
}

#[test]
fn samples_are_read_with_and_without_labels() {
    let metrics = Metrics::parse(
        "# HELP a b\na_total{chain=\"c\",node=\"x\"} 2\na_total{chain=\"c\",node=\"y\"} 3 17\nb 0.5\n",
    );
    assert_eq!(metrics.sum("a_total", &[("chain", "c")]), Some(5.0));
    assert_eq!(metrics.sum("a_total", &[("node", "y")]), Some(3.0));
    assert_eq!(metrics.sum("b", &[]), Some(0.5));
    assert_eq!(metrics.sum("a_total", &[("node", "z")]), None);
}
