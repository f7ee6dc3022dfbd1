//! Whom to ask about each chain, and what was heard beside our own keys and watermarks.

use super::super::keys::Services;
use super::{Answers, Facts, Question, ask, ask_again, ours, unasked};
use crate::cli::doctor::finding::Finding;
use crate::config::{Config, RpcUrl};

/// A node's RPC that was asked, and what it said.
pub(in crate::cli::doctor) type Heard = (Question, Result<Answers, String>);

/// Asks every RPC of the configuration and of `--rpc`.
pub(in crate::cli::doctor) fn gather(
    config: &Config,
    rpc: &[(String, RpcUrl)],
) -> anyhow::Result<Vec<Heard>> {
    let mut questions = Vec::new();
    for chain in &config.chains {
        for node in &chain.nodes {
            questions.extend(node.rpc.as_ref().map(|url| Question {
                chain: chain.id.to_string(),
                node: Some(node.name.to_string()),
                url: url.to_string(),
            }));
        }
        let asked = rpc.iter().filter(|(id, _)| id == chain.id.as_str());
        questions.extend(asked.map(|(_, url)| Question {
            chain: chain.id.to_string(),
            node: None,
            url: url.to_string(),
        }));
    }
    wait_for(ask(questions))
}

/// Lays what was heard beside what is known here, and asks again where the chain has gone on meanwhile.
pub(in crate::cli::doctor) fn beside_ours(
    heard: Vec<Heard>,
    config: &Config,
    services: Option<&Services>,
    now: i64,
) -> anyhow::Result<Vec<Facts>> {
    let mut all: Vec<Facts> = heard
        .into_iter()
        .filter_map(|(question, answers)| {
            let configured = config
                .chains
                .iter()
                .find(|chain| chain.id.as_str() == question.chain)?;
            let ours = services.and_then(|services| {
                let key = services.key(configured.key.as_str())?;
                ours(key, services.row(key, configured.id.as_str()), now)
            });
            Some(Facts {
                question,
                answers,
                ours,
                limits: configured.limits,
            })
        })
        .collect();
    wait_for(ask_again(&mut all))?;
    Ok(all)
}

/// Chains of the configuration that nobody was asked about.
pub(in crate::cli::doctor) fn not_asked(config: &Config, asked: &[Facts], offline: bool) -> Vec<Finding> {
    config
        .chains
        .iter()
        .map(|chain| chain.id.as_str())
        .filter(|id| asked.iter().all(|facts| facts.question.chain != *id))
        .map(|id| unasked(id, offline))
        .collect()
}

fn wait_for<T>(asking: impl Future<Output = T>) -> anyhow::Result<T> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let answers = runtime.block_on(asking);
    // A resolver that hangs in its own thread keeps nobody.
    runtime.shutdown_background();
    Ok(answers)
}
