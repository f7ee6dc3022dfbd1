//! `[[chain]]` and `[[chain.node]]`: ids, keys, limits, addresses, and what must not stand twice.

use std::collections::HashMap;

use sigward_policies::decision::Refusal;
use sigward_policies::double_sign::Limits;
use sigward_policies::model::id::{ChainId, KeyName, NodeName};

use super::error::{ConfigError, quote};
use super::raw::{Number, RawChain, RawNode, Text};
use super::validate::Source;
use super::{ChainConfig, NodeAddress, NodeConfig, Reach, RpcUrl, suggest};

/// The word that accepts an unauthenticated link off loopback.
const PRIVATE_NETWORK: &str = "private-network";

pub(super) fn chains(raw: &[RawChain], source: &Source<'_>) -> Result<Vec<ChainConfig>, ConfigError> {
    let mut ids = HashMap::new();
    let mut keys: HashMap<KeyName, (usize, bool)> = HashMap::new();
    let mut addresses = HashMap::new();
    let mut chains = Vec::with_capacity(raw.len());
    for (index, entry) in raw.iter().enumerate() {
        let at = format!("chain[{index}]");
        let chain = chain(entry, &at, source, &mut addresses)?;
        if let Some(first) = ids.insert(chain.id.clone(), index) {
            return Err(source.bad(
                &entry.id,
                format!("{at}.id"),
                format!("{} is chain[{first}] already", quote(chain.id.as_str())),
                "write one [[chain]] and give it all nodes, each in a [[chain.node]]",
            ));
        }
        match keys.get(&chain.key) {
            Some((first, all_shared)) if !(*all_shared && chain.shared) => {
                return Err(source.bad(
                    &entry.key,
                    format!("{at}.key"),
                    format!("key {} serves chain[{first}] already", quote(chain.key.as_str())),
                    "use a key of its own; if the chains must share one, write shared = true in each of them",
                ));
            }
            Some(_) => {}
            None => {
                keys.insert(chain.key.clone(), (index, chain.shared));
            }
        }
        chains.push(chain);
    }
    Ok(chains)
}

fn chain(
    raw: &RawChain,
    at: &str,
    source: &Source<'_>,
    addresses: &mut HashMap<NodeAddress, String>,
) -> Result<ChainConfig, ConfigError> {
    let id = valid(&raw.id, at, "id", ChainId::new, source)?;
    let key = valid(&raw.key, at, "key", KeyName::new, source)?;
    let default = Limits::default();
    let number =
        |value: &Option<Number>, name, default, most| number(value.as_ref(), at, name, default, most, source);
    let limits = Limits {
        height_jump: number(
            &raw.height_jump,
            "height_jump",
            default.height_jump,
            1_000_000_000,
        )?,
        heights_per_second: number(
            &raw.heights_per_second,
            "heights_per_second",
            default.heights_per_second,
            1_000,
        )?,
        round_jump: number(
            &raw.round_jump,
            "round_jump",
            i64::from(default.round_jump),
            1_000_000,
        )
        .map(|rounds| i32::try_from(rounds).unwrap_or(default.round_jump))?,
        strict_extensions: raw.strict_extensions.unwrap_or(default.strict_extensions),
    };
    let mut names = HashMap::new();
    let mut nodes = Vec::with_capacity(raw.node.len());
    for (index, entry) in raw.node.iter().enumerate() {
        let at = format!("{at}.node[{index}]");
        let node = node(entry, &at, source)?;
        if let Some(first) = names.insert(node.name.clone(), index) {
            return Err(source.bad(
                &entry.name,
                format!("{at}.name"),
                format!(
                    "{} is node[{first}] of this chain already",
                    quote(node.name.as_str())
                ),
                "give each node of a chain a name of its own",
            ));
        }
        // A node's signer socket serves one signer, and a node is on one chain: twice is a mistake anywhere in the file.
        if let Some(first) = addresses.insert(node.address.clone(), at.clone()) {
            return Err(source.bad(
                &entry.address,
                format!("{at}.address"),
                format!(
                    "{} is the address of {first} already",
                    quote(entry.address.as_ref())
                ),
                "give each node once: sigward opens one connection to each",
            ));
        }
        nodes.push(node);
    }
    Ok(ChainConfig {
        id,
        key,
        shared: raw.shared.unwrap_or(false),
        limits,
        nodes,
    })
}

fn node(raw: &RawNode, at: &str, source: &Source<'_>) -> Result<NodeConfig, ConfigError> {
    let name = valid(&raw.name, at, "name", NodeName::new, source)?;
    let address = NodeAddress::parse(raw.address.as_ref(), source.base)
        .map_err(|error| source.bad(&raw.address, format!("{at}.address"), error.message, error.advice))?;
    let rpc = match &raw.rpc {
        None => None,
        Some(url) => Some(
            RpcUrl::parse(url.as_ref())
                .map_err(|wrong| source.bad(url, format!("{at}.rpc"), wrong.message, wrong.advice))?,
        ),
    };
    match (&raw.unauthenticated, address.reach()) {
        (Some(word), _) if word.as_ref() != PRIVATE_NETWORK => Err(source.bad(
            word,
            format!("{at}.unauthenticated"),
            format!("unknown word {}", quote(word.as_ref())),
            suggest::advice(word.as_ref(), &[PRIVATE_NETWORK]),
        )),
        // Accepting it beforehand would let a later edit of the address slip through.
        (Some(word), Reach::ThisMachine) => Err(source.bad(
            word,
            format!("{at}.unauthenticated"),
            format!("{} does not leave this machine", quote(raw.address.as_ref())),
            "remove the field",
        )),
        (None, Reach::Network) => Err(source.bad(
            &raw.address,
            format!("{at}.address"),
            format!(
                "{} is off loopback, and a node proves nothing about itself on this protocol: whoever owns the route gets signatures",
                quote(raw.address.as_ref())
            ),
            format!(
                "use unix:///path through an mTLS or WireGuard tunnel; or, on a network of your own, accept it with \
                 unauthenticated = \"{PRIVATE_NETWORK}\" in the entry of node {name}"
            ),
        )),
        _ => Ok(NodeConfig { name, address, rpc }),
    }
}

fn valid<T>(
    value: &Text,
    at: &str,
    field: &str,
    read: impl Fn(&str) -> Result<T, Refusal>,
    source: &Source<'_>,
) -> Result<T, ConfigError> {
    read(value.as_ref()).map_err(|refusal| {
        source.bad(
            value,
            format!("{at}.{field}"),
            format!("bad value {}", quote(value.as_ref())),
            refusal.message,
        )
    })
}

fn number(
    value: Option<&Number>,
    at: &str,
    name: &str,
    default: i64,
    most: i64,
    source: &Source<'_>,
) -> Result<i64, ConfigError> {
    match value {
        None => Ok(default),
        Some(value) if (1..=most).contains(value.as_ref()) => Ok(*value.as_ref()),
        Some(value) => Err(source.bad(
            value,
            format!("{at}.{name}"),
            format!("{} is out of range", value.as_ref()),
            format!("use a number from 1 to {most}; the default is {default}"),
        )),
    }
}
