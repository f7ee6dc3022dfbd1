//! `sigward hsm`: tokens: which there are, what one can do, and a login that the usual care would not try.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use serde_json::{Value, json};
use sigward_proto::v1::hsm_service_client::HsmServiceClient;
use sigward_proto::v1::{ListTokensRequest, LogInOnceRequest, LogInOutcome, Token};

use super::client::{explain, with_services};
use super::exit::CheckFailed;
use super::output::Output;

mod probe;

#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// List the tokens of the configuration: whether each is there, its serial number, its sessions and its keys
    ///
    ///   sigward hsm list
    ///   sigward hsm list --search     also key pairs that another program made there, for `keys import --from-token`
    #[command(verbatim_doc_comment)]
    List {
        /// Also ask each token for key pairs that nobody took in yet
        #[arg(long)]
        search: bool,
    },
    /// Log in to a token with the PIN that is in its place, although few tries are left or the PIN was refused before
    ///
    /// sigward never tries a PIN twice that a token has refused, and stops before the last tries are used up. This spends one try.
    /// Make sure of the PIN first: a token that is locked needs its security officer.
    ///
    ///   sigward hsm login --once hsm-a
    #[command(verbatim_doc_comment)]
    Login {
        /// Say that you know that this may spend one of the last tries
        #[arg(long, required = true)]
        once: bool,
        /// The id of the provider in the configuration
        #[arg(value_name = "ID")]
        provider: String,
    },
    /// Find out what a token can do for sigward, by having it done, and how fast. Leaves nothing in the token
    ///
    ///   sigward hsm probe                                  the only token of the configuration
    ///   sigward hsm probe --provider hsm-a --json
    ///   sigward hsm probe --module /usr/lib/softhsm/libsofthsm2.so --token-label dev --pin-file dev.pin
    ///
    /// The last form needs no configuration.
    #[command(verbatim_doc_comment)]
    Probe(probe::Args),
}

pub(super) fn run(
    command: Command,
    home: impl FnOnce() -> anyhow::Result<PathBuf>,
    output: &Output,
) -> anyhow::Result<()> {
    match command {
        Command::List { search } => list(search, &home()?, output),
        Command::Login { once: _, provider } => log_in(provider, &home()?, output),
        Command::Probe(args) => probe::run(&args, home, output),
    }
}

fn list(search: bool, home: &Path, output: &Output) -> anyhow::Result<()> {
    let tokens = with_services(home, async |channel| {
        let reply = HsmServiceClient::new(channel)
            .list(ListTokensRequest { search })
            .await;
        Ok(reply.map_err(explain)?.into_inner().tokens)
    })?;
    if output.is_json() {
        output.line(Value::Array(tokens.iter().map(value).collect()));
        return Ok(());
    }
    if tokens.is_empty() {
        output.line(
            "No tokens: the configuration has no [[provider]]. `sigward config print-default` shows what one looks like.",
        );
    }
    for token in &tokens {
        output.line(text(token));
    }
    Ok(())
}

fn log_in(provider: String, home: &Path, output: &Output) -> anyhow::Result<()> {
    let id = provider.clone();
    let token = with_services(home, async |channel| {
        let reply = HsmServiceClient::new(channel)
            .log_in_once(LogInOnceRequest { provider })
            .await;
        Ok(reply.map_err(explain)?.into_inner())
    })
    .context("the token did not log in; `sigward hsm list` says how it is now")?;
    let (word, says) = match token.outcome() {
        LogInOutcome::Accepted => ("accepted", "takes the PIN; a running daemon uses it from now on"),
        LogInOutcome::InUse => ("in_use", "is logged in to already, with this PIN"),
        LogInOutcome::NotTested | LogInOutcome::Unspecified => (
            "not_tested",
            "is logged in to already, with another PIN than the one in its place, which was NOT tested",
        ),
    };
    output.result(
        &json!({ "id": id, "serial": token.serial, "label": token.label, "pin": word }),
        format!(
            "{id}: the token {:?} (serial {:?}) {says}",
            token.label, token.serial
        ),
    );
    if word == "not_tested" {
        return Err(CheckFailed(
            "pin_not_tested: a token has one login for a whole program; this PIN is tried when the token is next logged in to.
             Make sure of it with the maker's tool, such as `pkcs11-tool --login --list-objects`"
                .to_owned(),
        )
        .into());
    }
    Ok(())
}

fn value(token: &Token) -> Value {
    let said = |text: &String| (!text.is_empty()).then(|| text.clone());
    let keys: Vec<_> = token
        .keys
        .iter()
        .map(|key| {
            json!({
                "name": key.name,
                "public_key_hex": hex::encode(&key.public_key),
                "cka_id": hex::encode(&key.cka_id),
            })
        })
        .collect();
    let found: Vec<_> = token
        .found
        .iter()
        .map(|key| {
            json!({
                "cka_id": hex::encode(&key.cka_id),
                "label": key.label,
                "algorithm": key.algorithm,
                "public_key_hex": hex::encode(&key.public_key),
                "may_have_left": key.may_have_left,
                "protection": key.protection,
            })
        })
        .collect();
    json!({
        "id": token.id,
        "module": token.module,
        "selector": token.selector,
        "up": token.up,
        "code": said(&token.code),
        "trouble": said(&token.trouble),
        "advice": said(&token.advice),
        "serial": said(&token.serial),
        "label": said(&token.label),
        "manufacturer": said(&token.manufacturer),
        "model": said(&token.model),
        "sessions": token.sessions,
        "waiting": token.waiting,
        "hanging": token.hanging,
        "keys": keys,
        "found": found,
    })
}

fn text(token: &Token) -> String {
    let mut lines = vec![format!(
        "{:20} {:5} {} of {}",
        token.id,
        if token.up { "up" } else { "DOWN" },
        token.selector,
        token.module
    )];
    if !token.serial.is_empty() {
        lines.push(format!(
            "  {} {}, label {:?}, serial {:?}; {} sessions, {} waiting, {} hanging",
            token.manufacturer,
            token.model,
            token.label,
            token.serial,
            token.sessions,
            token.waiting,
            token.hanging
        ));
    }
    if !token.trouble.is_empty() {
        lines.push(format!("  {}: {}", token.code, token.trouble));
        lines.push(format!("  -> {}", token.advice));
    }
    for key in &token.keys {
        lines.push(format!(
            "  key {:20} CKA_ID {}",
            key.name,
            hex::encode(&key.cka_id)
        ));
    }
    for key in &token.found {
        lines.push(format!(
            "  not taken in: CKA_ID {} label {:?} {}, {}",
            hex::encode(&key.cka_id),
            key.label,
            key.algorithm,
            key.protection
        ));
    }
    lines.join("\n")
}
