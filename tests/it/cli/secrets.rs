//! Nothing that is printed, logged, measured or recorded holds a secret, in any of the usual spellings.

use base64::prelude::{BASE64_STANDARD, BASE64_STANDARD_NO_PAD, BASE64_URL_SAFE_NO_PAD, Engine as _};

use super::text;
use crate::support::fake_node::Ask;
use crate::support::home::Home;
use crate::support::http;
use crate::support::keys::KeyFile;
use crate::support::scene::{CHAIN, KEY, Scene};
use crate::support::signer::Signer;

#[test]
fn no_secret_is_in_any_output_log_metric_or_record() {
    let seed: [u8; 32] = std::array::from_fn(|index| (index as u8).wrapping_mul(37) ^ 0x5a);
    let home = Home::new();
    let signer = Signer::init(&home);
    let seal = std::fs::read(signer.home().join("seal.key")).unwrap();
    let identity = std::fs::read(signer.home().join("identity.key")).unwrap();
    let key = KeyFile::of_seed(seed);
    let file = key.write(&home.path("key.json"));
    let mut said = String::new();
    let import = [
        "keys", "import", KEY, "--file", &file, "--chain", CHAIN, "--above", "3",
    ];
    for words in [
        &import[..],
        &import,
        &[
            "keys",
            "import",
            "again",
            "--file",
            &file,
            "--chain",
            CHAIN,
            "--never-signed",
        ],
        // A key file where something else belongs: what does not parse is not repeated.
        &["state", "import", "--key", KEY, "--chain", CHAIN, "--file", &file],
        &[
            "keys",
            "import",
            "x",
            "--file",
            &broken(&home, &file),
            "--chain",
            CHAIN,
            "--above",
            "3",
        ],
        &["keys", "create", "made", "--json"],
        &["keys", "list"],
        &["keys", "show", KEY, "--json"],
    ] {
        said += &text(&signer.attempt(words));
    }
    let mut scene = Scene::with(home, signer);
    scene.signer.configure(|config| {
        let log = config.entry("log").or_insert_with(|| toml::Table::new().into());
        log.as_table_mut()
            .unwrap()
            .insert("level".to_owned(), "trace".into());
    });
    scene.start();
    scene.sign(4..=6);
    scene.ask(Ask::prevote(5, 2));
    for words in [
        &["keys", "create", "online"][..],
        &[
            "keys",
            "import",
            "again",
            "--file",
            &file,
            "--chain",
            CHAIN,
            "--never-signed",
            "--json",
        ],
        &["state", "show", "--json"],
    ] {
        said += &text(&scene.signer.attempt(words));
    }
    for path in ["/livez", "/readyz", "/metrics"] {
        said += &http::get(scene.signer.http_port(), path).unwrap().body;
    }
    scene.signer.terminate();
    said += &scene.signer.run(&["audit", "tail", "--lines", "0", "--json"]);
    said += &scene.signer.log();
    said += &std::fs::read_to_string(scene.signer.home().join("sigward.toml")).unwrap();
    assert!(
        said.len() > 5_000 && said.contains("serving") && said.contains("sigward_build"),
        "there is something to look through"
    );

    for (name, secret) in [
        ("seed", &seed[..]),
        ("seal key", &seal),
        ("identity", &identity),
        ("identity's end", &identity[identity.len() - 32..]),
    ] {
        for spelling in [
            hex::encode(secret),
            BASE64_STANDARD_NO_PAD.encode(secret)[..40].to_owned(),
            BASE64_STANDARD.encode(secret),
            BASE64_URL_SAFE_NO_PAD.encode(secret),
            format!("{secret:?}"),
            format!("{secret:?}").trim_matches(['[', ']']).to_owned(),
        ] {
            assert!(!said.contains(&spelling), "the {name} is in the outputs");
            assert!(
                !said.to_lowercase().contains(&spelling.to_lowercase()),
                "the {name} is in the outputs"
            );
        }
    }
    // Nor does any file of the home hold the seed in the clear.
    let folders = ["keys", "keys/.audit", "state"];
    let files = folders.map(|folder| std::fs::read_dir(scene.signer.home().join(folder)).unwrap());
    for entry in files.into_iter().flatten() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            continue;
        }
        let bytes = std::fs::read(&path).unwrap();
        assert!(
            !bytes.windows(32).any(|window| window == seed),
            "the seed is in {}",
            path.display()
        );
    }
}

/// The same key, where the reader stumbles right at the private half.
fn broken(home: &Home, file: &str) -> String {
    let text = std::fs::read_to_string(file).unwrap();
    let path = home.path("broken.json");
    std::fs::write(
        &path,
        text.replace("tendermint/PrivKeyEd25519\",", "tendermint/PrivKeyEd25519\""),
    )
    .unwrap();
    let path = path.to_str().unwrap().to_owned();
    std::fs::write(&path, text.replacen("\"value\"", "\"val\"", 3)).unwrap();
    path
}
