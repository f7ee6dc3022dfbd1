//! What is packaged agrees with what it packages. That it installs, runs and is removed is tried by `scripts/package-test.sh`.

use std::path::Path;

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
