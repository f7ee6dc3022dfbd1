//! Gathers what is said of keys and sign states: by the daemon, or by the store opened here.

use std::path::Path;
use std::time::Duration;

use anyhow::Context as _;
use sigward_proto::v1::key_service_client::KeyServiceClient;
use sigward_proto::v1::state_service_client::StateServiceClient;
use sigward_proto::v1::{ListKeysRequest, ShowStateRequest};

use super::super::files;
use super::super::finding::{Check, Finding, Status};
use super::{Asked, Facts, Services};
use crate::app;
use crate::cli::client::{explain, with_services};
use crate::cli::output::in_full;
use crate::config::Config;

/// A daemon that stands still is asked no longer.
const PATIENCE: Duration = Duration::from_secs(5);

/// Asks the daemon or, where none runs and nothing above forbids it, opens the store as `keys list` would.
pub(in crate::cli::doctor) fn gather(
    home: &Path,
    config: &Config,
    files: &files::Facts,
    so_far: &[Finding],
) -> Facts {
    let foreign = so_far.iter().any(|finding| finding.check == Check::FilesUser);
    let broken = so_far
        .iter()
        .any(|finding| finding.status == Status::Failure && finding.check.group() == "files");
    let sealed: Vec<_> = files
        .files
        .iter()
        .filter(|seen| seen.role == files::Role::Sealed)
        .map(|seen| seen.path.clone())
        .collect();
    let inspection = (!foreign).then(|| app::inspect(config, &sealed));
    let services = if !files.daemon && (foreign || broken) {
        Asked::Skipped
    } else {
        match ask_services(home) {
            Ok(services) => Asked::Answered(services),
            Err(error) => Asked::Failed(in_full(&error)),
        }
    };
    Facts { inspection, services }
}

fn ask_services(home: &Path) -> anyhow::Result<Services> {
    with_services(home, async |channel| {
        let asked = async {
            let keys = KeyServiceClient::new(channel.clone())
                .list(ListKeysRequest {})
                .await
                .map_err(explain)?;
            let states = StateServiceClient::new(channel)
                .show(ShowStateRequest::default())
                .await
                .map_err(explain)?;
            anyhow::Ok(Services {
                keys: keys.into_inner().keys,
                states: states.into_inner().states,
            })
        };
        tokio::time::timeout(PATIENCE, asked).await.with_context(|| {
            format!("the daemon takes connections on its admin socket and does not answer within {} s\nsee its log; it may stand still", PATIENCE.as_secs())
        })?
    })
}
