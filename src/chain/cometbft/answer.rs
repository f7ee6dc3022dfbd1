//! From a node's JSON to values. Unknown fields are left alone, since every version has its own; whatever is needed must be there
//! and be valid. CometBFT writes 64-bit numbers as text (`libs/json`).

use base64::prelude::{BASE64_STANDARD, Engine as _};
use jiff::Timestamp;
use serde::Deserialize;
use sigward_policies::model::algorithm::{Address, Algorithm, PublicKey};
use sigward_policies::model::id::ChainId;

use super::error::{RpcCode, RpcError, printable};
use super::{BlockIdFlag, Commit, CommitSignature, MAX_VALIDATORS, NodeStatus, Validator, ValidatorPage};

/// Longest version that is kept.
const MAX_VERSION: usize = 64;

#[derive(Deserialize)]
struct Envelope<T> {
    result: Option<T>,
    error: Option<NodeError>,
}

#[derive(Deserialize)]
struct NodeError {
    #[serde(default)]
    code: i64,
    #[serde(default)]
    message: String,
    #[serde(default)]
    data: String,
}

#[derive(Deserialize)]
struct RawStatus {
    node_info: RawNodeInfo,
    sync_info: RawSyncInfo,
    validator_info: RawValidator,
}

#[derive(Deserialize)]
struct RawNodeInfo {
    network: String,
    #[serde(default)]
    version: String,
}

#[derive(Deserialize)]
struct RawSyncInfo {
    latest_block_height: String,
    latest_block_time: String,
    #[serde(default)]
    earliest_block_height: Option<String>,
    catching_up: bool,
}

#[derive(Deserialize)]
struct RawValidator {
    #[serde(default)]
    address: String,
    pub_key: Option<RawPublicKey>,
    #[serde(default)]
    voting_power: Option<String>,
}

#[derive(Deserialize)]
struct RawPublicKey {
    r#type: String,
    value: String,
}

#[derive(Deserialize)]
struct RawCommitAnswer {
    signed_header: RawSignedHeader,
    canonical: bool,
}

#[derive(Deserialize)]
struct RawSignedHeader {
    header: RawHeader,
    commit: RawCommit,
}

#[derive(Deserialize)]
struct RawHeader {
    chain_id: String,
    height: String,
    time: String,
}

#[derive(Deserialize)]
struct RawCommit {
    height: String,
    round: u32,
    signatures: Vec<RawSignature>,
}

#[derive(Deserialize)]
struct RawSignature {
    block_id_flag: u8,
    #[serde(default)]
    validator_address: String,
    #[serde(default)]
    timestamp: Option<String>,
}

#[derive(Deserialize)]
struct RawValidators {
    block_height: String,
    validators: Vec<RawValidator>,
    #[serde(default)]
    total: Option<String>,
}

/// Reads the answer to `/status`.
pub fn parse_status(json: &[u8]) -> Result<NodeStatus, RpcError> {
    let raw: RawStatus = result(json)?;
    let validator = raw.validator_info;
    Ok(NodeStatus {
        chain_id: chain_id(&raw.node_info.network)?,
        version: printable(&raw.node_info.version, MAX_VERSION),
        latest_height: number(&raw.sync_info.latest_block_height, "latest_block_height")?,
        latest_time: time(&raw.sync_info.latest_block_time, "latest_block_time")?,
        earliest_height: match &raw.sync_info.earliest_block_height {
            Some(text) => number(text, "earliest_block_height")?,
            None => 0,
        },
        catching_up: raw.sync_info.catching_up,
        validator_address: match &*validator.address {
            "" => None,
            text => Some(address(text)?),
        },
        validator_public_key: validator.pub_key.as_ref().and_then(public_key),
        voting_power: power(validator.voting_power.as_deref())?,
    })
}

/// Reads the answer to `/commit`.
pub fn parse_commit(json: &[u8]) -> Result<Commit, RpcError> {
    let raw: RawCommitAnswer = result(json)?;
    let (header, commit) = (raw.signed_header.header, raw.signed_header.commit);
    let height = number(&header.height, "height")?;
    if number(&commit.height, "commit height")? != height {
        return Err(invalid("the commit is not of its header's height"));
    }
    if commit.signatures.len() > MAX_VALIDATORS {
        return Err(invalid(format!(
            "a commit of more than {MAX_VALIDATORS} validators"
        )));
    }
    Ok(Commit {
        chain_id: chain_id(&header.chain_id)?,
        height,
        time: time(&header.time, "time")?,
        round: commit.round,
        canonical: raw.canonical,
        signatures: commit
            .signatures
            .iter()
            .map(signature)
            .collect::<Result<_, _>>()?,
    })
}

/// Reads one page of `/validators`.
pub fn parse_validators(json: &[u8]) -> Result<ValidatorPage, RpcError> {
    let raw: RawValidators = result(json)?;
    let validators = raw
        .validators
        .iter()
        .map(|raw| {
            Ok(Validator {
                address: address(&raw.address)?,
                public_key: raw.pub_key.as_ref().and_then(public_key),
                voting_power: power(raw.voting_power.as_deref())?,
            })
        })
        .collect::<Result<Vec<_>, _>>()?;
    let total = match &raw.total {
        Some(text) => number(text, "total")?,
        None => validators.len() as u64,
    };
    let total = usize::try_from(total)
        .ok()
        .filter(|total| *total <= MAX_VALIDATORS)
        .ok_or_else(|| invalid(format!("more than {MAX_VALIDATORS} validators")))?;
    Ok(ValidatorPage {
        height: number(&raw.block_height, "block_height")?,
        validators,
        total,
    })
}

fn signature(raw: &RawSignature) -> Result<CommitSignature, RpcError> {
    let flag = match raw.block_id_flag {
        1 => BlockIdFlag::Absent,
        2 => BlockIdFlag::Commit,
        3 => BlockIdFlag::Nil,
        other => return Err(invalid(format!("unknown block_id_flag {other}"))),
    };
    if flag == BlockIdFlag::Absent {
        return Ok(CommitSignature {
            flag,
            validator: None,
            timestamp: None,
        });
    }
    Ok(CommitSignature {
        flag,
        validator: Some(address(&raw.validator_address)?),
        timestamp: raw
            .timestamp
            .as_deref()
            .map(|text| time(text, "timestamp"))
            .transpose()?,
    })
}

fn result<T: for<'a> Deserialize<'a>>(json: &[u8]) -> Result<T, RpcError> {
    let envelope: Envelope<T> = serde_json::from_slice(json).map_err(|error| {
        // Not the error's own text: it could quote the answer.
        invalid(format!(
            "not the answer of a CometBFT node (line {}, column {})",
            error.line(),
            error.column()
        ))
    })?;
    match (envelope.result, envelope.error) {
        (_, Some(error)) => {
            let said = printable(&format!("{} {}", error.message, error.data), 300);
            Err(RpcError::new(
                RpcCode::NodeError,
                format!("{} ({})", said.trim(), error.code),
            ))
        }
        (Some(result), None) => Ok(result),
        (None, None) => Err(invalid("neither a result nor an error")),
    }
}

fn number(text: &str, what: &str) -> Result<u64, RpcError> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse::<i64>()
        .ok()
        .filter(|_| digits)
        .and_then(|value| u64::try_from(value).ok())
        .ok_or_else(|| invalid(format!("{what} is not a number")))
}

fn power(text: Option<&str>) -> Result<u64, RpcError> {
    text.map_or(Ok(0), |text| number(text, "voting_power"))
}

fn time(text: &str, what: &str) -> Result<Timestamp, RpcError> {
    text.parse().map_err(|_| invalid(format!("{what} is not a time")))
}

fn chain_id(text: &str) -> Result<ChainId, RpcError> {
    ChainId::new(text).map_err(|_| invalid("the chain id is none"))
}

fn address(hex: &str) -> Result<Address, RpcError> {
    let mut bytes = [0; 20];
    hex::decode_to_slice(hex, &mut bytes)
        .map_err(|_| invalid("an address is not 20 bytes of hexadecimal"))?;
    Ok(Address(bytes))
}

/// A key of a type that sigward has not is nobody's that sigward could be.
fn public_key(raw: &RawPublicKey) -> Option<PublicKey> {
    let algorithm = match &*raw.r#type {
        "tendermint/PubKeyEd25519" => Algorithm::Ed25519,
        "tendermint/PubKeySecp256k1" => Algorithm::Secp256k1,
        _ => return None,
    };
    let bytes = BASE64_STANDARD.decode(&raw.value).ok()?;
    PublicKey::new(algorithm, &bytes).ok()
}

fn invalid(message: impl Into<String>) -> RpcError {
    RpcError::new(RpcCode::InvalidAnswer, message)
}
