//! `sigward doctor`: looks at the whole installation, and says for everything that is wrong what was measured and what to do.
//!
//! One file a topic: each has what was gathered (`Facts`), how, and a pure function from facts to findings that a table test
//! enumerates. `config check` shows the same findings of configuration, files and keys.
//!
//! *Invariants:* nothing is changed, but what opening the store without a daemon does as `keys list` would; a socket that the
//! daemon serves is never dialled; no message is sent to a node's signer socket, ever. What a node answers is bounded and printed
//! without control characters.

mod chain;
mod clock;
mod daemon;
mod disk;
mod door;
mod files;
mod finding;
mod keys;
mod listen;
mod memory;
mod node;
mod others;
mod screen;
mod tokens;

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use sigward_proto::v1::key_service_client::KeyServiceClient;
use sigward_proto::v1::state_service_client::StateServiceClient;
use sigward_proto::v1::{ListKeysRequest, ShowStateRequest};

use super::client::{explain, with_services};
use super::exit::CheckFailed;
use super::output::{Output, in_full};
use crate::app;
use crate::clock::{Clock as _, SystemClock};
use crate::config::{self, Config, RpcUrl};
use finding::{Check, Finding, Status};
use keys::{Asked, Services};

/// A daemon that stands still is asked no longer.
const PATIENCE: Duration = Duration::from_secs(5);
/// A node notices a broken connection at its next ping (3.3 s, CometBFT `privval/signer_listener_endpoint.go`): until then its
/// place looks taken twice.
const SETTLES: Duration = Duration::from_secs(5);

#[derive(Debug, clap::Args)]
#[command(after_help = HELP)]
pub(super) struct Args {
    /// Ask this node's RPC about a chain too; may be repeated
    #[arg(long, value_name = "CHAIN_ID=URL", value_parser = chain_and_url)]
    rpc: Vec<(String, RpcUrl)>,
    /// Dial nothing and ask no RPC: only what this machine itself shows
    #[arg(long)]
    offline: bool,
    /// Show only what is not ok
    #[arg(long, short)]
    quiet: bool,
}

const HELP: &str = "\
Examples:
  sigward doctor                                          everything that this machine shows
  sigward doctor --rpc my-chain-1=http://127.0.0.1:26657  and what the chain says of the key
  sigward doctor --quiet --json | jq '.[].check'          names of what is not ok, for scripts

It changes nothing and disturbs no signature: beside a running daemon no node's signer socket is dialled, and without one at
most dialled and closed, which the finding then says. docs/doctor.md has every check, its meaning and its remedy.

Exit codes: 0 no failure · 4 a failure was found";

fn chain_and_url(text: &str) -> Result<(String, RpcUrl), String> {
    let (chain, url) = text
        .split_once('=')
        .ok_or("write CHAIN_ID=URL, such as my-chain-1=http://127.0.0.1:26657")?;
    Ok((
        chain.to_owned(),
        RpcUrl::parse(url).map_err(|error| error.to_string())?,
    ))
}

pub(super) fn run(args: &Args, home: &Path, output: &Output) -> anyhow::Result<()> {
    let mut findings = match config::load(home) {
        Ok(config) => {
            if let Some((chain, _)) = args
                .rpc
                .iter()
                .find(|(chain, _)| config.chains.iter().all(|c| c.id.as_str() != chain))
            {
                anyhow::bail!("--rpc names {chain:?}, and the configuration has no such chain");
            }
            examine(args, home, &config, output)?
        }
        Err(error) => without_config(home, &error),
    };
    // Counted before anything is left out.
    let summary = screen::summary(&findings);
    if args.quiet {
        findings.retain(|finding| finding.status != Status::Ok);
    }
    let marks = screen::Marks::of_locale(|name| std::env::var(name).ok());
    output.result(&screen::json(&findings), screen::text(&findings, marks, &summary));
    verdict(&findings)
}

/// What `config check` shows of what is not ok.
pub(super) struct Checked {
    pub(super) lines: String,
    pub(super) json: serde_json::Value,
    /// Exit code 4 where there is a failure.
    pub(super) verdict: anyhow::Result<()>,
}

/// `config check`: configuration, files and keys, as `serve` would find them.
pub(super) fn check_config(home: &Path, config: &Config) -> Checked {
    let us = rustix::process::geteuid().as_raw();
    let daemon = daemon::gather(home, config);
    let files = files::gather(home, Some(config), us, daemon.is_some());
    let mut findings = risks(config);
    findings.extend(policy(config));
    findings.extend(files::judge(&files));
    let facts = keys_and_states(home, config, &files, &findings);
    findings.extend(keys::judge(&facts, config));
    if daemon.is_none() {
        // `serve` starts without its tokens, and finds them later.
        let warned = |finding: Finding| finding.at_most(Status::Warning);
        findings.extend(
            tokens::judge(&app::probe::glance_at(config))
                .into_iter()
                .map(warned),
        );
    }
    findings.retain(|finding| finding.status != Status::Ok);
    let marks = screen::Marks::of_locale(|name| std::env::var(name).ok());
    let mut lines = String::new();
    findings
        .iter()
        .for_each(|finding| screen::line(&mut lines, finding, marks));
    Checked {
        lines,
        json: screen::json(&findings),
        verdict: verdict(&findings),
    }
}

/// Exit code 4 where there is a failure.
fn verdict(findings: &[Finding]) -> anyhow::Result<()> {
    match findings
        .iter()
        .filter(|finding| finding.status == Status::Failure)
        .count()
    {
        0 => Ok(()),
        failures => Err(CheckFailed(format!("{} found", count(failures, "failure"))).into()),
    }
}

fn examine(args: &Args, home: &Path, config: &Config, output: &Output) -> anyhow::Result<Vec<Finding>> {
    // The chain before our own state: see `chain`.
    let answers = ask_chains(args, config)?;
    let us = rustix::process::geteuid().as_raw();
    let running = daemon::gather(home, config);
    let pid = running.as_ref().and_then(|daemon| daemon.pid);
    let files = files::gather(home, Some(config), us, running.is_some());

    let chains = format!(
        "{}, {}",
        count(config.chains.len(), "chain"),
        count(all_nodes(config), "node")
    );
    let mut findings = vec![
        Finding::ok(Check::ConfigValid, chains).about(home.join(config::FILE_NAME).display().to_string()),
    ];
    findings.extend(risks(config));
    findings.extend(policy(config));
    findings.extend(files::judge(&files));
    let now = SystemClock.unix_micros() / 1_000_000;
    let doors = listen::gather(config, running.is_some(), now);
    findings.extend(doors.iter().flat_map(listen::judge));
    findings.extend(memory::judge(&memory::gather(
        config.keys.allow_unlocked_memory,
        pid,
    )));
    findings.extend(disk::judge(&measure_disk(config, running.is_some(), output)));
    let processes = others::processes();
    findings.extend(daemon::judge(running.as_ref(), config, env!("CARGO_PKG_VERSION")));
    findings.extend(others::judge(&others::Facts {
        processes: processes.clone(),
        lock_holder: others::lock_holder(&config.store.dir),
        daemon: pid,
        me: std::process::id(),
    }));
    let facts = keys_and_states(home, config, &files, &findings);
    findings.extend(keys::judge(&facts, config));
    if running.is_none() {
        findings.extend(tokens::judge(&app::probe::glance_at(config)));
    }
    findings.extend(
        look_at_nodes(args, config, running.as_ref())
            .iter()
            .flat_map(node::judge),
    );

    let services = facts.services.services();
    let mut on_chain: Vec<chain::Facts> = answers
        .into_iter()
        .filter_map(|(question, answers)| {
            let configured = config
                .chains
                .iter()
                .find(|chain| chain.id.as_str() == question.chain)?;
            let ours = services.and_then(|services| {
                let key = services.key(configured.key.as_str())?;
                chain::ours(key, services.row(key, configured.id.as_str()), now)
            });
            Some(chain::Facts {
                question,
                answers,
                ours,
                limits: configured.limits,
            })
        })
        .collect();
    asked(chain::ask_again(&mut on_chain))?;
    findings.extend(clock::judge(&clock::gather(
        &processes,
        now,
        services.and_then(Services::last_signed),
        on_chain.iter().filter_map(|facts| facts.block(now)).collect(),
    )));
    findings.extend(on_chain.iter().flat_map(chain::judge));
    for chain in &config.chains {
        if on_chain
            .iter()
            .all(|facts| facts.question.chain != chain.id.as_str())
        {
            findings.push(chain::unasked(chain.id.as_str(), args.offline));
        }
    }
    Ok(findings)
}

/// What can be said of a home whose configuration cannot be read.
fn without_config(home: &Path, error: &config::ConfigError) -> Vec<Finding> {
    let us = rustix::process::geteuid().as_raw();
    let text = error.to_string();
    let (fact, remedy) = text.split_once('\n').unwrap_or((&text, "sigward config check"));
    let mut findings = vec![Finding::failure(Check::ConfigValid, fact.trim(), remedy.trim())];
    findings.extend(files::judge(&files::gather(home, None, us, false)));
    findings.extend(memory::judge(&memory::gather(false, None)));
    findings
}

fn risks(config: &Config) -> Vec<Finding> {
    config
        .warnings()
        .into_iter()
        .map(|warning| {
            Finding::warning(
                Check::ConfigRisk,
                warning,
                "docs/operating.md tells when it may stay so",
            )
        })
        .collect()
}

/// The document that says who may what, where the configuration names one.
fn policy(config: &Config) -> Vec<Finding> {
    let Some(file) = &config.policy.file else {
        return Vec::new();
    };
    let about = file.display().to_string();
    match config::read_policy(file) {
        Ok(policy) => {
            let rules = count(policy.rules().len(), "rule");
            let ok = Finding::ok(
                Check::ConfigPolicy,
                format!("{rules}, version {}", policy.version()),
            );
            let warning = |warning: &sigward_policies::authz::Warning| {
                let remedy = "docs/policy.md tells what each warning means";
                Finding::warning(Check::ConfigPolicy, warning.to_string(), remedy).about(&about)
            };
            let warnings = policy.warnings().iter().map(warning);
            std::iter::once(ok.about(&about)).chain(warnings).collect()
        }
        Err(error) => {
            let text = error.to_string();
            let (fact, remedy) = text.split_once('\n').unwrap_or((&text, "sigward policy check"));
            vec![Finding::failure(Check::ConfigPolicy, fact.trim(), remedy.trim())]
        }
    }
}

fn all_nodes(config: &Config) -> usize {
    config.chains.iter().map(|chain| chain.nodes.len()).sum()
}

fn ask_chains(
    args: &Args,
    config: &Config,
) -> anyhow::Result<Vec<(chain::Question, Result<chain::Answers, String>)>> {
    if args.offline {
        return Ok(Vec::new());
    }
    let mut questions = Vec::new();
    for chain in &config.chains {
        for node in &chain.nodes {
            questions.extend(node.rpc.as_ref().map(|url| chain::Question {
                chain: chain.id.to_string(),
                node: Some(node.name.to_string()),
                url: url.to_string(),
            }));
        }
        let asked = args.rpc.iter().filter(|(id, _)| id == chain.id.as_str());
        questions.extend(asked.map(|(_, url)| chain::Question {
            chain: chain.id.to_string(),
            node: None,
            url: url.to_string(),
        }));
    }
    asked(chain::ask(questions))
}

fn asked<T>(asking: impl Future<Output = T>) -> anyhow::Result<T> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let answers = runtime.block_on(asking);
    // A resolver that hangs in its own thread keeps nobody.
    runtime.shutdown_background();
    Ok(answers)
}

fn measure_disk(config: &Config, daemon: bool, output: &Output) -> disk::Facts {
    let target = if output.is_json() {
        ProgressDrawTarget::hidden()
    } else {
        ProgressDrawTarget::stderr()
    };
    let bar = ProgressBar::with_draw_target(Some(100), target);
    if let Ok(style) = ProgressStyle::with_template("  syncing the disk {bar:30} {percent}%") {
        bar.set_style(style);
    }
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a percentage"
    )]
    let facts = disk::gather(&config.store, daemon, &|part| {
        bar.set_position((part * 100.0) as u64)
    });
    bar.finish_and_clear();
    facts
}

/// Asks the daemon or, where none runs and nothing above forbids it, opens the store as `keys list` would.
fn keys_and_states(home: &Path, config: &Config, files: &files::Facts, so_far: &[Finding]) -> keys::Facts {
    let foreign = so_far.iter().any(|finding| finding.check == Check::FilesUser);
    let broken = so_far
        .iter()
        .any(|finding| finding.status == Status::Failure && finding.check.group() == "files");
    let sealed: Vec<_> = files
        .files
        .iter()
        .filter(|seen| seen.role == files::Role::Sealed)
        .map(|seen| seen.path.clone())
        .collect();
    let inspection = (!foreign).then(|| app::inspect(config, &sealed));
    let services = if !files.daemon && (foreign || broken) {
        Asked::Skipped
    } else {
        match ask_services(home) {
            Ok(services) => Asked::Answered(services),
            Err(error) => Asked::Failed(in_full(&error)),
        }
    };
    keys::Facts { inspection, services }
}

fn ask_services(home: &Path) -> anyhow::Result<Services> {
    with_services(home, async |channel| {
        let asked = async {
            let keys = KeyServiceClient::new(channel.clone())
                .list(ListKeysRequest {})
                .await
                .map_err(explain)?;
            let states = StateServiceClient::new(channel)
                .show(ShowStateRequest::default())
                .await
                .map_err(explain)?;
            anyhow::Ok(Services {
                keys: keys.into_inner().keys,
                states: states.into_inner().states,
            })
        };
        tokio::time::timeout(PATIENCE, asked).await.with_context(|| {
            format!("the daemon takes connections on its admin socket and does not answer within {} s\nsee its log; it may stand still", PATIENCE.as_secs())
        })?
    })
}

fn look_at_nodes(args: &Args, config: &Config, running: Option<&daemon::Facts>) -> Vec<node::Facts> {
    let may_dial = running.is_none() && !args.offline;
    let mut nodes = Vec::new();
    for chain in &config.chains {
        for node in &chain.nodes {
            nodes.push(node::Facts {
                chain: chain.id.to_string(),
                node: node.name.to_string(),
                door: door::look(&node.address, may_dial),
                address: node.address.clone(),
                daemon: running.is_some(),
                word: running
                    .and_then(|daemon| daemon.link(chain.id.as_str(), node.name.as_str()))
                    .cloned(),
            });
        }
    }
    // What looks taken twice may be the end of a connection that was just replaced.
    let began = Instant::now();
    let taken = |facts: &node::Facts| {
        facts.daemon
            && matches!(
                facts.door,
                door::Door::Listening {
                    accepted: 1..,
                    waiting: 1..
                }
            )
    };
    while nodes.iter().any(taken) && began.elapsed() < SETTLES {
        std::thread::sleep(Duration::from_millis(250));
        for facts in nodes.iter_mut().filter(|facts| taken(facts)) {
            facts.door = door::look(&facts.address, false);
        }
    }
    nodes
}

/// `1 node`, `2 nodes`.
pub(super) fn count(number: usize, noun: &str) -> String {
    format!("{number} {noun}{}", if number == 1 { "" } else { "s" })
}

/// Bytes for people.
fn bytes(number: u64) -> String {
    const UNITS: [(&str, u64); 4] = [
        ("TiB", 1 << 40),
        ("GiB", 1 << 30),
        ("MiB", 1 << 20),
        ("KiB", 1 << 10),
    ];
    for (unit, size) in UNITS {
        if number >= size {
            #[allow(clippy::cast_precision_loss, reason = "two digits are shown")]
            return format!("{:.1} {unit}", number as f64 / size as f64);
        }
    }
    format!("{number} bytes")
}

/// A path as a shell takes it.
pub(super) fn quoted(path: &Path) -> String {
    let text = path.display().to_string();
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+@%".contains(c);
    if !text.is_empty() && text.chars().all(plain) {
        return text;
    }
    format!("'{}'", text.replace('\'', "'\\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_paths_are_written_for_people_and_shells() {
        assert_eq!(
            (count(1, "node"), count(0, "node")),
            ("1 node".to_owned(), "0 nodes".to_owned())
        );
        assert_eq!(
            (bytes(5), bytes(1536), bytes(u64::MAX)),
            ("5 bytes".into(), "1.5 KiB".into(), "16777216.0 TiB".into())
        );
        assert_eq!(quoted(Path::new("/run/a.sock")), "/run/a.sock");
        assert_eq!(quoted(Path::new("/it's $HOME")), "'/it'\\''s $HOME'");
    }

    #[test]
    fn an_rpc_is_named_for_its_chain() {
        assert!(chain_and_url("c-1=http://h:1").is_ok());
        for text in ["http://h:1", "c-1=tcp://h:1", "c-1=", "c-1"] {
            assert!(chain_and_url(text).is_err(), "{text}");
        }
    }
}
