//! The cases of `node-driver votes`: CometBFT's own listener and client, judging by CometBFT's own sign bytes.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::support::home::Home;
use crate::support::ports::free_port;
use crate::support::signer::Signer;
use crate::support::standstill::replayed;

const CHAIN: &str = "votes-1";

fn all_cases_pass(address: &str, home: &Home) {
    let mut signer = Signer::init(home);
    signer.create_key("votes");
    signer.add_chain_at(CHAIN, "votes", &[("driver".to_owned(), address.to_owned())]);
    signer.start();
    let output = Command::new(driver())
        .args(["votes", "--laddr", address, "--chain-id", CHAIN])
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let cases: Vec<Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    for case in &cases {
        assert_eq!(case["ok"], true, "{case}\n{}", signer.log_tail());
    }
    assert!(output.status.success() && cases.len() >= 20, "{text}");
    signer.terminate();
    crate::support::audit::assert_no_double_sign(&signer);
}

fn driver() -> PathBuf {
    let peers = std::env::var_os("SIGWARD_PEERS").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("target/peers"),
        PathBuf::from,
    );
    let path = peers.join("node-driver");
    assert!(
        path.is_file(),
        "{} is missing: install the peers with `make peers`",
        path.display()
    );
    path
}

#[test]
fn cometbfts_client_judges_every_case_right_over_tcp() {
    replayed(|| {
        let home = Home::new();
        all_cases_pass(&format!("tcp://127.0.0.1:{}", free_port()), &home);
    });
}

#[test]
fn cometbfts_client_judges_every_case_right_over_unix() {
    replayed(|| {
        let home = Home::new();
        let socket = home.socket("driver.sock");
        all_cases_pass(&format!("unix://{}", socket.display()), &home);
    });
}
