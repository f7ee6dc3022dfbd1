//! CometBFT's `priv_validator_state.json`: read into a beginning, written as the way back (CometBFT `privval/file.go`,
//! `FilePVLastSignState`).
//!
//! ```json
//! {"height": "5", "round": 0, "step": 3, "signature": "<base64>", "signbytes": "<HEX>"}
//! ```
//!
//! tmkms's state file is read too, wherever this one is: it says a height and nothing more.
//!
//! *Invariant:* what is read is believed only as far as it proves itself: the sign bytes must be canonical, be for this position
//! and chain, and carry a signature of this key.

use base64::prelude::{BASE64_STANDARD, Engine as _};
use serde::{Deserialize, Serialize};
use sigward_hsm::verify::Verifier;
use sigward_policies::decision::{Refusal, RefusalCode};
use sigward_policies::double_sign::{Beginning, GuardRow, LastSigned, Watermark};
use sigward_policies::model::algorithm::Signature;
use sigward_policies::model::id::{ChainId, Height, Round};
use sigward_policies::model::payload::{Position, Step};

use crate::foreign;

/// A state file has a few hundred bytes.
const MAX_LEN: usize = 16 * 1024;

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    /// An int64 as text, as CometBFT's JSON writes it.
    height: String,
    round: i32,
    step: u8,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    signature: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    signbytes: Option<String>,
}

/// Reads a state file of the key that `verifier` checks, on `chain`. Height 0 says that nothing was ever signed; a position
/// without sign bytes closes its whole height.
pub fn parse(json: &[u8], verifier: &Verifier, chain: &ChainId) -> Result<Beginning, Refusal> {
    if json.len() > MAX_LEN {
        return Err(invalid(format!(
            "a state file has a few hundred bytes, not {}",
            json.len()
        )));
    }
    if is_of_tmkms(json) {
        return foreign::parse_tmkms_state(json);
    }
    let file: File = serde_json::from_slice(json).map_err(|error| not_a_state(json, &error))?;
    let height: i64 = file
        .height
        .parse()
        .map_err(|_| invalid("height is not a number"))?;
    if height == 0 {
        return match (file.round, file.step, &file.signbytes, &file.signature) {
            (0, 0, None, None) => Ok(Beginning::NeverSigned),
            _ => Err(invalid("height 0 with a round, a step or a signature")),
        };
    }
    let height = Height::new(height).map_err(|refusal| invalid(refusal.message))?;
    let round = Round::new(file.round).map_err(|refusal| invalid(refusal.message))?;
    match (file.signbytes, file.signature) {
        (None, None) if file.step <= 3 => Ok(Beginning::Unproven(height)),
        (Some(bytes), Some(signature)) => {
            let step = Step::from_value(file.step).ok_or_else(|| invalid("step is not 1, 2 or 3"))?;
            signed(
                Position { height, round, step },
                &bytes,
                &signature,
                verifier,
                chain,
            )
        }
        _ => Err(invalid("sign bytes without signature, or the other way round")),
    }
}

/// Whether this has the shape of tmkms's state: the round is text there, or a block id is named.
pub fn is_of_tmkms(json: &[u8]) -> bool {
    serde_json::from_slice::<serde_json::Map<String, serde_json::Value>>(json).is_ok_and(|file| {
        file.contains_key("height")
            && (file.contains_key("block_id") || file.get("round").is_some_and(serde_json::Value::is_string))
    })
}

fn not_a_state(json: &[u8], error: &serde_json::Error) -> Refusal {
    #[derive(Deserialize)]
    struct KeyFile {
        #[serde(rename = "priv_key")]
        _secret: serde::de::IgnoredAny,
    }
    if serde_json::from_slice::<KeyFile>(json).is_ok() {
        return invalid(
            "this is a key file (priv_validator_key.json); the state is another one, priv_validator_state.json, in the node's data folder",
        );
    }
    invalid(format!(
        "{error}; the last state of CometBFT's own signer or of tmkms is wanted"
    ))
}

fn signed(
    position: Position,
    bytes: &str,
    signature: &str,
    verifier: &Verifier,
    chain: &ChainId,
) -> Result<Beginning, Refusal> {
    // CometBFT writes hexadecimal, horcrux base64; whichever it is, the signature below says whether it was read right.
    let bytes = hex::decode(bytes)
        .ok()
        .or_else(|| BASE64_STANDARD.decode(bytes).ok())
        .ok_or_else(|| invalid("signbytes is not hexadecimal, nor base64"))?;
    let signature: [u8; 64] = BASE64_STANDARD
        .decode(signature)
        .ok()
        .and_then(|bytes| bytes.try_into().ok())
        .ok_or_else(|| invalid("signature is not 64 bytes of base64"))?;
    let (last, signed_chain) = LastSigned::read(bytes, Signature(signature), None)?;
    if signed_chain != *chain {
        return Err(of_another(format!(
            "the state is of chain {signed_chain}, not {chain}"
        )));
    }
    if last.position != position {
        return Err(invalid(format!(
            "the sign bytes are for {}, the file says {position}",
            last.position
        )));
    }
    verifier.verify(&last.sign_bytes, &last.signature).map_err(|_| {
        of_another("another key signed this state: the signature does not verify with this one")
    })?;
    Ok(Beginning::State(Box::new(last)))
}

/// Writes the way back. A closed height is written so that FilePV refuses every position in it.
pub fn write(row: &GuardRow) -> Result<Vec<u8>, Refusal> {
    let file = match &row.watermark {
        Watermark::Fresh => File {
            height: "0".to_owned(),
            round: 0,
            step: 0,
            signature: None,
            signbytes: None,
        },
        Watermark::Closed { height } => File {
            height: height.to_string(),
            round: i32::MAX,
            step: 3,
            signature: None,
            signbytes: None,
        },
        Watermark::Signed(last) => File {
            height: last.position.height.to_string(),
            round: last.position.round.value(),
            step: last.position.step.value(),
            signature: Some(BASE64_STANDARD.encode(last.signature.0)),
            signbytes: Some(hex::encode_upper(&last.sign_bytes)),
        },
    };
    serde_json::to_vec_pretty(&file).map_err(|error| invalid(error.to_string()))
}

fn invalid(message: impl Into<String>) -> Refusal {
    Refusal::new(RefusalCode::InvalidStateFile, message)
}

fn of_another(message: impl Into<String>) -> Refusal {
    Refusal::new(RefusalCode::ForeignStateFile, message)
}
