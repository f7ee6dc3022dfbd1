//! `sigward keys import`: from a key file, or a key pair that is in a token already.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use sigward_hsm::FileError;
use sigward_policies::decision::{Refusal, RefusalCode};
use sigward_proto::v1::key_service_client::KeyServiceClient;
use sigward_proto::v1::{ImportFromTokenRequest, ImportKeyRequest, Key, import_key_request::Beginning};

use super::show::show;
use crate::cli::client::{explain, with_services};
use crate::cli::exit::RefusedByRule;
use crate::cli::output::Output;
use crate::cli::{remote, running};

/// Files of keys and states are small; anything larger is something else.
const MAX_FILE: u64 = 64 * 1024;

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Import {
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
    /// You know that its bytes may have left the token, or that it signs without a PIN; otherwise such a key is refused
    #[arg(long, requires = "from_token")]
    may_have_left: bool,
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

pub(super) fn run(args: Import, home: &Path, output: &Output) -> anyhow::Result<()> {
    remote::only_here("`keys import`")?;
    let bech32 = args.bech32.clone();
    let (key, advice) = match args.file.clone() {
        Some(file) => (
            import_file(args, &file, home)?,
            format!(
                "The file {} still holds the key: as long as another signer can read it, both can sign.",
                file.display()
            ),
        ),
        // The old signer's files are not known, so nothing looks for its process: this advice is all there is.
        None => (
            import_from_token(args, home)?,
            "Other programs that can log in to this token can still sign with this key.".to_owned(),
        ),
    };
    show(&key, &bech32, output)?;
    if !output.is_json() {
        output.line(format!(
            "\n{advice}\nMake sure that the old signer is stopped and cannot start again."
        ));
    }
    Ok(())
}

fn import_file(args: Import, file: &Path, home: &Path) -> anyhow::Result<Key> {
    let known = read_beginning(&args.beginning)?;
    if !args.ignore_running {
        let files: Vec<_> = std::iter::once(file)
            .chain(args.beginning.state.as_deref())
            .collect();
        let state = match &known {
            Beginning::StateJson(json) => Some(&json[..]),
            Beginning::Above(_) | Beginning::NeverSigned(_) => None,
        };
        running::refuse(&files, state)?;
    }
    let request = ImportKeyRequest {
        name: args.name,
        priv_validator_key_json: read_secret(file)?,
        chain_id: args.chain,
        shared: args.shared,
        beginning: Some(known),
    };
    with_services(home, async |channel| {
        let reply = KeyServiceClient::new(channel)
            .import(request)
            .await
            .map_err(explain)?;
        reply.into_inner().key.context("the service returned no key")
    })
}

fn import_from_token(args: Import, home: &Path) -> anyhow::Result<Key> {
    use sigward_proto::v1::import_from_token_request::{Beginning as Asked, Object};
    let object = match (args.from.cka_id, args.from.label) {
        (Some(id), _) => Object::CkaId(
            hex::decode(id.replace(':', ""))
                .context("--cka-id is hex, as `sigward hsm list --search` shows it")?,
        ),
        (None, Some(label)) => Object::Label(label),
        (None, None) => anyhow::bail!("name the key pair: --cka-id HEX or --label TEXT"),
    };
    let request = ImportFromTokenRequest {
        name: args.name,
        provider: args.from.provider.unwrap_or_default(),
        object: Some(object),
        chain_id: args.chain,
        shared: args.shared,
        beginning: Some(match read_beginning(&args.beginning)? {
            Beginning::StateJson(json) => Asked::StateJson(json),
            Beginning::Above(height) => Asked::Above(height),
            Beginning::NeverSigned(never) => Asked::NeverSigned(never),
        }),
        may_have_left: args.from.may_have_left,
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
pub(in crate::cli) fn read(path: &Path) -> anyhow::Result<Vec<u8>> {
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
