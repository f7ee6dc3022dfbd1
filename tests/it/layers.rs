//! The layers of ARCHITECTURE.md, kept: reads every source file and fails on a path that leads upward or sideways, on a module that
//! has no layer, on a third-party crate away from its home, and on a package that depends on what it may not know.
//!
//! It reads the text, not the compiler's mind: `use` trees, inline `crate::` and `super::` paths, whatever is not a comment, a
//! string or `#[cfg(test)]`. `layers/bad.rs` shows it snippets that must fail.

mod bad;
mod borders;
mod lexer;
mod source;

use std::fmt;
use std::path::{Path, PathBuf};

use source::Source;

/// Top-level modules of `src/` and their layers. A module uses lower layers only, never a sibling of the same one.
const LAYERS: &[(u8, &[&str])] = &[
    (0, &["backstage", "clock", "crash", "http1", "shutdown"]),
    (1, &["telemetry", "config", "tls"]),
    (2, &["store", "chain", "foreign", "otlp", "pki"]),
    (3, &["guard", "audit", "keyring"]),
    (4, &["authn", "authz"]),
    (5, &["sign"]),
    (
        6,
        &[
            "admin",
            "rotation",
            "consumer",
            "allocation",
            "backup",
            "incident",
            "checkpoint",
        ],
    ),
    (7, &["listener"]),
    (8, &["app"]),
    (9, &["cli"]),
    (10, &["main"]),
];

/// Third-party crates that live in some modules of `src/` only; an empty list is: nowhere in `src/`.
const HOMES: &[(&[&str], &[&str])] = &[
    (&["rusqlite", "libsqlite3_sys", "tokio_postgres"], &["store"]),
    (&["axum"], &["listener"]),
    // Servers in `listener`; `cli` and `otlp` are clients, and `app` joins the two when no daemon runs.
    (
        &["tonic", "tonic_prost", "tonic_health", "tonic_reflection"],
        &["listener", "app", "cli", "otlp"],
    ),
    (&["prost"], &["listener", "otlp"]),
    (&["prost_reflect"], &["listener"]),
    (&["prost_types"], &["listener", "cli"]),
    // SecretConnection only; signatures of keys are made in `hsm`.
    (
        &[
            "ed25519_dalek",
            "x25519_dalek",
            "chacha20poly1305",
            "hkdf",
            "merlin",
        ],
        &["listener::privval"],
    ),
    (
        &["k256", "blst", "crypto_bigint", "cryptoki", "argon2", "ripemd"],
        &[],
    ),
    (&["ark_bn254", "ark_ec", "ark_ff", "ark_serialize"], &[]),
    (
        &["rustls", "tokio_rustls", "rustls_native_certs"],
        &["tls", "listener"],
    ),
    (&["rcgen"], &["pki"]),
    (&["x509_parser"], &["tls"]),
    (&["hyper"], &["http1", "chain", "listener", "otlp"]),
    (&["http_body_util"], &["http1", "chain", "cli", "otlp"]),
    (&["clap", "clap_complete", "indicatif"], &["cli"]),
    (&["prometheus_client", "tracing_subscriber"], &["telemetry"]),
];

/// Something that must not be.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Breach {
    file: String,
    line: u32,
    what: String,
}

impl fmt::Display for Breach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.file, self.line, self.what)
    }
}

#[test]
fn every_module_uses_lower_layers_only() {
    let sources = read_sources(&root().join("src"));
    assert!(
        sources.iter().any(|source| source.module.is_empty()),
        "src/lib.rs was read"
    );
    let breaches: Vec<Breach> = sources
        .iter()
        .flat_map(|source| edges(source).into_iter().chain(homes(source)))
        .collect();
    report(&breaches);
}

#[test]
fn every_package_depends_only_on_what_it_may_know() {
    let mut breaches = Vec::new();
    for package in borders::PACKAGES {
        let manifest = root().join(package.folder).join("Cargo.toml");
        breaches.extend(borders::judge(
            package,
            &std::fs::read_to_string(manifest).unwrap(),
        ));
        for source in read_sources(&root().join(package.folder).join("src")) {
            breaches.extend(borders::judge_source(package, &source));
        }
    }
    report(&breaches);
}

fn report(breaches: &[Breach]) {
    let lines: Vec<String> = breaches.iter().map(Breach::to_string).collect();
    assert!(
        lines.is_empty(),
        "{} breach(es) of the layers:\n{}",
        lines.len(),
        lines.join("\n")
    );
}

/// Paths between top-level modules that break the order.
fn edges(source: &Source) -> Vec<Breach> {
    let mut breaches = source.oddities();
    let from = source.module.first().map(String::as_str);
    if from.is_none_or(|module| layer(module).is_none()) && !source.module.is_empty() {
        breaches.push(source.breach(1, format!("module `{}` has no layer", source.module.join("::"))));
        return breaches;
    }
    for (line, path) in source.paths("crate") {
        let Some(to) = path.first() else { continue };
        let Some(from) = from else {
            breaches.push(source.breach(line, "the root declares modules; it uses and re-exports nothing"));
            continue;
        };
        if to == from {
            continue;
        }
        match (layer(from), layer(to)) {
            (Some(own), Some(other)) if other < own => {}
            (Some(own), Some(other)) => {
                let way = if own == other { "sideways" } else { "upward" };
                let what = format!(
                    "{way}: `{from}` [{own}] uses `crate::{}` [{other}]",
                    path.join("::")
                );
                breaches.push(source.breach(line, what));
            }
            (_, None) => breaches.push(source.breach(line, format!("`crate::{to}` has no layer"))),
            (None, _) => {}
        }
    }
    breaches
}

/// Third-party crates that are used away from home.
fn homes(source: &Source) -> Vec<Breach> {
    let mut breaches = Vec::new();
    for (crates, homes) in HOMES {
        let at_home = homes.iter().any(|home| {
            let home: Vec<&str> = home.split("::").collect();
            source.module.len() >= home.len() && home.iter().zip(&source.module).all(|(a, b)| a == b)
        });
        if at_home {
            continue;
        }
        for name in *crates {
            for line in source.mentions(name) {
                let place = if homes.is_empty() {
                    "another package".to_owned()
                } else {
                    homes.join(", ")
                };
                breaches.push(source.breach(line, format!("`{name}` lives in {place} only")));
            }
        }
    }
    breaches
}

fn layer(module: &str) -> Option<u8> {
    LAYERS
        .iter()
        .find(|(_, modules)| modules.contains(&module))
        .map(|(layer, _)| *layer)
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// All modules below a `src` folder, without those that only tests have.
fn read_sources(src: &Path) -> Vec<Source> {
    let mut files = Vec::new();
    walk(src, &mut files);
    files.sort();
    let sources: Vec<Source> = files
        .iter()
        .map(|file| {
            let name = file.strip_prefix(root()).unwrap().display().to_string();
            let relative = file.strip_prefix(src).unwrap();
            Source::parse(
                &name,
                source::module_of(relative),
                &std::fs::read_to_string(file).unwrap(),
            )
        })
        .collect();
    source::without_tests(sources)
}

fn walk(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            walk(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
}
