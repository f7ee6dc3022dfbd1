//! Every code that a message can begin with is explained. Codes of rules and failures, and those of a store that does not open, are
//! lists that their own tests compare with the pages; all others stand in the sources as words, and are found here.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::root;

/// Where errors.md explains what is on no list.
const ELSEWHERE: &str = "\n## Of files, seals, backups and nodes\n";

fn sources(folder: &Path, into: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        if path.is_dir() {
            if name != "tests" {
                sources(&path, into);
            }
        } else if name.ends_with(".rs")
            && !matches!(name, "mock.rs" | "conformance.rs" | "testing.rs")
            && !name.ends_with("tests.rs")
        {
            into.push(path);
        }
    }
}

fn is_code(word: &str) -> bool {
    word.contains('_')
        && !word.starts_with('_')
        && !word.ends_with('_')
        && word.bytes().all(|b| b.is_ascii_lowercase() || b == b'_')
}

/// The codes in a source, by the ways in which they are written.
fn codes(text: &str) -> BTreeSet<String> {
    let text = text.split("#[cfg(test)]").next().unwrap();
    let mut found = BTreeSet::new();
    // A message that begins with its code, as the command line writes them. (Not a metric: those have blanks before the colon's word.)
    for literal in text.split('"') {
        let words = literal.trim_start_matches(['\\', '\n', ' ']);
        if let Some((code, rest)) = words.split_once(": ")
            && !rest.trim().is_empty()
        {
            found.insert(code.to_owned());
        }
    }
    // `fn code(&self)`, and `fn as_str(self)` of an enum of codes, up to the end of the function.
    let functions = text.split("fn code(").skip(1).chain(
        text.split("Code {\n")
            .skip(1)
            .flat_map(|of| of.split("fn as_str(").skip(1).take(1)),
    );
    for function in functions {
        let body = function.split("\n    }\n").next().unwrap();
        found.extend(body.split('"').skip(1).step_by(2).map(str::to_owned));
        if body.contains("\"unsupported\"") {
            found.insert("unsupported".to_owned());
        }
    }
    // Refusals of a provider.
    for call in ["refused(", "code: "] {
        for rest in text.split(call).skip(1) {
            if let Some(literal) = rest.trim_start().strip_prefix('"') {
                found.extend(literal.split('"').next().map(str::to_owned));
            }
        }
    }
    // What SQLite's own check says, not we.
    found.remove("quick_check");
    found
        .into_iter()
        .filter(|word| is_code(word) || word == "unsupported")
        .collect()
}

fn rows(text: &str) -> BTreeSet<String> {
    let rows = text.lines().filter(|line| line.starts_with("| `"));
    rows.filter_map(|row| Some(row.split('`').nth(1)?.to_owned()))
        .collect()
}

#[test]
fn every_code_of_the_sources_is_explained_and_no_other() {
    let mut files = Vec::new();
    sources(&root().join("src"), &mut files);
    sources(&root().join("hsm/src"), &mut files);
    let mut found = BTreeMap::new();
    for file in &files {
        let text = std::fs::read_to_string(file).unwrap();
        for code in codes(&text) {
            found.entry(code).or_insert_with(|| file.display().to_string());
        }
    }
    assert!(
        found.len() > 40 && found.contains_key("rpc_tls") && found.contains_key("file_owner"),
        "the ways are understood: {found:?}"
    );

    let page = |name: &str| std::fs::read_to_string(root().join("docs").join(name)).unwrap();
    let errors = page("errors.md");
    let explained: BTreeSet<_> = rows(&errors)
        .into_iter()
        .chain(rows(&page("errors-at-start.md")))
        .collect();
    let missing: Vec<_> = found
        .iter()
        .filter(|(code, _)| !explained.contains(*code))
        .collect();
    assert!(missing.is_empty(), "no page explains {missing:#?}");

    let (_, elsewhere) = errors.split_once(ELSEWHERE).unwrap();
    let stale: Vec<_> = rows(elsewhere)
        .into_iter()
        .filter(|code| !found.contains_key(code))
        .collect();
    assert!(stale.is_empty(), "nothing says these any more: {stale:?}");
}
