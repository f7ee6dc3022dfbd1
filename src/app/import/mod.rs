//! Moving in from another signer: [`read`] makes a plan of its files, [`Import::apply`] carries it out.
//!
//! *Invariants:* a plan is read and judged whole, the new configuration included, before anything is written; a home that did not
//! exist appears at once and whole; in one that exists, keys and watermarks come in one commit, the configuration after them: until
//! it names a chain nothing signs for it, and the same command again finishes the work. Right before the commit every state file
//! is read again: one that has changed since the plan was made means that the old signer lives, and nothing is written.

mod lock;
mod past;
mod sections;
mod stage;

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use sigward_hsm::secret::Arena;
use sigward_hsm::software::KeyMaterial;
use sigward_hsm::verify::{Verifier, address};
use sigward_policies::decision::{Refusal, RefusalCode};
use sigward_policies::double_sign::Beginning;
use sigward_policies::model::algorithm::{Address, PublicKey};
use sigward_policies::model::id::{ChainId, Height, KeyName};

use past::StateText;

use super::{Durability, parts, swap};
use crate::admin::{Incoming, IncomingChain};
use crate::audit::Asker;
use crate::authn;
use crate::config::{self, Config};
use crate::foreign::{self, ForeignKey, ForeignKind, ForeignSigner, Places};
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
    /// The state files as they were, to see whether they still are.
    states: Vec<StateText>,
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
    let home = &*std::path::absolute(home)?;
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
        states: Vec::new(),
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
            let material = past::read_material(arena, &file, format)?;
            let public_key = *material.public_key();
            let verifier = Verifier::new(&public_key)?;
            let mut moving = Vec::with_capacity(chains.len());
            for chain in chains {
                let text = StateText::read(&chain.state_file)?;
                moving.push(past::begin(chain, &text, &verifier, wish)?);
                self.states.push(text);
            }
            let chains = moving;
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

    /// The files that say how far the keys have signed.
    pub fn state_files(&self) -> impl Iterator<Item = &Path> {
        self.states.iter().map(StateText::path)
    }

    /// Refuses if a state file says something else than when the plan was made: somebody signs.
    pub fn still_as_read(&self) -> Result<(), Refusal> {
        self.states.iter().try_for_each(StateText::still_as_read)
    }

    /// The commit, and the folder or the file that makes it true. `last_look` is asked when everything else is ready, right before
    /// the commit: what it refuses is not written.
    pub async fn apply(self, last_look: impl FnOnce() -> Result<(), Refusal>) -> anyhow::Result<()> {
        let _lock = lock::Lock::take(&self.home)?;
        if self.home_exists {
            let file = self.config_file();
            let config = config::load(&self.home)?;
            let (old, new) = (self.old_text.clone(), self.new_text.clone());
            anyhow::ensure!(
                std::fs::read_to_string(&file)? == old,
                "{} was edited meanwhile; nothing was written, run the same command again",
                file.display()
            );
            self.commit(&config, last_look).await?;
            crate::crash::crash_point!("import_committed");
            let then = "the keys are here, and the same command again adds their chains";
            return swap::replace(&file, &old, &new, then);
        }
        let stage = stage::Stage::new(&self.home, self.durability)?;
        let config = config::load(stage.folder())?;
        let new = self.new_text.clone();
        self.commit(&config, last_look).await?;
        stage
            .finish(&new)
            .context("nothing signs with what was written so far; run the same command again")
    }

    async fn commit(
        self,
        config: &Config,
        last_look: impl FnOnce() -> Result<(), Refusal>,
    ) -> anyhow::Result<()> {
        let parts = parts::open(config).context(
            "the home cannot be opened, and nothing was written; if a daemon runs on it, stop it first (`systemctl stop sigward`): \
             moving in changes its configuration",
        )?;
        let looked = self.still_as_read().and_then(|()| last_look());
        if let Err(refusal) = looked {
            parts.store.close();
            return Err(refusal.into());
        }
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
            .move_in(
                &Asker::of_this_process(authn::this_process()),
                self.from.as_str(),
                incoming.collect(),
            )
            .await;
        parts.store.close();
        moved?;
        Ok(())
    }
}
