//! A key's past, as its files and the operator tell it: the key, what it has signed, and whether that still stands there.

use std::path::{Path, PathBuf};

use sigward_hsm::secret::Arena;
use sigward_hsm::software::{KeyMaterial, filepv::FilePvError, moving};
use sigward_hsm::verify::Verifier;
use sigward_policies::decision::{Refusal, RefusalCode};
use sigward_policies::double_sign::Beginning;

use super::{MovingChain, Wish};
use crate::admin::state_file;
use crate::foreign::{self, ForeignChain, KeyFileFormat, StateFormat};

/// A state file, as it was when it was read.
pub(super) struct StateText {
    path: PathBuf,
    /// `None` where there was no such file.
    bytes: Option<Vec<u8>>,
}

impl StateText {
    pub(super) fn read(path: &Path) -> Result<Self, Refusal> {
        let bytes = match std::fs::symlink_metadata(path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
            _ => Some(foreign::read_small(path)?),
        };
        Ok(Self {
            path: path.to_owned(),
            bytes,
        })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// The old signers write this file whenever they sign: if it has changed, one of them lives.
    pub(super) fn still_as_read(&self) -> Result<(), Refusal> {
        // A signer replaces its file: for a moment there may be none.
        let now = Self::read(&self.path);
        if now.is_ok_and(|now| now.bytes == self.bytes) {
            return Ok(());
        }
        Err(Refusal::new(
            RefusalCode::OldSignerRuns,
            format!(
                "{} has changed while this was looking: the signer that is moved from still signs, here or on a machine that shares the file. \
                 Stop it, and see that nothing starts it again",
                self.path.display()
            ),
        ))
    }
}

/// Reads a private key into protected memory.
pub(super) fn read_material(
    arena: &Arena,
    file: &Path,
    format: KeyFileFormat,
) -> Result<KeyMaterial, Refusal> {
    let read = match format {
        KeyFileFormat::FilePv => moving::read_filepv(arena, file),
        KeyFileFormat::Base64 => moving::read_base64(arena, file),
    };
    read.map_err(|error: FilePvError| {
        // Its usual advice is about CometBFT's file only.
        let remedy = match &error {
            FilePvError::File(_) | FilePvError::Memory(_) => {
                error.remedy().map(|remedy| format!("; {remedy}"))
            }
            _ => None,
        };
        let place = match &error {
            // These name the file themselves.
            FilePvError::File(_) => String::new(),
            _ => format!("{}: ", file.display()),
        };
        Refusal::new(
            RefusalCode::InvalidKeyFile,
            format!("{place}{error}{}", remedy.unwrap_or_default()),
        )
    })
}

/// What a key has signed on a chain: the greater of what its state file and the operator say.
pub(super) fn begin(
    chain: ForeignChain,
    text: &StateText,
    verifier: &Verifier,
    wish: &Wish,
) -> Result<MovingChain, Refusal> {
    let ForeignChain {
        id,
        state_file,
        state_format,
        nodes,
    } = chain;
    let file = state_file.display();
    let above = wish
        .above
        .iter()
        .find(|(chain, _)| *chain == id)
        .map(|(_, height)| *height);
    let vouched = wish.never_signed.contains(&id);
    let stated = match &text.bytes {
        None => None,
        Some(bytes) => {
            let read = match state_format {
                StateFormat::FilePv => state_file::parse(bytes, verifier, &id),
                StateFormat::Horcrux => {
                    foreign::horcrux_state(bytes).and_then(|json| state_file::parse(&json, verifier, &id))
                }
                StateFormat::Tmkms => foreign::parse_tmkms_state(bytes),
            };
            Some(read.map_err(|refusal| Refusal::new(refusal.code, format!("{file}: {}", refusal.message)))?)
        }
    };
    let stated_height = stated.as_ref().map_or(0, height_of);
    let ask = |why: String| {
        Err(Refusal::new(
            RefusalCode::BeginningRequired,
            format!(
                "chain {id}: {why}; if the key has signed there, close every height up to now with --above {id}=HEIGHT, if it never has, --never-signed {id}"
            ),
        ))
    };
    let (beginning, said_by) = match (stated, above) {
        (None, None) if vouched => (Beginning::NeverSigned, "your word".to_owned()),
        (None, None) => return ask(format!("there is no state file {file}")),
        // The state of a new signer, and of one whose files were reset while its key went on signing.
        (Some(Beginning::NeverSigned), None) if !vouched => {
            return ask(format!(
                "{file} says that nothing was ever signed, as it does after every reset"
            ));
        }
        (Some(Beginning::NeverSigned), None) => (Beginning::NeverSigned, format!("{file}, and your word")),
        (None | Some(Beginning::NeverSigned), Some(height)) => {
            (Beginning::Above(height), "your word (--above)".to_owned())
        }
        (Some(_), _) if vouched => {
            return Err(Refusal::new(
                RefusalCode::StateConflict,
                format!("chain {id}: --never-signed, and {file} says that it has signed"),
            ));
        }
        (Some(stated), None) => (stated, file.to_string()),
        (Some(stated), Some(height)) if height_of(&stated) > height.value() => (stated, file.to_string()),
        (Some(_), Some(height)) => (Beginning::Above(height), "your word (--above)".to_owned()),
    };
    Ok(MovingChain {
        id,
        beginning,
        said_by,
        stated_height,
        nodes,
    })
}

fn height_of(beginning: &Beginning) -> i64 {
    match beginning {
        Beginning::NeverSigned => 0,
        Beginning::Above(height) | Beginning::Unproven(height) => height.value(),
        Beginning::State(last) => last.position.height.value(),
    }
}
