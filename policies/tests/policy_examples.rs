//! Every shipped policy loads, warns of nothing that its table does not expect, and answers as its table says.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use std::collections::BTreeSet;

use sigward_policies::authz::{KeyFacts, Policy, PolicyVersion, Question, Verdict};
use sigward_policies::model::caller::{Caller, SubjectName};
use sigward_policies::model::id::{ChainId, KeyName, NodeName, UnixSeconds};
use sigward_policies::model::operation::Operation;

/// Wednesday, 2026-03-04 10:00 UTC, and the Saturday after it.
const WEDNESDAY: i64 = 1_772_618_400;
const SATURDAY: i64 = WEDNESDAY + 3 * 86_400;

/// Who, what, key, chain, from, when; and what the policy says: `+rule`, `+rule 1` with approvals, `-rule`, or `-`.
type Row = (
    &'static str,
    &'static str,
    &'static str,
    &'static str,
    &'static str,
    i64,
    &'static str,
);

const SINGLE_VALIDATOR: &[Row] = &[
    (
        "dns:monitor.example.org",
        "status.read",
        "",
        "",
        "203.0.113.5",
        WEDNESDAY,
        "+monitor-reads-status",
    ),
    (
        "dns:monitor.example.org",
        "key.list",
        "",
        "",
        "203.0.113.5",
        WEDNESDAY,
        "-",
    ),
    (
        "dns:friend.example.org",
        "freeze",
        "",
        "",
        "10.8.0.3",
        WEDNESDAY,
        "+friend-at-night",
    ),
    (
        "dns:friend.example.org",
        "freeze",
        "",
        "",
        "::ffff:10.8.0.3",
        SATURDAY,
        "+friend-at-night",
    ),
    (
        "dns:friend.example.org",
        "freeze",
        "",
        "",
        "10.8.1.3",
        WEDNESDAY,
        "-",
    ),
    (
        "dns:friend.example.org",
        "unfreeze",
        "",
        "",
        "10.8.0.3",
        WEDNESDAY,
        "-",
    ),
    (
        "dns:friend.example.org",
        "key.backup",
        "validator",
        "",
        "10.8.0.3",
        WEDNESDAY,
        "-no-keys-over-the-network",
    ),
    ("uid:0", "key.backup", "validator", "", "", WEDNESDAY, "-"),
    (
        "dns:stranger.example.org",
        "status.read",
        "",
        "",
        "10.8.0.3",
        WEDNESDAY,
        "-",
    ),
];

const CONSUMER: &[Row] = &[
    (
        "dns:ada.ops.example.org",
        "key.rotate",
        "provider-1",
        "",
        "",
        WEDNESDAY,
        "+provider-key-needs-two 1",
    ),
    (
        "dns:ada.ops.example.org",
        "key.export",
        "provider-1",
        "",
        "",
        WEDNESDAY,
        "-provider-key-stays",
    ),
    (
        "dns:ada.ops.example.org",
        "key.export",
        "consumer-stride",
        "",
        "",
        WEDNESDAY,
        "+consumer-keys-that-end 1",
    ),
    (
        "dns:ada.ops.example.org",
        "key.rotate",
        "consumer-stride",
        "",
        "",
        WEDNESDAY,
        "-",
    ),
    (
        "dns:ada.ops.example.org",
        "unfreeze",
        "",
        "stride-1",
        "",
        WEDNESDAY,
        "+ops-release 1",
    ),
    (
        "dns:ada.ops.example.org",
        "freeze",
        "",
        "stride-1",
        "",
        WEDNESDAY,
        "+ops-work",
    ),
    (
        "dns:ada.ops.example.org",
        "policy.write",
        "",
        "",
        "",
        WEDNESDAY,
        "-",
    ),
    ("dns:x.ada.ops.example.org", "freeze", "", "", "", WEDNESDAY, "-"),
    (
        "dns:bob.governance.example.org",
        "policy.write",
        "",
        "",
        "",
        WEDNESDAY,
        "+governance-writes 1",
    ),
    (
        "dns:bob.governance.example.org",
        "key.export",
        "consumer-stride",
        "",
        "",
        WEDNESDAY,
        "-",
    ),
    (
        "dns:bob.governance.example.org",
        "audit.export",
        "",
        "",
        "",
        WEDNESDAY,
        "+governance-works",
    ),
    (
        "dns:bob.governance.example.org",
        "approval.approve",
        "",
        "",
        "",
        WEDNESDAY,
        "+governance-works",
    ),
    (
        "dns:eve.oncall.example.org",
        "stop_line.set",
        "",
        "stride-1",
        "",
        SATURDAY,
        "+oncall-stops",
    ),
    (
        "dns:eve.oncall.example.org",
        "stop_line.clear",
        "",
        "stride-1",
        "",
        SATURDAY,
        "-",
    ),
    (
        "uri:spiffe://example.org/ns/validators/sa/key-assigner",
        "key.create",
        "consumer-noble",
        "",
        "",
        WEDNESDAY,
        "+assigner-onboards",
    ),
    (
        "uri:spiffe://example.org/ns/validators/sa/key-assigner",
        "key.create",
        "provider-2",
        "",
        "",
        WEDNESDAY,
        "-",
    ),
    (
        "uri:spiffe://example.org/ns/validators/sa/key-assigner",
        "key.list",
        "consumer-noble",
        "",
        "",
        WEDNESDAY,
        "+assigner-onboards",
    ),
    (
        "uri:spiffe://example.org/ns/validators/sa/key-assigner",
        "key.list",
        "provider-1",
        "",
        "",
        WEDNESDAY,
        "-",
    ),
    (
        "uri:spiffe://example.org/ns/validators/sa/key-assigner",
        "sign.raw",
        "consumer-noble",
        "",
        "",
        WEDNESDAY,
        "-",
    ),
];

const AVS: &[Row] = &[
    (
        "uri:spiffe://example.org/avs/eigenda/signer",
        "sign.bn254",
        "avs-eigenda-1",
        "",
        "10.20.0.7",
        WEDNESDAY,
        "+eigenda-signs",
    ),
    (
        "uri:spiffe://example.org/avs/eigenda/signer",
        "sign.bn254",
        "avs-eigenda-1",
        "",
        "2001:db8:20::7",
        WEDNESDAY,
        "+eigenda-signs",
    ),
    (
        "uri:spiffe://example.org/avs/eigenda/signer",
        "sign.bn254",
        "avs-oracle-1",
        "",
        "10.20.0.7",
        WEDNESDAY,
        "-",
    ),
    (
        "uri:spiffe://example.org/avs/eigenda/signer",
        "sign.bn254",
        "avs-eigenda-1",
        "",
        "10.21.0.7",
        WEDNESDAY,
        "-",
    ),
    (
        "uri:spiffe://example.org/avs/eigenda/x/signer",
        "sign.bn254",
        "avs-eigenda-1",
        "",
        "10.20.0.7",
        WEDNESDAY,
        "-",
    ),
    (
        "uri:spiffe://example.org/avs/oracle/signer",
        "key.show",
        "avs-oracle-1",
        "",
        "10.20.0.7",
        WEDNESDAY,
        "+oracle-sees-its-keys",
    ),
    (
        "uri:spiffe://example.org/avs/oracle/signer",
        "sign.raw",
        "avs-oracle-1",
        "",
        "10.20.0.7",
        WEDNESDAY,
        "-",
    ),
    (
        "dns:ada.ops.example.org",
        "key.create",
        "avs-eigenda-9",
        "",
        "",
        WEDNESDAY,
        "+ops-make-keys",
    ),
    (
        "dns:ada.ops.example.org",
        "key.create",
        "avs-eigenda-9",
        "",
        "",
        SATURDAY,
        "-",
    ),
    (
        "dns:ada.ops.example.org",
        "key.create",
        "avs-eigenda-9",
        "",
        "",
        WEDNESDAY + 8 * 3600,
        "-",
    ),
    (
        "dns:ada.ops.example.org",
        "key.destroy",
        "avs-eigenda-9",
        "",
        "",
        SATURDAY,
        "+ops-end-keys 1",
    ),
    (
        "dns:ada.ops.example.org",
        "sign.bn254",
        "avs-eigenda-9",
        "",
        "10.20.0.7",
        WEDNESDAY,
        "-",
    ),
    (
        "uri:spiffe://example.org/avs/oracle/signer",
        "sign.bn254",
        "avs-oracle-1",
        "",
        "10.20.9.7",
        SATURDAY,
        "+oracle-signs",
    ),
    (
        "uri:spiffe://example.org/avs/eigenda/signer",
        "key.list",
        "avs-eigenda-1",
        "",
        "",
        SATURDAY,
        "+eigenda-sees-its-keys",
    ),
    (
        "dns:ada.ops.example.org",
        "approval.approve",
        "",
        "",
        "",
        SATURDAY,
        "+ops-look-and-stop",
    ),
    (
        "dns:sam.security.example.org",
        "freeze",
        "",
        "",
        "",
        SATURDAY,
        "+security-stops",
    ),
    (
        "dns:sam.security.example.org",
        "unfreeze",
        "",
        "",
        "",
        SATURDAY,
        "+security-decides 1",
    ),
    (
        "dns:sam.security.example.org",
        "key.backup",
        "avs-eigenda-9",
        "",
        "",
        WEDNESDAY,
        "-",
    ),
];

const PODS: &[Row] = &[
    (
        "uri:spiffe://cluster.local/ns/validators/sa/signer",
        "sign.cometbft.prevote",
        "pool-7",
        "devnet-3",
        "",
        WEDNESDAY,
        "+pods-sign",
    ),
    (
        "uri:spiffe://cluster.local/ns/validators/sa/signer",
        "sign.cometbft.precommit",
        "pool-7",
        "testnet-1",
        "",
        WEDNESDAY,
        "+pods-sign",
    ),
    (
        "uri:spiffe://cluster.local/ns/validators/sa/signer",
        "sign.cometbft.prevote",
        "pool-7",
        "cosmoshub-4",
        "",
        WEDNESDAY,
        "-",
    ),
    (
        "uri:spiffe://cluster.local/ns/validators/sa/signer",
        "sign.cometbft.prevote",
        "validator-1",
        "devnet-3",
        "",
        WEDNESDAY,
        "-pods-keep-to-the-pool",
    ),
    (
        "uri:spiffe://cluster.local/ns/validators/sa/signer",
        "allocation.allocate",
        "",
        "",
        "",
        WEDNESDAY,
        "+pods-hold-keys",
    ),
    (
        "uri:spiffe://cluster.local/ns/validators/sa/signer",
        "key.create",
        "pool-8",
        "",
        "",
        WEDNESDAY,
        "-",
    ),
    (
        "uri:spiffe://cluster.local/ns/validators/sa/other",
        "allocation.allocate",
        "",
        "",
        "",
        WEDNESDAY,
        "-",
    ),
    (
        "uri:spiffe://cluster.local/ns/sigward/sa/allocator",
        "key.create",
        "pool-8",
        "",
        "",
        WEDNESDAY,
        "+allocator-makes-keys",
    ),
    (
        "uri:spiffe://cluster.local/ns/sigward/sa/allocator",
        "key.create",
        "validator-8",
        "",
        "",
        WEDNESDAY,
        "-pods-keep-to-the-pool",
    ),
    (
        "uri:spiffe://cluster.local/ns/sigward/sa/allocator",
        "sign.cometbft.prevote",
        "pool-8",
        "devnet-3",
        "",
        WEDNESDAY,
        "-",
    ),
    (
        "uri:spiffe://cluster.local/ns/platform/sa/autoscaler",
        "node.drain",
        "",
        "devnet-3",
        "",
        WEDNESDAY,
        "+platform-drains",
    ),
    (
        "uri:spiffe://cluster.local/ns/sigward/sa/allocator",
        "allocation.list",
        "",
        "",
        "",
        SATURDAY,
        "+allocator-works",
    ),
    (
        "uri:spiffe://cluster.local/ns/platform/sa/autoscaler",
        "freeze",
        "",
        "",
        "",
        WEDNESDAY,
        "-",
    ),
    (
        "dns:eve.oncall.example.org",
        "freeze",
        "",
        "",
        "",
        SATURDAY,
        "+oncall-stops",
    ),
    (
        "node:devnet-3/n0",
        "sign.cometbft.prevote",
        "pool-7",
        "devnet-3",
        "",
        WEDNESDAY,
        "-",
    ),
];

const AUDITOR: &[Row] = &[
    (
        "dns:jane.auditors.example.com",
        "audit.export",
        "",
        "",
        "198.51.100.9",
        WEDNESDAY,
        "+auditors-read",
    ),
    (
        "dns:jane.auditors.example.com",
        "key.show",
        "validator",
        "",
        "198.51.100.9",
        WEDNESDAY,
        "+auditors-read",
    ),
    (
        "dns:jane.auditors.example.com",
        "audit.export",
        "",
        "",
        "198.51.100.9",
        SATURDAY,
        "-auditors-nothing-else",
    ),
    (
        "dns:jane.auditors.example.com",
        "audit.export",
        "",
        "",
        "198.51.101.9",
        WEDNESDAY,
        "-auditors-nothing-else",
    ),
    (
        "dns:jane.auditors.example.com",
        "audit.export",
        "",
        "",
        "",
        WEDNESDAY,
        "-auditors-nothing-else",
    ),
    (
        "dns:jane.auditors.example.com",
        "audit.export",
        "",
        "",
        "198.51.100.9",
        WEDNESDAY + 8 * 3600,
        "-auditors-nothing-else",
    ),
    (
        "dns:jane.auditors.example.com",
        "freeze",
        "",
        "",
        "198.51.100.9",
        WEDNESDAY,
        "-auditors-nothing-else",
    ),
    (
        "dns:jane.auditors.example.com",
        "sign.raw",
        "validator",
        "",
        "198.51.100.9",
        WEDNESDAY,
        "-auditors-nothing-else",
    ),
    (
        "dns:jane.example.com",
        "audit.read",
        "",
        "",
        "198.51.100.9",
        WEDNESDAY,
        "-",
    ),
];

const EXAMPLES: &[(&str, &[Row])] = &[
    ("single-validator", SINGLE_VALIDATOR),
    ("consumer-chain-operator", CONSUMER),
    ("avs-operator", AVS),
    ("pod-cluster", PODS),
    ("auditor", AUDITOR),
];

fn load(name: &str) -> Policy {
    let path = format!("{}/examples/{name}.toml", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
    Policy::parse(&text, PolicyVersion([0; 32])).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn caller(text: &str) -> Caller {
    match text.split_once(':').unwrap() {
        ("uid", uid) => Caller::LocalUser {
            uid: uid.parse().unwrap(),
        },
        ("node", place) => {
            let (chain, node) = place.rsplit_once('/').unwrap();
            Caller::Node {
                chain: ChainId::new(chain).unwrap(),
                node: NodeName::new(node).unwrap(),
            }
        }
        _ => Caller::Certificate {
            name: SubjectName::parse(text).unwrap(),
        },
    }
}

fn short(verdict: &Verdict) -> String {
    match verdict {
        Verdict::Allow {
            rule, approvals: 0, ..
        } => format!("+{rule}"),
        Verdict::Allow { rule, approvals, .. } => format!("+{rule} {approvals}"),
        Verdict::Deny { rule: Some(rule) } => format!("-{rule}"),
        Verdict::Deny { rule: None } => "-".to_owned(),
    }
}

#[test]
fn every_example_answers_as_its_table_says() {
    let mut wrong = Vec::new();
    for (name, rows) in EXAMPLES {
        let policy = load(name);
        let mut used = BTreeSet::new();
        for (subject, operation, key, chain, from, now, wanted) in *rows {
            let (subject, chain) = (caller(subject), ChainId::new(chain).ok());
            let key = KeyName::new(key).ok().map(|name| KeyFacts {
                name,
                public_key: None,
                provider: None,
            });
            let question = Question {
                subject: &subject,
                operation: Operation::parse(operation).unwrap(),
                key: key.as_ref(),
                chain: chain.as_ref(),
                from: from.parse().ok(),
                now: UnixSeconds(*now),
            };
            let verdict = policy.judge(&question);
            let explained = policy.explain(&question);
            assert_eq!(explained.verdict, verdict);
            if short(&verdict) != *wanted {
                wrong.push(format!(
                    "{name}: {subject} {operation}: expected {wanted}, got\n{explained}"
                ));
            }
            used.extend(verdict.rule().map(ToString::to_string));
        }
        for rule in policy.rules() {
            if !used.contains(rule.id().as_str()) {
                wrong.push(format!("{name}: no row is decided by {}", rule.id()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

#[test]
fn every_example_has_a_table_and_warns_of_nothing() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/examples");
    let files: BTreeSet<String> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    let tables: BTreeSet<String> = EXAMPLES.iter().map(|(name, _)| format!("{name}.toml")).collect();
    assert_eq!(files, tables);
    for (name, _) in EXAMPLES {
        assert_eq!(load(name).warnings(), [], "{name}");
    }
}
