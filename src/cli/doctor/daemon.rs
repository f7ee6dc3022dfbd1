//! The running daemon, asked gently: who it is (the peer of its admin socket), how ready it says it is and which version it is (on
//! that socket or, where it does not answer there, by `/readyz?verbose` and `/metrics`). Nothing here makes it do more than read its own gauges.

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use serde_json::Value;
use sigward_proto::v1::CheckStatus;

use super::super::client::at_once;
use super::super::status;
use super::finding::{Check, Finding, Status};
use crate::config::Config;

const LIMIT: Duration = Duration::from_secs(3);
/// Metrics of hundreds of chains stay below it.
const MAX_ANSWER: u64 = 8 << 20;

/// One check of `/readyz?verbose`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Word {
    pub(super) required: bool,
    /// Why it fails; `None` when it is good.
    pub(super) failing: Option<String>,
    pub(super) advice: String,
}

/// What was gathered of a daemon that listens.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Facts {
    pub(super) pid: Option<u32>,
    /// What it says of itself, by name of the check; an error when it could not be asked.
    pub(super) words: Result<BTreeMap<String, Word>, String>,
    pub(super) version: Option<String>,
    /// The systemd unit that it runs in.
    pub(super) unit: Option<String>,
}

/// `None` when nobody listens on the admin socket.
pub(super) fn gather(home: &Path, config: &Config) -> Option<Facts> {
    let socket = UnixStream::connect(&config.admin_socket).ok()?;
    let pid = rustix::net::sockopt::socket_peercred(&socket)
        .ok()
        .and_then(|peer| u32::try_from(peer.pid.as_raw_nonzero().get()).ok());
    drop(socket);
    let ask = |path: &str| match config.http {
        None => Err("http.listen is \"\": health is not served".to_owned()),
        Some(at) if at.port() == 0 => {
            Err("http.listen has port 0: the port is in the daemon's log only".to_owned())
        }
        Some(at) => get(at, path).map_err(|error| format!("http://{at}{path}: {error}")),
    };
    // The admin socket first: by HTTP another process may answer, where the address in the file is not yet the daemon's.
    let status = at_once(home, status::get).ok();
    let told = status.as_ref().and_then(|status| status.instance.as_ref());
    Some(Facts {
        pid,
        words: match &status {
            Some(status) => Ok(status.checks.iter().map(word).collect()),
            None => ask("/readyz?verbose").and_then(|body| words(&body)),
        },
        version: match told {
            Some(instance) => Some(instance.version.clone()),
            None => ask("/metrics").ok().and_then(|body| version(&body)),
        },
        unit: pid
            .and_then(|pid| std::fs::read_to_string(format!("/proc/{pid}/cgroup")).ok())
            .and_then(|text| unit(&text)),
    })
}

fn word(check: &CheckStatus) -> (String, Word) {
    let word = Word {
        required: check.required,
        failing: (!check.failing.is_empty()).then(|| check.failing.clone()),
        advice: check.remedy.clone(),
    };
    (check.name.clone(), word)
}

/// The body, whatever the status: 503 carries the checks too.
fn get(at: SocketAddr, path: &str) -> std::io::Result<String> {
    let mut stream = TcpStream::connect_timeout(&at, LIMIT)?;
    stream.set_read_timeout(Some(LIMIT))?;
    stream.set_write_timeout(Some(LIMIT))?;
    // HTTP/1.0: the answer ends with the connection and is never chunked (RFC 9112, section 7.1).
    write!(stream, "GET {path} HTTP/1.0\r\nHost: {at}\r\n\r\n")?;
    let mut answer = String::new();
    stream.take(MAX_ANSWER).read_to_string(&mut answer)?;
    answer
        .split_once("\r\n\r\n")
        .map(|(_, body)| body.to_owned())
        .ok_or_else(|| std::io::Error::other("no HTTP answer"))
}

fn words(body: &str) -> Result<BTreeMap<String, Word>, String> {
    let odd = || "the answer of /readyz is not sigward's: something else listens there".to_owned();
    let report: Value = serde_json::from_str(body).map_err(|_| odd())?;
    let checks = report.get("checks").and_then(Value::as_array).ok_or_else(odd)?;
    checks
        .iter()
        .map(|check| {
            let text = |field: &str| {
                check
                    .get(field)
                    .and_then(Value::as_str)
                    .unwrap_or_default()
                    .to_owned()
            };
            let word = Word {
                required: check.get("required").and_then(Value::as_bool).unwrap_or(false),
                failing: (text("status") != "ok").then(|| text("reason")),
                advice: text("what_to_do"),
            };
            Some((text("name"), word))
                .filter(|(name, _)| !name.is_empty())
                .ok_or_else(odd)
        })
        .collect()
}

fn version(metrics: &str) -> Option<String> {
    let line = metrics
        .lines()
        .find(|line| line.starts_with("sigward_build_info{"))?;
    Some(line.split_once("version=\"")?.1.split('"').next()?.to_owned())
}

/// The last `.service` of a cgroup path (cgroups(7)).
fn unit(cgroup: &str) -> Option<String> {
    cgroup
        .lines()
        .flat_map(|line| line.split('/'))
        .rfind(|part| part.ends_with(".service"))
        .map(str::to_owned)
}

impl Facts {
    /// What the daemon says of the link to a node.
    pub(super) fn link(&self, chain: &str, node: &str) -> Option<&Word> {
        self.words.as_ref().ok()?.get(&format!("node/{chain}/{node}"))
    }

    fn knows(&self, name: &str) -> bool {
        self.words.as_ref().is_ok_and(|words| words.contains_key(name))
    }
}

/// Judges; links are judged in `node`.
pub(super) fn judge(facts: Option<&Facts>, config: &Config, own_version: &str) -> Vec<Finding> {
    let Some(facts) = facts else {
        return vec![
            Finding::note(
                Check::DaemonRunning,
                "nobody listens on the admin socket: nothing is signed",
            )
            .remedy("sigward serve"),
        ];
    };
    let pid = facts
        .pid
        .map_or_else(String::new, |pid| format!(", process {pid}"));
    let mut found = vec![Finding::ok(Check::DaemonRunning, format!("a daemon runs{pid}"))];
    if let Some(unit) = &facts.unit {
        found.push(Finding::ok(Check::DaemonService, format!("it is {unit}")));
    }
    match &facts.version {
        Some(version) if version == own_version => found.push(Finding::ok(Check::DaemonVersion, format!("{version}, as this program"))),
        Some(version) => found.push(Finding::warning(
            Check::DaemonVersion,
            format!("the daemon is {version}, and this program {own_version}"),
            "restart the daemon, so that it is the version that is installed; or use the program that it runs",
        )),
        None => {}
    }
    match &facts.words {
        Err(why) => found.push(
            Finding::note(Check::DaemonReady, format!("cannot be asked how it is: {why}"))
                .remedy("http.listen = \"127.0.0.1:26650\" lets its checks be read, on loopback only"),
        ),
        Ok(words) => {
            let of_links = |name: &str| name.starts_with("node/") || name.starts_with("nodes/");
            let failing: Vec<_> = words
                .iter()
                .filter(|(name, word)| !of_links(name) && word.failing.is_some())
                .collect();
            for (name, word) in &failing {
                let reason = word.failing.clone().unwrap_or_default();
                let finding = match word.required {
                    true => Finding::failure(Check::DaemonReady, reason, word.advice.clone()),
                    false => Finding::warning(Check::DaemonReady, reason, word.advice.clone()),
                };
                found.push(finding.about((*name).clone()));
            }
            if words
                .values()
                .all(|word| !word.required || word.failing.is_none())
            {
                found.push(Finding::ok(Check::DaemonReady, "it says that it is ready"));
            }
            found.extend(in_force(facts, config));
        }
    }
    found
}

/// A file that was edited after the start is not what runs.
fn in_force(facts: &Facts, config: &Config) -> Vec<Finding> {
    let mut unknown = Vec::new();
    for chain in &config.chains {
        if !facts.knows(&format!("chain/{}", chain.id)) {
            unknown.push(format!("chain {}", chain.id));
            continue;
        }
        // A chain that is not served has no links.
        let served = facts.words.as_ref().is_ok_and(|words| {
            words
                .get(&format!("chain/{}", chain.id))
                .is_some_and(|word| word.failing.is_none())
        });
        for node in chain
            .nodes
            .iter()
            .filter(|node| served && facts.link(chain.id.as_str(), node.name.as_str()).is_none())
        {
            unknown.push(format!("node {} of {}", node.name, chain.id));
        }
    }
    let mut found: Vec<Finding> = unknown
        .into_iter()
        .map(|what| {
            let fact = format!("{what} is in the configuration, and the daemon does not know of it: the file was edited since it started");
            Finding::warning(Check::ConfigInForce, fact, "sigward config check, then sigward reload")
        })
        .collect();
    if found.is_empty() {
        found.push(Finding::ok(
            Check::ConfigInForce,
            "the daemon serves the chains and nodes of the file",
        ));
    }
    debug_assert!(found.iter().all(|finding| finding.status != Status::Failure));
    found
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::finding::Status::{Failure, Note, Ok as Good, Warning};
    use super::*;

    const READY: &str = r#"{"ready":true,"checks":[{"name":"store","required":true,"status":"ok"},
        {"name":"chain/c-1","required":false,"status":"ok"},
        {"name":"node/c-1/a","required":false,"status":"failing","reason":"refused","what_to_do":"see the node"}]}"#;

    fn config(nodes: &[&str]) -> Config {
        let nodes: String = nodes
            .iter()
            .map(|node| format!("[[chain.node]]\nname = \"{node}\"\naddress = \"unix:///{node}\"\n"))
            .collect();
        crate::config::parse(
            &format!("[[chain]]\nid = \"c-1\"\nkey = \"k\"\n{nodes}"),
            std::path::Path::new("/h"),
        )
        .unwrap()
    }

    #[test]
    fn each_fact_has_its_verdict() {
        let good = Facts {
            pid: Some(5),
            words: words(READY),
            version: Some("1.0".into()),
            unit: None,
        };
        let failing = words(&READY.replace(
            r#""name":"store","required":true,"status":"ok""#,
            r#""name":"store","required":true,"status":"failing""#,
        ));
        for (facts, config, check, verdict) in [
            (None, config(&["a"]), Check::DaemonRunning, Some(Note)),
            (
                Some(good.clone()),
                config(&["a"]),
                Check::DaemonRunning,
                Some(Good),
            ),
            (Some(good.clone()), config(&["a"]), Check::DaemonReady, Some(Good)),
            (
                Some(good.clone()),
                config(&["a"]),
                Check::ConfigInForce,
                Some(Good),
            ),
            (
                Some(good.clone()),
                config(&["a", "b"]),
                Check::ConfigInForce,
                Some(Warning),
            ),
            (
                Some(good.clone()),
                config(&["a"]),
                Check::DaemonVersion,
                Some(Good),
            ),
            (
                Some(Facts {
                    version: Some("2".into()),
                    ..good.clone()
                }),
                config(&["a"]),
                Check::DaemonVersion,
                Some(Warning),
            ),
            (
                Some(Facts {
                    version: None,
                    ..good.clone()
                }),
                config(&["a"]),
                Check::DaemonVersion,
                None,
            ),
            (
                Some(Facts {
                    words: Err("off".into()),
                    ..good.clone()
                }),
                config(&["a"]),
                Check::DaemonReady,
                Some(Note),
            ),
            (
                Some(Facts {
                    words: failing,
                    ..good.clone()
                }),
                config(&["a"]),
                Check::DaemonReady,
                Some(Failure),
            ),
        ] {
            let found = judge(facts.as_ref(), &config, "1.0");
            let status = found.iter().find(|f| f.check == check).map(|f| f.status);
            assert_eq!(status, verdict, "{check}: {facts:?}");
        }
        assert_eq!(good.link("c-1", "a").unwrap().failing.as_deref(), Some("refused"));
    }

    #[test]
    fn strange_answers_are_named() {
        for body in ["", "[]", "{}", "{\"checks\":[{}]}", "<html>"] {
            assert!(words(body).is_err(), "{body}");
        }
        assert_eq!(
            version("# x\nsigward_build_info{version=\"1.2\",commit=\"a\"} 1\n").as_deref(),
            Some("1.2")
        );
        assert_eq!(
            unit("0::/system.slice/sigward.service\n").as_deref(),
            Some("sigward.service")
        );
        assert_eq!(unit("0::/user.slice"), None);
    }
}
