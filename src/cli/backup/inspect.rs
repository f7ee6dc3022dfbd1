//! What a bundle says of itself without its secret. Unproved until it was opened.

use std::fmt::Write as _;
use std::path::Path;

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use sigward_hsm::backup::{self, AtLeast, Bundle, ChainNote, Lock, Manifest};
use sigward_hsm::verify::address;
use sigward_policies::model::id::UnixSeconds;

use super::explain;
use crate::cli::audit::rfc3339;
use crate::cli::output::Output;

/// Prints what a bundle says of itself.
pub(super) fn run(file: &Path, output: &Output) -> anyhow::Result<()> {
    let bytes = backup::read(file).map_err(explain)?;
    let bundle = Bundle::parse(&bytes).map_err(explain)?;
    let manifest = bundle.unchecked_manifest();
    output.result(
        &describe(manifest, &bytes),
        format!(
            "{}\n\nThis is what it says of itself; `sigward keys verify-backup` proves it.",
            text(manifest, &bytes)
        ),
    );
    Ok(())
}

/// For scripts.
pub(super) fn describe(manifest: &Manifest, bytes: &[u8]) -> Value {
    json!({
        "bundle_id": manifest.id.to_string(),
        "sha256": hex::encode(Sha256::digest(bytes)),
        "format_version": 1,
        "made_at": time(manifest.made_at),
        "store_id": manifest.store.to_string(),
        "lock": match &manifest.lock {
            Lock::Argon2id { params, .. } => json!({
                "kind": "passphrase", "memory_kib": params.memory_kib(), "passes": params.passes(), "lanes": params.lanes(),
            }),
            Lock::Age { .. } => json!({ "kind": "age" }),
        },
        "config": manifest.config,
        "keys": manifest.keys.iter().map(|key| json!({
            "name": key.name.as_str(),
            "algorithm": key.public_key.algorithm().as_str(),
            "public_key_hex": hex::encode(key.public_key.as_bytes()),
            "address": address(&key.public_key).to_string(),
            "origin": key.origin.as_str(),
            "created_at": time(key.created_at),
            "chains": key.chains.iter().map(|note| json!({
                "chain_id": note.chain.as_str(),
                "shared": note.shared,
                "moved_out": note.moved_out,
                "left_for": note.left_for.as_ref().map(|to| to.as_str()),
                "at_least_height": note.at_least.height(),
            })).collect::<Vec<_>>(),
        })).collect::<Vec<_>>(),
    })
}

/// For people.
pub(super) fn text(manifest: &Manifest, bytes: &[u8]) -> String {
    let mut out = format!(
        "backup      {}\nmade at     {}\nof store    {}\nopens with  {}\nSHA-256     {}",
        manifest.id,
        time(manifest.made_at),
        manifest.store,
        match &manifest.lock {
            Lock::Argon2id { params, .. } => format!(
                "a passphrase (Argon2id, {} MiB, {} passes)",
                params.memory_kib() / 1024,
                params.passes()
            ),
            Lock::Age { .. } => "an age identity".to_owned(),
        },
        hex::encode(Sha256::digest(bytes)),
    );
    if let Some(config) = &manifest.config {
        let _infallible = write!(out, "\nconfig      {} bytes (shown with --json)", config.len());
    }
    for key in &manifest.keys {
        let _infallible = write!(
            out,
            "\n\n{:20} {:10} {:10} {}",
            key.name,
            key.public_key.algorithm(),
            key.origin.as_str(),
            address(&key.public_key)
        );
        for note in &key.chains {
            let _infallible = write!(out, "\n  {:18} {}", note.chain, far(note));
        }
        if key.chains.is_empty() {
            out.push_str("\n  no chain yet");
        }
    }
    out
}

fn far(note: &ChainNote) -> String {
    let far = match note.at_least {
        AtLeast::Fresh => "had signed nothing".to_owned(),
        AtLeast::Closed(height) => format!("was closed up to height {height}"),
        AtLeast::Signed(position) => format!("had signed {position}, and has gone on since"),
    };
    match &note.left_for {
        Some(to) => format!("{far}; it is {to} now, and closed"),
        None if note.moved_out => format!("{far}; moved out"),
        None => far,
    }
}

fn time(at: UnixSeconds) -> String {
    rfc3339(&prost_types::Timestamp {
        seconds: at.0,
        nanos: 0,
    })
}
