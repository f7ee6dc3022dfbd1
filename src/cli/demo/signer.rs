//! sigward's side: this very program, run as a person would run it.

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use anyhow::Context as _;
use serde_json::Value;
use toml::Table;

use super::child::{self, Child};
use super::folder::Folder;
use super::{Narrator, http, wait_for};

/// Its log, below the folder.
pub(super) const LOG: &str = "sigward.log";
const KEY: &str = "validator";

/// What the genesis and a reader need to know of the key.
#[derive(Debug)]
pub(super) struct Key {
    pub(super) public_key_base64: String,
    pub(super) address: String,
    pub(super) valcons: String,
}

/// A home of sigward and, once it serves, its process.
#[derive(Debug)]
pub(super) struct Signer {
    program: PathBuf,
    home: PathBuf,
    log: PathBuf,
    http_port: Option<u16>,
    process: Option<Child>,
}

impl Signer {
    /// `sigward init`. On a disk that may forget, it is told to accept that, and so is the reader.
    pub(super) fn init(folder: &Folder, say: Narrator) -> anyhow::Result<Self> {
        let program = std::env::current_exe().context("cannot find my own program")?;
        let home = folder.path().join("s");
        let signer = Self {
            program,
            home,
            log: folder.path().join(LOG),
            http_port: None,
            process: None,
        };
        match signer.run(&["init"]) {
            Err(error) if format!("{error:#}").contains("store_volatile") => {
                signer.run(&["init", "--allow-volatile"])?;
                say.step(
                    "sigward init --allow-volatile: THIS FOLDER IS ON A FILE SYSTEM THAT MAY FORGET, fine for a demo only",
                );
            }
            made => {
                made?;
                say.step("sigward init: a configuration, a sealing key and an empty guard");
            }
        }
        Ok(signer)
    }

    /// `sigward keys create`.
    pub(super) fn create_key(&self) -> anyhow::Result<Key> {
        let key: Value = serde_json::from_str(&self.run(&["keys", "create", KEY, "--json"])?)?;
        let text = |field: &str| -> anyhow::Result<String> {
            Ok(key
                .get(field)
                .and_then(Value::as_str)
                .with_context(|| format!("the key has no {field}"))?
                .to_owned())
        };
        Ok(Key {
            public_key_base64: text("public_key_base64")?,
            address: text("address")?,
            valcons: text("valcons")?,
        })
    }

    /// Names the chain and its node in `sigward.toml`; everything else stays as `init` wrote it.
    pub(super) fn configure(&mut self, chain: &str, address: &str) -> anyhow::Result<()> {
        let port = http::free_port()?;
        let file = self.home.join("sigward.toml");
        let mut config: Table = std::fs::read_to_string(&file)?
            .parse()
            .with_context(|| format!("cannot read {}", file.display()))?;
        let http = config.entry("http").or_insert_with(|| Table::new().into());
        let http = http.as_table_mut().context("[http] is no table")?;
        http.insert("listen".to_owned(), format!("127.0.0.1:{port}").into());
        let node: Table = [("name", "node"), ("address", address)]
            .into_iter()
            .map(|(k, v)| (k.to_owned(), v.into()))
            .collect();
        let mut entry: Table = [("id", chain), ("key", KEY)]
            .into_iter()
            .map(|(k, v)| (k.to_owned(), v.into()))
            .collect();
        entry.insert("node".to_owned(), vec![toml::Value::from(node)].into());
        config.insert("chain".to_owned(), vec![toml::Value::from(entry)].into());
        std::fs::write(&file, toml::to_string(&config)?)
            .with_context(|| format!("cannot write {}", file.display()))?;
        self.http_port = Some(port);
        Ok(())
    }

    /// `sigward serve`, until it says that it lives.
    pub(super) fn serve(&mut self) -> anyhow::Result<()> {
        let port = self.http_port()?;
        let process = self.process.insert(Child::start(
            "sigward serve",
            self.command(&["serve"]),
            &self.log,
        )?);
        wait_for("sigward answers /livez", Duration::from_secs(10), || {
            process.check()?;
            Ok(http::get(port, "/livez").ok())
        })?;
        Ok(())
    }

    /// `sigward audit tail --follow`, for somebody to read.
    pub(super) fn follow(&self) -> Command {
        self.command(&[
            "audit", "tail", "--from", "1", "--lines", "0", "--follow", "--json",
        ])
    }

    /// Where `/metrics` is.
    pub(super) fn http_port(&self) -> anyhow::Result<u16> {
        self.http_port.context("no chain is configured yet")
    }

    /// SIGTERM.
    pub(super) fn stop(&mut self) -> anyhow::Result<()> {
        self.process.take().map_or(Ok(()), Child::stop)
    }

    /// `sigward audit verify`; what it says.
    pub(super) fn verify(&self) -> anyhow::Result<String> {
        Ok(self.run(&["audit", "verify"])?.trim().to_owned())
    }

    fn run(&self, arguments: &[&str]) -> anyhow::Result<String> {
        child::output(self.command(arguments)).with_context(|| format!("sigward {}", arguments.join(" ")))
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        command.args(arguments).arg("--home").arg(&self.home);
        command
    }
}
