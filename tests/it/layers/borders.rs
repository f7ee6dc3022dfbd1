//! What each package may depend on: read from its manifest, and for the standard library's doors to the outside from its source.

use toml::{Table, Value};

use super::Breach;
use super::source::Source;

/// A package of the workspace beside the root.
pub(super) struct Package {
    pub(super) folder: &'static str,
    depends: Depends,
    /// Modules of `std` that it may not name.
    closed: &'static [&'static str],
}

enum Depends {
    /// On these only: a new one is a decision, and is made here.
    Only(&'static [&'static str]),
    /// On anything but these.
    NotOn(&'static [&'static str]),
}

pub(super) const PACKAGES: &[Package] = &[
    Package {
        folder: "proto",
        depends: Depends::Only(&["prost", "prost-types", "tonic", "tonic-prost"]),
        closed: &["fs", "net", "process", "thread", "env"],
    },
    Package {
        folder: "policies",
        // Pure functions of plain data: no runtime, no I/O, no crypto, no clock.
        depends: Depends::Only(&["serde", "thiserror", "toml"]),
        closed: &["fs", "net", "process", "thread", "env", "io"],
    },
    Package {
        folder: "hsm",
        depends: Depends::NotOn(&[
            "sigward",
            "sigward-proto",
            "tokio",
            "tokio-util",
            "tonic",
            "axum",
            "prost",
            "rusqlite",
            "hyper",
            "reqwest",
            "tower",
        ]),
        closed: &["net"],
    },
];

/// Judges a manifest's dependencies; those of tests are free.
pub(super) fn judge(package: &Package, manifest: &str) -> Vec<Breach> {
    let table: Table = manifest.parse().unwrap();
    let mut names: Vec<String> = Vec::new();
    collect(&table, &mut names);
    if let Some(targets) = table.get("target").and_then(Value::as_table) {
        targets
            .values()
            .filter_map(Value::as_table)
            .for_each(|target| collect(target, &mut names));
    }
    let forbidden = |name: &&String| match package.depends {
        Depends::Only(allowed) => !allowed.contains(&name.as_str()),
        Depends::NotOn(banned) => banned.contains(&name.as_str()),
    };
    let file = format!("{}/Cargo.toml", package.folder);
    let breach = |name: &String| Breach {
        file: file.clone(),
        line: 1,
        what: format!("may not depend on `{name}`"),
    };
    names.iter().filter(forbidden).map(breach).collect()
}

/// Judges what a file takes from the standard library.
pub(super) fn judge_source(package: &Package, source: &Source) -> Vec<Breach> {
    let taken = source.paths("std").into_iter();
    let closed = taken.filter(|(_, path)| {
        path.first()
            .is_some_and(|module| package.closed.contains(&module.as_str()))
    });
    closed
        .map(|(line, path)| {
            source.breach(
                line,
                format!("`{}` may not name `std::{}`", package.folder, path.join("::")),
            )
        })
        .collect()
}

/// A dependency's package name: `package = "…"` wins over the key that renames it.
fn collect(table: &Table, names: &mut Vec<String>) {
    let Some(dependencies) = table.get("dependencies").and_then(Value::as_table) else {
        return;
    };
    for (key, value) in dependencies {
        names.push(
            value
                .get("package")
                .and_then(Value::as_str)
                .unwrap_or(key)
                .to_owned(),
        );
    }
}
