//! What a reload would change: two configurations in, a list of differences out. Pure.
//!
//! *Invariants:* an empty list means equal configurations, the order of chains and nodes aside; a setting of the guard that would
//! refuse less is never anything but [`Effect::Loosens`]; a setting that this file does not name cannot exist, because every
//! struct is taken apart by name.

use std::collections::{BTreeMap, BTreeSet};

use sigward_policies::double_sign::Limits;
use sigward_policies::model::id::{ChainId, NodeName};

use super::{
    ChainConfig, Config, DoorBounds, KeysConfig, LogConfig, LogFormat, NodeConfig, ProviderId, SealSource,
    StoreConfig,
};

mod tables;
mod text;

#[cfg(test)]
mod tests;

/// Guard settings of chains that were taken out since the start. Out and in again is no way around a restart.
pub type Departed = BTreeMap<ChainId, Guarded>;

/// What of a chain may only become stricter while sigward runs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Guarded {
    /// The guard's settings.
    pub limits: Limits,
    /// Whether its key may serve other chains.
    pub shared: bool,
}

/// The differences between two configurations, settings first, then chains by id.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Diff {
    entries: Vec<Entry>,
}

/// One difference.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Entry {
    /// Of what.
    pub subject: Subject,
    /// Which.
    pub change: Change,
}

/// What differs.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Subject {
    /// A setting outside of all chains.
    Setting,
    /// A provider.
    Provider(ProviderId),
    /// A chain.
    Chain(ChainId),
    /// A node of a chain.
    Node(ChainId, NodeName),
}

/// How it differs.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Change {
    /// It is new; what it says.
    Added(String),
    /// It is gone; what it said.
    Removed(String),
    /// One setting of it has another value.
    Set {
        /// The setting, as the file calls it.
        name: &'static str,
        /// Its value in force.
        old: String,
        /// Its value in the file.
        new: String,
        /// What a reload makes of it.
        effect: Effect,
    },
}

/// What a reload makes of a changed setting.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Effect {
    /// It takes it, and connections that it does not concern stand.
    Live,
    /// It takes it for the very next request; no connection ends.
    Tightens,
    /// It refuses the whole configuration: the guard would refuse less. A restart takes it.
    Loosens,
    /// It leaves it as it was, and says so. A restart takes it.
    NeedsRestart,
}

impl Guarded {
    /// What `chain` says.
    pub const fn of(chain: &ChainConfig) -> Self {
        Self {
            limits: chain.limits,
            shared: chain.shared,
        }
    }
}

impl Diff {
    /// What turns `old`, which runs, into `new`.
    pub fn between(old: &Config, new: &Config) -> Self {
        Self::since_start(old, &Departed::new(), new)
    }

    /// The same, where chains have run and were taken out since the start.
    pub fn since_start(old: &Config, departed: &Departed, new: &Config) -> Self {
        let mut diff = Self::default();
        diff.settings(old, new);
        diff.providers(&old.providers, &new.providers);
        let (was, is) = (by_id(old), by_id(new));
        let ids: BTreeSet<_> = was.keys().chain(is.keys()).collect();
        for id in ids {
            match (was.get(id), is.get(id)) {
                (Some(old), Some(new)) => diff.chain(old, new),
                (Some(old), None) => diff.push(chain_of(old), Change::Removed(text::chain(old))),
                (None, Some(new)) => {
                    diff.push(chain_of(new), Change::Added(text::chain(new)));
                    if let Some(before) = departed.get(*id) {
                        diff.guarded(*before, new, Only::Loosening);
                    }
                }
                (None, None) => {}
            }
        }
        diff
    }

    /// The differences, in order.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Those that make a reload refuse all of it.
    pub fn loosened(&self) -> impl Iterator<Item = &Entry> {
        self.of_effect(Effect::Loosens)
    }

    /// Those that a reload leaves as they were.
    pub fn waiting_for_restart(&self) -> impl Iterator<Item = &Entry> {
        self.of_effect(Effect::NeedsRestart)
    }

    /// The connection of `node` of `chain` ends, begins, or begins anew.
    pub fn touches(&self, chain: &ChainId, node: &NodeName) -> bool {
        self.entries
            .iter()
            .any(|entry| match (&entry.subject, &entry.change) {
                (Subject::Setting | Subject::Provider(_), _) => false,
                (Subject::Chain(id), Change::Added(_) | Change::Removed(_)) => id == chain,
                (Subject::Chain(id), Change::Set { name, .. }) => id == chain && *name == KEY,
                (Subject::Node(id, of), Change::Added(_) | Change::Removed(_)) => id == chain && of == node,
                (Subject::Node(id, of), Change::Set { name, .. }) => {
                    id == chain && of == node && *name == ADDRESS
                }
            })
    }

    fn of_effect(&self, wanted: Effect) -> impl Iterator<Item = &Entry> {
        self.entries
            .iter()
            .filter(move |entry| matches!(entry.change, Change::Set { effect, .. } if effect == wanted))
    }

    fn push(&mut self, subject: Subject, change: Change) {
        self.entries.push(Entry { subject, change });
    }

    fn set<T: PartialEq>(
        &mut self,
        subject: &Subject,
        name: &'static str,
        (old, new): (&T, &T),
        effect: Effect,
        show: impl Fn(&T) -> String,
    ) {
        if old != new {
            let (old, new) = (show(old), show(new));
            let change = Change::Set {
                name,
                old,
                new,
                effect,
            };
            self.push(subject.clone(), change);
        }
    }

    fn settings(&mut self, old: &Config, new: &Config) {
        use Effect::NeedsRestart;
        let Config {
            store:
                StoreConfig {
                    dir,
                    witness,
                    allow_volatile,
                    low_space_mib,
                    reserve_mib,
                },
            seal,
            keys: KeysConfig {
                dir: keys,
                allow_unlocked_memory,
            },
            identity,
            policy,
            admin_socket,
            http,
            listen,
            bearer,
            plain,
            bounds,
            log: LogConfig { format, level },
            audit,
            otlp,
            providers: _,
            chains: _,
            read_from: _,
        } = old;
        let of = Subject::Setting;
        let path = |path: &std::path::PathBuf| text::path(path);
        self.set(&of, "store.dir", (dir, &new.store.dir), NeedsRestart, path);
        self.set(
            &of,
            "store.witness",
            (witness, &new.store.witness),
            NeedsRestart,
            path,
        );
        let volatile = (allow_volatile, &new.store.allow_volatile);
        self.set(
            &of,
            "store.allow_volatile",
            volatile,
            NeedsRestart,
            bool::to_string,
        );
        for (name, old, new) in [
            ("store.low_space_mib", low_space_mib, new.store.low_space_mib),
            ("store.reserve_mib", reserve_mib, new.store.reserve_mib),
        ] {
            self.set(&of, name, (old, &new), NeedsRestart, u64::to_string);
        }
        self.set(
            &of,
            "seal",
            (seal, &new.seal),
            NeedsRestart,
            SealSource::to_string,
        );
        self.set(&of, "keys.dir", (keys, &new.keys.dir), NeedsRestart, path);
        let unlocked = (allow_unlocked_memory, &new.keys.allow_unlocked_memory);
        self.set(
            &of,
            "keys.allow_unlocked_memory",
            unlocked,
            NeedsRestart,
            bool::to_string,
        );
        self.set(
            &of,
            "identity.file",
            (identity, &new.identity),
            NeedsRestart,
            path,
        );
        self.policy_place(policy, &new.policy);
        self.set(
            &of,
            "admin.socket",
            (admin_socket, &new.admin_socket),
            NeedsRestart,
            path,
        );
        self.set(&of, "listen", (listen, &new.listen), NeedsRestart, text::door);
        self.bearer(bearer.as_ref(), new.bearer.as_ref());
        self.set(
            &of,
            "listen.plain",
            (plain, &new.plain),
            NeedsRestart,
            text::listen,
        );
        self.set(
            &of,
            "listen.bounds",
            (bounds, &new.bounds),
            NeedsRestart,
            DoorBounds::to_string,
        );
        self.set(&of, "http.listen", (http, &new.http), NeedsRestart, text::listen);
        self.audit(audit, &new.audit);
        self.otlp(otlp.as_ref(), new.otlp.as_ref());
        self.set(
            &of,
            "log.format",
            (format, &new.log.format),
            NeedsRestart,
            LogFormat::to_string,
        );
        self.set(
            &of,
            "log.level",
            (level, &new.log.level),
            Effect::Live,
            String::clone,
        );
    }

    fn chain(&mut self, old: &ChainConfig, new: &ChainConfig) {
        let ChainConfig {
            id: _,
            key,
            shared: _,
            limits: _,
            nodes,
        } = old;
        let of = chain_of(old);
        self.set(&of, KEY, (key, &new.key), Effect::Live, ToString::to_string);
        self.guarded(Guarded::of(old), new, Only::Everything);
        for node in nodes {
            let NodeConfig { name, address, rpc } = node;
            let subject = Subject::Node(old.id.clone(), name.clone());
            match find(&new.nodes, name) {
                None => self.push(subject, Change::Removed(text::address(address))),
                Some(now) => {
                    let addresses = (address, &now.address);
                    self.set(&subject, ADDRESS, addresses, Effect::Live, text::address);
                    self.set(&subject, "rpc", (rpc, &now.rpc), Effect::Live, text::rpc);
                }
            }
        }
        for node in &new.nodes {
            if find(nodes, &node.name).is_none() {
                let subject = Subject::Node(old.id.clone(), node.name.clone());
                self.push(subject, Change::Added(text::address(&node.address)));
            }
        }
    }

    fn guarded(&mut self, before: Guarded, new: &ChainConfig, only: Only) {
        let Guarded {
            limits:
                Limits {
                    height_jump,
                    heights_per_second,
                    round_jump,
                    strict_extensions,
                },
            shared,
        } = before;
        let now = Guarded::of(new);
        let of = chain_of(new);
        let mut set = |name, loosens: bool, old: String, new: String| {
            let effect = if loosens {
                Effect::Loosens
            } else {
                Effect::Tightens
            };
            if old != new && (loosens || only == Only::Everything) {
                let change = Change::Set {
                    name,
                    old,
                    new,
                    effect,
                };
                self.push(of.clone(), change);
            }
        };
        let mut number = |name, old: i64, new: i64| set(name, new > old, old.to_string(), new.to_string());
        number("height_jump", height_jump, now.limits.height_jump);
        number(
            "heights_per_second",
            heights_per_second,
            now.limits.heights_per_second,
        );
        number("round_jump", round_jump.into(), now.limits.round_jump.into());
        let strict = now.limits.strict_extensions;
        let said = |value: bool| value.to_string();
        set(
            "strict_extensions",
            !strict,
            said(strict_extensions),
            said(strict),
        );
        // One slash on all of them: what a key may be used for is a guard's setting too.
        set("shared", now.shared, said(shared), said(now.shared));
    }
}

/// What the document of the policy is called among settings.
const POLICY: &str = "policy";
/// The setting whose change ends every connection of its chain.
const KEY: &str = "key";
/// The one whose change ends the connection of its node.
const ADDRESS: &str = "address";

#[derive(Clone, Copy, PartialEq, Eq)]
enum Only {
    Everything,
    Loosening,
}

fn by_id(config: &Config) -> BTreeMap<&ChainId, &ChainConfig> {
    config.chains.iter().map(|chain| (&chain.id, chain)).collect()
}

fn chain_of(chain: &ChainConfig) -> Subject {
    Subject::Chain(chain.id.clone())
}

fn find<'a>(nodes: &'a [NodeConfig], name: &NodeName) -> Option<&'a NodeConfig> {
    nodes.iter().find(|node| node.name == *name)
}
