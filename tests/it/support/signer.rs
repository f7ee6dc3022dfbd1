//! The `sigward` program: its command line, and `sigward serve` as a process that can be killed, stopped and started again.

use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Output, Stdio};
use std::time::Duration;

use rustix::process::Signal;
use serde_json::Value;
use toml::Table;

use super::genesis::Validator;
use super::home::Home;
use super::http;
use super::metrics::Metrics;
use super::node::Node;
use super::poll;
use super::ports::free_port;
use super::process::{Process, tail};

/// sigward's home and, while it runs, its process; killed on drop.
pub(crate) struct Signer {
    home: PathBuf,
    log: PathBuf,
    http_port: u16,
    environment: Vec<(&'static str, PathBuf)>,
    process: Option<Process>,
}

impl Signer {
    /// A home below `home` that nothing has made yet.
    pub(crate) fn not_yet(home: &Home) -> Self {
        Self::named(home, "s")
    }

    /// The same, called `name`.
    pub(crate) fn named(home: &Home, name: &str) -> Self {
        Self {
            home: home.path(name),
            log: home.path(&format!("{name}.log")),
            http_port: free_port(),
            environment: Vec::new(),
            process: None,
        }
    }

    /// `sigward init` below `home`.
    pub(crate) fn init(home: &Home) -> Self {
        let signer = Self::not_yet(home);
        signer.make();
        signer
    }

    /// `sigward init`, and a port that is free.
    pub(crate) fn make(&self) {
        self.make_with(&[]);
    }

    /// The same, with more arguments for `init`.
    pub(crate) fn make_with(&self, more: &[&str]) {
        let made = self.attempt(&[&["init"], more].concat());
        if String::from_utf8_lossy(&made.stderr).contains("store_volatile") {
            // The build's disk is a container's layer or in memory: what these tests prove does not depend on a power cut.
            eprintln!(
                "ATTENTION: {} may forget; running with --allow-volatile",
                self.home.display()
            );
            self.run(&[&["init", "--allow-volatile"], more].concat());
        } else {
            assert!(
                made.status.success(),
                "sigward init: {}",
                String::from_utf8_lossy(&made.stderr)
            );
        }
        self.configure(|config| {
            let http = config.entry("http").or_insert_with(|| Table::new().into());
            let listen = format!("127.0.0.1:{}", self.http_port);
            http.as_table_mut()
                .expect("[http] is a table")
                .insert("listen".to_owned(), listen.into());
        });
    }

    /// Makes the witness of a home that was just made as small as a witness may be, so that a test comes to its end, and round,
    /// within a hundred commits. (Two segments of 64 KiB; what is cut off are zeros, and the first entry says so.)
    pub(crate) fn shrink_witness(&self) {
        let file = std::fs::OpenOptions::new()
            .write(true)
            .open(self.home.join("state/witness"))
            .unwrap();
        file.set_len(2 * 64 * 1024).unwrap();
    }

    /// `sigward keys create`; returns what a genesis needs.
    pub(crate) fn create_key(&self, name: &str) -> Validator {
        let key = self.json(&["keys", "create", name, "--algorithm", "ed25519", "--json"]);
        let text = |field: &str| {
            key[field]
                .as_str()
                .unwrap_or_else(|| panic!("no {field} in {key}"))
                .to_owned()
        };
        Validator {
            public_key: text("public_key_base64"),
            address: text("address"),
        }
    }

    /// Adds a chain and its nodes to `sigward.toml`.
    pub(crate) fn add_chain(&self, id: &str, key: &str, nodes: &[(&str, &Node)]) {
        let nodes: Vec<_> = nodes.iter().map(|(name, node)| (*name, node.laddr())).collect();
        self.add_chain_at(id, key, &nodes);
    }

    /// Adds a chain whose nodes, given as name and address, may be anything that listens, or nothing.
    pub(crate) fn add_chain_at<S: AsRef<str>>(&self, id: &str, key: &str, nodes: &[(S, S)]) {
        self.configure(|config| {
            let nodes = nodes
                .iter()
                .map(|(name, address)| table(&[("name", name.as_ref()), ("address", address.as_ref())]));
            let mut chain = Table::new();
            chain.insert("id".to_owned(), id.into());
            chain.insert("key".to_owned(), key.into());
            chain.insert("node".to_owned(), nodes.collect::<Vec<_>>().into());
            let chains = config
                .entry("chain")
                .or_insert_with(|| Vec::<toml::Value>::new().into());
            chains
                .as_array_mut()
                .expect("[[chain]] is an array")
                .push(chain.into());
        });
    }

    /// Edits `sigward.toml`.
    pub(crate) fn configure(&self, edit: impl FnOnce(&mut Table)) {
        let path = self.home.join("sigward.toml");
        let mut config: Table = std::fs::read_to_string(&path).unwrap().parse().unwrap();
        edit(&mut config);
        std::fs::write(&path, toml::to_string(&config).unwrap()).unwrap();
    }

    /// A variable that all its processes have.
    pub(crate) fn environment(&mut self, name: &'static str, value: &Path) {
        self.environment.push((name, value.to_owned()));
    }

    /// Runs a subcommand to its end; returns its output whatever it was.
    pub(crate) fn attempt(&self, arguments: &[&str]) -> Output {
        self.command(arguments).stdin(Stdio::null()).output().unwrap()
    }

    /// Runs a subcommand that must succeed; returns what it printed.
    pub(crate) fn run(&self, arguments: &[&str]) -> String {
        let output = self.attempt(arguments);
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(
            output.status.success(),
            "sigward {arguments:?} ended with {}: {errors}",
            output.status
        );
        String::from_utf8(output.stdout).unwrap()
    }

    /// Runs a subcommand that prints one JSON document.
    pub(crate) fn json(&self, arguments: &[&str]) -> Value {
        let text = self.run(arguments);
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("sigward {arguments:?}: {error} in {text}"))
    }

    /// A subcommand of this home, for a caller who wants it in another environment.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_sigward"));
        command.args(arguments).arg("--home").arg(&self.home);
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        command
    }

    /// `sigward serve`, and waits until it says that it lives.
    pub(crate) fn start(&mut self) {
        self.start_at_once();
        self.wait_until_alive();
    }

    fn wait_until_alive(&mut self) {
        let port = self.http_port;
        let process = self.process.as_mut().unwrap();
        let lives = poll(Duration::from_secs(10), || {
            if let Some(status) = process.ended() {
                panic!("sigward serve ended with {status}\n{}", tail(&self.log));
            }
            http::get(port, "/livez")
                .ok()
                .filter(|response| response.status == 200)
        });
        assert!(
            lives.is_some(),
            "sigward serve does not answer /livez\n{}",
            tail(&self.log)
        );
    }

    /// `sigward serve`, without waiting for anything.
    pub(crate) fn start_at_once(&mut self) {
        let command = self.command(&["serve"]);
        self.start_command(command);
    }

    /// Starts `command`, which should be a `serve`, without waiting for anything.
    pub(crate) fn start_command(&mut self, command: Command) {
        assert!(self.process.is_none(), "sigward runs already");
        self.process = Some(Process::start(command, &self.log));
    }

    /// How it ended, if it did so by itself; from then on it can be started again.
    pub(crate) fn ended(&mut self) -> Option<ExitStatus> {
        let status = self.process.as_mut()?.ended()?;
        self.process = None;
        Some(status)
    }

    /// The running process's id.
    pub(crate) fn pid(&self) -> u32 {
        self.process.as_ref().expect("sigward runs").id()
    }

    /// Where its health and metrics are.
    pub(crate) fn http_port(&self) -> u16 {
        self.http_port
    }

    /// The home folder.
    pub(crate) fn home(&self) -> &Path {
        &self.home
    }

    /// The whole log of every `serve` so far.
    pub(crate) fn log(&self) -> String {
        String::from_utf8_lossy(&std::fs::read(&self.log).unwrap_or_default()).into_owned()
    }

    /// `kill -9`.
    pub(crate) fn kill(&mut self) {
        self.process.take().expect("sigward runs").kill();
    }

    /// SIGTERM; demands a clean end.
    pub(crate) fn terminate(&mut self) {
        let status = self
            .process
            .take()
            .expect("sigward runs")
            .terminate(Duration::from_secs(10));
        assert!(
            status.success(),
            "sigward serve ended with {status} after SIGTERM\n{}",
            tail(&self.log)
        );
    }

    /// `kill -9`, or nothing when it ended by itself.
    pub(crate) fn stop(&mut self) {
        self.process = None;
    }

    /// SIGSTOP: alive, connected and silent.
    pub(crate) fn freeze(&self) {
        self.process.as_ref().expect("sigward runs").signal(Signal::STOP);
    }

    /// SIGHUP.
    pub(crate) fn hang_up(&self) {
        self.process.as_ref().expect("sigward runs").signal(Signal::HUP);
    }

    /// SIGCONT.
    pub(crate) fn thaw(&self) {
        self.process.as_ref().expect("sigward runs").signal(Signal::CONT);
    }

    /// What `/metrics` says now.
    pub(crate) fn metrics(&self) -> Metrics {
        Metrics::read(self.http_port).unwrap_or_else(|| panic!("no /metrics\n{}", tail(&self.log)))
    }

    /// Whether `/readyz` comes to say 200: it hears of a connection after the node does.
    pub(crate) fn comes_ready(&self) -> bool {
        poll(Duration::from_secs(10), || self.ready().0.then_some(())).is_some()
    }

    /// Whether `/readyz` says 200, and what it says. A node may be answered a moment before the port is there.
    pub(crate) fn ready(&self) -> (bool, String) {
        let response = self.readyz("/readyz");
        (response.status == 200, response.body)
    }

    fn readyz(&self, path: &str) -> http::Response {
        let response = poll(Duration::from_secs(10), || http::get(self.http_port, path).ok());
        response.expect("/readyz answers")
    }

    /// What `/readyz?verbose` says of the check called `name`: `ok` or `failing`.
    pub(crate) fn check(&self, name: &str) -> String {
        let response = self.readyz("/readyz?verbose");
        let report: Value = serde_json::from_str(&response.body).unwrap();
        let checks = report["checks"].as_array().unwrap();
        let check = checks.iter().find(|check| check["name"] == name);
        let check = check.unwrap_or_else(|| panic!("no check {name} in {report}"));
        check["status"].as_str().unwrap().to_owned()
    }

    /// All that `/readyz?verbose` says of the check called `name`; null where there is none.
    pub(crate) fn check_report(&self, name: &str) -> Value {
        let response = self.readyz("/readyz?verbose");
        let report: Value = serde_json::from_str(&response.body).unwrap();
        let checks = report["checks"].as_array().unwrap();
        let check = checks.iter().find(|check| check["name"] == name);
        check.cloned().unwrap_or(Value::Null)
    }

    /// Whether `/livez` says 200.
    pub(crate) fn lives(&self) -> bool {
        http::get(self.http_port, "/livez").is_ok_and(|response| response.status == 200)
    }

    /// The end of its log, for failures.
    pub(crate) fn log_tail(&self) -> String {
        tail(&self.log)
    }
}

fn table(pairs: &[(&str, &str)]) -> toml::Value {
    pairs
        .iter()
        .map(|(key, value)| ((*key).to_owned(), toml::Value::from(*value)))
        .collect::<Table>()
        .into()
}
