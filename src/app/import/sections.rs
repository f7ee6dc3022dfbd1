//! What moving in adds to `sigward.toml`.

use std::path::Path;

use super::{MovingChain, MovingKey};
use crate::config::{NodeAddress, Reach};
use crate::foreign::ForeignKind;

/// The `[[chain]]` sections, and what to say about them. A node whose address sigward does not dial is left out, and said.
pub(super) fn write(from: ForeignKind, keys: &[MovingKey], home: &Path) -> (String, Vec<String>) {
    let mut text = format!("# Moved in from {} by `sigward import`.\n", from.as_str());
    let mut warnings = Vec::new();
    for key in keys {
        for chain in &key.chains {
            text.push_str("[[chain]]\n");
            field(&mut text, "id", chain.id.as_str());
            field(&mut text, "key", key.name.as_str());
            if key.chains.len() > 1 {
                text.push_str("# One key for several chains, as it was before the move: a slash on one can be a slash on all.\nshared = true\n");
            }
            nodes(&mut text, &mut warnings, chain, home);
            text.push('\n');
        }
    }
    text.truncate(text.trim_end().len());
    text.push('\n');
    (text, warnings)
}

fn nodes(text: &mut String, warnings: &mut Vec<String>, chain: &MovingChain, home: &Path) {
    let mut count = 0;
    for address in &chain.nodes {
        let read = match NodeAddress::read(address, home) {
            Ok(read) => read,
            Err(why) => {
                warnings.push(format!("chain {}: a node is left out: {why}", chain.id));
                continue;
            }
        };
        text.push_str("\n[[chain.node]]\n");
        field(text, "name", &format!("node-{count}"));
        field(text, "address", address);
        if read.reach() == Reach::Network {
            text.push_str(
                "# The node proves nothing about itself on this link: whoever owns the route gets signatures. A unix socket through a\n\
                 # tunnel does better.\nunauthenticated = \"private-network\"\n",
            );
            warnings.push(format!(
                "chain {}: {address} leaves this machine and is not authenticated; it is written with unauthenticated = \"private-network\"",
                chain.id
            ));
        }
        count += 1;
    }
    if count == 0 {
        warnings.push(format!(
            "chain {}: no node; add a [[chain.node]] with what the node's priv_validator_laddr says, or repeat with --node ADDRESS",
            chain.id
        ));
    }
}

fn field(text: &mut String, name: &str, value: &str) {
    text.push_str(&format!("{name} = {}\n", toml::Value::from(value)));
}
