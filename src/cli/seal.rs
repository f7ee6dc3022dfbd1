//! `sigward seal`: what opens the sealed keys; another seal; another wrapping key.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use serde_json::{Value, json};

use super::doctor::count;
use super::exit::RefusedByRule;
use super::output::Output;
use crate::app::{self, MoveTo, Moved, Pruned, Shown};
use crate::config::{self, ProviderId, SEAL_LABEL, SealSource};

#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// Say what opens the sealed keys: never a secret, and without a look into the token unless asked
    Show {
        /// Log in to the token too, and list its keys of that label, and those that no file here names: what a `rewrap` or `init`
        /// that was cut off left, or what another sigward uses that seals with the same token
        #[arg(long)]
        ask_token: bool,
    },
    /// Seal every key anew, with something else, and have the configuration say so
    ///
    /// Stop `serve` first. KIND and WHERE:
    ///
    ///   --to pkcs11 hsm-a                    a key in the token of `[[provider]]` hsm-a: this disk alone opens nothing
    ///   --to key-file seal.key               32 bytes in a file, made where it is missing
    ///   --to passphrase-file passphrase      a passphrase in a file of yours, 12 bytes or more
    ///   --to credential sigward-seal         32 bytes in a systemd credential; run it with that credential (systemd-run)
    ///
    /// A new key-encryption key is drawn where WHERE is made. What opened the keys before stays where it is, opens nothing here
    /// any more, and is yours to destroy. Cut off at any moment, every key opens with what the configuration then says; the same
    /// command again finishes the work.
    #[command(verbatim_doc_comment)]
    Move {
        /// Where to, as above
        #[arg(long, num_args = 2, value_names = ["KIND", "WHERE"], required = true)]
        to: Vec<String>,
        /// What to call the wrapping key in the token
        #[arg(long, value_name = "LABEL", default_value = SEAL_LABEL)]
        key_label: String,
    },
    /// Make another wrapping key in the token, and destroy the former one when nothing needs it any more
    ///
    /// Stop `serve` first. Keys and their key-encryption key stay as they are; a copy of the former file opens nothing from then on,
    /// so make a new copy of the file that is printed.
    Rewrap,
    /// List wrapping keys in the token that no file of this home names, and destroy those that you name
    ///
    ///   sigward seal prune                               list them; nothing is destroyed
    ///   sigward seal prune 0a1b2c… --yes                 destroy this one
    ///
    /// Stop `serve` first. A key that a file (`*.wrapped`) of this home names is never destroyed. But another sigward that seals with
    /// the same token and label has its key there too, and only you know of it: destroyed, nothing opens there any more.
    #[command(verbatim_doc_comment)]
    Prune {
        /// The CKA_IDs of the keys to destroy
        #[arg(value_name = "CKA_ID", requires = "yes")]
        ids: Vec<String>,
        /// Say that nothing needs the keys that you name: nobody brings them back
        #[arg(long, requires = "ids")]
        yes: bool,
        /// Another token than the one that is the seal, by the id of its `[[provider]]`
        #[arg(long, value_name = "ID")]
        provider: Option<String>,
        /// Another label than that of the seal
        #[arg(long, value_name = "LABEL")]
        key_label: Option<String>,
    },
}

pub(super) fn run(command: Command, home: &Path, output: &Output) -> anyhow::Result<()> {
    match command {
        Command::Show { ask_token } => {
            let shown = app::show_seal(home, &config::load(home)?, ask_token)?;
            output.result(&value(&shown), text(&shown));
            Ok(())
        }
        Command::Move { to, key_label } => {
            let to = target(&to, key_label)?;
            let moved = block_on(app::move_seal(home, &to))?;
            output.result(&moved_value(&moved), moved_text(&moved));
            Ok(())
        }
        Command::Rewrap => {
            let rewrapped = block_on(app::rewrap_seal(home))?;
            let mut said = format!(
                "The key {} in the token wraps now. Keep a copy of {} apart from this machine: it is no secret, and nothing opens without it",
                rewrapped.wrapping_key,
                rewrapped.file.display()
            );
            match &rewrapped.former_remains {
                None => said.push_str(&format!("\nThe former key {} is destroyed", rewrapped.former)),
                Some(why) => said.push_str(&format!(
                    "\nThe former key {} is still in the token ({why}): `sigward seal prune {} --yes` destroys it",
                    rewrapped.former, rewrapped.former
                )),
            }
            output.result(
                &json!({
                    "file": rewrapped.file,
                    "wrapping_key": rewrapped.wrapping_key,
                    "former_wrapping_key": rewrapped.former,
                    "former_destroyed": rewrapped.former_remains.is_none(),
                }),
                said,
            );
            Ok(())
        }
        Command::Prune {
            ids,
            yes: _,
            provider,
            key_label,
        } => {
            let provider = provider
                .map(|id| {
                    let refused =
                        || RefusedByRule(format!("invalid_name: {id:?} is the id of no [[provider]]"));
                    ProviderId::new(&id).ok_or_else(refused)
                })
                .transpose()?;
            let pruned = block_on(app::prune_seal(home, provider, key_label, &ids))?;
            output.result(&pruned_value(&pruned), pruned_text(&pruned));
            Ok(())
        }
    }
}

fn pruned_value(pruned: &Pruned) -> Value {
    json!({
        "provider": pruned.provider.to_string(),
        "key_label": pruned.key_label,
        "named": pruned.named,
        "unnamed": pruned.unnamed,
        "destroyed": pruned.destroyed,
    })
}

fn pruned_text(pruned: &Pruned) -> String {
    if !pruned.destroyed.is_empty() {
        return format!(
            "{} destroyed in the token of {}: {}",
            count(pruned.destroyed.len(), "wrapping key"),
            pruned.provider,
            pruned.destroyed.join(", ")
        );
    }
    if pruned.unnamed.is_empty() {
        return format!(
            "Every key {:?} in the token of {} is named by a file here: nothing to prune",
            pruned.key_label, pruned.provider
        );
    }
    format!(
        "No file here names {} {:?} in the token of {}:\n  {}\n\
         An `init`, `move` or `rewrap` that was cut off left them, or ANOTHER sigward seals with this token and label, and would lose \
         everything that it sealed.\nSure of one: sigward seal prune CKA_ID --yes",
        count(pruned.unnamed.len(), "key"),
        pruned.key_label,
        pruned.provider,
        pruned.unnamed.join("\n  ")
    )
}

/// Acts on the seal are not services of a daemon: they want its state for themselves.
fn block_on<T>(act: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?;
    let outcome = runtime.block_on(act);
    runtime.shutdown_timeout(std::time::Duration::from_secs(2));
    outcome
}

fn target(to: &[String], key_label: String) -> anyhow::Result<MoveTo> {
    let [kind, place] = to else {
        anyhow::bail!("--to takes a KIND and a WHERE; `sigward seal move --help` shows them");
    };
    let path = |place: &str| -> anyhow::Result<PathBuf> {
        std::path::absolute(place).with_context(|| format!("{place:?} is no path"))
    };
    Ok(match kind.as_str() {
        "key-file" => MoveTo::KeyFile(path(place)?),
        "passphrase-file" => MoveTo::PassphraseFile(path(place)?),
        "credential" => MoveTo::Credential(place.clone()),
        "pkcs11" => MoveTo::Token {
            provider: ProviderId::new(place).ok_or_else(|| {
                RefusedByRule(format!("invalid_name: {place:?} is the id of no [[provider]]"))
            })?,
            key_label,
        },
        other => {
            return Err(RefusedByRule(format!(
                "invalid_parameters: {other:?} is no kind of seal\nuse key-file, passphrase-file, credential or pkcs11"
            ))
            .into());
        }
    })
}

fn moved_value(moved: &Moved) -> Value {
    json!({
        "from": moved.from.as_ref().map(ToString::to_string),
        "to": moved.to.to_string(),
        "keys": moved.keys,
        "changed": moved.from.is_some(),
    })
}

fn moved_text(moved: &Moved) -> String {
    let keys = count(moved.keys, "key");
    let Some(from) = &moved.from else {
        return format!("The seal is {} already: {keys}", moved.to);
    };
    let former = match from {
        SealSource::KeyFile(file) => format!(
            "{} opens nothing here any more. Destroy it with every copy, unless another sigward uses it: shred -u {}",
            file.display(),
            super::doctor::quoted(file)
        ),
        SealSource::PassphraseFile(file) => {
            format!("The passphrase in {} opens nothing here any more", file.display())
        }
        SealSource::Credential(name) => {
            format!("The credential {name} opens nothing here any more: take it out of the unit")
        }
        SealSource::Pkcs11(token) => format!(
            "{} and its wrapping key in the token of {} open nothing here any more",
            token.file.display(),
            token.provider
        ),
    };
    let keep = match &moved.to {
        SealSource::KeyFile(file) => format!("Keep a copy of {} apart from this machine", file.display()),
        SealSource::PassphraseFile(_) => "Keep the passphrase apart from this machine".to_owned(),
        SealSource::Credential(_) => "Keep what the credential holds apart from this machine".to_owned(),
        SealSource::Pkcs11(token) => format!(
            "Without the token nothing opens: make sure of its backup, and of `sigward keys backup`. Keep a copy of {}: it is no secret",
            token.file.display()
        ),
    };
    format!("{keys} sealed anew: {from} -> {}\n{former}\n{keep}", moved.to)
}

fn value(shown: &Shown) -> Value {
    let token = shown.token.as_ref().map(|token| {
        let wrapped = token.wrapped.as_ref().ok();
        json!({
            "provider": token.provider,
            "key_label": token.key_label,
            "serial": wrapped.map(|(serial, ..)| serial),
            "wrapping_key": wrapped.map(|(_, id, _)| id),
            "mechanism": wrapped.map(|(.., mechanism)| mechanism),
            "error": token.wrapped.as_ref().err(),
            "keys_in_token": token.in_token.as_ref().and_then(|keys| keys.as_ref().ok()),
            "keys_no_file_names": token.unnamed,
            "token_error": token.in_token.as_ref().and_then(|keys| keys.as_ref().err()),
        })
    });
    json!({
        "kind": shown.kind,
        "file": shown.file,
        "credential": shown.credential,
        "token": token,
        "keys": shown.keys,
        "half_way": shown.half_way,
    })
}

fn text(shown: &Shown) -> String {
    let mut lines = vec![format!("seal          {}", shown.kind)];
    let mut say = |name: &str, what: &dyn std::fmt::Display| lines.push(format!("{name:<14}{what}"));
    if let Some(file) = &shown.file {
        say("file", &file.display());
    }
    if let Some(name) = &shown.credential {
        say("credential", name);
    }
    if let Some(token) = &shown.token {
        say("provider", &token.provider);
        say("key label", &format!("{:?}", token.key_label));
        match &token.wrapped {
            Ok((serial, id, mechanism)) => {
                say("token", &format!("serial {serial}"));
                say("wrapping key", &format!("{id}, {mechanism}"));
            }
            Err(why) => say("token", why),
        }
        match &token.in_token {
            None => {}
            Some(Ok(ids)) => say(
                "in the token",
                &format!("{}: {}", count(ids.len(), "key"), ids.join(", ")),
            ),
            Some(Err(why)) => say("in the token", why),
        }
        match token.unnamed.as_deref() {
            None | Some([]) => {}
            Some(ids) => say(
                "no file names",
                &format!("{}; see `sigward seal prune --help`", ids.join(", ")),
            ),
        }
    }
    say("keys", &count(shown.keys, "sealed key"));
    if shown.half_way > 0 {
        say(
            "half-way",
            &format!(
                "{} of a move that was cut off; the next start settles them",
                count(shown.half_way, "key")
            ),
        );
    }
    lines.join("\n")
}
