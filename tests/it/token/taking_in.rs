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

#[test]
fn a_key_that_may_have_left_the_token_is_taken_in_by_whoever_says_so_and_is_shown_as_such() {
    let home = Home::new();
    let mut signer = Signer::init(&home);
    let token = Token::given_to(&home, &mut signer);
    let make = [
        "--keypairgen",
        "--key-type",
        "EC:edwards25519",
        "--label",
        "loose",
    ];
    token.pkcs11_tool(&[&make[..], &["--id", "0a0b", "--extractable"]].concat());
    let listed = signer.json(&["hsm", "list", "--search", "--json"]);
    assert_eq!(listed[0]["found"][0]["may_have_left"], true, "{listed}");
    let import = [
        "keys",
        "import",
        KEY,
        "--from-token",
        "--provider",
        ID,
        "--cka-id",
        "0a0b",
        "--chain",
        CHAIN,
        "--never-signed",
    ];
    let refused = signer.attempt(&import);
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert_eq!(refused.status.code(), Some(3), "{said}");
    assert!(
        said.contains("token_key_may_have_left: ")
            && said.contains("CKA_NEVER_EXTRACTABLE is false")
            && said.contains("--may-have-left"),
        "{said}"
    );
    assert_eq!(signer.json(&["keys", "list", "--json"]), serde_json::json!([]));
    signer.run(&[&import[..], &["--may-have-left"]].concat());
    let shown = signer.json(&["keys", "show", KEY, "--json"]);
    let protection = shown["protection"].as_str().unwrap();
    assert!(
        protection.starts_with("may have left the token: ") && protection.contains("CKA_EXTRACTABLE is true"),
        "{shown}"
    );
    assert!(signer.run(&["keys", "show", KEY]).contains(protection));
    assert!(signer.run(&["keys", "list"]).contains(protection));
    let audit = signer.run(&["audit", "tail"]);
    assert!(audit.contains("CKA_EXTRACTABLE is true"), "{audit}");
    signer.run(&["keys", "create", "tight", "--provider", ID]);
    let tight = signer.json(&["keys", "show", "tight", "--json"]);
    assert_eq!(tight["protection"], "never left the token", "{tight}");
}

#[test]
fn a_record_that_does_not_read_quarantines_its_key_and_the_others_of_the_token_sign() {
    let home = Home::new();
    let mut signer = Signer::init(&home);
    let _token = Token::given_to(&home, &mut signer);
    signer.run(&["keys", "create", KEY, "--provider", ID]);
    let bad = signer.json(&["keys", "create", "bad", "--provider", ID, "--json"]);
    let file = signer.home().join(format!(
        "keys/{ID}/{}.pkcs11",
        bad["public_key_hex"].as_str().unwrap()
    ));
    let text = std::fs::read(&file).unwrap();
    std::fs::write(&file, &text[..40]).unwrap();
    let shown = signer.json(&["keys", "show", "bad", "--json"]);
    let fault = shown["fault"].as_str().unwrap();
    assert!(
        fault.starts_with("quarantined: ") && fault.contains(file.to_str().unwrap()),
        "{shown}"
    );
    let tokens = signer.json(&["hsm", "list", "--json"]);
    assert_eq!(tokens[0]["code"], "token_record_damaged", "{tokens}");
    assert_eq!(tokens[0]["up"], true, "{tokens}");
    let mut scene = Scene::with(home, signer);
    scene.start();
    scene.sign(1..=3);
    let log = scene.log();
    assert!(
        log.contains("token_record_damaged") && log.contains(file.to_str().unwrap()),
        "{log}"
    );
    scene.signer.terminate();
    std::fs::write(&file, text).unwrap();
    let shown = scene.signer.json(&["keys", "show", "bad", "--json"]);
    assert_eq!(shown["fault"], serde_json::Value::Null, "{shown}");
}
