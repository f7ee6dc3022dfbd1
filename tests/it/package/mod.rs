//! What is packaged agrees with what it packages. That it installs, runs and is removed is tried by `scripts/package-test.sh`.

use std::collections::BTreeSet;
use std::path::{Component, Path, PathBuf};

fn read(path: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap()
}

#[test]
fn the_image_is_built_by_the_pinned_compiler() {
    let pinned: toml::Table = read("rust-toolchain.toml").parse().unwrap();
    let channel = pinned["toolchain"]["channel"].as_str().unwrap();
    assert!(read("Dockerfile").contains(&format!("FROM rust:{channel}-bookworm AS build")));
}

#[test]
fn the_image_is_nobodys_root_and_has_nothing_else_in_it() {
    let dockerfile = read("Dockerfile");
    let last = dockerfile.rsplit_once("\nFROM ").unwrap().1;
    assert!(last.starts_with("scratch\n"));
    assert!(last.contains("\nUSER 10001:10001\n"));
    assert!(!last.contains("\nRUN "), "a scratch image has nothing to run");
}

/// Whatever lies in the folder of the build: nothing goes to the builder that is not named.
#[test]
fn neither_state_nor_keys_reach_a_layer() {
    let named = read(".dockerignore");
    let lines: Vec<&str> = named.lines().filter(|line| !line.starts_with('#')).collect();
    assert_eq!(lines[0], "**", "everything stays out, but for what follows");
    let last_named = lines.iter().rposition(|line| line.starts_with('!')).unwrap();
    for never in ["**/*.key", "**/*.sealed", "**/priv_validator_*.json", "**/state"] {
        let at = lines.iter().position(|line| *line == never);
        assert!(
            at.is_some_and(|at| at > last_named),
            "{never} stays out of what is named, too"
        );
    }
    assert!(lines.contains(&"!scripts/image.sh"), "the build stage runs it");
    let prebuilt = read("scripts/image.ignore");
    let prebuilt: Vec<&str> = prebuilt.lines().filter(|line| !line.starts_with('#')).collect();
    assert_eq!(prebuilt, ["*", "!target/image/rootfs"]);
}

#[test]
fn the_unit_opens_the_port_and_the_home_that_are_the_default() {
    let unit = read("dist/systemd/sigward.service");
    let config = read("src/config/default.toml");
    let port = config
        .split("listen = \"127.0.0.1:")
        .nth(1)
        .unwrap()
        .split('"')
        .next()
        .unwrap();
    assert!(unit.contains(&format!("\nSocketBindAllow=ipv4:tcp:{port}\n")));
    assert!(unit.contains("\nExecStart=/usr/bin/sigward --home /var/lib/sigward serve\n"));
    assert!(unit.contains("\nStateDirectory=sigward\nStateDirectoryMode=0700\n"));
}

/// A page that is packed and links to one that is not is a dead end on the machine where it is read.
#[test]
fn every_page_is_packed_and_every_link_of_a_page_stays_within_the_package() {
    const DOCUMENTS: &str = "usr/share/doc/sigward/";
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let manifest: toml::Table = read("Cargo.toml").parse().unwrap();
    let assets = manifest["package"]["metadata"]["deb"]["assets"]
        .as_array()
        .unwrap();
    let mut packed = BTreeSet::new();
    for asset in assets {
        let (source, dest) = (asset["source"].as_str().unwrap(), asset["dest"].as_str().unwrap());
        let Some(folder) = dest.strip_prefix(DOCUMENTS) else {
            continue;
        };
        let found = expand(root, source);
        assert!(!found.is_empty(), "{source}: there is nothing of the kind");
        for path in found {
            // It lies in the package as it lies here, so that one link serves both.
            let base = source.split_once("**").map_or_else(
                || Path::new(source).parent().unwrap().to_path_buf(),
                |(base, _)| Path::new(base).to_path_buf(),
            );
            let place = Path::new(folder).join(path.strip_prefix(&base).unwrap());
            assert_eq!(place, path, "{source}");
            packed.insert(path);
        }
    }
    for page in expand(root, "docs/**/*.md") {
        assert!(packed.contains(&page), "{} stays behind", page.display());
    }
    let mut links = 0;
    for page in packed
        .iter()
        .filter(|path| path.extension().is_some_and(|e| e == "md"))
    {
        for link in links_of(&read(page.to_str().unwrap())) {
            let target = normal(&page.parent().unwrap().join(&link));
            assert!(
                packed.contains(&target),
                "{} links to {}, which is not in the package",
                page.display(),
                link.display()
            );
            links += 1;
        }
    }
    assert!(links > 100, "links are found: {links}");
}

/// The files of a pattern: a plain path, `folder/*.ext`, or `folder/**/*.ext`.
fn expand(root: &Path, pattern: &str) -> Vec<PathBuf> {
    fn below(folder: &Path, deep: bool, into: &mut Vec<PathBuf>) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() && deep {
                below(&path, deep, into);
            } else if path.is_file() {
                into.push(path);
            }
        }
    }
    let Some((folder, last)) = pattern.split_once('*') else {
        return vec![PathBuf::from(pattern)];
    };
    let extension = last.rsplit_once('.').unwrap().1;
    let mut found = Vec::new();
    below(&root.join(folder), last.starts_with('*'), &mut found);
    let of_kind = found
        .iter()
        .filter(|path| path.extension().is_some_and(|e| e == extension));
    of_kind
        .map(|path| path.strip_prefix(root).unwrap().to_owned())
        .collect()
}

/// Relative links outside of blocks and code, without their anchors.
fn links_of(page: &str) -> Vec<PathBuf> {
    let outside: String = page.split("\n```").step_by(2).collect();
    let prose: String = outside.split('`').step_by(2).collect();
    let targets = prose
        .split("](")
        .skip(1)
        .filter_map(|rest| Some(rest.split_once(')')?.0));
    targets
        .filter(|link| !link.contains("://") && !link.starts_with("mailto:") && !link.contains(' '))
        .map(|link| PathBuf::from(link.split('#').next().unwrap()))
        .filter(|link| !link.as_os_str().is_empty())
        .collect()
}

fn normal(path: &Path) -> PathBuf {
    let mut out = PathBuf::new();
    for part in path.components() {
        match part {
            Component::ParentDir => assert!(out.pop(), "{} leaves the repository", path.display()),
            part => out.push(part),
        }
    }
    out
}

#[test]
fn no_script_of_the_package_deletes_anything_or_starts_it() {
    for script in ["postinst", "prerm", "postrm"] {
        let text = read(&format!("dist/deb/{script}"));
        let commands = text
            .lines()
            .filter(|line| !line.trim_start().starts_with('#') && !line.contains("echo"));
        for line in commands {
            for word in ["rm", "rmdir", "deluser", "userdel", "start", "restart", "enable"] {
                assert!(
                    !line.split_whitespace().any(|found| found == word),
                    "{script}: {line}"
                );
            }
        }
    }
}
