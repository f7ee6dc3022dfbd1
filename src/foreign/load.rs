//! From paths to a plan: which files of which signer are read. Nothing here reads a private key.

use std::fs::File;
use std::io::{BufReader, Read as _};
use std::path::{Path, PathBuf};

use serde::Deserialize;
use sigward_policies::decision::Refusal;
use sigward_policies::model::id::ChainId;

use super::{
    ForeignChain, ForeignKey, ForeignKind, ForeignSigner, KeyFileFormat, StateFormat, cometbft, cosmos_kms,
    horcrux, invalid, not_movable, tmkms,
};

/// Longest configuration or state that is read.
pub const MAX_FILE: u64 = 1 << 20;
/// Longest genesis: some chains began with a large state.
const MAX_GENESIS: u64 = 4 << 30;
/// Most files that a folder of keys may have.
const MAX_LISTED: usize = 10_000;

/// Where to look.
#[derive(Clone, Debug, Default)]
pub struct Places {
    /// What the operator named.
    pub paths: Vec<PathBuf>,
    /// The chain, where the files do not say it.
    pub chain: Option<ChainId>,
    /// The folder that the signer is started in, where its paths are relative to that.
    pub started_in: Option<PathBuf>,
}

/// Reads what `kind` keeps at `places`.
pub fn load(kind: ForeignKind, places: &Places) -> Result<ForeignSigner, Refusal> {
    let mut plan = match kind {
        ForeignKind::CometBft => return load_cometbft(places),
        ForeignKind::Tmkms => {
            let config = one(places, "tmkms.toml")?;
            let base = places.started_in.clone().unwrap_or_else(|| folder_of(&config));
            let mut plan = tmkms::parse(&read_small(&config)?, &base)?;
            plan.sources.push(config);
            plan
        }
        ForeignKind::CosmosKms => {
            let config = one(places, "config.yaml")?;
            let base = places.started_in.clone().unwrap_or_else(|| folder_of(&config));
            let mut plan = cosmos_kms::parse(&read_small(&config)?, &base)?;
            for key in &mut plan.keys {
                if looks_like_json(&key.file)? {
                    key.format = KeyFileFormat::FilePv;
                }
            }
            plan.sources.push(config);
            plan
        }
        ForeignKind::Horcrux => {
            let config = one(places, "config.yaml")?;
            let mut plan = horcrux::parse(&read_small(&config)?, &folder_of(&config), list)?;
            plan.sources.push(config);
            plan
        }
    };
    if let Some(chain) = &places.chain {
        for key in &mut plan.keys {
            if !key.chains.iter().any(|known| known.id == *chain) {
                key.chains.clear();
            }
            whole(key, chain)?;
        }
        plan.keys.retain(|key| !key.chains.is_empty());
        plan = plan.checked()?;
    }
    Ok(plan)
}

/// Refuses to take a key for one of its chains only: it would sign for the others where it is, and be here as if it had one chain.
fn whole(key: &ForeignKey, chain: &ChainId) -> Result<(), Refusal> {
    if key.chains.len() < 2 {
        return Ok(());
    }
    let all: Vec<_> = key.chains.iter().map(|chain| chain.id.as_str()).collect();
    Err(not_movable(format!(
        "{} signs for {}: it moves for all of them or for none, since two signers would have it otherwise. Leave --chain {chain} out; \
         a chain that has ended is closed with --above CHAIN=HEIGHT",
        key.file.display(),
        all.join(", ")
    )))
}

fn load_cometbft(places: &Places) -> Result<ForeignSigner, Refusal> {
    let mut plan = ForeignSigner::new(ForeignKind::CometBft);
    let settings = match &*places.paths {
        [home] if home.is_dir() => {
            let config = home.join("config/config.toml");
            let settings = cometbft::parse_config(&read_small(&config)?, home)?;
            plan.sources.push(config);
            settings
        }
        [key, state] => cometbft::NodeSettings {
            key_file: key.clone(),
            state_file: state.clone(),
            genesis_file: PathBuf::new(),
            laddr: None,
        },
        _ => {
            return Err(invalid(
                "give the node's home folder, or two files: priv_validator_key.json and priv_validator_state.json",
            ));
        }
    };
    let id = match &places.chain {
        Some(chain) => chain.clone(),
        None if settings.genesis_file.as_os_str().is_empty() => {
            return Err(invalid(
                "two files do not say which chain they are of: add --chain CHAIN_ID",
            ));
        }
        None => {
            let id = chain_of(&settings.genesis_file)?;
            plan.sources.push(settings.genesis_file.clone());
            id
        }
    };
    if let Some(laddr) = &settings.laddr {
        plan.warnings.push(format!(
            "the node's priv_validator_laddr is {laddr}: if it was so while it last ran, another signer signed for it, and these are not the validator's key and state"
        ));
    }
    plan.keys.push(ForeignKey {
        file: settings.key_file,
        format: KeyFileFormat::FilePv,
        chains: vec![ForeignChain {
            id,
            state_file: settings.state_file,
            state_format: StateFormat::FilePv,
            nodes: settings.laddr.into_iter().collect(),
        }],
    });
    Ok(plan)
}

/// The one path: a file, or the folder that has a file of this name.
fn one(places: &Places, name: &str) -> Result<PathBuf, Refusal> {
    match &*places.paths {
        [path] if path.is_dir() => Ok(path.join(name)),
        [path] => Ok(path.clone()),
        _ => Err(invalid(format!("give one path: {name}, or the folder it is in"))),
    }
}

fn folder_of(file: &Path) -> PathBuf {
    std::path::absolute(file)
        .ok()
        .and_then(|file| file.parent().map(Path::to_owned))
        .unwrap_or_default()
}

/// Reads a configuration or a state.
pub fn read_small(path: &Path) -> Result<Vec<u8>, Refusal> {
    let refuse = |why: String| invalid(format!("{}: {why}", path.display()));
    // Asked first: opening a pipe would wait for its writer.
    let about = std::fs::metadata(path).map_err(|error| refuse(error.to_string()))?;
    if !about.is_file() {
        return Err(refuse("this is not a file".to_owned()));
    }
    let mut bytes = Vec::new();
    File::open(path)
        .and_then(|file| file.take(MAX_FILE + 1).read_to_end(&mut bytes))
        .map_err(|error| refuse(error.to_string()))?;
    if bytes.len() as u64 > MAX_FILE {
        return Err(refuse(format!(
            "more than {MAX_FILE} bytes; a configuration or a state is small"
        )));
    }
    Ok(bytes)
}

#[derive(Deserialize)]
struct Genesis {
    chain_id: String,
}

fn chain_of(genesis: &Path) -> Result<ChainId, Refusal> {
    let refuse = |why: String| {
        invalid(format!(
            "{}: {why}; say which chain it is with --chain CHAIN_ID",
            genesis.display()
        ))
    };
    // Asked first: opening a pipe would wait for its writer.
    let about = std::fs::metadata(genesis).map_err(|error| refuse(error.to_string()))?;
    if !about.is_file() {
        return Err(refuse("this is not a file".to_owned()));
    }
    let file = File::open(genesis).map_err(|error| refuse(error.to_string()))?;
    let read: Genesis = serde_json::from_reader(BufReader::new(file.take(MAX_GENESIS)))
        .map_err(|error| refuse(error.to_string()))?;
    ChainId::new(&read.chain_id).map_err(|refusal| refuse(refusal.message))
}

/// Whether the file begins as JSON does. One byte is read: no secret begins with a brace.
fn looks_like_json(path: &Path) -> Result<bool, Refusal> {
    let mut first = [0];
    let about = std::fs::metadata(path).map_err(|error| invalid(format!("{}: {error}", path.display())))?;
    if !about.is_file() {
        return Err(invalid(format!("{}: this is not a file", path.display())));
    }
    let read = File::open(path)
        .and_then(|mut file| file.read(&mut first))
        .map_err(|error| invalid(format!("{}: {error}", path.display())))?;
    Ok(read == 1 && first == *b"{")
}

fn list(folder: &Path) -> Result<Vec<String>, Refusal> {
    let refuse = |why: String| invalid(format!("{}: {why}", folder.display()));
    let mut names = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(|error| refuse(error.to_string()))? {
        let entry = entry.map_err(|error| refuse(error.to_string()))?;
        names.extend(entry.file_name().into_string());
        if names.len() > MAX_LISTED {
            return Err(refuse(format!("more than {MAX_LISTED} files")));
        }
    }
    Ok(names)
}
