//! `sigward state export --key-file`: an imported key goes back to CometBFT's own signer, with its state.
//!
//! The key is stopped first and written then. A path that cannot be written must not be noticed after that: both files are made
//! before. Should writing fail all the same, the command gives both again, to other paths.

use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use anyhow::Context as _;
use serde_json::json;
use sigward_proto::v1::state_service_client::StateServiceClient;
use sigward_proto::v1::{MoveOutRequest, MoveOutResponse};
use zeroize::Zeroize as _;

use super::{Row, describe};
use crate::cli::client::{explain, with_services};
use crate::cli::output::Output;

pub(super) fn run(
    row: Row,
    file: &Path,
    key_file: &Path,
    all_chains: bool,
    home: &Path,
    output: &Output,
) -> anyhow::Result<()> {
    let key_out = create(key_file)?;
    let state_out = create(file).inspect_err(|_| {
        let _left = std::fs::remove_file(key_file);
    })?;
    let request = MoveOutRequest {
        key: row.key,
        chain_id: row.chain,
        all_chains,
    };
    let left = with_services(home, async |channel| {
        let reply = StateServiceClient::new(channel)
            .move_out(request)
            .await
            .map_err(explain)?;
        Ok(reply.into_inner())
    });
    let mut left = match left {
        Ok(left) => left,
        Err(error) => {
            // Nothing was written into them yet.
            let _kept = [file, key_file].map(std::fs::remove_file);
            return Err(error);
        }
    };
    // The state first: a key file is of no use to anybody, and to nobody's harm, before its state is there.
    let written = put(state_out, file, &left.state_json)
        .and_then(|()| put(key_out, key_file, &left.priv_validator_key_json));
    left.priv_validator_key_json.zeroize();
    written
        .context("the key is stopped; run the command again with other paths, it gives both files again")?;
    report(&left, file, key_file, output);
    Ok(())
}

/// A new file of mode 0600.
fn create(path: &Path) -> anyhow::Result<File> {
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .with_context(|| {
            format!(
                "cannot create {} (an existing file is never overwritten)",
                path.display()
            )
        })
}

/// Fills a file, down to the disk, its folder included.
fn put(mut file: File, path: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    file.write_all(bytes)
        .and_then(|()| file.sync_all())
        .and_then(|()| File::open(folder)?.sync_all())
        .with_context(|| format!("cannot write {}", path.display()))
}

fn report(left: &MoveOutResponse, file: &Path, key_file: &Path, output: &Output) {
    let others: Vec<_> = left.states.iter().map(|state| state.chain_id.as_str()).collect();
    let more = if others.len() > 1 {
        format!(
            "\nIt is stopped on {}; `sigward state export` without --key-file writes the state of each.",
            others.join(", ")
        )
    } else {
        String::new()
    };
    output.result(
        &json!({
            "file": file,
            "key_file": key_file,
            "states": left.states.iter().map(describe).collect::<Vec<_>>(),
        }),
        format!(
            "Wrote {} and {}. The key signs no more here.\nBoth files go to the node together, the state into data/ and the key into config/: a key without its state double-signs.{more}",
            file.display(),
            key_file.display()
        ),
    );
}
