//! An RPC that is not one: whatever it sends, or does not, ends in a finding.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;

use super::doctor;
use crate::support::home::Home;
use crate::support::signer::Signer;

#[test]
fn a_hostile_rpc_ends_in_a_finding() {
    let home = Home::new();
    let signer = Signer::init(&home);
    signer.create_key("validator");
    signer.add_chain_at("c-1", "validator", &[("a", "unix:///nowhere")]);
    for manner in ["garbage", "endless", "silent"] {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("c-1=http://{}", listener.local_addr().unwrap());
        // Ends with the process of the tests at the latest.
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let Ok(mut stream) = stream else { return };
                std::thread::spawn(move || {
                    let _request = stream.read(&mut [0; 4096]);
                    let _head = stream.write_all(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n");
                    match manner {
                        "garbage" => drop(stream.write_all(b"{\"result\":{\"node_info\":\x1b[2J")),
                        "endless" => while stream.write_all(&[b'['; 65536]).is_ok() {},
                        _ => drop(stream.read_to_end(&mut Vec::new())),
                    }
                });
            }
        });
        let seen = doctor(&signer, &["--rpc", &url]);
        seen.assert("chain.rpc", "warning");
        assert!(
            !seen.findings.iter().any(|f| f.to_string().contains("\\u001b")),
            "{manner}"
        );
    }
}
