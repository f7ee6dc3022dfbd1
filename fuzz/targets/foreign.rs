//! Files of other signers: configurations of tmkms, cosmos/kms, horcrux and nodes, and states of tmkms and horcrux.
#![no_main]

use std::path::Path;

use sigward::foreign::{
    ForeignSigner, horcrux_state, parse_config, parse_cosmos_kms, parse_horcrux, parse_tmkms, parse_tmkms_state,
};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let base = Path::new("/srv/signer");
    let list = |_: &Path| Ok(vec!["chain-1_priv_validator_key.json".to_owned()]);
    let plans = [
        parse_tmkms(bytes, base),
        parse_cosmos_kms(bytes, base),
        parse_horcrux(bytes, base, list),
    ];
    plans.into_iter().flatten().for_each(|plan| check(&plan));
    let _settings = parse_config(bytes, base);
    let _state = parse_tmkms_state(bytes);
    if let Ok(json) = horcrux_state(bytes) {
        assert!(!json.is_empty());
    }
});

/// A plan that is given out moves something, and no chain twice.
fn check(plan: &ForeignSigner) {
    let mut chains: Vec<_> = plan.keys.iter().flat_map(|key| &key.chains).map(|chain| &chain.id).collect();
    assert!(!chains.is_empty());
    let count = chains.len();
    chains.sort();
    chains.dedup();
    assert_eq!(chains.len(), count);
}
