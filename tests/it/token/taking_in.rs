//! A key pair that another program made in the token is taken in, with what it has signed.

use super::softhsm::{ID, Token};
use super::staying::Two;
use crate::support::audit::assert_no_double_sign;
use crate::support::home::Home;
use crate::support::scene::{CHAIN, KEY, Scene};
use crate::support::signer::Signer;

#[test]
fn a_key_that_another_program_made_is_taken_in_and_signs_above_its_past() {
    let home = Home::new();
    let mut signer = Signer::init(&home);
    let token = Token::given_to(&home, &mut signer);
    for (id, label) in [("0a0b", "old-validator"), ("0c0d", "twins"), ("0e0f", "twins")] {
        token.pkcs11_tool(&[
            "--keypairgen",
            "--key-type",
            "EC:edwards25519",
            "--id",
            id,
            "--label",
            label,
        ]);
    }
    let listed = signer.json(&["hsm", "list", "--search", "--json"]);
    let found = listed[0]["found"].as_array().unwrap();
    assert_eq!(found.len(), 3, "{listed}");
    let import = |object: [&'static str; 2]| {
        let fixed = [
            "keys",
            "import",
            KEY,
            "--from-token",
            "--provider",
            ID,
            "--chain",
            CHAIN,
            "--above",
            "100",
        ];
        [fixed.as_slice(), object.as_slice()].concat()
    };
    for (object, says) in [
        (["--label", "nobody"], "no key pair with the label"),
        (["--label", "twins"], "2 key pairs"),
        (["--cka-id", "ffff"], "no key pair with the CKA_ID ffff"),
    ] {
        let refused = signer.attempt(&import(object));
        let said = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert_eq!(refused.status.code(), Some(3), "{said}");
        assert!(
            said.contains("token_key_not_found") && said.contains(says) && said.contains("0a0b"),
            "{said}"
        );
    }
    signer.run(&import(["--label", "old-validator"]));
    let key = signer.json(&["keys", "show", KEY, "--json"]);
    assert_eq!(
        (key["cka_id"].as_str(), key["origin"].as_str()),
        (Some("0a0b"), Some("imported")),
        "{key}"
    );
    assert_eq!(key["provider"], ID);
    let again = signer.attempt(&import(["--label", "old-validator"]));
    assert_eq!(again.status.code(), Some(3));
    // It stays in its token.
    for refused in [
        signer.attempt(&[
            "keys",
            "backup",
            KEY,
            "--file",
            home.path("no.backup").to_str().unwrap(),
            "--passphrase-file",
            &passphrase(&home),
        ]),
        signer.attempt(&[
            "state",
            "export",
            "--key",
            KEY,
            "--chain",
            CHAIN,
            "--file",
            home.path("s.json").to_str().unwrap(),
            "--key-file",
            home.path("k.json").to_str().unwrap(),
        ]),
    ] {
        let said = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert!(said.contains("key_not_exportable"), "{said}");
    }
    let mut scene = Scene::with(home, signer);
    scene.start();
    for height in [1, 99, 100] {
        scene.assert_refuses(height, "height_closed");
    }
    scene.sign(101..=105);
    scene.signer.terminate();
    scene
        .journal
        .assert_recorded(CHAIN, &assert_no_double_sign(&scene.signer));
}

fn passphrase(home: &Home) -> String {
    use std::os::unix::fs::PermissionsExt as _;
    let path = home.path("pw");
    std::fs::write(&path, "a passphrase of the tests").unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
    path.to_str().unwrap().to_owned()
}

#[test]
fn a_backup_of_all_keys_says_which_of_them_a_token_keeps() {
    let home = Home::new();
    let mut signer = Signer::init(&home);
    let _token = Token::given_to(&home, &mut signer);
    signer.run(&["keys", "create", "in-token", "--provider", ID]);
    let (file, secret) = (home.path("all.backup"), home.path("passphrase"));
    std::fs::write(&secret, "correct horse battery staple\n").unwrap();
    std::fs::set_permissions(&secret, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    let all = |json: &str| {
        let fixed = ["keys", "backup", "--all", "--file", file.to_str().unwrap()];
        let secret = ["--passphrase-file", secret.to_str().unwrap()];
        signer.attempt(&[&fixed[..], &secret, &[json][..usize::from(!json.is_empty())]].concat())
    };
    let said = all("");
    assert_eq!(
        said.status.code(),
        Some(3),
        "there is nothing to back up: {said:?}"
    );
    signer.run(&["keys", "create", "in-file"]);
    let said = all("");
    let text = String::from_utf8_lossy(&said.stdout);
    assert!(
        said.status.success() && text.contains("NOT in it, because tokens keep them: in-token."),
        "{said:?}"
    );
    std::fs::remove_file(&file).unwrap();
    let said = all("--json");
    let report: serde_json::Value = serde_json::from_slice(&said.stdout).unwrap();
    assert_eq!(report["left_out"], serde_json::json!(["in-token"]));
    assert_eq!(report["backup"]["keys"].as_array().unwrap().len(), 1);
}

#[test]
fn a_provider_whose_key_signs_for_a_chain_does_not_go_by_a_reload() {
    let mut two = Two::new();
    two.start();
    two.scene.sign(1..=2);
    two.scene
        .signer
        .configure(|config| drop(config.remove("provider")));
    for arguments in [&["reload", "--dry-run"][..], &["reload"]] {
        let refused = two.scene.signer.attempt(arguments);
        let said = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert!(
            !refused.status.success() && said.contains("provider_not_found") && said.contains(KEY),
            "{said}"
        );
    }
    two.scene.sign(3..=4);
    two.finish();
}
