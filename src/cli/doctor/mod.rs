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
mod configuration;
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
mod traces;
mod words;

use std::path::Path;

use super::exit::CheckFailed;
use super::output::Output;
use crate::app;
use crate::clock::{Clock as _, SystemClock};
use crate::config::{self, Config, RpcUrl};
use finding::{Check, Finding, Status};
use keys::Services;
use words::bytes;
pub(super) use words::{count, quoted};

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
    let mut findings = configuration::risks(config);
    findings.extend(configuration::policy(config));
    findings.extend(traces::judge(config));
    findings.extend(files::judge(&files));
    // Who comes in by certificates, and who does not though it looks so: `serve` starts with either.
    let doors = listen::gather(config, daemon.is_some(), SystemClock.unix_micros() / 1_000_000);
    findings.extend(
        doors
            .iter()
            .flat_map(listen::judge)
            .filter(|finding| finding.check == Check::ListenClients)
            .map(|finding| finding.at_most(Status::Warning)),
    );
    let facts = keys::gather(home, config, &files, &findings);
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
    let heard = if args.offline {
        Vec::new()
    } else {
        chain::gather(config, &args.rpc)?
    };
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
    findings.extend(configuration::risks(config));
    findings.extend(configuration::policy(config));
    findings.extend(traces::judge(config));
    findings.extend(files::judge(&files));
    let now = SystemClock.unix_micros() / 1_000_000;
    let doors = listen::gather(config, running.is_some(), now);
    findings.extend(doors.iter().flat_map(listen::judge));
    findings.extend(memory::judge(&memory::gather(
        config.keys.allow_unlocked_memory,
        pid,
    )));
    findings.extend(disk::judge(&disk::show_and_gather(
        config,
        running.is_some(),
        output,
    )));
    let processes = others::processes();
    findings.extend(daemon::judge(running.as_ref(), config, env!("CARGO_PKG_VERSION")));
    findings.extend(others::judge(&others::Facts {
        processes: processes.clone(),
        lock_holder: app::Holder::of(&config.store.dir).map(|holder| holder.pid),
        daemon: pid,
        me: std::process::id(),
    }));
    let facts = keys::gather(home, config, &files, &findings);
    findings.extend(keys::judge(&facts, config));
    if running.is_none() {
        findings.extend(tokens::judge(&app::probe::glance_at(config)));
    }
    findings.extend(
        node::gather(config, running.as_ref(), args.offline)
            .iter()
            .flat_map(node::judge),
    );

    let services = facts.services.services();
    let on_chain = chain::beside_ours(heard, config, services, now)?;
    findings.extend(clock::judge(&clock::gather(
        &processes,
        now,
        services.and_then(Services::last_signed),
        on_chain.iter().filter_map(|facts| facts.block(now)).collect(),
    )));
    findings.extend(on_chain.iter().flat_map(chain::judge));
    findings.extend(chain::not_asked(config, &on_chain, args.offline));
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

fn all_nodes(config: &Config) -> usize {
    config.chains.iter().map(|chain| chain.nodes.len()).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_rpc_is_named_for_its_chain() {
        assert!(chain_and_url("c-1=http://h:1").is_ok());
        for text in ["http://h:1", "c-1=tcp://h:1", "c-1=", "c-1"] {
            assert!(chain_and_url(text).is_err(), "{text}");
        }
    }
}
