//! A fresh SoftHSM2 token for tests: its own folder, its own configuration, its own PIN.
//!
//! SoftHSM2 reads `SOFTHSM2_CONF` once, when it is loaded; so all tests of a process share one configuration, and each makes a
//! token of its own in it. A missing module fails the tests that need it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "test support")]

use std::{
    path::{Path, PathBuf},
    process::Command,
    sync::{
        OnceLock,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use super::{PinSource, TokenConfig, TokenSelector};

/// The user PIN of every test token.
pub(crate) const PIN: &str = "4711-test-pin";

/// Where SoftHSM2's library is.
pub(crate) fn module() -> PathBuf {
    [
        "/usr/lib/softhsm/libsofthsm2.so",
        "/usr/lib/x86_64-linux-gnu/softhsm/libsofthsm2.so",
        "/usr/local/lib/softhsm/libsofthsm2.so",
    ]
    .iter()
    .map(PathBuf::from)
    .find(|path| path.exists())
    .expect("SoftHSM2 is needed: apt-get install softhsm2")
}

/// The folder in which SoftHSM2 keeps the tokens of this process.
pub(crate) fn tokens() -> &'static Path {
    static TOKENS: OnceLock<PathBuf> = OnceLock::new();
    TOKENS.get_or_init(|| {
        let home = tempfile::Builder::new().prefix("softhsm").tempdir().unwrap().keep();
        let tokens = home.join("tokens");
        std::fs::create_dir(&tokens).unwrap();
        let conf = home.join("softhsm2.conf");
        let text = format!(
            "directories.tokendir = {}\nobjectstore.backend = file\nlog.level = ERROR\nslots.removable = true\n",
            tokens.display()
        );
        std::fs::write(&conf, text).unwrap();
        set_configuration(&conf);
        tokens
    })
}

/// Before any thread reads the environment for the module: `OnceLock` lets one thread through.
#[allow(unsafe_code, reason = "SoftHSM2 takes its configuration from the environment alone")]
fn set_configuration(conf: &Path) {
    // SAFETY: called once, before SoftHSM2 is loaded; the test binary reads no other variable concurrently.
    unsafe { std::env::set_var("SOFTHSM2_CONF", conf) };
}

/// Makes a token and gives its configuration; `folder` is for the records.
pub(crate) fn token(folder: &Path) -> TokenConfig {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    tokens();
    let label = format!("sigward-{}", NUMBER.fetch_add(1, Ordering::Relaxed));
    let made = Command::new("softhsm2-util")
        .args(["--init-token", "--free", "--label", &label, "--pin", PIN, "--so-pin", "so-pin-0815"])
        .output()
        .expect("softhsm2-util is needed: apt-get install softhsm2");
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let pin = folder.join("pin");
    crate::private_file::write(&pin, PIN.as_bytes(), crate::Existing::Replace).unwrap();
    TokenConfig {
        module: module(),
        token: TokenSelector::Label(label),
        pin: PinSource::File(pin),
        sessions: 4,
        deadline: Duration::from_secs(3),
        folder: folder.join("records"),
    }
}

/// The folder of a provider's token: the one whose object files name its serial is the newest that holds the label.
pub(crate) fn store_of(provider: &super::Pkcs11Provider) -> PathBuf {
    // SoftHSM2 derives the serial from the folder's name, a UUID: its last 16 hex digits.
    let serial = &provider.token().serial;
    std::fs::read_dir(tokens())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .find(|path| {
            let name = path.file_name().unwrap().to_string_lossy().replace('-', "");
            name.ends_with(serial.as_str())
        })
        .expect("the token has a folder")
}
