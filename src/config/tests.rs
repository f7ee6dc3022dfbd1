//! Files that must load, files that must not, and what a stranger reads then.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use std::fs;
use std::os::unix::fs::PermissionsExt;

use proptest::prelude::*;

use super::*;

const BASE: &str = "/etc/sigward";

fn good(text: &str) -> Config {
    parse(text, Path::new(BASE)).unwrap_or_else(|error| panic!("{error}"))
}

fn files(folder: &str) -> Vec<(PathBuf, String)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    let mut files: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|ext| ext == "toml"))
        .map(|path| (path.clone(), fs::read_to_string(path).unwrap()))
        .collect();
    files.sort();
    files
}

#[test]
fn every_bad_configuration_is_refused_for_the_reason_it_expects() {
    let files = files("tests/bad-configs");
    assert!(files.len() > 50, "the corpus is gone");
    let mut wrong = Vec::new();
    for (path, text) in files {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let expected = text.lines().next().unwrap().strip_prefix("# expect: ").unwrap();
        match parse(&text, Path::new(BASE)) {
            Ok(_) => wrong.push(format!("{name}: accepted")),
            Err(error) => {
                let shown = error.in_file(Path::new("sigward.toml")).to_string();
                let two_lines =
                    shown.lines().count() == 2 && shown.starts_with("config_invalid: sigward.toml:");
                if !shown.contains(expected) || !two_lines {
                    wrong.push(format!("{name}: expected {expected:?}, got\n{shown}"));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

#[test]
fn every_example_of_the_documentation_loads() {
    let files = files("docs/examples");
    assert!(files.len() >= 5, "the examples are gone");
    for (path, text) in files {
        let config =
            parse(&text, Path::new(BASE)).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        assert!(!config.chains.is_empty());
    }
}

#[test]
fn the_printed_default_is_the_default() {
    assert_eq!(good(DEFAULT), good(""));
}

#[test]
fn what_the_printed_default_leaves_out_is_its_default_too() {
    let uncommented: String = DEFAULT
        .lines()
        .map(|line| match line.strip_prefix('#') {
            Some(rest) if rest.starts_with(|c: char| c.is_ascii_lowercase() || c == '[') => rest,
            _ => line,
        })
        .flat_map(|line| [line, "\n"])
        .collect();
    // Not every program takes this table: it has a test of its own (otlp.rs).
    let (before, otlp) = uncommented.split_once("[otlp]\n").unwrap();
    let (_, after) = otlp.split_once("\n\n").unwrap();
    let mut whole = good(&format!("{before}{after}"));
    let chain = whole.chains.pop().unwrap();
    let provider = whole.providers.pop().unwrap();
    // There is no door by default; where one is, it has everything.
    assert!(whole.listen.take().is_some_and(|listen| listen.crl.is_some()));
    assert!(
        whole
            .bearer
            .take()
            .is_some_and(|bearer| bearer.issuers.len() == 1)
    );
    assert!(
        whole
            .plain
            .take()
            .is_some_and(|address| address.ip().is_loopback())
    );
    assert_eq!(whole, good(""));
    let short = good(
        "[[provider]]\nid = 'hsm-a'\npkcs11 = { module = '/usr/lib/softhsm/libsofthsm2.so', token_label = 'validators', pin_file = 'hsm-a.pin' }",
    );
    assert_eq!(provider, short.providers[0]);
    let short = good(
        "[[chain]]\nid = 'my-chain-1'\nkey = 'validator'\n[[chain.node]]\nname = 'node-0'\naddress = 'unix:///run/my-chain/signer.sock'\n\
         rpc = 'http://127.0.0.1:26657'",
    );
    assert_eq!(chain, short.chains[0]);
}

#[test]
fn the_printed_default_names_every_field() {
    let raw = include_str!("raw.rs");
    for field in raw
        .lines()
        .filter_map(|line| line.trim().strip_prefix("pub(super) ")?.split_once(": "))
        .map(|(field, _)| field)
    {
        let table = [
            format!("[{field}]"),
            format!("[[{field}]]"),
            format!("[[chain.{field}]]"),
            format!("[provider.{field}]"),
            format!("[listen.{field}]"),
            format!("[[listen.bearer.{field}]]"),
        ];
        let named =
            DEFAULT.contains(&format!("{field} = ")) || table.iter().any(|table| DEFAULT.contains(table));
        assert!(named, "{field} is in no line of default.toml");
    }
}

#[test]
fn relative_paths_stand_in_the_folder_of_the_file() {
    let config = good("[store]\ndir = 'a/b'\n[keys]\ndir = '/k'\n[admin]\nsocket = 'x.sock'");
    assert_eq!(config.store.dir, Path::new("/etc/sigward/a/b"));
    assert_eq!(
        config.store.witness,
        Path::new("/etc/sigward/a/b/witness"),
        "the witness follows the folder"
    );
    assert_eq!(config.keys.dir, Path::new("/k"));
    assert_eq!(config.admin_socket, Path::new("/etc/sigward/x.sock"));
    assert_eq!(config.seal, SealSource::KeyFile("/etc/sigward/seal.key".into()));
}

#[test]
fn http_is_off_when_its_address_is_empty_and_on_loopback_by_any_name() {
    assert_eq!(good("[http]\nlisten = ''").http, None);
    for (listen, address) in [
        ("localhost:1", "127.0.0.1:1"),
        ("[::1]:2", "[::1]:2"),
        ("127.3.2.1:0", "127.3.2.1:0"),
    ] {
        let config = good(&format!("[http]\nlisten = '{listen}'"));
        assert_eq!(config.http, Some(address.parse().unwrap()));
    }
}

#[test]
fn the_door_is_shut_unless_it_has_everything_that_a_door_needs() {
    assert_eq!(good("").listen, None);
    let whole = "[listen]\naddress='0.0.0.0:26660'\ncertificate='a.crt'\nprivate_key='a.key'\nclient_ca='/ca'\ncrl='crl'\n";
    let config = good(whole);
    let listen = config.listen.as_ref().unwrap();
    assert_eq!(listen.address, "0.0.0.0:26660".parse().unwrap());
    assert!(listen.certificate.ends_with("a.crt") && listen.certificate.is_absolute());
    assert_eq!(listen.client_ca, Path::new("/ca"));
    assert!(listen.crl.is_some());
    assert_eq!(config.warnings().len(), 1, "no chain, and nothing else");
    let config = good(&whole.replace("crl='crl'", ""));
    assert!(
        config.warnings()[0].contains("[listen] has no crl"),
        "{:?}",
        config.warnings()
    );
    for (line, wrong) in [
        ("address='0.0.0.0:26660'", "address='localhost:26660'"),
        ("address='0.0.0.0:26660'", "address='0.0.0.0'"),
        ("address='0.0.0.0:26660'", ""),
        ("certificate='a.crt'", ""),
        ("private_key='a.key'", ""),
        ("private_key='a.key'", "private_key='seal.key'"),
        ("client_ca='/ca'", ""),
        ("client_ca='/ca'", "client_ca=''"),
        ("crl='crl'", "crl=''"),
        ("crl='crl'", "crls='crl'"),
    ] {
        let text = whole.replace(line, wrong);
        let error = parse(&text, Path::new("/etc/sigward")).unwrap_err();
        assert!(!error.advice.is_empty(), "{text}: {error}");
    }
}

#[test]
fn settings_that_are_not_safe_everywhere_are_said_aloud() {
    assert_eq!(good("").warnings(), ["no [[chain]]: nothing is signed"]);
    let text: String = files("docs/examples")
        .into_iter()
        .filter(|(path, _)| path.ends_with("private-network.toml"))
        .map(|(_, text)| text)
        .collect();
    let config = good(&text);
    assert_eq!(config.unauthenticated_links(), 1);
    assert!(config.warnings()[0].contains("node-0 at tcp://10.10.0.2:26659 is not authenticated"));
    let config = good(
        "[store]\nallow_volatile=true\n[keys]\nallow_unlocked_memory=true\n[[chain]]\nid='c'\nkey='k'\nshared=true",
    );
    assert_eq!(config.warnings().len(), 4);
    let config = good("[[provider]]\nid='a'\npkcs11={module='/m', slot=3, pin_fd=3}");
    assert!(
        config.warnings()[0].contains("provider a: slot 3 may be another token"),
        "{:?}",
        config.warnings()
    );
}

#[test]
fn an_error_says_where_what_and_what_to_do() {
    let text =
        "[[chain]]\nid = \"c-1\"\nkey = \"k\"\n[[chain.node]]\nname = \"n\"\naddress = \"tpc://h:1\"\n";
    let error = parse(text, Path::new(BASE))
        .unwrap_err()
        .in_file(Path::new("/x/sigward.toml"));
    assert_eq!(
        error.to_string(),
        "config_invalid: /x/sigward.toml:6:11: chain[0].node[0].address: unknown scheme \"tpc\" in \"tpc://h:1\"\n  \
         write `unix:///path/to/socket` or `tcp://host:port`"
    );
}

#[test]
fn a_file_that_is_missing_large_binary_or_anybodys_is_refused_by_its_code() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join(FILE_NAME);
    let refused = |what: &str, code: ConfigCode| {
        let error = load(dir.path()).unwrap_err();
        assert_eq!(error.code, code, "{what}: {error}");
        assert!(
            error.to_string().contains(&*path.to_string_lossy()),
            "{what}: {error}"
        );
        error.to_string()
    };
    assert!(refused("missing", ConfigCode::Missing).contains("sigward init"));
    fs::create_dir(&path).unwrap();
    refused("a folder", ConfigCode::Unreadable);
    fs::remove_dir(&path).unwrap();
    fs::write(&path, "#".repeat(MAX_CONFIG_BYTES + 1)).unwrap();
    refused("large", ConfigCode::Invalid);
    fs::write(&path, b"# a\n# \xff").unwrap();
    assert!(refused("binary", ConfigCode::Invalid).contains(":2:3:"));
    fs::write(&path, DEFAULT).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o666)).unwrap();
    assert!(refused("anybody's", ConfigCode::Invalid).contains("chmod o-w"));
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
    assert_eq!(load(dir.path()).unwrap().store.dir, dir.path().join("state"));
}

#[test]
fn a_hostile_value_cannot_write_to_the_terminal() {
    for text in [
        "[store]\n\"\\u001b[2J\" = 1",
        "[log]\nformat = \"\\u001b[2J\\u0007\"",
        "\u{1b}[2J",
        "[[chain]]\nid='\u{9b}2J'\nkey='k'",
    ] {
        let shown = parse(text, Path::new(BASE)).unwrap_err().to_string();
        assert!(shown.chars().all(|c| c == '\n' || !c.is_control()), "{shown:?}");
        assert_eq!(shown.lines().count(), 2, "{shown:?}");
    }
    let shown = parse(
        &format!("[log]\nformat = '{}'", "x".repeat(900_000)),
        Path::new(BASE),
    )
    .unwrap_err()
    .to_string();
    assert!(shown.len() < 500);
    let shown = parse(&format!("{} = 1", "x".repeat(900_000)), Path::new(BASE))
        .unwrap_err()
        .to_string();
    assert!(shown.len() < 2_000, "{}", shown.len());
}

#[test]
fn deep_nesting_is_refused_not_fatal() {
    let text = format!("chain = {}", "[".repeat(500_000));
    assert!(parse(&text, Path::new(BASE)).is_err());
}

proptest! {
    #[test]
    fn no_text_panics(text in "\\PC{0,200}") {
        let _any = parse(&text, Path::new(BASE));
    }

    /// Whole lines of a good file, shuffled, doubled, dropped and cut.
    #[test]
    fn no_mutation_of_a_good_file_panics(picks in prop::collection::vec((any::<prop::sample::Index>(), 0usize..60), 0..40)) {
        let lines: Vec<&str> = DEFAULT.lines().map(|line| line.trim_start_matches('#')).collect();
        let text: String = picks
            .iter()
            .map(|(index, cut)| lines[index.index(lines.len())].chars().take(*cut).chain(['\n']).collect::<String>())
            .collect();
        if let Err(error) = parse(&text, Path::new(BASE)) {
            prop_assert_eq!(error.to_string().lines().count(), 2);
        }
    }
}
