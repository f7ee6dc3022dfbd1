//! `sigward keys`: make, bring in, adopt, list and show keys.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use base64::prelude::{BASE64_STANDARD, Engine as _};
use serde_json::{Value, json};
use sigward_hsm::FileError;
use sigward_policies::decision::{Refusal, RefusalCode};
use sigward_proto::v1::key_service_client::KeyServiceClient;
use sigward_proto::v1::{
    AdoptKeyRequest, CreateKeyRequest, GetKeyRequest, ImportFromTokenRequest, ImportKeyRequest, Key,
    KeyOrigin, KeyState, ListKeysRequest, import_key_request::Beginning,
};

use super::backup;
use super::client::{at_once, explain, with_services};
use super::exit::RefusedByRule;
use super::output::Output;
use super::running;

/// Files of keys and states are small; anything larger is something else.
const MAX_FILE: u64 = 64 * 1024;

#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// Make a key. It is fresh: nothing was ever signed with it, and no copy of it exists
    ///
    ///   sigward keys create validator                        in a sealed file
    ///   sigward keys create validator --provider hsm-a       in a token; it never leaves it
    #[command(verbatim_doc_comment)]
    Create {
        /// What to call it
        name: String,
        /// ed25519 or secp256k1
        #[arg(long, default_value = "ed25519")]
        algorithm: String,
        /// Where it is made and kept: a `[[provider]]` of the configuration, by its id
        #[arg(long, default_value = crate::config::SOFTWARE, value_name = "ID")]
        provider: String,
        /// Prefix of bech32 addresses: PREFIXvalcons1…
        #[arg(long, default_value = "cosmos", value_name = "PREFIX")]
        bech32: String,
    },
    /// Bring in a CometBFT priv_validator_key.json, or a key pair that is in a token already. Stop the old signer first, for ever
    ///
    /// `sigward import` does more: it reads key, state and configuration of a whole signer, and asks the chain.
    ///
    ///   sigward keys import validator --file priv_validator_key.json --state priv_validator_state.json --chain my-chain-1
    ///   sigward keys import validator --from-token --provider hsm-a --label old-validator --above 5200000 --chain my-chain-1
    ///
    /// `sigward hsm list --search` shows the key pairs of a token.
    #[command(verbatim_doc_comment)]
    Import {
        /// What to call it
        name: String,
        /// The key file
        #[arg(
            long,
            value_name = "priv_validator_key.json",
            required_unless_present = "from_token"
        )]
        file: Option<PathBuf>,
        #[command(flatten)]
        from: FromToken,
        /// The chain it signs for
        #[arg(long, value_name = "CHAIN_ID")]
        chain: String,
        /// The key may serve several chains; each of them must say so
        #[arg(long)]
        shared: bool,
        #[command(flatten)]
        beginning: ImportBeginning,
        /// Go on although a process that looks like the old signer runs on this machine, or may run unseen
        #[arg(long)]
        ignore_running: bool,
        /// Prefix of bech32 addresses: PREFIXvalcons1…
        #[arg(long, default_value = "cosmos", value_name = "PREFIX")]
        bech32: String,
    },
    /// Take over a sealed key that belongs to another guard store, or whose guard was lost
    Adopt {
        /// Its name
        name: String,
        /// Sign only heights greater than this
        #[arg(long, value_name = "HEIGHT")]
        above: i64,
        /// Prefix of bech32 addresses: PREFIXvalcons1…
        #[arg(long, default_value = "cosmos", value_name = "PREFIX")]
        bech32: String,
    },
    /// Write keys into one encrypted file, and read it back; or say what such a file holds
    Backup(backup::Backup),
    /// Open a backup and try every key in it, without restoring anything: a drill, on any machine
    VerifyBackup(backup::Verify),
    /// Bring keys back from a backup. It holds no watermarks: you say from which height on they may sign
    Restore(backup::Restore),
    /// List all keys
    List {
        /// Prefix of bech32 addresses: PREFIXvalcons1…
        #[arg(long, default_value = "cosmos", value_name = "PREFIX")]
        bech32: String,
    },
    /// Show one key, in every form that a chain may want
    Show {
        /// Its name
        name: String,
        /// Prefix of bech32 addresses: PREFIXvalcons1…
        #[arg(long, default_value = "cosmos", value_name = "PREFIX")]
        bech32: String,
    },
}

/// A key pair in a token, in place of a file.
#[derive(Debug, clap::Args)]
pub(super) struct FromToken {
    /// The key pair is in a token already, made by another program
    #[arg(long, conflicts_with = "file", requires = "provider")]
    from_token: bool,
    /// The token: a `[[provider]]` of the configuration, by its id
    #[arg(long, value_name = "ID", requires = "from_token")]
    provider: Option<String>,
    /// Its CKA_ID
    #[arg(long, value_name = "HEX", requires = "from_token")]
    cka_id: Option<String>,
    /// Its label, where no other key pair of the token has it
    #[arg(long, value_name = "TEXT", requires = "from_token", conflicts_with = "cka_id")]
    label: Option<String>,
}

/// Where the signing history of an imported key ends. There is no default, because every default double-signs somewhere.
#[derive(Debug, clap::Args)]
#[group(required = true, multiple = false)]
pub(super) struct ImportBeginning {
    /// The old signer's state, CometBFT's or tmkms's: nothing at or below it is signed again
    #[arg(long, value_name = "priv_validator_state.json")]
    state: Option<PathBuf>,
    /// Sign only heights greater than this
    #[arg(long, value_name = "HEIGHT")]
    above: Option<i64>,
    /// You vouch that this key has never signed anything
    #[arg(long)]
    never_signed: bool,
}

pub(super) fn run(command: Command, home: &Path, output: &Output) -> anyhow::Result<()> {
    match command {
        Command::Create {
            name,
            algorithm,
            provider,
            bech32,
        } => {
            let in_token = provider != crate::config::SOFTWARE;
            let key = with_services(home, async |channel| {
                let request = CreateKeyRequest {
                    name,
                    algorithm,
                    provider,
                };
                let reply = KeyServiceClient::new(channel)
                    .create(request)
                    .await
                    .map_err(explain)?;
                reply.into_inner().key.context("the service returned no key")
            })?;
            show(&key, &bech32, output)?;
            if in_token && !output.is_json() {
                output.line(
                    "\nNo copy of this key exists outside of its token, and none can be made here. If the token is lost, so is the key:\n\
                     back up the token with its maker's tool.",
                );
            } else if !output.is_json() {
                output.line(format!(
                    "\nNo backup of this key exists. If this disk is lost, so is the key.\nMake one: sigward keys backup {} --file OUT",
                    key.name
                ));
            }
            Ok(())
        }
        Command::Import {
            name,
            file: None,
            from,
            chain,
            shared,
            beginning,
            // The old signer's files are not known: the advice below is all there is.
            ignore_running: _,
            bech32,
        } => {
            let key = import_from_token(name, from, chain, shared, &beginning, home)?;
            show(&key, &bech32, output)?;
            if !output.is_json() {
                output.line(
                    "\nOther programs that can log in to this token can still sign with this key.\n\
                     Make sure that the old signer is stopped and cannot start again.",
                );
            }
            Ok(())
        }
        Command::Import {
            name,
            file: Some(file),
            from: _,
            chain,
            shared,
            beginning,
            ignore_running,
            bech32,
        } => {
            let known = read_beginning(&beginning)?;
            if !ignore_running {
                let files: Vec<_> = std::iter::once(&file).chain(&beginning.state).collect();
                let state = match &known {
                    Beginning::StateJson(json) => Some(&json[..]),
                    Beginning::Above(_) | Beginning::NeverSigned(_) => None,
                };
                running::refuse(&files.iter().map(|path| &***path).collect::<Vec<_>>(), state)?;
            }
            let request = ImportKeyRequest {
                name,
                priv_validator_key_json: read_secret(&file)?,
                chain_id: chain,
                shared,
                beginning: Some(known),
            };
            let key = with_services(home, async |channel| {
                let reply = KeyServiceClient::new(channel)
                    .import(request)
                    .await
                    .map_err(explain)?;
                reply.into_inner().key.context("the service returned no key")
            })?;
            show(&key, &bech32, output)?;
            if !output.is_json() {
                output.line(format!(
                    "\nThe file {} still holds the key: as long as another signer can read it, both can sign.\n\
                     Make sure that the old signer is stopped and cannot start again.",
                    file.display()
                ));
            }
            Ok(())
        }
        Command::Adopt { name, above, bech32 } => {
            let key = with_services(home, async |channel| {
                let request = AdoptKeyRequest { name, above };
                let reply = KeyServiceClient::new(channel)
                    .adopt(request)
                    .await
                    .map_err(explain)?;
                reply.into_inner().key.context("the service returned no key")
            })?;
            show(&key, &bech32, output)
        }
        Command::Backup(args) => backup::backup(args, home, output),
        Command::VerifyBackup(args) => backup::verify(&args, Some(home), output),
        Command::Restore(args) => {
            let keys = backup::restore(args, home, output)?;
            if output.is_json() {
                let keys = keys
                    .iter()
                    .map(|key| describe(key, "cosmos"))
                    .collect::<anyhow::Result<Vec<_>>>()?;
                output.line(backup::restored(keys));
                return Ok(());
            }
            list(&keys, "cosmos", output)?;
            output.line(backup::next(&keys));
            Ok(())
        }
        Command::List { bech32 } => {
            let keys = at_once(home, async |channel| {
                let reply = KeyServiceClient::new(channel)
                    .list(ListKeysRequest {})
                    .await
                    .map_err(explain)?;
                Ok(reply.into_inner().keys)
            })?;
            list(&keys, &bech32, output)
        }
        Command::Show { name, bech32 } => {
            let key = at_once(home, async |channel| {
                let reply = KeyServiceClient::new(channel)
                    .get(GetKeyRequest { name })
                    .await
                    .map_err(explain)?;
                reply.into_inner().key.context("the service returned no key")
            })?;
            show(&key, &bech32, output)
        }
    }
}

fn import_from_token(
    name: String,
    from: FromToken,
    chain: String,
    shared: bool,
    beginning: &ImportBeginning,
    home: &Path,
) -> anyhow::Result<Key> {
    use sigward_proto::v1::import_from_token_request::{Beginning as Asked, Object};
    let object = match (from.cka_id, from.label) {
        (Some(id), _) => Object::CkaId(
            hex::decode(id.replace(':', ""))
                .context("--cka-id is hex, as `sigward hsm list --search` shows it")?,
        ),
        (None, Some(label)) => Object::Label(label),
        (None, None) => anyhow::bail!("name the key pair: --cka-id HEX or --label TEXT"),
    };
    let request = ImportFromTokenRequest {
        name,
        provider: from.provider.unwrap_or_default(),
        object: Some(object),
        chain_id: chain,
        shared,
        beginning: Some(match read_beginning(beginning)? {
            Beginning::StateJson(json) => Asked::StateJson(json),
            Beginning::Above(height) => Asked::Above(height),
            Beginning::NeverSigned(never) => Asked::NeverSigned(never),
        }),
    };
    with_services(home, async |channel| {
        let reply = KeyServiceClient::new(channel)
            .import_from_token(request)
            .await
            .map_err(explain)?;
        reply.into_inner().key.context("the service returned no key")
    })
}

/// Reads a key file, which must be closed to everybody but its owner.
fn read_secret(path: &Path) -> anyhow::Result<Vec<u8>> {
    use std::os::unix::fs::PermissionsExt as _;
    let about = std::fs::metadata(path).with_context(|| format!("cannot read {}", path.display()))?;
    let mode = about.permissions().mode() & 0o7777;
    if mode & 0o177 != 0 {
        let error = FileError::Permissions {
            path: path.to_owned(),
            mode,
        };
        let refusal = Refusal::new(
            RefusalCode::InvalidKeyFile,
            format!("{error}; {}", error.remedy().unwrap_or_default()),
        );
        return Err(RefusedByRule(refusal.to_string()).into());
    }
    read(path)
}

/// Reads a small file whole.
pub(super) fn read(path: &Path) -> anyhow::Result<Vec<u8>> {
    // Asked first: opening a pipe would wait for its writer.
    let about = std::fs::metadata(path).with_context(|| format!("cannot read {}", path.display()))?;
    anyhow::ensure!(about.is_file(), "{} is not a file", path.display());
    let size = about.len();
    anyhow::ensure!(
        size <= MAX_FILE,
        "{} has {size} bytes; a key or state file has a few hundred",
        path.display()
    );
    std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))
}

fn read_beginning(beginning: &ImportBeginning) -> anyhow::Result<Beginning> {
    match (&beginning.state, beginning.above, beginning.never_signed) {
        (Some(file), None, false) => Ok(Beginning::StateJson(read(file)?)),
        (None, Some(height), false) => Ok(Beginning::Above(height)),
        (None, None, true) => Ok(Beginning::NeverSigned(true)),
        _ => anyhow::bail!("give exactly one of --state, --above and --never-signed"),
    }
}

fn list(keys: &[Key], prefix: &str, output: &Output) -> anyhow::Result<()> {
    if output.is_json() {
        let keys = keys
            .iter()
            .map(|key| describe(key, prefix))
            .collect::<anyhow::Result<Vec<_>>>()?;
        output.line(Value::Array(keys));
        return Ok(());
    }
    if keys.is_empty() {
        output.line("No keys yet. Make one with `sigward keys create NAME`.");
    }
    for key in keys {
        let chains = if key.chains.is_empty() {
            "no chain yet".to_owned()
        } else {
            chains(key)
        };
        output.line(format!(
            "{:20} {:10} {:10} {:10} {}  {chains}  {}",
            key.name,
            key.algorithm,
            word(key.state()),
            key.provider,
            valcons(key, prefix)?,
            match &key.backed_up_at {
                Some(at) => format!("backup of {}", super::audit::rfc3339(at)),
                None if key.provider != crate::config::SOFTWARE => format!("in token {:?}", key.token_serial),
                None => "no backup".to_owned(),
            }
        ));
        if !key.fault.is_empty() {
            output.line(format!("  {}", key.fault));
        }
    }
    Ok(())
}

fn show(key: &Key, prefix: &str, output: &Output) -> anyhow::Result<()> {
    let value = describe(key, prefix)?;
    let mut text = String::new();
    for (label, field) in [
        ("name", "name"),
        ("algorithm", "algorithm"),
        ("state", "state"),
        ("origin", "origin"),
        ("provider", "provider"),
        ("token serial", "token_serial"),
        ("CKA_ID", "cka_id"),
        ("cannot sign now", "fault"),
        ("address", "address"),
        ("valcons", "valcons"),
        ("public key (hex)", "public_key_hex"),
        ("for assign-consensus-key", "consensus_pubkey"),
        ("chains", "chains"),
        ("exported", "exported"),
        ("newest backup", "backed_up_at"),
        ("backup's bundle id", "backup_bundle_id"),
    ] {
        let shown = match value.get(field) {
            Some(Value::String(text)) => text.clone(),
            Some(Value::Array(items)) if items.is_empty() => {
                "none yet: name one in the configuration".to_owned()
            }
            Some(Value::Array(_)) => chains(key),
            Some(Value::Bool(false)) => continue,
            Some(Value::Bool(true)) => {
                "yes: it was moved out, restored or adopted once, and never begins as fresh again".to_owned()
            }
            Some(Value::Null) if field == "backed_up_at" && key.provider == crate::config::SOFTWARE => {
                "none known".to_owned()
            }
            Some(Value::Null) | None => continue,
            Some(other) => other.to_string(),
        };
        writeln!(text, "{label:26} {shown}")?;
    }
    output.result(&value, text.trim_end());
    Ok(())
}

/// Its chains, each with a word where the key signs no more: `active` says nothing of that, it is about the key's bytes.
fn chains(key: &Key) -> String {
    let one = |chain: &String| match key.stopped_chains.contains(chain) {
        true => format!("{chain} (signs no more here)"),
        false => chain.clone(),
    };
    key.chains.iter().map(one).collect::<Vec<_>>().join(", ")
}

fn describe(key: &Key, prefix: &str) -> anyhow::Result<Value> {
    let base64 = BASE64_STANDARD.encode(&key.public_key);
    Ok(json!({
        "name": key.name,
        "algorithm": key.algorithm,
        "state": word(key.state()),
        "origin": match key.origin() {
            KeyOrigin::Generated => "generated",
            KeyOrigin::Imported => "imported",
            KeyOrigin::Restored => "restored",
            KeyOrigin::Unspecified => "unknown",
        },
        "provider": key.provider,
        "token_serial": (!key.token_serial.is_empty()).then_some(&key.token_serial),
        "cka_id": (!key.cka_id.is_empty()).then(|| hex::encode(&key.cka_id)),
        "fault": (!key.fault.is_empty()).then_some(&key.fault),
        "address": hex::encode_upper(&key.address),
        "valcons": valcons(key, prefix)?,
        "public_key_hex": hex::encode(&key.public_key),
        "public_key_base64": base64,
        // What `tx provider assign-consensus-key` and `gentx --pubkey` take.
        "consensus_pubkey": json!({ "@type": format!("/cosmos.crypto.{}.PubKey", key.algorithm), "key": base64 }),
        "chains": key.chains,
        "stopped_chains": key.stopped_chains,
        "exported": key.exported,
        "backed_up_at": key.backed_up_at.as_ref().map(super::audit::rfc3339),
        "backup_bundle_id": (!key.backup_bundle_id.is_empty()).then(|| hex::encode(&key.backup_bundle_id)),
    }))
}

fn valcons(key: &Key, prefix: &str) -> anyhow::Result<String> {
    let hrp = bech32::Hrp::parse(&format!("{prefix}valcons"))
        .with_context(|| format!("{prefix} is no bech32 prefix"))?;
    Ok(bech32::encode::<bech32::Bech32>(hrp, &key.address)?)
}

const fn word(state: KeyState) -> &'static str {
    match state {
        KeyState::Unspecified => "unknown",
        KeyState::Pending => "pending",
        KeyState::Staged => "staged",
        KeyState::Active => "active",
        KeyState::Deprecated => "deprecated",
        KeyState::Disabled => "disabled",
        KeyState::DestroyScheduled => "destroy_scheduled",
        KeyState::Destroyed => "destroyed",
        KeyState::Compromised => "compromised",
    }
}
