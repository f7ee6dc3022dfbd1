//! `sigward api-key`: secrets for programs that can neither have a certificate nor sign tokens.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use serde_json::{Value, json};
use sigward_proto::v1::api_key_service_client::ApiKeyServiceClient;
use sigward_proto::v1::{ApiKey, ApiKeyState, CreateApiKeyRequest, ListApiKeysRequest, RevokeApiKeyRequest};
use zeroize::Zeroizing;

use super::audit::rfc3339;
use super::client::{at_once, explain, with_services};
use super::out_file;
use super::output::{Output, one_line};

#[derive(Debug, clap::Subcommand)]
#[command(after_help = "\
A program shows its key with each request, to the door for tokens (docs/bearer.md):
  sigward api-key create ci --out ci.api-key
  curl -H \"authorization: Bearer $(cat ci.api-key)\" ...
  sigward whoami --server https://signer.example.org:26661 --api-key ci.api-key

Rules and records call it apikey:ci. It is for signing only: whatever a rule says, it reads, makes and releases nothing. Whoever has the
secret is the program, until it is revoked or its days are over; a client that can have a certificate should have one. docs/api-keys.md")]
pub(super) enum Command {
    /// Make an API key, and print its secret this once
    ///
    ///   sigward api-key create ci                          prints it
    ///   sigward api-key create ci --days 30 --out ci.key   writes it to a new file that only you can read
    ///
    /// Its name is its own for ever: a key that is revoked leaves it to no other. To change a key make another one, give it to the
    /// program, and revoke the old one.
    #[command(verbatim_doc_comment)]
    Create {
        /// What rules and records call it: apikey:NAME
        #[arg(value_name = "NAME")]
        name: String,
        /// For how many days it counts
        #[arg(long, value_name = "DAYS", default_value_t = 90, value_parser = clap::value_parser!(u32).range(1..=365))]
        days: u32,
        /// Write the secret to this new file (mode 0600), and do not print it
        #[arg(long, value_name = "FILE")]
        out: Option<PathBuf>,
    },
    /// List the API keys that count
    List {
        /// Those that are revoked or have ended, too
        #[arg(long)]
        all: bool,
    },
    /// Have an API key count no more, from the next request on, for ever
    ///
    ///   sigward api-key revoke ci --reason "found in a build log"
    #[command(verbatim_doc_comment)]
    Revoke {
        /// Its name
        #[arg(value_name = "NAME")]
        name: String,
        /// Why; it is put on record
        #[arg(long, default_value = "", hide_default_value = true)]
        reason: String,
    },
}

const NOTHING: &str = "the service returned no API key";

pub(super) fn run(command: Command, home: &Path, output: &Output) -> anyhow::Result<()> {
    match command {
        Command::Create { name, days, out } => create(name, days, out.as_deref(), home, output),
        Command::List { all } => {
            let keys = at_once(home, async |channel| {
                let reply = ApiKeyServiceClient::new(channel)
                    .list(ListApiKeysRequest { all })
                    .await;
                Ok(reply.map_err(explain)?.into_inner().api_keys)
            })?;
            if output.is_json() {
                output.line(Value::Array(keys.iter().map(describe).collect()));
                return Ok(());
            }
            if keys.is_empty() {
                output.line("There is no API key that counts.");
            }
            keys.iter().for_each(|key| output.line(line(key)));
            Ok(())
        }
        Command::Revoke { name, reason } => {
            let key = at_once(home, async |channel| {
                let request = RevokeApiKeyRequest { name, reason };
                let reply = ApiKeyServiceClient::new(channel).revoke(request).await;
                reply.map_err(explain)?.into_inner().api_key.context(NOTHING)
            })?;
            output.result(&describe(&key), line(&key));
            Ok(())
        }
    }
}

fn create(name: String, days: u32, out: Option<&Path>, home: &Path, output: &Output) -> anyhow::Result<()> {
    // Before there is a key whose secret has nowhere to go.
    let file = out.map(|out| out_file::create(out, 0o600)).transpose()?;
    let made = with_services(home, async |channel| {
        let request = CreateApiKeyRequest { name, days };
        let reply = ApiKeyServiceClient::new(channel).create(request).await;
        let made = reply.map_err(explain)?.into_inner();
        Ok((made.api_key.context(NOTHING)?, Zeroizing::new(made.secret)))
    });
    let (key, secret) = match (made, out) {
        (Ok(made), _) => made,
        (Err(error), Some(out)) => {
            // It was made a moment ago, and is empty.
            let _gone_or_not = std::fs::remove_file(out);
            return Err(error);
        }
        (Err(error), None) => return Err(error),
    };
    let described = describe(&key);
    let until = key.expires_at.as_ref().map(rfc3339).unwrap_or_default();
    let known = format!(
        "Made the API key {}: rules and records call it apikey:{0}. It is for signing only, until {until}",
        one_line(&key.name)
    );
    match (file, out) {
        (Some(mut file), Some(out)) => {
            let written = writeln!(file, "{}", secret.as_str()).and_then(|()| file.sync_all());
            written.with_context(|| {
                format!(
                    "file_io: cannot write {}: the secret is lost\n`sigward api-key revoke {}`, and make another one",
                    out.display(),
                    one_line(&key.name)
                )
            })?;
            output.result(
                &with(described, "secret_file", json!(out)),
                format!("{known}\nIts secret is in {}, and nowhere else", out.display()),
            );
        }
        _ if output.is_json() => {
            output.line(with(described, "secret", json!(secret.as_str())));
        }
        _ => {
            eprintln!("{known}\nIts secret is printed this once, and kept nowhere here:");
            output.line(secret.as_str());
        }
    }
    Ok(())
}

fn with(mut described: Value, name: &str, value: Value) -> Value {
    if let Some(fields) = described.as_object_mut() {
        fields.insert(name.to_owned(), value);
    }
    described
}

fn describe(key: &ApiKey) -> Value {
    let time = |at: &Option<prost_types::Timestamp>| at.as_ref().map(rfc3339);
    json!({
        "name": key.name, "state": word(key.state()), "created_by": key.created_by,
        "created_at": time(&key.created_at), "expires_at": time(&key.expires_at),
        "revoked_by": (!key.revoked_by.is_empty()).then_some(&key.revoked_by), "revoked_at": time(&key.revoked_at),
    })
}

fn line(key: &ApiKey) -> String {
    let time = |at: &Option<prost_types::Timestamp>| at.as_ref().map(rfc3339).unwrap_or_default();
    let end = match key.state() {
        ApiKeyState::Revoked => {
            format!(
                "revoked {} by {}",
                time(&key.revoked_at),
                one_line(&key.revoked_by)
            )
        }
        ApiKeyState::Expired => format!("ended   {}", time(&key.expires_at)),
        ApiKeyState::Active => format!("until   {}", time(&key.expires_at)),
        ApiKeyState::Unspecified => "unknown".to_owned(),
    };
    format!(
        "{:24} {end}  made by {} at {}",
        one_line(&key.name),
        one_line(&key.created_by),
        time(&key.created_at)
    )
}

const fn word(state: ApiKeyState) -> &'static str {
    match state {
        ApiKeyState::Active => "active",
        ApiKeyState::Expired => "expired",
        ApiKeyState::Revoked => "revoked",
        ApiKeyState::Unspecified => "unknown",
    }
}
