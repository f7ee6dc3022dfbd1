//! What `serve` costs in memory, with many chains.

use sigward_proto::v1::CreateKeyRequest;
use sigward_proto::v1::key_service_client::KeyServiceClient;

use crate::support::admin;
use crate::support::home::Home;
use crate::support::signer::Signer;

const CHAINS: usize = 128;
/// The target is 20 MB for a release; this is a debug build.
const LIMIT_KB: u64 = 40 * 1024;

#[test]
fn serving_128_chains_takes_little_memory() {
    let home = Home::new();
    let mut signer = Signer::init(&home);
    signer.start();
    let socket = signer.home().join("admin.sock");
    admin::block_on(async {
        let mut keys = KeyServiceClient::new(admin::connect(&socket).await);
        for index in 0..CHAINS {
            let request = CreateKeyRequest {
                provider: String::new(),
                name: format!("key-{index}"),
                algorithm: "ed25519".to_owned(),
            };
            keys.create(request).await.unwrap();
        }
    });
    signer.terminate();
    signer.configure(|config| {
        let chains: Vec<toml::Value> = (0..CHAINS)
            .map(|index| {
                let address = format!("unix://{}", home.socket(&format!("none{index}")).display());
                let text = format!(
                    "id = \"memory-{index}\"\nkey = \"key-{index}\"\nnode = [{{ name = \"a\", address = \"{address}\" }}]\n"
                );
                toml::from_str::<toml::Table>(&text).unwrap().into()
            })
            .collect();
        config.insert("chain".to_owned(), chains.into());
    });
    signer.start();
    // Nobody listens: every node is dialled again and again.
    std::thread::sleep(std::time::Duration::from_secs(3));
    let status = std::fs::read_to_string(format!("/proc/{}/status", signer.pid())).unwrap();
    let resident: u64 = status
        .lines()
        .find_map(|line| {
            line.strip_prefix("VmRSS:")?
                .trim()
                .strip_suffix(" kB")?
                .trim()
                .parse()
                .ok()
        })
        .unwrap();
    println!(
        "resident memory with {CHAINS} chains: {:.1} MB",
        resident as f64 / 1024.0
    );
    assert!(resident <= LIMIT_KB, "{resident} kB");
    assert_eq!(
        signer.json(&["state", "show", "--json"]).as_array().map(Vec::len),
        Some(CHAINS)
    );
    signer.terminate();
}

/// Whatever the command: it may come to hold a private key.
#[test]
fn a_command_that_handles_a_key_leaves_no_core() {
    let home = Home::new();
    let signer = Signer::init(&home);
    let mut creating = signer
        .command(&["keys", "create", "k"])
        .env("FAILPOINTS", "admin_key_sealed=sleep(20000)")
        .stdout(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let sealed = || {
        let keys = std::fs::read_dir(signer.home().join("keys")).unwrap();
        keys.count() > 0
    };
    let begun = crate::support::poll(std::time::Duration::from_secs(15), || sealed().then_some(()));
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", creating.id())).unwrap();
    creating.kill().unwrap();
    creating.wait().unwrap();
    assert!(begun.is_some(), "it never got as far as the sealed key");
    let core = limits
        .lines()
        .find(|line| line.starts_with("Max core file size"))
        .unwrap();
    assert_eq!(core.split_whitespace().nth(4), Some("0"), "{core}");
}
