//! Every setting is noticed, judged the right way round, and shown on one line.

#![allow(clippy::unwrap_used)]

use sigward_policies::authz::PolicyVersion;
use std::path::Path;

use super::*;
use crate::config::{OtlpConfig, OtlpProtocol, RpcUrl, Sample, parse};

const BASE: &str = "
[[chain]]
id = 'a-1'
key = 'a'
height_jump = 1000
heights_per_second = 10
round_jump = 100
[[chain.node]]
name = 'n'
address = 'unix:///run/n'
";

fn config(text: &str) -> Config {
    parse(text, Path::new("/etc/sigward")).unwrap()
}

fn lines(old: &str, new: &str) -> String {
    Diff::between(&config(old), &config(new)).to_string()
}

fn with(from: &str, to: &str) -> String {
    assert!(BASE.contains(from), "{from}");
    lines(BASE, &BASE.replace(from, to))
}

#[test]
fn equal_is_empty_whatever_the_order() {
    let other = "[[chain]]\nid = 'b-1'\nkey = 'b'\n";
    let diff = Diff::between(
        &config(&format!("{BASE}{other}")),
        &config(&format!("{other}{BASE}")),
    );
    assert!(diff.is_empty(), "{diff}");
    assert_eq!(diff.summary(), "nothing differs");
}

#[test]
fn stricter_tightens_and_laxer_loosens() {
    for (from, stricter, laxer) in [
        ("height_jump = 1000", "height_jump = 999", "height_jump = 1001"),
        (
            "heights_per_second = 10",
            "heights_per_second = 9",
            "heights_per_second = 11",
        ),
        ("round_jump = 100", "round_jump = 99", "round_jump = 101"),
        ("round_jump = 100", "round_jump = 99", ""),
    ] {
        assert!(with(from, stricter).ends_with("(tightens)"), "{stricter}");
        assert!(with(from, laxer).contains("loosens the guard"), "{laxer}");
    }
    for on in ["strict_extensions = true", "shared = true"] {
        let text = BASE.replace("key = 'a'", &format!("key = 'a'\n{on}"));
        let (more, less) = (lines(BASE, &text), lines(&text, BASE));
        let (tightens, loosens) = if on.starts_with("strict") {
            (more, less)
        } else {
            (less, more)
        };
        assert!(tightens.ends_with("(tightens)"), "{tightens}");
        assert!(loosens.contains("loosens the guard"), "{loosens}");
    }
}

#[test]
fn out_and_in_again_is_no_way_around_a_restart() {
    let (old, gone, lax) = (
        config(BASE),
        config(""),
        config(&BASE.replace("height_jump = 1000", "height_jump = 2000")),
    );
    let departed: Departed = old
        .chains
        .iter()
        .map(|c| (c.id.clone(), Guarded::of(c)))
        .collect();
    let back = Diff::since_start(&gone, &departed, &lax);
    assert_eq!(back.loosened().count(), 1, "{back}");
    assert_eq!(Diff::since_start(&gone, &departed, &old).loosened().count(), 0);
    let strict = config(&BASE.replace("height_jump = 1000", "height_jump = 1"));
    assert_eq!(
        Diff::since_start(&gone, &departed, &strict).entries().len(),
        1,
        "as one new chain"
    );
}

#[test]
fn every_setting_that_stays_is_named() {
    for (table, name) in [
        ("[store]\ndir = 'x'\nwitness = 'state/witness'", "store.dir"),
        ("[store]\nwitness = 'x'", "store.witness"),
        ("[store]\nallow_volatile = true", "store.allow_volatile"),
        ("[seal]\ncredential = 'x'", "seal"),
        ("[keys]\ndir = 'x'", "keys.dir"),
        (
            "[keys]\nallow_unlocked_memory = true",
            "keys.allow_unlocked_memory",
        ),
        ("[identity]\nfile = 'x'", "identity.file"),
        ("[admin]\nsocket = 'x'", "admin.socket"),
        ("[http]\nlisten = ''", "http.listen"),
        ("[listen.bounds]\nstream_age_s = 60", "listen.bounds"),
        ("[log]\nformat = 'json'", "log.format"),
    ] {
        let diff = Diff::between(&config(""), &config(table));
        let waiting: Vec<_> = diff.waiting_for_restart().map(ToString::to_string).collect();
        assert_eq!(waiting.len(), 1, "{diff}");
        assert!(diff.to_string().starts_with(&format!("~ {name}: ")), "{diff}");
        assert_eq!(diff.loosened().count(), 0);
    }
    let level = Diff::between(&config(""), &config("[log]\nlevel = 'debug'"));
    assert_eq!(level.to_string(), "~ log.level: info -> debug");
}

#[test]
fn chains_and_nodes_come_go_and_move() {
    let more = format!(
        "{BASE}[[chain.node]]\nname = 'm'\naddress = 'unix:///run/m'\n[[chain]]\nid = 'b-1'\nkey = 'b'\n"
    );
    let diff = Diff::between(&config(BASE), &config(&more));
    assert_eq!(
        diff.to_string(),
        "+ chain a-1: node m: unix:///run/m\n+ chain b-1: key b, no node"
    );
    assert_eq!(diff.summary(), "chains +1 -0, nodes +1 -0, settings ~0");
    assert_eq!(
        lines(&more, BASE),
        "- chain a-1: node m: unix:///run/m\n- chain b-1: key b, no node"
    );
    assert_eq!(
        with("/run/n", "/run/other"),
        "~ chain a-1: node n: address unix:///run/n -> unix:///run/other"
    );
    assert_eq!(with("key = 'a'", "key = 'c'"), "~ chain a-1: key a -> c");
}

#[test]
fn another_rpc_is_a_difference_and_ends_no_connection() {
    let (old, new) = (
        config(BASE),
        config(&BASE.replace("name = 'n'", "name = 'n'\nrpc = 'http://127.0.0.1:26657'")),
    );
    let diff = Diff::between(&old, &new);
    assert_eq!(
        diff.to_string(),
        "~ chain a-1: node n: rpc none -> http://127.0.0.1:26657"
    );
    let chain = old.chains.first().unwrap();
    let (chain, node) = (&chain.id, &chain.nodes.first().unwrap().name);
    assert!(!diff.touches(chain, node));
    assert!(Diff::between(&old, &config(&BASE.replace("/run/n", "/run/m"))).touches(chain, node));
}

#[test]
fn what_a_path_holds_does_not_reach_the_terminal() {
    let shown = lines(
        "",
        "[admin]\nsocket = \"\\u001b[2J\"\n[[chain]]\nid = 'x-1'\nkey = 'k'\n[[chain.node]]\nname = 'n'\naddress = \"unix:///\\u001b\\n[2J\"",
    );
    assert!(shown.chars().all(|c| c == '\n' || !c.is_control()), "{shown:?}");
    assert_eq!(shown.lines().count(), 2);
}

#[test]
fn a_token_waits_for_the_next_start_and_its_pin_does_not() {
    let token = "[[provider]]\nid = 'hsm-a'\npkcs11 = { module = '/m', token_label = 't', pin_file = 'p' }\n";
    let with = format!("{BASE}{token}");
    let other = with.replace("'t'", "'u'").replace("'p'", "'q'");
    for (old, new) in [(BASE, &with), (&with, &BASE.to_owned()), (&with, &other)] {
        let shown = lines(old, new);
        assert!(shown.starts_with("~ provider hsm-a: token "), "{shown}");
        assert!(
            shown.ends_with("(needs a restart)") && shown.lines().count() == 1,
            "{shown}"
        );
    }
    assert_eq!(
        lines(&with, &with.replace("'p'", "'q'")),
        "~ provider hsm-a: pin pin_file \"/etc/sigward/p\" -> pin_file \"/etc/sigward/q\""
    );
}

#[test]
fn a_policy_is_replaced_and_never_taken_away_while_it_runs() {
    let (none, some, other) = ("", "[policy]\nfile = 'a.toml'", "[policy]\nfile = 'b.toml'");
    let dry = "[policy]\nfile = 'a.toml'\ndry_run = true";
    for (old, new, said) in [
        (none, some, "~ policy.file: none -> \"/etc/sigward/a.toml\""),
        (
            some,
            other,
            "~ policy.file: \"/etc/sigward/a.toml\" -> \"/etc/sigward/b.toml\"",
        ),
        (
            some,
            none,
            "~ policy.file: \"/etc/sigward/a.toml\" -> none (loosens",
        ),
        (some, dry, "~ policy.dry_run: false -> true (loosens"),
        (dry, some, "~ policy.dry_run: true -> false (tightens)"),
    ] {
        let shown = lines(old, new);
        assert!(shown.starts_with(said) && shown.lines().count() == 1, "{shown}");
    }
    // To begin with a document that is only logged takes nothing away.
    assert!(!lines(none, dry).contains("loosens"));
    let mut diff = Diff::between(
        &config(BASE),
        &config(&BASE.replace("height_jump = 1000", "height_jump = 1")),
    );
    diff.policy(None, Some(PolicyVersion([0xab; 32])));
    assert_eq!(
        diff.to_string().lines().next(),
        Some("~ policy: none -> abababababab")
    );
    diff.policy(Some(PolicyVersion([1; 32])), Some(PolicyVersion([1; 32])));
    assert_eq!(diff.entries().len(), 2);
}

#[test]
fn another_collector_of_traces_waits_for_a_restart() {
    // Not every program reads this table.
    let with = |port: u16| {
        let mut with = config(BASE);
        with.otlp = Some(OtlpConfig {
            endpoint: RpcUrl::parse(&format!("http://127.0.0.1:{port}")).unwrap(),
            protocol: OtlpProtocol::Grpc,
            ca_file: None,
            headers_file: None,
            sample: Sample::ALL,
            timeout: std::time::Duration::from_secs(5),
        });
        with
    };
    assert!(Diff::between(&with(1), &with(1)).is_empty());
    let line = Diff::between(&config(BASE), &with(1)).to_string();
    assert!(
        line.starts_with("~ otlp: none -> http://127.0.0.1:1 (grpc, sample 1, timeout 5000 ms)"),
        "{line}"
    );
    let diff = Diff::between(&with(1), &with(2));
    assert_eq!(diff.waiting_for_restart().count(), 1);
}
