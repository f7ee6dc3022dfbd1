//! `[seal]` is read strictly, and rewritten without touching anything else.
#![allow(clippy::unwrap_used)]

use super::*;
use crate::config::DEFAULT;

const BASE: &str = "/etc/sigward";
const PROVIDER: &str = "
[[provider]]
id = 'hsm-a'
[provider.pkcs11]
module = '/lib/p11.so'
token_label = 'validators'
pin_file = 'pin'
";

fn read(seal: &str) -> Result<SealSource, String> {
    parse(&format!("{seal}{PROVIDER}"), Path::new(BASE))
        .map(|config| config.seal)
        .map_err(|error| error.to_string())
}

fn token(label: &str, file: &str) -> SealSource {
    SealSource::Pkcs11(TokenSealConfig {
        provider: ProviderId::new("hsm-a").unwrap(),
        key_label: label.to_owned(),
        file: Path::new(BASE).join(file),
    })
}

#[test]
fn a_token_is_named_by_its_provider() {
    for (seal, read_as) in [
        (
            "seal.pkcs11 = { provider = 'hsm-a' }",
            token("sigward-seal", "seal-hsm-a.wrapped"),
        ),
        (
            "[seal]\npkcs11 = { provider = 'hsm-a', key_label = 'x y', file = 'w' }",
            token("x y", "w"),
        ),
        (
            "[seal.pkcs11]\nprovider = 'hsm-a'\nfile = '/w'",
            token("sigward-seal", "/w"),
        ),
    ] {
        assert_eq!(read(seal).unwrap(), read_as, "{seal}");
    }
}

#[test]
fn what_names_no_token_or_two_seals_is_refused() {
    for (seal, says) in [
        ("seal.pkcs11 = { provider = 'hsm-b' }", "known here: hsm-a"),
        ("seal.pkcs11 = { }", "provider"),
        (
            "seal.pkcs11 = { provider = 'hsm-a', label = 'x' }",
            "unknown field",
        ),
        (
            "seal.pkcs11 = { provider = 'hsm-a', key_label = '' }",
            "is no label",
        ),
        (
            "seal.pkcs11 = { provider = 'hsm-a', key_label = \"a\\n\" }",
            "is no label",
        ),
        (
            "seal = { key_file = 'a', pkcs11 = { provider = 'hsm-a' } }",
            "more than one thing",
        ),
        (
            "seal.pkcs11 = { provider = 'hsm-a', file = 'keys' }",
            "is keys.dir already",
        ),
    ] {
        let said = read(seal).unwrap_err();
        assert!(said.contains(says), "{seal}: {said}");
    }
    let alone = parse("seal.pkcs11 = { provider = 'hsm-a' }", Path::new(BASE)).unwrap_err();
    assert!(
        alone.to_string().contains("describe the token in a [[provider]]"),
        "{alone}"
    );
}

#[test]
fn the_seal_is_rewritten_and_nothing_else_is() {
    let seals = [
        SealSource::KeyFile("/etc/sigward/other key".into()),
        SealSource::PassphraseFile("/run/\"quoted\"".into()),
        SealSource::Credential("sigward-seal".to_owned()),
        token("sigward-seal", "seal-hsm-a.wrapped"),
        token("it's", "/mnt/w"),
    ];
    let texts = [
        format!("{DEFAULT}{PROVIDER}"),
        PROVIDER.to_owned(),
        format!("[seal] # here\n  key_file='k' # why\n{PROVIDER}"),
        format!("seal.credential = \"c\"\n{PROVIDER}"),
        format!("seal = {{ passphrase_file = 'key_file' }}\n{PROVIDER}"),
        format!("{PROVIDER}[seal]\npkcs11 = {{ provider = 'hsm-a' }}"),
        format!("[ seal . pkcs11 ]\nprovider = 'hsm-a'\n# why\nfile = 'w'\n{PROVIDER}"),
        format!("{PROVIDER}[seal] # here\n[seal.pkcs11]\nprovider = 'hsm-a'\n"),
    ];
    for text in &texts {
        for seal in &seals {
            let new = with_seal(text, Path::new(BASE), seal).unwrap();
            let again = with_seal(&new, Path::new(BASE), seal).unwrap();
            assert_eq!(new, again);
            let comments = |text: &str| text.matches('#').count();
            assert_eq!(comments(&new), comments(text), "{new}");
        }
    }
}

#[test]
fn a_table_that_cannot_be_edited_says_what_to_write() {
    let text = format!("[seal]\n\"key_file\" = 'k'\n{PROVIDER}");
    let refused = with_seal(&text, Path::new(BASE), &SealSource::Credential("c".to_owned())).unwrap_err();
    assert!(refused.to_string().contains("credential = \"c\""), "{refused}");
}

/// What `init --seal-pkcs11` and `seal move` leave above the line that they write: no sentence about another seal.
#[test]
fn the_comment_above_the_seal_is_true_of_every_seal() {
    for seal in [
        SealSource::PassphraseFile("/etc/sigward/passphrase".into()),
        SealSource::Credential("sigward-seal".to_owned()),
        token("sigward-seal", "seal-hsm-a.wrapped"),
    ] {
        let text = with_seal(&format!("{DEFAULT}{PROVIDER}"), Path::new(BASE), &seal).unwrap();
        let table = text.split("\n[seal]\n").nth(1).unwrap();
        let above: Vec<_> = table.lines().take_while(|line| line.starts_with('#')).collect();
        for kind in ["key_file = ", "passphrase_file = ", "credential = ", "pkcs11 = "] {
            assert!(above.iter().any(|line| line.contains(kind)), "{kind}: {above:?}");
        }
        assert!(!table[above.join("\n").len()..].trim_start().starts_with('#'));
    }
}
