//! Why records are not kept.

use std::io;
use std::path::PathBuf;

use sigward_hsm::error::ProviderError;
use sigward_policies::decision::Refused;

use crate::store::space::Space;

/// Why records are not kept as they should be. What was signed is safe in the store; it is tried again.
#[derive(Debug, thiserror::Error)]
pub enum KeepError {
    /// The store refused.
    #[error("{0}")]
    Store(#[from] Refused),
    /// The key of checkpoints is not there.
    #[error("no checkpoints are signed: {0}")]
    Key(#[source] ProviderError),
    /// The audit folder failed.
    #[error("{doing} in {}: {cause}", folder.display())]
    Folder {
        /// What was being done.
        doing: &'static str,
        /// Where.
        folder: PathBuf,
        /// Why not.
        cause: io::Error,
    },
    /// The audit folder was there, and is not.
    #[error(
        "the audit folder {} is gone, and segments with it: mount its disk or bring it back; if it is lost for good, `mkdir -p` of it has \
         the chain go on in a new one, and `audit verify` will name what is missing",
        .0.display()
    )]
    Gone(PathBuf),
    /// The file of checkpoints is not the one that was written to.
    #[error(
        "{} ends with {there}, and the last one that was signed is {last}: another folder stands in the place of the one that was there, \
         or the file was cut. Nothing is written to it: bring the right one back, or restart to go on with what is there (docs/audit.md)",
        file.display()
    )]
    Exchanged {
        /// The file.
        file: PathBuf,
        /// Its last checkpoint.
        there: String,
        /// The last one of this process.
        last: String,
    },
    /// There is too little room where segments are.
    #[error("too little space for segments in {}: {space}", folder.display())]
    Space {
        /// Where.
        folder: PathBuf,
        /// How much there is.
        space: Space,
    },
    /// What is in the folder is not of this chain.
    #[error("{0}")]
    Foreign(String),
}
