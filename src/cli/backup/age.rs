//! The `age` tool wraps the data key of a bundle, and unwraps it (age-encryption.org/v1).
//!
//! *Invariant:* the data key goes through pipes, never through arguments, the environment or a file. Only recipients, which are
//! public, and the name of an identity file are arguments.

use std::io::{Read as _, Write as _};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use anyhow::Context as _;
use sigward_hsm::backup::{DataKey, MAX_WRAPPED};
use sigward_hsm::secret::Arena;

use super::explain;
use crate::cli::exit::RefusedByRule;

/// Has the data key wrapped for `recipients`.
pub(super) fn wrap(data_key: &DataKey, recipients: &[String]) -> anyhow::Result<Vec<u8>> {
    let mut command = Command::new("age");
    for recipient in recipients {
        // Not a word that age would take for an option.
        if recipient.is_empty() || recipient.starts_with('-') {
            return Err(RefusedByRule(format!(
                "invalid_parameters: {recipient:?} is no age recipient (age1…)"
            ))
            .into());
        }
        command.args(["-r", recipient]);
    }
    let mut age = spawn(command.stdin(Stdio::piped()))?;
    let mut stdin = age.stdin.take().context("age has no standard input")?;
    // age may end before it has read, and says on standard error why.
    let given = data_key.dangerous_write_to(&mut stdin);
    drop(stdin);
    let mut wrapped = Vec::new();
    if let Some(stdout) = age.stdout.take() {
        stdout.take(MAX_WRAPPED as u64 + 1).read_to_end(&mut wrapped)?;
    }
    done(age, "wrap")?;
    given.map_err(explain)?;
    anyhow::ensure!(
        (1..=MAX_WRAPPED).contains(&wrapped.len()),
        "age_failed: age wrote {} bytes; up to {MAX_WRAPPED} go into a backup: give fewer recipients",
        wrapped.len()
    );
    Ok(wrapped)
}

/// Has it unwrapped by the identity in a file; age itself asks for the file's passphrase if it has one.
pub(super) fn unwrap(arena: &Arena, wrapped: &[u8], identity: &Path) -> anyhow::Result<DataKey> {
    let mut command = Command::new("age");
    command.arg("-d").arg("-i").arg(identity);
    let mut age = spawn(command.stdin(Stdio::piped()))?;
    let mut stdin = age.stdin.take().context("age has no standard input")?;
    // It fits into a pipe, so that neither waits for the other; an age that has ended says why below.
    let _given = stdin.write_all(wrapped);
    drop(stdin);
    let mut stdout = age.stdout.take().context("age has no standard output")?;
    let data_key = DataKey::read_from(arena, &mut stdout);
    drop(stdout);
    done(age, "unwrap")?;
    data_key.map_err(explain)
}

fn spawn(command: &mut Command) -> anyhow::Result<Child> {
    // Its words, and a plugin's prompts, are for the user.
    command
        .stdout(Stdio::piped())
        .spawn()
        .context("age_failed: cannot start age; install it (Debian: apt-get install age; https://age-encryption.org) and make sure that it is on the PATH")
}

fn done(mut age: Child, what: &str) -> anyhow::Result<()> {
    let status = age.wait().context("age_failed: age cannot be waited for")?;
    if status.success() {
        return Ok(());
    }
    Err(RefusedByRule(format!(
        "age_failed: age could not {what} the key of the backup ({status}); what it said stands above"
    ))
    .into())
}
