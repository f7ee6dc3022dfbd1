//! A real CometBFT node in a home of its own, with the kvstore app inside the process.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use super::genesis::{Chain, Version, edit_config};
use super::home::Home;
use super::http;
use super::poll;
use super::ports::free_port;
use super::process::{Process, tail};

/// Who signs for a node.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum SignedBy {
    /// Its own `priv_validator_key.json`.
    Itself,
    /// Whoever dials its unix socket.
    Unix,
    /// Whoever dials its loopback port.
    Tcp,
}

/// A node; killed on drop.
pub(crate) struct Node {
    program: PathBuf,
    dir: PathBuf,
    log: PathBuf,
    version: Version,
    /// What `priv_validator_laddr` says; empty when it signs itself.
    laddr: String,
    signer_port: u16,
    rpc_port: u16,
    p2p_port: u16,
    process: Option<Process>,
}

impl Node {
    /// Prepares a node's home; starts nothing.
    pub(crate) fn new(home: &Home, name: &str, chain: &Chain, signed_by: SignedBy) -> Self {
        let program = program(chain.version);
        let dir = home.path(name);
        let signer_port = free_port();
        run(&program, &["init"], &dir);
        chain.write_genesis(&dir.join("config/genesis.json"));
        let node = Self {
            program,
            log: home.path(&format!("{name}.log")),
            version: chain.version,
            laddr: match signed_by {
                SignedBy::Itself => String::new(),
                SignedBy::Unix => format!("unix://{}", home.socket(&format!("{name}.sock")).display()),
                SignedBy::Tcp => format!("tcp://127.0.0.1:{signer_port}"),
            },
            signer_port,
            rpc_port: free_port(),
            p2p_port: free_port(),
            process: None,
            dir,
        };
        let loopback = |port: u16| toml::Value::from(format!("tcp://127.0.0.1:{port}"));
        node.set(&[
            ("", "proxy_app", "kvstore".into()),
            ("", "priv_validator_laddr", node.laddr.as_str().into()),
            ("rpc", "laddr", loopback(node.rpc_port)),
            ("p2p", "laddr", loopback(node.p2p_port)),
            ("p2p", "pex", false.into()),
            ("p2p", "addr_book_strict", false.into()),
            ("p2p", "allow_duplicate_ip", true.into()),
            ("p2p", "flush_throttle_timeout", "10ms".into()),
            ("consensus", "timeout_propose", "1s".into()),
            ("consensus", "timeout_propose_delta", "100ms".into()),
            ("consensus", "timeout_prevote", "200ms".into()),
            ("consensus", "timeout_prevote_delta", "50ms".into()),
            ("consensus", "timeout_precommit", "200ms".into()),
            ("consensus", "timeout_precommit_delta", "50ms".into()),
            ("consensus", "timeout_commit", "50ms".into()),
            ("consensus", "peer_gossip_sleep_duration", "10ms".into()),
        ]);
        node
    }

    /// Changes settings of `config.toml`; in force at the next start.
    fn set(&self, settings: &[(&str, &str, toml::Value)]) {
        edit_config(&self.dir.join("config/config.toml"), settings);
    }

    /// Makes this node dial `other` and keep dialing.
    pub(crate) fn peer_with(&self, other: &Self) {
        let id = run(&other.program, &["show-node-id"], &other.dir);
        let peer = format!("{}@127.0.0.1:{}", id.trim(), other.p2p_port);
        self.set(&[("p2p", "persistent_peers", peer.into())]);
    }

    /// From now on the node's own key file signs, and nobody may dial it for that.
    pub(crate) fn sign_itself(&mut self) {
        self.laddr.clear();
        self.set(&[("", "priv_validator_laddr", "".into())]);
    }

    /// From now on whoever dials its loopback port signs; always the same one.
    pub(crate) fn sign_remotely(&mut self) {
        self.laddr = format!("tcp://127.0.0.1:{}", self.signer_port);
        self.set(&[("", "priv_validator_laddr", self.laddr.as_str().into())]);
    }

    /// Whether the chain stands still while nobody sends transactions; in force at the next start.
    pub(crate) fn rest_without_transactions(&self, rest: bool) {
        self.set(&[("consensus", "create_empty_blocks", (!rest).into())]);
    }

    /// Where a signer has to dial, as sigward's configuration wants it.
    pub(crate) fn laddr(&self) -> &str {
        &self.laddr
    }

    /// Where its JSON-RPC is.
    pub(crate) fn rpc_url(&self) -> String {
        format!("http://127.0.0.1:{}", self.rpc_port)
    }

    /// A path below the node's home (`config/…`, `data/…`).
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    /// Starts the program; a signer that is to serve it must be dialing already (the first `GetPubKey` waits 3 s only).
    pub(crate) fn start(&mut self) {
        assert!(self.process.is_none(), "the node runs already");
        // A killed node leaves its socket behind and does not start over it; its operator's service file removes it.
        if let Some(socket) = self.laddr.strip_prefix("unix://") {
            let _ = std::fs::remove_file(socket);
        }
        let mut command = Command::new(&self.program);
        command.arg("start").arg("--home").arg(&self.dir);
        self.process = Some(Process::start(command, &self.log));
    }

    /// `kill -9`.
    pub(crate) fn kill(&mut self) {
        self.process.take().expect("the node runs").kill();
    }

    /// `kill -9`, or nothing when it ended by itself.
    pub(crate) fn stop(&mut self) {
        self.process = None;
    }

    /// SIGTERM. Its exit code is its own affair.
    pub(crate) fn terminate(&mut self) {
        self.process
            .take()
            .expect("the node runs")
            .terminate(Duration::from_secs(20));
    }

    /// Forgets every block and the node's own sign state; keeps the genesis (`unsafe-reset-all`).
    pub(crate) fn reset_to_zero(&self) {
        assert!(self.process.is_none(), "stop the node first");
        run(&self.program, &["unsafe-reset-all"], &self.dir);
    }

    /// The height of its last block; `None` while it does not answer.
    pub(crate) fn height(&self) -> Option<u64> {
        let status = http::rpc(self.rpc_port, "/status")?;
        status["sync_info"]["latest_block_height"].as_str()?.parse().ok()
    }

    /// Waits until a block of this height exists.
    pub(crate) fn wait_for_height(&mut self, height: u64, limit: Duration) {
        let mut last = None;
        let reached = poll(limit, || {
            if let Some(status) = self.process.as_mut().expect("the node runs").ended() {
                panic!("{} ended with {status}\n{}", self.version.tag(), tail(&self.log));
            }
            last = self.height().or(last);
            last.filter(|&at| at >= height)
        });
        if reached.is_none() {
            panic!(
                "{}: height {height} not reached in {limit:?}, at {last:?}\n{}",
                self.version.tag(),
                tail(&self.log)
            );
        }
    }

    /// Waits for `blocks` new blocks and returns the height then.
    pub(crate) fn wait_for_growth(&mut self, blocks: u64, limit: Duration) -> u64 {
        let now = poll(limit, || self.height())
            .unwrap_or_else(|| panic!("{} does not answer\n{}", self.version.tag(), tail(&self.log)));
        self.wait_for_height(now + blocks, limit);
        now + blocks
    }

    /// Waits until its height has not changed for a second, and returns it.
    pub(crate) fn wait_until_at_rest(&mut self, limit: Duration) -> u64 {
        let mut last = (None, Instant::now());
        let rested = poll(limit, || {
            let height = self.height();
            if height.is_none() || height != last.0 {
                last = (height, Instant::now());
            }
            height.filter(|_| last.1.elapsed() >= Duration::from_secs(1))
        });
        rested.unwrap_or_else(|| {
            panic!(
                "{} does not come to rest\n{}",
                self.version.tag(),
                tail(&self.log)
            )
        })
    }

    /// The commit of the block at `height`, as the RPC tells it.
    pub(crate) fn commit(&self, height: u64) -> Option<Value> {
        let mut answer = http::rpc(self.rpc_port, &format!("/commit?height={height}"))?;
        Some(answer["signed_header"]["commit"].take())
            .filter(|commit| commit["signatures"][0]["signature"].is_string())
    }

    /// The id of the block at `height`, to compare two nodes.
    pub(crate) fn block_id(&self, height: u64) -> Option<Value> {
        Some(http::rpc(self.rpc_port, &format!("/block?height={height}"))?["block_id"].take())
    }

    /// From which height on precommits carry extensions, as the running node understands its genesis; 0 for never.
    pub(crate) fn extensions_from(&self) -> u64 {
        let answer = http::rpc(self.rpc_port, "/consensus_params?height=1").expect("the node answers");
        let section = match self.version {
            Version::V038 => "abci",
            Version::V1 => "feature",
        };
        let height = &answer["consensus_params"][section]["vote_extensions_enable_height"];
        height.as_str().map_or(0, |text| text.parse().unwrap())
    }

    /// How many lines of its log contain `text`.
    pub(crate) fn log_lines(&self, text: &str) -> usize {
        let log = std::fs::read(&self.log).unwrap_or_default();
        String::from_utf8_lossy(&log)
            .lines()
            .filter(|line| line.contains(text))
            .count()
    }
}

/// Where the peers are installed.
pub(crate) fn peers() -> PathBuf {
    std::env::var_os("SIGWARD_PEERS").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("target/peers"),
        PathBuf::from,
    )
}

/// Where a peer's program is; panics with the way to get it.
pub(crate) fn peer(version: Version, name: &str) -> PathBuf {
    let path = peers().join(version.tag()).join(name);
    assert!(
        path.is_file(),
        "{} is missing: install the peers with `make peers`",
        path.display()
    );
    path
}

fn program(version: Version) -> PathBuf {
    peer(version, "cometbft")
}

/// Runs a subcommand of CometBFT to its end and returns what it printed.
fn run(program: &Path, arguments: &[&str], dir: &Path) -> String {
    let output = Command::new(program)
        .args(arguments)
        .arg("--home")
        .arg(dir)
        .stdin(Stdio::null())
        .output()
        .unwrap_or_else(|error| panic!("cannot start {}: {error}", program.display()));
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success(),
        "{} {arguments:?}: {errors}",
        program.display()
    );
    String::from_utf8(output.stdout).unwrap()
}
