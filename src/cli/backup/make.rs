//! `sigward keys backup`: nothing has its name before it was read back, opened again and every key in it tried.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use serde_json::json;
use sigward_hsm::backup::{BundleDraft, DataKey, Lock, Manifest, Passphrase, verify_backup};
use sigward_hsm::envelope::ArgonParams;
use sigward_hsm::secret::Arena;
use sigward_proto::v1::backup_service_client::BackupServiceClient;
use sigward_proto::v1::{
    ConfirmBackupRequest, MakeBackupRequest, MakeBackupResponse, PassphraseLock, make_backup_request,
};
use tonic::transport::Channel;
use zeroize::Zeroize as _;

use super::{age, arena, explain, inspect, passphrase, unlock};
use crate::cli::approvals::Given;
use crate::cli::client::{explain as explain_status, with_services};
use crate::cli::exit::RefusedByRule;
use crate::cli::out_file::may_be_made;
use crate::cli::output::Output;
use crate::cli::remote;
use crate::config;
use crate::crash::crash_point;

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  sigward keys backup validator --file /mnt/usb/validator.backup      asks for a passphrase, twice
  sigward keys backup --all --file all.backup --passphrase-file pw
  sigward keys backup --all --file all.backup --age-recipient age1…   (any number of recipients)
  sigward keys backup --inspect all.backup

A backup holds keys, never watermarks: `sigward keys restore` asks from which height on a key may sign.")]
pub(in crate::cli) struct Backup {
    /// The keys to back up
    #[arg(value_name = "NAME", required_unless_present_any = ["all", "inspect"])]
    names: Vec<String>,
    /// Back up every key
    #[arg(long, conflicts_with = "names")]
    all: bool,
    /// Where to write it; an existing file is never overwritten
    #[arg(long, value_name = "OUT", required_unless_present = "inspect")]
    file: Option<PathBuf>,
    #[command(flatten)]
    passphrase: passphrase::Source,
    /// Encrypt to this age recipient (age1…) instead of a passphrase; may be given several times
    #[arg(long, value_name = "RECIPIENT", conflicts_with_all = ["passphrase_file", "passphrase_fd"])]
    age_recipient: Vec<String>,
    /// Put the configuration into it too, readable by whoever has the file
    #[arg(long)]
    with_config: bool,
    #[command(flatten)]
    given: Given,
    /// Say what a backup holds, without its secret
    #[arg(long, value_name = "FILE", conflicts_with_all = ["names", "all", "file", "passphrase_file", "passphrase_fd", "age_recipient", "with_config"])]
    inspect: Option<PathBuf>,
}

/// The passphrase is kept for the reading back: what is proved is that the file opens with it.
enum Key {
    Passphrase(Passphrase),
    Drawn(DataKey),
}

pub(in crate::cli) fn backup(args: Backup, home: &Path, output: &Output) -> anyhow::Result<()> {
    remote::only_here("`keys backup`")?;
    if let Some(file) = &args.inspect {
        return inspect::run(file, output);
    }
    let file = args.file.as_deref().context("give --file OUT")?;
    may_be_made(file)?;
    let config = if args.with_config {
        config::load(home)?;
        let path = home.join(config::FILE_NAME);
        std::fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?
    } else {
        String::new()
    };
    let arena = arena(Some(home))?;
    let (key, data_key, lock) = key(&arena, &args, output)?;
    let given = args.given;
    let request = MakeBackupRequest {
        names: args.names,
        data_key: data_key.dangerous_copy(),
        lock: Some(lock),
        config,
        recipients: args.age_recipient,
    };
    drop(data_key);
    let request = given.under(request, home)?;
    let manifest = with_services(home, async |channel| {
        let mut client = client(channel);
        let made = client.make(request).await.map_err(explain_status)?.into_inner();
        let manifest = write(&arena, file, &made, &key, output)?;
        crash_point!("cli_backup_renamed");
        let confirm = ConfirmBackupRequest {
            bundle_id: made.bundle_id.clone(),
            sha256: made.sha256.clone(),
            made_at: manifest.made_at.0,
            public_keys: manifest
                .keys
                .iter()
                .map(|key| key.public_key.to_string())
                .collect(),
        };
        client
            .confirm(confirm)
            .await
            .map_err(explain_status)
            .with_context(|| {
                format!(
                    "{} is whole and good, but could not be recorded: `keys list` will not know of it",
                    file.display()
                )
            })?;
        Ok((manifest, made))
    });
    let (manifest, made) = manifest?;
    let bundle = made.bundle;
    let whole = match key {
        Key::Passphrase(_) => {
            "It was read back and opened with the passphrase; every key in it was tried.".to_owned()
        }
        Key::Drawn(_) => format!(
            "It was read back and every key in it was tried. That you hold the age identity is not proved:\n  sigward keys verify-backup {} --age-identity FILE",
            file.display()
        ),
    };
    output.result(
        &json!({ "file": file, "backup": inspect::describe(&manifest, &bundle), "left_out": made.left_out }),
        format!(
            "{}\n\nWrote {}. {whole}\nIt holds no watermark: after a restore a key signs only above the height that you give then.{}",
            inspect::text(&manifest, &bundle),
            file.display(),
            left_out(&made.left_out)
        ),
    );
    Ok(())
}

/// That the backup is not of everything, where it is not.
fn left_out(names: &[String]) -> String {
    if names.is_empty() {
        return String::new();
    }
    format!(
        "\nNOT in it, because tokens keep them: {}. Back those tokens up with their maker's tool.",
        names.join(", ")
    )
}

/// What the bundle is to open with.
fn key(
    arena: &Arena,
    args: &Backup,
    output: &Output,
) -> anyhow::Result<(Key, DataKey, make_backup_request::Lock)> {
    if !args.age_recipient.is_empty() {
        let data_key = DataKey::random(arena).map_err(explain)?;
        let wrapped = age::wrap(&data_key, &args.age_recipient)?;
        let mut copy = data_key.dangerous_copy();
        let kept = DataKey::from_slice(arena, &copy).map_err(explain);
        copy.zeroize();
        return Ok((
            Key::Drawn(kept?),
            data_key,
            make_backup_request::Lock::Age(wrapped),
        ));
    }
    let passphrase = args.passphrase.read_new(arena)?;
    let (params, salt) = (ArgonParams::BACKUP, DataKey::salt().map_err(explain)?);
    let data_key = unlock::derive(arena, &passphrase, params, &salt, output)?;
    let lock = PassphraseLock {
        memory_kib: params.memory_kib(),
        passes: params.passes(),
        lanes: params.lanes(),
        salt: salt.to_vec(),
    };
    Ok((
        Key::Passphrase(passphrase),
        data_key,
        make_backup_request::Lock::Passphrase(lock),
    ))
}

/// Writes, reads back, opens again, and only then gives the file its name.
fn write(
    arena: &Arena,
    file: &Path,
    made: &MakeBackupResponse,
    key: &Key,
    output: &Output,
) -> anyhow::Result<Manifest> {
    let draft = BundleDraft::write(file, &made.bundle).map_err(explain)?;
    crash_point!("cli_backup_written");
    let read = draft.read_back().map_err(explain)?;
    let lock = sigward_hsm::backup::Bundle::parse(&read)
        .map_err(explain)?
        .unchecked_manifest()
        .lock
        .clone();
    let opened = match (key, &lock) {
        (Key::Passphrase(passphrase), Lock::Argon2id { params, salt }) => {
            let again = unlock::derive(arena, passphrase, *params, salt, output)?;
            verify_backup(arena, &read, &again)
        }
        (Key::Drawn(data_key), Lock::Age { .. }) => verify_backup(arena, &read, data_key),
        _ => {
            return Err(RefusedByRule(
                "invalid_bundle: the backup has another lock than was asked for".to_owned(),
            )
            .into());
        }
    };
    let manifest = opened.map_err(explain)?;
    crash_point!("cli_backup_verified");
    draft.put().map_err(explain)?;
    Ok(manifest)
}

/// A client that takes a bundle of full size.
pub(super) fn client(channel: Channel) -> BackupServiceClient<Channel> {
    BackupServiceClient::new(channel).max_decoding_message_size(sigward_hsm::backup::MAX_BUNDLE + 64 * 1024)
}
