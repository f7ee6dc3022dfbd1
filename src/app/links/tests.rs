//! The model: a thousand reloads between random configurations, over links that are only numbers. What runs is what the
//! configuration says, what the difference does not name keeps its identity, and rules for everything that runs are there.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::Path;

use proptest::prelude::*;
use proptest::test_runner::{Config as Cases, TestRunner};
use sigward_policies::model::algorithm::Algorithm;

use super::*;
use crate::config::diff::{Departed, Diff, Guarded};
use crate::config::{Config, parse};

const CHAINS: usize = 4;
const NODES: usize = 3;

/// A chain: its key, one of the guard's settings, and the address of each node it has.
type Drawn = Option<(u8, i64, Vec<Option<u8>>)>;

/// One edit: a chain gets other contents, its setting moves by so much, and maybe a node is drained or drained no more.
#[derive(Clone, Debug)]
struct Edit {
    chain: usize,
    key: u8,
    by: i64,
    nodes: Vec<Option<u8>>,
    gone: bool,
    turned: Option<(u8, u8)>,
}

fn edit() -> impl Strategy<Value = Edit> {
    let nodes = prop::collection::vec(prop::option::weighted(0.8, 0u8..3), NODES);
    let by = prop_oneof![6 => Just(0), 1 => Just(-1), 1 => Just(1)];
    let turned = prop::option::weighted(0.3, (0..CHAINS as u8, 0..NODES as u8));
    (0..CHAINS, 0u8..2, by, nodes, prop::bool::weighted(0.2), turned).prop_map(
        |(chain, key, by, nodes, gone, turned)| Edit {
            chain,
            key,
            by,
            nodes,
            gone,
            turned,
        },
    )
}

/// Addresses may move from one node to another: they come from one small pool, and each is given once.
fn text(chains: &[Drawn]) -> String {
    let mut given = BTreeSet::new();
    let mut text = String::new();
    for (index, chain) in chains.iter().enumerate() {
        let Some((key, jump, nodes)) = chain else { continue };
        write!(
            text,
            "[[chain]]\nid = 'c-{index}'\nkey = 'k{index}-{key}'\nround_jump = {jump}\n"
        )
        .unwrap();
        for (node, address) in nodes.iter().enumerate() {
            let Some(address) = address.map(|address| (usize::from(address) + index) % 6) else {
                continue;
            };
            if given.insert(address) {
                write!(
                    text,
                    "[[chain.node]]\nname = 'n{node}'\naddress = 'unix:///run/{address}'\n"
                )
                .unwrap();
            }
        }
    }
    text
}

/// What the configuration says, without asking the code that is judged.
fn expected(config: &Config, drained: &BTreeSet<(String, String)>) -> Vec<LinkSpec> {
    let of = |chain: &crate::config::ChainConfig| {
        let mut raw = [0; 32];
        raw[..chain.key.as_str().len()].copy_from_slice(chain.key.as_str().as_bytes());
        let key = PublicKey::new(Algorithm::Ed25519, &raw).unwrap();
        let specs = chain.nodes.iter().map(|node| LinkSpec {
            chain: chain.id.clone(),
            node: node.name.clone(),
            address: node.address.clone(),
            key,
        });
        specs.collect::<Vec<_>>()
    };
    let on = |spec: &LinkSpec| !drained.contains(&(spec.chain.to_string(), spec.node.to_string()));
    config.chains.iter().flat_map(of).filter(on).collect()
}

struct Model {
    config: Config,
    drained: BTreeSet<(String, String)>,
    departed: Departed,
    links: Links<u64>,
    started: u64,
    refused: u64,
    kept: u64,
}

impl Model {
    fn numbers(&self) -> BTreeMap<(ChainId, NodeName), (LinkSpec, u64)> {
        let of = |(spec, number): &(LinkSpec, u64)| (spec.place(), (spec.clone(), *number));
        self.links.iter().map(of).collect()
    }

    fn reload(&mut self, new: Config, drained: BTreeSet<(String, String)>) {
        let diff = Diff::since_start(&self.config, &self.departed, &new);
        let before = self.numbers();
        if diff.loosened().count() > 0 {
            self.refused += 1;
            return;
        }
        let plan = self.links.part(expected(&new, &drained));
        for (spec, number) in &plan.ended {
            assert_eq!(before[&spec.place()], (spec.clone(), *number), "it ran");
        }
        for spec in plan.now.iter().chain(&plan.later) {
            self.started += 1;
            self.links.insert(spec.clone(), self.started);
        }
        for spec in &plan.now {
            let taken = plan.ended.iter().any(|(gone, _)| gone.address == spec.address);
            assert!(
                !taken,
                "{spec:?} is dialled while another connection there still stands"
            );
        }
        let after = self.numbers();
        let running: Vec<_> = after.values().map(|(spec, _)| spec.clone()).collect();
        let mut wanted = expected(&new, &drained);
        wanted.sort_by_key(LinkSpec::place);
        assert_eq!(running, wanted, "what runs is what the configuration says");
        for (place, (_, number)) in &before {
            let drain_changed = {
                let name = (place.0.to_string(), place.1.to_string());
                self.drained.contains(&name) != drained.contains(&name)
            };
            let touched = diff.touches(&place.0, &place.1) || drain_changed;
            let same = after.get(place).is_some_and(|(_, now)| now == number);
            assert_eq!(same, !touched, "{place:?} in\n{diff}");
            self.kept += u64::from(same);
        }
        for chain in &self.config.chains {
            if !new.chains.iter().any(|now| now.id == chain.id) {
                self.departed.insert(chain.id.clone(), Guarded::of(chain));
            }
        }
        for chain in &new.chains {
            let was = self.config.chains.iter().find(|was| was.id == chain.id);
            let before = was
                .map(Guarded::of)
                .or_else(|| self.departed.get(&chain.id).copied());
            if let Some(before) = before {
                assert!(
                    chain.limits.round_jump <= before.limits.round_jump,
                    "the guard never became laxer"
                );
            }
            self.departed.remove(&chain.id);
        }
        (self.config, self.drained) = (new, drained);
    }
}

#[test]
fn a_thousand_reloads_end_where_the_configuration_says_and_touch_nothing_else() {
    let empty = || parse("", Path::new("/")).unwrap();
    let mut runner = TestRunner::new(Cases {
        failure_persistence: None,
        ..Cases::with_cases(64)
    });
    let sequences = prop::collection::vec(edit(), 30);
    let totals = std::cell::RefCell::new((0_u64, 0_u64, 0_u64));
    runner
        .run(&sequences, |edits| {
            let mut model = Model {
                config: empty(),
                drained: BTreeSet::new(),
                departed: Departed::new(),
                links: Links::default(),
                started: 0,
                refused: 0,
                kept: 0,
            };
            let mut jumps = [40_i64; CHAINS];
            let mut chains: Vec<Drawn> = vec![None; CHAINS];
            for edit in &edits {
                let mut drained = model.drained.clone();
                if let Some((chain, node)) = edit.turned {
                    let name = (format!("c-{chain}"), format!("n{node}"));
                    if !drained.remove(&name) {
                        drained.insert(name);
                    }
                }
                let (before, jump) = (chains.clone(), jumps[edit.chain] + edit.by);
                chains[edit.chain] = (!edit.gone).then(|| (edit.key, jump, edit.nodes.clone()));
                let refused = model.refused;
                model.reload(
                    parse(&text(&chains), Path::new("/")).expect("a good one"),
                    drained,
                );
                if model.refused > refused {
                    // Refused: the operator puts it back.
                    chains = before;
                } else if !edit.gone {
                    jumps[edit.chain] = jump;
                }
            }
            let mut totals = totals.borrow_mut();
            totals.0 += edits.len() as u64;
            totals.1 += model.refused;
            totals.2 += model.kept;
            Ok(())
        })
        .unwrap();
    let (reloads, refused, kept) = totals.into_inner();
    assert!(reloads >= 1_000, "{reloads}");
    assert!(
        reloads - refused >= 1_000 && refused >= 50 && kept >= 3_000,
        "{reloads}, {refused}, {kept}"
    );
}
