//! CometBFT's priv_validator_state.json.
#![no_main]

use std::sync::LazyLock;

use sigward::admin::state_file;
use sigward_hsm::verify::Verifier;
use sigward_policies::model::algorithm::{Algorithm, PublicKey};
use sigward_policies::model::id::ChainId;

/// RFC 8032, 7.1, TEST 1.
const PUBLIC_KEY: [u8; 32] = [
    0xd7, 0x5a, 0x98, 0x01, 0x82, 0xb1, 0x0a, 0xb7, 0xd5, 0x4b, 0xfe, 0xd3, 0xc9, 0x64, 0x07, 0x3a, 0x0e, 0xe1, 0x72,
    0xf3, 0xda, 0xa6, 0x23, 0x25, 0xaf, 0x02, 0x1a, 0x68, 0xf7, 0x07, 0x51, 0x1a,
];

static VERIFIER: LazyLock<(Verifier, ChainId)> = LazyLock::new(|| {
    let key = PublicKey::new(Algorithm::Ed25519, &PUBLIC_KEY).unwrap();
    (Verifier::new(&key).unwrap(), ChainId::new("chain-1").unwrap())
});

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let _refused = state_file::parse(bytes, &VERIFIER.0, &VERIFIER.1);
});
