//! A node's RPC that is none: it tells of a chain as a test wants it (CometBFT `/status`, `/commit`, `/validators`).

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

/// What the chain is like.
#[derive(Clone)]
pub(crate) struct FakeChain {
    pub(crate) address: String,
    pub(crate) public_key: String,
    /// Its last block when the test begins.
    pub(crate) latest: u64,
    /// The lowest that the node still has.
    pub(crate) earliest: u64,
    /// The last height that has a precommit of the key.
    pub(crate) signed_until: u64,
    /// Blocks a second that are made from then on.
    pub(crate) pace: u64,
    /// The voting power of the key, and of all.
    pub(crate) power: (u64, u64),
    /// How long each answer takes.
    pub(crate) delay: Duration,
}

impl FakeChain {
    /// A chain of a thousand blocks that goes on without the key, which signed until 100 and has a tenth of the power.
    pub(crate) fn of(key: &crate::support::keys::KeyFile) -> Self {
        Self {
            address: key.address(),
            public_key: key.public_base64(),
            latest: 1_000,
            earliest: 1,
            signed_until: 100,
            pace: 0,
            power: (10, 100),
            delay: Duration::ZERO,
        }
    }

    /// Tells of it until the tests end; the URL.
    pub(crate) fn serve(self) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (chain, begun) = (Arc::new(self), Instant::now());
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let Ok(stream) = stream else { return };
                let chain = chain.clone();
                std::thread::spawn(move || chain.answer(stream, begun));
            }
        });
        url
    }

    fn answer(&self, mut stream: TcpStream, begun: Instant) {
        let mut request = [0; 4096];
        let Ok(len) = stream.read(&mut request) else {
            return;
        };
        let text = String::from_utf8_lossy(&request[..len]).into_owned();
        let path = text.split(' ').nth(1).unwrap_or_default();
        std::thread::sleep(self.delay);
        let latest = self.latest + begun.elapsed().as_secs() * self.pace;
        let result = if path.starts_with("/status") {
            Some(self.status(latest))
        } else if path.starts_with("/validators") {
            Some(self.validators(latest))
        } else {
            let height = path
                .split("height=")
                .nth(1)
                .map_or(latest, |height| height.parse().unwrap());
            (self.earliest..=latest)
                .contains(&height)
                .then(|| self.commit(height, height == latest))
        };
        let body = match result {
            Some(result) => json!({ "jsonrpc": "2.0", "id": -1, "result": result }),
            None => json!({ "jsonrpc": "2.0", "id": -1, "error": { "code": -32603, "message": "Internal error", "data": "no such height" } }),
        }
        .to_string();
        let _gone = write!(
            stream,
            "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
            body.len()
        );
    }

    fn status(&self, latest: u64) -> Value {
        json!({
            "node_info": { "network": "c-1", "version": "0.38.25" },
            "sync_info": {
                "latest_block_height": latest.to_string(),
                "latest_block_time": time(latest),
                "earliest_block_height": self.earliest.to_string(),
                "catching_up": false,
            },
            "validator_info": { "address": "", "pub_key": null, "voting_power": "0" },
        })
    }

    fn validators(&self, latest: u64) -> Value {
        let (own, all) = self.power;
        let of = |address: &str, key: &str, power: u64| json!({ "address": address, "pub_key": { "type": "tendermint/PubKeyEd25519", "value": key }, "voting_power": power.to_string() });
        let mut set = vec![of(&self.address, &self.public_key, own)];
        if all > own {
            let other = crate::support::keys::KeyFile::of_seed([0xee; 32]);
            set.push(of(&other.address(), &other.public_base64(), all - own));
        }
        json!({ "block_height": latest.to_string(), "total": set.len().to_string(), "count": set.len().to_string(), "validators": set })
    }

    fn commit(&self, height: u64, newest: bool) -> Value {
        let part = if height <= self.signed_until {
            json!({ "block_id_flag": 2, "validator_address": self.address, "timestamp": time(height), "signature": "AA==" })
        } else {
            json!({ "block_id_flag": 1, "validator_address": "", "timestamp": "0001-01-01T00:00:00Z", "signature": null })
        };
        json!({
            "canonical": !newest,
            "signed_header": {
                "header": { "chain_id": "c-1", "height": height.to_string(), "time": time(height) },
                "commit": { "height": height.to_string(), "round": 0, "signatures": [part] },
            },
        })
    }
}

/// A block a second.
fn time(height: u64) -> String {
    let (minutes, seconds) = (height / 60, height % 60);
    format!("2026-01-01T{:02}:{:02}:{seconds:02}Z", minutes / 60, minutes % 60)
}
