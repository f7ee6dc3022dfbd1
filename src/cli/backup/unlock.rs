//! Opening a bundle: the data key by passphrase or by age; and `keys verify-backup`, which opens and restores nothing.

use std::path::{Path, PathBuf};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;
use sigward_hsm::backup::{self, Bundle, DataKey, Lock, Passphrase, verify_backup};
use sigward_hsm::envelope::ArgonParams;
use sigward_hsm::secret::Arena;

use super::{age, arena, explain, inspect, passphrase};
use crate::cli::exit::{CheckFailed, RefusedByRule};
use crate::cli::output::Output;

/// What opens a bundle.
#[derive(Debug, clap::Args)]
pub(super) struct Opening {
    #[command(flatten)]
    pub(super) passphrase: passphrase::Source,
    /// Open it with the age identity in this file; the age tool does it
    #[arg(long, value_name = "FILE", conflicts_with_all = ["passphrase_file", "passphrase_fd"])]
    pub(super) age_identity: Option<PathBuf>,
}

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Verify {
    /// The backup
    file: PathBuf,
    #[command(flatten)]
    opening: Opening,
}

/// Opens a bundle and checks every key in it. Needs no home, no daemon and no network: a drill on any machine.
pub(in crate::cli) fn verify(args: &Verify, home: Option<&Path>, output: &Output) -> anyhow::Result<()> {
    let arena = arena(home)?;
    let bytes = backup::read(&args.file).map_err(explain)?;
    let checked = || -> anyhow::Result<_> {
        let bundle = Bundle::parse(&bytes).map_err(explain)?;
        let data_key = data_key(&arena, &bundle.unchecked_manifest().lock, &args.opening, output)?;
        verify_backup(&arena, &bytes, &data_key).map_err(explain)
    };
    let manifest = checked().map_err(|error| match error.downcast::<RefusedByRule>() {
        Ok(RefusedByRule(text)) => CheckFailed(text).into(),
        Err(other) => other,
    })?;
    output.result(
        &json!({ "verified": true, "backup": inspect::describe(&manifest, &bytes) }),
        format!(
            "{}\n\nIt opens, and each private key in it is that of its public key. Nothing was restored.",
            inspect::text(&manifest, &bytes)
        ),
    );
    Ok(())
}

/// The data key of a bundle with this lock.
pub(super) fn data_key(
    arena: &Arena,
    lock: &Lock,
    opening: &Opening,
    output: &Output,
) -> anyhow::Result<DataKey> {
    match (lock, &opening.age_identity) {
        (Lock::Argon2id { params, salt }, None) => {
            let passphrase = opening.passphrase.read(arena)?;
            derive(arena, &passphrase, *params, salt, output)
        }
        (Lock::Age { wrapped }, Some(identity)) => age::unwrap(arena, wrapped, identity),
        (Lock::Argon2id { .. }, Some(_)) => Err(RefusedByRule(
            "invalid_parameters: this backup opens with a passphrase, not with an age identity".to_owned(),
        )
        .into()),
        (Lock::Age { .. }, None) => Err(RefusedByRule(
            "invalid_parameters: this backup is for an age recipient: give --age-identity FILE".to_owned(),
        )
        .into()),
    }
}

/// Argon2id, with something that moves meanwhile.
pub(super) fn derive(
    arena: &Arena,
    passphrase: &Passphrase,
    params: ArgonParams,
    salt: &[u8; 16],
    output: &Output,
) -> anyhow::Result<DataKey> {
    let spinner = if output.is_json() {
        ProgressBar::hidden()
    } else {
        ProgressBar::new_spinner()
    };
    if let Ok(style) = ProgressStyle::with_template("{spinner} {msg}") {
        spinner.set_style(style);
    }
    spinner.set_message("deriving the key from the passphrase (Argon2id)");
    spinner.enable_steady_tick(Duration::from_millis(100));
    let derived = DataKey::derive(arena, passphrase, params, salt);
    spinner.finish_and_clear();
    derived.map_err(explain)
}
