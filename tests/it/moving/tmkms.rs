//! A chain signed by real tmkms moves to sigward with one command, and goes on.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use base64::prelude::{BASE64_STANDARD, Engine as _};
use serde_json::Value;

use super::{free_port_for, import, imported, nothing_is_there, refused, write_private};
use crate::support::audit::assert_no_double_sign;
use crate::support::genesis::{Chain, Extensions, Validator, Version};
use crate::support::home::Home;
use crate::support::keys::KeyFile;
use crate::support::node::{Node, SignedBy, peers};
use crate::support::process::Process;
use crate::support::signer::Signer;
use crate::support::turn;

const LIMIT: Duration = Duration::from_secs(60);
const SEED: [u8; 32] = [0x42; 32];

/// tmkms with one softsign key.
struct Tmkms {
    folder: PathBuf,
    process: Option<Process>,
}

impl Tmkms {
    fn new(home: &Home, chain: &str, node: &Node) -> Self {
        let folder = home.path("tmkms");
        write_private(
            &folder.join("secrets/consensus.key"),
            &BASE64_STANDARD.encode(SEED),
        );
        write_private(
            &folder.join("secrets/connection.key"),
            &BASE64_STANDARD.encode([9; 32]),
        );
        std::fs::create_dir_all(folder.join("state")).unwrap();
        let address = node.laddr();
        let config = format!(
            "[[chain]]\nid = \"{chain}\"\nkey_format = {{ type = \"hex\" }}\nstate_file = \"state/{chain}.json\"\n\n\
             [[validator]]\naddr = \"{address}\"\nchain_id = \"{chain}\"\nreconnect = true\n\
             secret_key = \"secrets/connection.key\"\nprotocol_version = \"v0.38\"\n\n\
             [[providers.softsign]]\nchain_ids = [\"{chain}\"]\nkey_type = \"consensus\"\npath = \"secrets/consensus.key\"\n"
        );
        std::fs::write(folder.join("tmkms.toml"), config).unwrap();
        Self {
            folder,
            process: None,
        }
    }

    fn start(&mut self) {
        let program = peers().join("tmkms/bin/tmkms");
        assert!(
            program.is_file(),
            "{} is missing: install the peers with `make peers`",
            program.display()
        );
        let mut command = Command::new(program);
        // Its paths are relative to where it is started.
        command
            .current_dir(&self.folder)
            .args(["start", "-c", "tmkms.toml"]);
        self.process = Some(Process::start(command, &self.folder.join("log")));
    }

    fn stop(&mut self) {
        self.process.take().unwrap().kill();
    }

    fn config(&self) -> String {
        self.folder.to_str().unwrap().to_owned()
    }

    fn state(&self, chain: &str) -> Value {
        let file = self.folder.join(format!("state/{chain}.json"));
        serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap()
    }
}

fn validator(folder: &Path) -> Validator {
    let path = folder.join("public-half-only.json");
    KeyFile::of_seed(SEED).write(&path);
    let validator = Validator::of_key_file(&path);
    std::fs::remove_file(path).unwrap();
    validator
}

#[test]
fn a_chain_signed_by_tmkms_moves_with_one_command_and_goes_on() {
    let _turn = turn::take();
    let home = Home::new();
    let chain = Chain {
        version: Version::V038,
        id: "it-tmkms".to_owned(),
        validator: validator(&home.path("")),
        extensions: Extensions::Off,
    };
    let mut node = Node::new(&home, "a", &chain, SignedBy::Tcp);
    let mut tmkms = Tmkms::new(&home, &chain.id, &node);
    tmkms.start();
    node.start();
    node.wait_for_height(20, LIMIT);
    let mut signer = Signer::not_yet(&home);
    let (config, rpc) = (tmkms.config(), node.rpc_url());
    let base = ["--from", "tmkms", &config, "--rpc", &rpc];
    let with = |more: &[&'static str]| [&base[..], more].concat();

    // While it still signs: the process is seen, and so are its signatures.
    let said = refused(&signer, 3, "old_signer_runs", &with(&["--apply"]));
    assert!(said.contains("tmkms start"), "{said}");
    let said = refused(
        &signer,
        3,
        "another_signer_is_signing",
        &with(&["--apply", "--ignore-running", "--wait-blocks", "3"]),
    );
    assert!(said.contains("precommit of this key"), "{said}");
    // Not by what the operator closes either, nor by watching one block only: it may be the one that was being made.
    let wide = [
        "--apply",
        "--ignore-running",
        "--wait-blocks",
        "1",
        "--above",
        "it-tmkms=100000",
    ];
    refused(&signer, 3, "another_signer_is_signing", &with(&wide));
    for _ in 0..5 {
        let dry = import(&signer, &with(&["--ignore-running", "--wait-blocks", "1"]));
        assert_eq!(dry.status.code(), Some(4), "a dry run says what would be refused");
        let said = String::from_utf8_lossy(&dry.stdout).into_owned();
        assert!(said.contains("WOULD REFUSE  another_signer_is_signing"), "{said}");
    }
    assert!(nothing_is_there(&signer), "a refused import leaves nothing");

    // A state of tmkms closes its whole height. A chain of one validator goes on from there only where that height is complete, so
    // it is brought to rest first.
    node.terminate();
    node.rest_without_transactions(true);
    node.start();
    node.wait_until_at_rest(LIMIT);
    let old_copy = tmkms.state(&chain.id)["height"]
        .as_str()
        .unwrap()
        .parse::<u64>()
        .unwrap();
    tmkms.stop();
    let state = tmkms.state(&chain.id);
    let last: u64 = state["height"].as_str().unwrap().parse().unwrap();
    assert_eq!(old_copy, last);
    assert_eq!(
        state["step"], 2,
        "the last block's precommit is its last word: {state}"
    );

    // An old copy of the state is noticed by the chain.
    let file = tmkms.folder.join(format!("state/{}.json", chain.id));
    let kept = std::fs::read(&file).unwrap();
    std::fs::write(&file, r#"{"height":"5","round":"0","step":2,"block_id":null}"#).unwrap();
    let said = refused(&signer, 3, "watermark_behind_chain", &with(&["--apply"]));
    assert!(said.contains("--above it-tmkms="), "{said}");
    std::fs::write(&file, kept).unwrap();

    let said = imported(
        &signer,
        &with(&["--apply", "--wait-blocks", "1", "--wait-limit", "2"]),
    );
    for part in [
        &*format!("signed up to height {last}, closed"),
        "the chain halts without this key, so nobody signs with it",
        "voting power",
        "consensus.key off this machine",
    ] {
        assert!(said.contains(part), "{part} is not in {said}");
    }
    free_port_for(&signer);
    signer.start();
    node.terminate();
    node.rest_without_transactions(false);
    node.start();
    node.wait_for_height(last + 10, LIMIT);
    node.terminate();
    signer.terminate();

    // No position is signed by both: tmkms ended in `last`, sigward began above it.
    let records = assert_no_double_sign(&signer);
    let lowest = records
        .iter()
        .filter(|record| record.released())
        .map(|record| record.position.split('/').next().unwrap().parse::<u64>().unwrap())
        .min();
    assert_eq!(lowest, Some(last + 1));
    assert_eq!(
        tmkms.state(&chain.id)["height"].as_str().unwrap(),
        last.to_string(),
        "tmkms has signed nothing since"
    );
}
