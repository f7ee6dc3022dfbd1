//! CometBFT's priv_validator_key.json.
#![no_main]

use std::sync::LazyLock;

use sigward_hsm::secret::{Arena, ArenaSize, Unlocked};
use sigward_hsm::software::filepv;

static ARENA: LazyLock<Arena> = LazyLock::new(|| Arena::new(ArenaSize::for_keys(8), Unlocked::Allow).unwrap());

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let _refused = filepv::parse(&ARENA, bytes);
});
