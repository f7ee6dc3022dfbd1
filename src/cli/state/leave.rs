//! `sigward state export --key-file`: an imported key goes back to CometBFT's own signer, with its state.
//!
//! The key is stopped first and written then. A path that cannot be written must not be noticed after that: both files are made
//! before. Should writing fail all the same, the command gives both again, to other paths.

use std::fs::File;
use std::io::Write as _;
use std::path::Path;

use anyhow::Context as _;
use serde_json::json;
use sigward_proto::v1::state_service_client::StateServiceClient;
use sigward_proto::v1::{MoveOutRequest, MoveOutResponse};
use zeroize::Zeroize as _;

use super::{Row, describe};
use crate::cli::approvals::Given;
use crate::cli::client::{explain, with_services};
use crate::cli::out_file;
use crate::cli::output::Output;
use crate::cli::remote;

pub(super) fn run(
    row: Row,
    (file, key_file): (&Path, &Path),
    all_chains: bool,
    given: &Given,
    home: &Path,
    output: &Output,
) -> anyhow::Result<()> {
    remote::only_here("`state move-out`")?;
    let request = MoveOutRequest {
        key: row.key,
        chain_id: row.chain,
        all_chains,
    };
    let request = given.under(request, home)?;
    let key_out = out_file::create(key_file, 0o600)?;
    let state_out = out_file::create(file, 0o600).inspect_err(|_| {
        let _left = std::fs::remove_file(key_file);
    })?;
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

/// Fills a file, down to the disk, its folder included.
fn put(mut file: File, path: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    file.write_all(bytes)
        .and_then(|()| file.sync_all())
        .and_then(|()| File::open(out_file::folder(path))?.sync_all())
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
