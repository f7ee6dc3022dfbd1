//! Acts on keys of a token that are cut off: asking again finishes them.

use super::softhsm::{ID, Token};
use crate::crashes::dies;
use crate::support::home::Home;
use crate::support::scene::{CHAIN, KEY};
use crate::support::signer::Signer;

/// Between the record of a key that was taken in and its row.
pub(crate) const POINTS: &[&str] = &["admin_token_key_recorded"];

#[test]
fn a_key_whose_making_or_taking_in_dies_is_there_once_after_asking_again() {
    let home = Home::new();
    let mut signer = Signer::init(&home);
    let token = Token::given_to(&home, &mut signer);
    let create = ["keys", "create", "made", "--provider", ID];
    dies(signer.command(&create), "admin_key_sealed");
    signer.run(&create);
    token.pkcs11_tool(&[
        "--keypairgen",
        "--key-type",
        "EC:edwards25519",
        "--id",
        "0a0b",
        "--label",
        "old",
    ]);
    let import = [
        "keys",
        "import",
        KEY,
        "--from-token",
        "--provider",
        ID,
        "--label",
        "old",
        "--chain",
        CHAIN,
        "--above",
        "100",
    ];
    dies(signer.command(&import), POINTS[0]);
    let known = signer.json(&["keys", "list", "--json"]);
    assert_eq!(
        known.as_array().map(Vec::len),
        Some(1),
        "no key without its past: {known}"
    );
    signer.run(&import);
    let listed = signer.json(&["hsm", "list", "--json"]);
    assert_eq!(listed[0]["keys"].as_array().map(Vec::len), Some(2), "{listed}");
    signer.run(&["audit", "verify"]);
}
