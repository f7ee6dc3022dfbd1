//! The checker itself, on snippets that must fail and on look-alikes that must not.

use super::borders::{PACKAGES, Package, judge, judge_source};
use super::source::{Source, module_of, without_tests};
use super::{edges, homes};

fn source(module: &str, text: &str) -> Source {
    let module = module
        .split("::")
        .filter(|part| !part.is_empty())
        .map(str::to_owned)
        .collect();
    Source::parse("snippet.rs", module, text)
}

/// What the checker says of a snippet in this module.
fn said(module: &str, text: &str) -> Vec<String> {
    let source = source(module, text);
    edges(&source)
        .into_iter()
        .chain(homes(&source))
        .map(|breach| breach.to_string())
        .collect()
}

#[track_caller]
fn fails(module: &str, text: &str, with: &str) {
    let said = said(module, text);
    assert!(
        said.iter().any(|line| line.contains(with)),
        "in {module}: {text}\nwanted {with:?}, got {said:?}"
    );
}

#[track_caller]
fn passes(module: &str, text: &str) {
    let said = said(module, text);
    assert!(said.is_empty(), "in {module}: {text}\ngot {said:?}");
}

#[test]
fn upward_and_sideways_paths_are_found_however_they_are_written() {
    fails(
        "store",
        "use crate::sign::consensus::Pipeline;",
        "upward: `store` [2] uses `crate::sign",
    );
    fails("guard", "use crate::audit::Record;", "sideways");
    fails("guard", "fn f() { crate::listener::run() }", "upward");
    fails("guard", "use crate::{store::Batch, app};", "upward");
    fails(
        "guard",
        "use crate::{\n clock::Clock,\n store::{Batch, Change as C},\n sign::{self},\n};",
        "snippet.rs:4: upward",
    );
    fails(
        "store::sqlite::writer",
        "use super::super::super::guard::Guard;",
        "upward",
    );
    fails("store", "mod inner { use super::super::app::App; }", "upward");
    fails("store", "mod a { mod b { } use super::super::cli; }", "upward");
    fails("store", "struct S<'a>(&'a crate::cli::Cli);", "upward");
    fails("store", "pub(in crate::app) fn f() {}", "upward");
    fails(
        "store",
        "macro_rules! m { () => { $crate::cli::main() } }",
        "upward",
    );
    fails("config", "use crate::r#telemetry::Metrics;", "sideways");
    fails(
        "clock",
        "fn f() -> char { '\"' } use crate::store::Batch; const Q: char = '\"';",
        "upward",
    );
    fails("clock", "#[cfg(not(test))] use crate::store::Batch;", "upward");
    fails(
        "clock",
        "#[cfg(any(test, feature = \"x\"))] use crate::store::Batch;",
        "upward",
    );
    fails(
        "clock",
        "#[cfg(test)] mod tests { use crate::cli; } use crate::store::Batch;",
        "upward",
    );
    fails(
        "clock",
        "#[cfg(test)] use crate::cli::x; use crate::store::Batch;",
        "`crate::store::Batch`",
    );
}

#[test]
fn ways_around_the_checker_are_closed() {
    fails("helpers", "", "module `helpers` has no layer");
    fails("store", "use crate::helpers::x;", "`crate::helpers` has no layer");
    fails("store", "use crate::*;", "whole root");
    fails("store", "use super::*;", "whole root");
    fails("store", "use crate as here;", "renames the crate");
    fails("store", "extern crate self as here;", "extern crate");
    fails("store", "#[path = \"../app.rs\"] mod x;", "#[path]");
    fails("store", "include!(\"../app.rs\");", "include!");
    fails("", "pub use crate::store::Batch;", "re-exports nothing");
}

#[test]
fn lower_layers_comments_strings_and_tests_pass() {
    passes(
        "sign::consensus",
        "use crate::guard::Guard; use super::Observer; use crate::store::{self, Batch};",
    );
    passes(
        "listener::privval::wire",
        "use super::framing::Messages; use super::super::grpc; use crate::sign;",
    );
    passes(
        "store",
        "// use crate::cli;\n/* crate::cli /* crate::app */ crate::cli */\n/// [`crate::cli`]\nstruct S;",
    );
    passes(
        "store",
        "const A: &str = \"crate::cli\\\" crate::app\"; const B: &str = r#\"\" crate::cli::x\"#;",
    );
    passes(
        "store",
        "const A: &[u8] = b\"crate::cli\"; const B: char = '\\''; fn f<'a>(x: &'a str) {}",
    );
    passes(
        "store",
        "#[cfg(test)]\n#[allow(clippy::unwrap_used)]\nmod tests { use crate::cli::x; mod y { fn f() {} } }",
    );
    passes(
        "store",
        "#[cfg(all(test, unix))] mod tests { use crate::cli::x; }",
    );
    passes(
        "store",
        "#[cfg(test)] fn f(a: [u8; 4]) -> [u8; 4] { crate::cli::x(a) }",
    );
    passes("store", "pub(crate) fn f() {} mod a { use super::Batch; }");
    passes("", "pub mod store;");
    passes(
        "main",
        "fn main() -> std::process::ExitCode { sigward::cli::main() }",
    );
}

#[test]
fn third_party_crates_stay_at_home() {
    fails(
        "guard",
        "use rusqlite::Connection;",
        "`rusqlite` lives in store only",
    );
    fails("sign", "fn f(c: &rusqlite::Connection) {}", "rusqlite");
    fails("sign", "fn f(c: &::rusqlite::Connection) {}", "rusqlite");
    fails("sign", "use {std::io, rusqlite::Connection};", "rusqlite");
    fails("app", "use rusqlite;", "rusqlite");
    fails("admin", "use tonic::Status;", "tonic");
    fails("app", "use axum::Router;", "axum");
    fails(
        "sign",
        "use k256::ecdsa::SigningKey;",
        "`k256` lives in another package only",
    );
    fails(
        "listener::grpc",
        "use ed25519_dalek::Signer;",
        "`ed25519_dalek` lives in listener::privval only",
    );
    passes("store::sqlite", "use rusqlite::Connection;");
    passes(
        "listener::privval::secret_connection",
        "use ed25519_dalek::Signer; use x25519_dalek::PublicKey;",
    );
    passes("listener::grpc::key", "use tonic::Status;");
    passes("sign", "#[cfg(test)] mod tests { use rusqlite::Connection; }");
    passes("sign", "fn f(x: my::rusqlite::Thing) {}");
}

#[test]
fn files_that_only_tests_have_are_left_out() {
    let parent = source("store", "#[cfg(test)]\nmod tests;\nmod row;");
    let test = source("store::tests", "use crate::cli::x;");
    let deeper = source("store::tests::deep", "use crate::cli::x;");
    let row = source("store::row", "");
    let left = without_tests(vec![parent, test, deeper, row]);
    let modules: Vec<String> = left.iter().map(|source| source.module.join("::")).collect();
    assert_eq!(modules, ["store", "store::row"]);
}

#[test]
fn a_file_knows_its_module() {
    let module = |path: &str| module_of(std::path::Path::new(path)).join("::");
    assert_eq!(module("lib.rs"), "");
    assert_eq!(module("guard.rs"), "guard");
    assert_eq!(module("store/mod.rs"), "store");
    assert_eq!(module("listener/privval/wire/mod.rs"), "listener::privval::wire");
    assert_eq!(module("main.rs"), "main");
    assert_eq!(module("cli/main.rs"), "cli::main");
}

#[test]
fn packages_depend_on_what_they_may_know() {
    let package =
        |folder: &str| -> &Package { PACKAGES.iter().find(|package| package.folder == folder).unwrap() };
    let said = |folder: &str, manifest: &str| judge(package(folder), manifest).len();
    assert_eq!(
        said(
            "policies",
            "[dependencies]\nserde.workspace = true\n[dev-dependencies]\ntokio = \"1\""
        ),
        0
    );
    assert_eq!(said("policies", "[dependencies]\ntokio = \"1\""), 1);
    assert_eq!(
        said(
            "policies",
            "[dependencies]\nsigward-hsm.workspace = true\nsha2 = \"1\""
        ),
        2
    );
    assert_eq!(
        said("policies", "[target.'cfg(unix)'.dependencies]\nlibc = \"1\""),
        1
    );
    assert_eq!(
        said(
            "policies",
            "[dependencies]\nserde = { package = \"tokio\", version = \"1\" }"
        ),
        1
    );
    assert_eq!(
        said("hsm", "[dependencies]\nsigward-policies = \"1\"\nk256 = \"1\""),
        0
    );
    assert_eq!(
        said(
            "hsm",
            "[dependencies]\ntokio = \"1\"\nrusqlite = \"1\"\nsigward-proto = \"1\""
        ),
        3
    );
    assert_eq!(said("proto", "[dependencies]\nsigward-policies = \"1\""), 1);

    let taken = |folder: &str, text: &str| judge_source(package(folder), &source("x", text)).len();
    assert_eq!(taken("policies", "use std::{fmt, fs::File};"), 1);
    assert_eq!(taken("policies", "fn f() { std::thread::sleep(x) }"), 1);
    assert_eq!(taken("policies", "use std::collections::BTreeMap; // std::fs"), 0);
    assert_eq!(taken("hsm", "use std::fs::File;"), 0);
}
