//! The model: a thousand reloads between random configurations, over links that are only numbers. What runs is what the
//! configuration says, what the difference does not name keeps its identity, and rules for everything that runs are there.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::Path;

use proptest::prelude::*;
use proptest::test_runner::{Config as Cases, TestRunner};

use super::*;
use crate::config::diff::{Departed, Diff, Guarded};
use crate::config::{Config, parse};

const CHAINS: usize = 4;
const NODES: usize = 3;

/// A chain: its key, one of the guard's settings, and the address of each node it has.
type Drawn = Option<(u8, u16, Vec<Option<u8>>)>;

fn drawn() -> impl Strategy<Value = (Vec<Drawn>, Vec<(u8, u8)>)> {
    let nodes = prop::collection::vec(prop::option::weighted(0.7, 0u8..4), NODES);
    let chain = prop::option::weighted(0.8, (0u8..2, 1u16..4, nodes));
    let drained = prop::collection::vec((0u8..4, 0u8..3), 0..3);
    (prop::collection::vec(chain, CHAINS), drained)
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
        let key = PublicKey::ed25519(raw);
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
    let (mut reloads, mut refused, mut kept) = (0, 0, 0);
    let mut runner = TestRunner::new(Cases::with_cases(64));
    let sequences = prop::collection::vec(drawn(), 30);
    let totals = std::cell::RefCell::new((0_u64, 0_u64, 0_u64));
    runner
        .run(&sequences, |sequence| {
            let mut model = Model {
                config: empty(),
                drained: BTreeSet::new(),
                departed: Departed::new(),
                links: Links::default(),
                started: 0,
                refused: 0,
                kept: 0,
            };
            for (chains, drained) in &sequence {
                let drained = drained
                    .iter()
                    .map(|(c, n)| (format!("c-{c}"), format!("n{n}")))
                    .collect();
                model.reload(parse(&text(chains), Path::new("/")).expect("a good one"), drained);
            }
            let mut totals = totals.borrow_mut();
            totals.0 += sequence.len() as u64;
            totals.1 += model.refused;
            totals.2 += model.kept;
            Ok(())
        })
        .unwrap();
    (reloads, refused, kept) = {
        let t = totals.into_inner();
        (reloads + t.0, refused + t.1, kept + t.2)
    };
    assert!(reloads >= 1_000, "{reloads}");
    assert!(
        reloads - refused >= 300 && refused >= 100 && kept >= 1_000,
        "{reloads}, {refused}, {kept}"
    );
}
