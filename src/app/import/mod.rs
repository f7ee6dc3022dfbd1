//! Moving in from another signer: [`read`] makes a plan of its files, [`Import::apply`] carries it out.
//!
//! *Invariants:* a plan is read and judged whole, the new configuration included, before anything is written; a home that did not
//! exist appears at once and whole; in one that exists, keys and watermarks come in one commit, the configuration after them: until
//! it names a chain nothing signs for it, and the same command again finishes the work.

mod sections;
mod stage;

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use sigward_hsm::secret::Arena;
use sigward_hsm::software::{KeyMaterial, filepv::FilePvError, moving};
use sigward_hsm::verify::{Verifier, address};
use sigward_policies::decision::{Refusal, RefusalCode};
use sigward_policies::double_sign::Beginning;
use sigward_policies::model::algorithm::{Address, PublicKey};
use sigward_policies::model::id::{ChainId, Height, KeyName};

use super::{Durability, parts, swap};
use crate::admin::{Incoming, IncomingChain, state_file};
use crate::authn;
use crate::config::{self, Config};
use crate::foreign::{
    self, ForeignChain, ForeignKey, ForeignKind, ForeignSigner, KeyFileFormat, Places, StateFormat,
};
use crate::store::Sharing;

/// What an operator asks for.
#[derive(Clone, Debug)]
pub struct Wish {
    /// From whom.
    pub from: ForeignKind,
    /// Where its files are.
    pub places: Places,
    /// What to call the key, if there is one.
    pub name: Option<KeyName>,
    /// Nodes that the files do not name, with their chain where there are several.
    pub nodes: Vec<(Option<ChainId>, String)>,
    /// Heights to close, whatever the files say.
    pub above: Vec<(ChainId, Height)>,
    /// Chains that the operator vouches were never signed for.
    pub never_signed: Vec<ChainId>,
    /// For a home that is made.
    pub durability: Durability,
}

/// A plan.
pub struct Import {
    /// From whom.
    pub from: ForeignKind,
    /// The files that were read.
    pub sources: Vec<PathBuf>,
    /// The keys.
    pub keys: Vec<MovingKey>,
    /// What was not understood.
    pub not_understood: Vec<String>,
    /// What the operator should know.
    pub warnings: Vec<String>,
    /// Whether the home is there already.
    pub home_exists: bool,
    /// What is added to `sigward.toml`.
    pub added: String,
    home: PathBuf,
    /// The configuration as it was, to see whether it still is.
    old_text: String,
    new_text: String,
    durability: Durability,
}

/// A key that moves.
pub struct MovingKey {
    /// What it will be called.
    pub name: KeyName,
    /// Its public half.
    pub public_key: PublicKey,
    /// Its address.
    pub address: Address,
    /// The files it was read from; the same key may be in several.
    pub files: Vec<PathBuf>,
    /// Its chains.
    pub chains: Vec<MovingChain>,
    material: KeyMaterial,
}

/// A chain of a key that moves.
#[derive(Clone, Debug)]
pub struct MovingChain {
    /// The chain.
    pub id: ChainId,
    /// What the key has signed there.
    pub beginning: Beginning,
    /// Who says so.
    pub said_by: String,
    /// The height at which the old signer's own state ends, whatever the operator closed above it.
    pub stated_height: i64,
    /// Its nodes.
    pub nodes: Vec<String>,
}

/// Reads another signer's files, the key files among them, and plans. Writes nothing.
pub fn read(home: &Path, wish: &Wish) -> anyhow::Result<Import> {
    let home_exists = home.join(config::FILE_NAME).exists();
    let (config, old_text) = if home_exists {
        let text = std::fs::read_to_string(home.join(config::FILE_NAME))?;
        (config::load(home)?, text)
    } else {
        stage::refuse_unless_empty(home)?;
        let text = stage::config_text(wish.durability);
        (config::parse(&text, home)?, text)
    };
    let signer = foreign::load(wish.from, &wish.places)?;
    let mut plan = Import {
        from: signer.kind,
        sources: signer.sources.clone(),
        keys: Vec::new(),
        not_understood: signer.not_understood.clone(),
        warnings: signer.warnings.clone(),
        home_exists,
        added: String::new(),
        home: home.to_owned(),
        old_text,
        new_text: String::new(),
        durability: wish.durability,
    };
    let arena = parts::arena(&config)?;
    plan.read_keys(&arena, signer, wish)?;
    plan.know_all(wish)?;
    plan.none_is_there(&config)?;
    plan.name_keys(&config, wish)?;
    plan.add_nodes(wish)?;
    plan.write_config()?;
    Ok(plan)
}

impl Import {
    fn read_keys(&mut self, arena: &Arena, signer: ForeignSigner, wish: &Wish) -> anyhow::Result<()> {
        for ForeignKey { file, format, chains } in signer.keys {
            let material = read_material(arena, &file, format)?;
            let public_key = *material.public_key();
            let verifier = Verifier::new(&public_key)?;
            let chains = chains
                .into_iter()
                .map(|chain| begin(chain, &verifier, wish))
                .collect::<Result<Vec<_>, _>>()?;
            self.sources.push(file.clone());
            if let Some(key) = self.keys.iter_mut().find(|key| key.public_key == public_key) {
                key.files.push(file);
                key.chains.extend(chains);
                continue;
            }
            self.keys.push(MovingKey {
                name: KeyName::new("validator")?,
                public_key,
                address: address(&public_key),
                files: vec![file],
                chains,
                material,
            });
        }
        for key in self.keys.iter().filter(|key| key.chains.len() > 1) {
            let chains: Vec<_> = key.chains.iter().map(|chain| chain.id.as_str()).collect();
            self.warnings.push(format!(
                "ONE KEY FOR {} CHAINS ({}): it is written with shared = true for each; a slash on one can then be a slash on all",
                chains.len(),
                chains.join(", ")
            ));
        }
        Ok(())
    }

    /// Refuses words about chains that do not move: a typo would leave the chain that was meant without its height.
    fn know_all(&self, wish: &Wish) -> Result<(), Refusal> {
        let named = wish
            .above
            .iter()
            .map(|(chain, _)| chain)
            .chain(&wish.never_signed)
            .chain(wish.nodes.iter().filter_map(|(chain, _)| chain.as_ref()));
        for chain in named {
            if self.chains().all(|(_, known)| known.id != *chain) {
                let known: Vec<_> = self.chains().map(|(_, chain)| chain.id.as_str()).collect();
                return Err(Refusal::new(
                    RefusalCode::InvalidParameters,
                    format!("chain {chain} is not among those that move: {}", known.join(", ")),
                ));
            }
        }
        Ok(())
    }

    /// A chain has one section; its key and its past are known here already.
    fn none_is_there(&self, config: &Config) -> Result<(), Refusal> {
        if let Some((_, chain)) = self
            .chains()
            .find(|(_, chain)| config.chains.iter().any(|known| known.id == chain.id))
        {
            let message = format!(
                "sigward.toml has chain {} already; `sigward state import` joins a newer state into it",
                chain.id
            );
            return Err(Refusal::new(RefusalCode::AlreadyBound, message));
        }
        Ok(())
    }

    fn name_keys(&mut self, config: &Config, wish: &Wish) -> Result<(), Refusal> {
        let several = self.keys.len() > 1;
        if several && wish.name.is_some() {
            return Err(Refusal::new(
                RefusalCode::InvalidParameters,
                "--name is for one key, and several move; they are named for their chains",
            ));
        }
        for key in &mut self.keys {
            let taken = |name: &KeyName| config.chains.iter().any(|chain| chain.key == *name);
            let of_chain = || {
                let first = key.chains.first().map_or("validator", |chain| chain.id.as_str());
                let fit = |c: char| {
                    if c.is_ascii_alphanumeric() || "._-".contains(c) {
                        c
                    } else {
                        '_'
                    }
                };
                KeyName::new(
                    first
                        .chars()
                        .map(fit)
                        .collect::<String>()
                        .trim_start_matches(['.', '-']),
                )
            };
            key.name = match &wish.name {
                Some(name) => name.clone(),
                None if several || taken(&key.name) => of_chain()?,
                None => key.name.clone(),
            };
            if taken(&key.name) {
                return Err(Refusal::new(
                    RefusalCode::KeyExists,
                    format!(
                        "sigward.toml has a key {} already; choose another name with --name",
                        key.name
                    ),
                ));
            }
        }
        Ok(())
    }

    fn add_nodes(&mut self, wish: &Wish) -> Result<(), Refusal> {
        let only = self.chains().count() == 1;
        for (chain, node) in &wish.nodes {
            let wanted = |known: &&mut MovingChain| chain.as_ref().map_or(only, |chain| known.id == *chain);
            let found = self.keys.iter_mut().flat_map(|key| &mut key.chains).find(wanted);
            let found = found.ok_or_else(|| {
                Refusal::new(
                    RefusalCode::InvalidParameters,
                    format!("several chains move: say which one the node is of, --node CHAIN={node}"),
                )
            })?;
            if !found.nodes.contains(node) {
                found.nodes.push(node.clone());
            }
        }
        Ok(())
    }

    fn write_config(&mut self) -> anyhow::Result<()> {
        let (added, warnings) = sections::write(self.from, &self.keys, &self.home);
        self.warnings.extend(warnings);
        self.new_text = format!("{}\n\n{added}", self.old_text.trim_end());
        self.added = added;
        config::parse(&self.new_text, &self.home).context(
            "the configuration would not be valid with what is added (a `chain = [...]` must be written as [[chain]]); nothing was written",
        )?;
        Ok(())
    }

    /// Every chain with its key.
    pub fn chains(&self) -> impl Iterator<Item = (&MovingKey, &MovingChain)> {
        self.keys
            .iter()
            .flat_map(|key| key.chains.iter().map(move |chain| (key, chain)))
    }

    /// The configuration file.
    pub fn config_file(&self) -> PathBuf {
        self.home.join(config::FILE_NAME)
    }

    /// The commit, and the folder or the file that makes it true.
    pub async fn apply(self) -> anyhow::Result<()> {
        if self.home_exists {
            let config = config::load(&self.home)?;
            let (home, old, new) = (self.home.clone(), self.old_text.clone(), self.new_text.clone());
            self.commit(&config).await?;
            crate::crash::crash_point!("import_committed");
            let then = "the keys are here, and the same command again adds their chains";
            return swap::replace(&home.join(config::FILE_NAME), &old, &new, then);
        }
        let stage = stage::Stage::new(&self.home, self.durability)?;
        let config = config::load(stage.folder())?;
        let new = self.new_text.clone();
        self.commit(&config).await?;
        stage.finish(&new)
    }

    async fn commit(self, config: &Config) -> anyhow::Result<()> {
        let parts = parts::open(config).context(
            "the home cannot be opened; if a daemon runs on it, stop it first: moving in changes its configuration",
        )?;
        let incoming = self.keys.into_iter().map(|key| {
            let sharing = if key.chains.len() > 1 {
                Sharing::Shared
            } else {
                Sharing::OneChain
            };
            Incoming {
                name: key.name,
                material: key.material,
                chains: key
                    .chains
                    .into_iter()
                    .map(|chain| IncomingChain {
                        id: chain.id,
                        sharing,
                        beginning: chain.beginning,
                    })
                    .collect(),
            }
        });
        let moved = parts
            .admin
            .move_in(&authn::this_process(), self.from.as_str(), incoming.collect())
            .await;
        parts.store.close();
        moved?;
        Ok(())
    }
}

fn read_material(arena: &Arena, file: &Path, format: KeyFileFormat) -> Result<KeyMaterial, Refusal> {
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
        Refusal::new(
            RefusalCode::InvalidKeyFile,
            format!("{}: {error}{}", file.display(), remedy.unwrap_or_default()),
        )
    })
}

/// What a key has signed on a chain: the greater of what its state file and the operator say.
fn begin(chain: ForeignChain, verifier: &Verifier, wish: &Wish) -> Result<MovingChain, Refusal> {
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
    let stated = match std::fs::symlink_metadata(&state_file) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
        _ => {
            let bytes = foreign::read_small(&state_file)?;
            let read = match state_format {
                StateFormat::FilePv => state_file::parse(&bytes, verifier, &id),
                StateFormat::Horcrux => {
                    foreign::horcrux_state(&bytes).and_then(|json| state_file::parse(&json, verifier, &id))
                }
                StateFormat::Tmkms => foreign::parse_tmkms_state(&bytes),
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
        Beginning::Above(height) => height.value(),
        Beginning::State(last) => last.position.height.value(),
    }
}
