//! Why a store does not open, with a stable code and one line of what to do. Nothing here is ever answered by "start from zero".

use std::fmt;
use std::path::Path;

macro_rules! open_codes {
    ($($(#[$doc:meta])* $variant:ident = $text:literal,)*) => {
        /// Why a store does not open. The words are stable.
        #[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
        #[non_exhaustive]
        pub enum OpenCode { $($(#[$doc])* $variant,)* }

        impl OpenCode {
            /// Every code, for documentation.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The code, `snake_case`.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text,)* }
            }
        }
    };
}

open_codes! {
    /// No database where one should be.
    StoreMissing = "store_missing",
    /// A database of 0 bytes.
    StoreEmpty = "store_empty",
    /// A database that is damaged, or not one of ours.
    StoreCorrupt = "store_corrupt",
    /// The witness saw commits that the database does not hold.
    StoreBehindWitness = "store_behind_witness",
    /// The database holds more than the one commit that the witness may lag.
    WitnessBehind = "witness_behind",
    /// Database and witness are at the same commit and disagree about its content.
    WitnessDisagrees = "witness_disagrees",
    /// No witness where one should be.
    WitnessMissing = "witness_missing",
    /// The witness of another store.
    WitnessForeign = "witness_foreign",
    /// A witness that is damaged.
    WitnessCorrupt = "witness_corrupt",
    /// Another process has the store.
    StoreLocked = "store_locked",
    /// A file system that forgets, or that several machines share.
    StoreVolatile = "store_volatile",
    /// The folder belongs to, or is open to, somebody else.
    StorePermissions = "store_permissions",
    /// The database was written by a newer sigward.
    StoreNewer = "store_newer",
    /// There is a store already.
    StoreExists = "store_exists",
    /// `adopt` was told a height below what is known to be signed, or none for a chain.
    AdoptTooLow = "adopt_too_low",
    /// The operating system refused an operation.
    StoreIo = "store_io",
}

impl fmt::Display for OpenCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

const ADOPT: &str = "restore the newest copy or, if it is lost, learn the highest height this key may have signed and run: \
                     sigward state adopt --above HEIGHT";

/// A store that does not open. Prints as `code: what is wrong` and a second line of what to do.
#[derive(Debug)]
pub struct OpenError {
    /// The stable code.
    pub code: OpenCode,
    /// What is wrong.
    pub message: String,
    /// What to do about it: one line.
    pub remedy: String,
    cause: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl OpenError {
    /// An error of kind `code`.
    pub(crate) fn new(code: OpenCode, message: impl Into<String>) -> Self {
        let remedy = match code {
            OpenCode::StoreMissing => {
                "a new installation: sigward init; otherwise restore the state folder, or: sigward state adopt --above HEIGHT"
            }
            OpenCode::StoreEmpty
            | OpenCode::StoreCorrupt
            | OpenCode::StoreBehindWitness
            | OpenCode::WitnessBehind
            | OpenCode::WitnessDisagrees
            | OpenCode::WitnessMissing
            | OpenCode::WitnessForeign
            | OpenCode::WitnessCorrupt => ADOPT,
            OpenCode::StoreLocked => "stop the other process first; never run two on one key",
            OpenCode::StoreVolatile => {
                "put the state folder on a local disk (ext4, xfs, btrfs, zfs, f2fs); for development only: allow_volatile = true"
            }
            OpenCode::StorePermissions => "chmod 700 the folder and chown it to the user that runs sigward",
            OpenCode::StoreNewer => {
                "run the sigward that wrote it, or a newer one; sigward state adopt --above HEIGHT cannot help here"
            }
            OpenCode::StoreExists => "use it as it is; nothing overwrites a store",
            OpenCode::AdoptTooLow => {
                "give a height at or above every height that may have been signed: sigward state adopt --above HEIGHT"
            }
            OpenCode::StoreIo => "repair the disk or the permissions and start again",
        };
        Self {
            code,
            message: message.into(),
            remedy: remedy.to_owned(),
            cause: None,
        }
    }

    /// The same with what caused it.
    pub(crate) fn because(mut self, cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        self.cause = Some(cause.into());
        self
    }

    /// An operation of the operating system on `path` that failed.
    pub(crate) fn io(doing: &str, path: &Path, cause: std::io::Error) -> Self {
        Self::new(
            OpenCode::StoreIo,
            format!("cannot {doing} {}: {cause}", path.display()),
        )
        .because(cause)
    }
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}\n  {}", self.code, self.message, self.remedy)
    }
}

impl std::error::Error for OpenError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.cause.as_deref().map(|cause| cause as _)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_is_documented() {
        let document = include_str!("../../docs/errors-at-start.md");
        for code in OpenCode::ALL {
            assert!(document.contains(&format!("| `{code}` |")), "{code}");
        }
    }
}
