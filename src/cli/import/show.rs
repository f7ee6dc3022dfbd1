//! How a move looks: the plan, and what is left to do by hand.

use std::fmt::Write as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use serde_json::{Value, json};
use sigward_policies::decision::Refusal;

use super::chain_check::Checked;
use super::{chains_value, watermark};
use crate::app::import::Import;
use crate::cli::output::one_line;
use crate::foreign::ForeignKind;

/// What was found and what would be written.
pub(super) fn plan(import: &Import, applying: bool) -> String {
    let mut text = format!("Moving in from {}\n\nRead:\n", import.from.as_str());
    for source in &import.sources {
        let _infallible = writeln!(text, "  {}", path(source));
    }
    for key in &import.keys {
        let _infallible = writeln!(
            text,
            "\nKey {}  {}  address {}",
            key.name,
            key.public_key.algorithm(),
            key.address
        );
        for chain in &key.chains {
            let _infallible = writeln!(
                text,
                "  {}  signed up to {}  ({})",
                chain.id,
                watermark(&chain.beginning),
                one_line(&chain.said_by)
            );
            for node in &chain.nodes {
                let _infallible = writeln!(text, "    node {}", one_line(node));
            }
        }
    }
    for (title, items) in [
        ("Not understood, and not taken over:", &import.not_understood),
        ("Mind:", &import.warnings),
    ] {
        if !items.is_empty() {
            let _infallible = writeln!(text, "\n{title}");
        }
        for item in items {
            let _infallible = writeln!(text, "  - {}", one_line(item));
        }
    }
    let file = import.config_file();
    let verb = if import.home_exists {
        "Added to"
    } else {
        "Written to a new"
    };
    let _infallible = writeln!(text, "\n{verb} {}:\n", file.display());
    for line in import.added.lines() {
        let _infallible = writeln!(text, "  {line}");
    }
    if !applying {
        let _infallible = writeln!(text, "\nBefore --apply:");
        for step in before(import.from) {
            let _infallible = writeln!(text, "  [ ] {step}");
        }
    }
    text
}

fn path(of: &Path) -> String {
    one_line(&of.display().to_string())
}

/// What is there now, and what is left.
pub(super) fn done(import: &Import) -> String {
    let mut text = format!(
        "Moved in: {} key(s), {} chain(s), in {}\n\nNow:\n",
        import.keys.len(),
        import.chains().count(),
        import.config_file().display()
    );
    for step in after(import) {
        let _infallible = writeln!(text, "  [ ] {step}");
    }
    text.trim_end().to_owned()
}

/// The same for scripts.
pub(super) fn value(import: &Import, checked: &Checked, problems: &[Refusal], applied: bool) -> Value {
    json!({
        "from": import.from.as_str(),
        "applied": applied,
        "sources": import.sources,
        "config": import.config_file(),
        "added": import.added,
        "keys": import.keys.iter().map(|key| json!({
            "name": key.name.as_str(),
            "algorithm": key.public_key.algorithm().as_str(),
            "address": key.address.to_string(),
            "files": key.files,
        })).collect::<Vec<_>>(),
        "chains": chains_value(import),
        "not_understood": import.not_understood,
        "warnings": import.warnings,
        "checks": checked.reports.iter().map(super::chain_check::Report::value).collect::<Vec<_>>(),
        "notices": checked.notices,
        "problems": problems.iter().map(|problem| json!({
            "code": problem.code.as_str(), "message": problem.message,
        })).collect::<Vec<_>>(),
        "checklist": if applied { after(import) } else { before(import.from) },
    })
}

fn before(from: ForeignKind) -> Vec<String> {
    let (what, unit) = match from {
        ForeignKind::CometBft => ("the node, which signs for itself", "cometbft"),
        ForeignKind::Tmkms => ("tmkms, on every machine that has it", "tmkms"),
        ForeignKind::CosmosKms => ("kms, on every machine that has it", "kms"),
        ForeignKind::Horcrux => ("horcrux, on every machine that has it", "horcrux"),
    };
    vec![
        format!("stop {what}, and see that nothing starts it again: `systemctl disable --now {unit}`"),
        format!(
            "see that it is stopped: `pgrep -a {unit}` prints nothing, here and there, and its state file does not change"
        ),
        "ask the chain: --rpc URL compares what it has seen, --wait-blocks 5 watches for a signature"
            .to_owned(),
    ]
}

/// What root has written in another user's home, that user cannot open.
fn give_back(import: &Import) -> Option<String> {
    let home = import.config_file().parent()?.to_owned();
    let owner = std::fs::metadata(&home).ok()?.uid();
    (rustix::process::geteuid().as_raw() != owner).then(|| {
        format!(
            "give the home to its user, who runs sigward: chown -R --reference={0} {0}",
            path(&home)
        )
    })
}

fn after(import: &Import) -> Vec<String> {
    let mut steps: Vec<String> = import
        .keys
        .iter()
        .flat_map(|key| &key.files)
        .map(|file| {
            format!(
                "move {} off this machine, into your safe: as long as another signer can read it, two can sign",
                path(file)
            )
        })
        .collect();
    steps.extend(give_back(import));
    let nodes: Vec<_> = import.chains().flat_map(|(_, chain)| &chain.nodes).collect();
    if nodes.is_empty() {
        steps.push(
            "add a [[chain.node]] to sigward.toml, and set the same address as priv_validator_laddr in the node's config.toml"
                .to_owned(),
        );
    }
    for node in nodes {
        steps.push(format!(
            "see that the node's config.toml says priv_validator_laddr = \"{}\", or the address it listens on for that",
            one_line(node)
        ));
    }
    steps.push("start sigward (`sigward serve`), then the node".to_owned());
    steps.push("see it sign: `sigward state show`".to_owned());
    steps
}
