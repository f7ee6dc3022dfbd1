//! The node's side: `cometbft`, with a genesis whose only validator is sigward's key.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Context as _;
use serde_json::{Value, json};
use toml::Table;

use super::child::{self, Child};
use super::folder::Folder;
use super::http;
use super::signer::Key;

/// The chain's id.
pub(super) const CHAIN: &str = "sigward-demo";
/// Its log, below the folder.
pub(super) const LOG: &str = "cometbft.log";
/// Where `make peers` puts it.
const PEER: &str = "v0.38.25/cometbft";

/// A home of CometBFT and, once started, its process.
#[derive(Debug)]
pub(super) struct Node {
    program: PathBuf,
    home: PathBuf,
    socket: PathBuf,
    log: PathBuf,
    rpc_port: u16,
    process: Option<Child>,
}

/// Finds the program: the one that was named, else the installed peer, else the PATH's.
pub(super) fn find(named: Option<&Path>) -> anyhow::Result<PathBuf> {
    if let Some(path) = named {
        anyhow::ensure!(
            path.is_file(),
            "there is no file {}; `make peers` installs CometBFT",
            path.display()
        );
        return Ok(path.canonicalize()?);
    }
    let peers =
        std::env::var_os("SIGWARD_PEERS").map_or_else(|| PathBuf::from("target/peers"), PathBuf::from);
    let path = std::env::var_os("PATH").unwrap_or_default();
    let candidates = [peers.join(PEER)]
        .into_iter()
        .chain(std::env::split_paths(&path).map(|dir| dir.join("cometbft")));
    let found = candidates.into_iter().find(|candidate| candidate.is_file());
    let found = found.context(
        "cometbft is not installed.\nRun `make peers` in the repository, or name it: sigward demo --cometbft PATH",
    )?;
    Ok(found.canonicalize()?)
}

impl Node {
    /// `cometbft init`, then sigward's key into the genesis and a socket for it into the configuration.
    pub(super) fn init(program: PathBuf, folder: &Folder, key: &Key) -> anyhow::Result<Self> {
        let node = Self {
            program,
            home: folder.path().join("node"),
            socket: folder.path().join("pv.sock"),
            log: folder.path().join(LOG),
            rpc_port: http::free_port()?,
            process: None,
        };
        child::output(node.command(&["init"]))?;
        node.write_genesis(key)?;
        node.write_config()?;
        Ok(node)
    }

    /// What its `priv_validator_laddr` says.
    pub(super) fn laddr(&self) -> String {
        format!("unix://{}", self.socket.display())
    }

    fn write_genesis(&self, key: &Key) -> anyhow::Result<()> {
        let file = self.home.join("config/genesis.json");
        let mut genesis: Value = serde_json::from_slice(&std::fs::read(&file)?)?;
        let genesis_map = genesis.as_object_mut().context("the genesis is no object")?;
        genesis_map.insert("chain_id".to_owned(), json!(CHAIN));
        genesis_map.insert(
            "validators".to_owned(),
            json!([{
                "address": key.address,
                "pub_key": { "type": "tendermint/PubKeyEd25519", "value": key.public_key_base64 },
                "power": "10",
                "name": "sigward",
            }]),
        );
        std::fs::write(&file, serde_json::to_vec_pretty(&genesis)?).context("cannot write the genesis")
    }

    fn write_config(&self) -> anyhow::Result<()> {
        let file = self.home.join("config/config.toml");
        let mut config: Table = std::fs::read_to_string(&file)?
            .parse()
            .context("cannot read CometBFT's config.toml")?;
        let p2p_port = http::free_port()?;
        for (section, name, value) in [
            ("", "proxy_app", toml::Value::from("kvstore")),
            ("", "priv_validator_laddr", self.laddr().into()),
            (
                "rpc",
                "laddr",
                format!("tcp://127.0.0.1:{}", self.rpc_port).into(),
            ),
            ("p2p", "laddr", format!("tcp://127.0.0.1:{p2p_port}").into()),
            ("p2p", "pex", false.into()),
            ("consensus", "timeout_commit", "100ms".into()),
        ] {
            let table = if section.is_empty() {
                &mut config
            } else {
                config
                    .get_mut(section)
                    .and_then(toml::Value::as_table_mut)
                    .with_context(|| format!("no [{section}]"))?
            };
            table.insert(name.to_owned(), value);
        }
        std::fs::write(&file, toml::to_string(&config)?).context("cannot write CometBFT's config.toml")
    }

    /// Starts it.
    pub(super) fn start(&mut self) -> anyhow::Result<()> {
        self.process = Some(Child::start("cometbft", self.command(&["start"]), &self.log)?);
        Ok(())
    }

    /// An error if it ended by itself.
    pub(super) fn check(&mut self) -> anyhow::Result<()> {
        self.process.as_mut().map_or(Ok(()), Child::check)
    }

    /// The hash of the block at `height`, once the node has it.
    pub(super) fn block_hash(&self, height: u64) -> Option<String> {
        let answer = http::get(self.rpc_port, &format!("/commit?height={height}")).ok()?;
        let answer: Value = serde_json::from_str(&answer).ok()?;
        let hash = answer.pointer("/result/signed_header/commit/block_id/hash")?;
        Some(hash.as_str()?.to_owned())
    }

    /// SIGTERM; how it ends is its own affair.
    pub(super) fn stop(&mut self) {
        if let Some(Err(error)) = self.process.take().map(Child::stop) {
            eprintln!("sigward: {error:#}");
        }
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        command.args(arguments).arg("--home").arg(&self.home);
        command
    }
}
