//! A fresh SoftHSM2 token for tests: its own folder, its own configuration, its own PIN.
//!
//! SoftHSM2 reads `SOFTHSM2_CONF` once, when it is loaded; so all tests of a process share one configuration, and each makes a
//! token of its own in it. A missing module fails the tests that need it.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "test support"
)]

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
        set_variable("SOFTHSM2_CONF", &conf);
        tokens
    })
}

/// A module between us and SoftHSM2 that misbehaves as [`Shim::tell`] says. One test at a time has it.
pub(crate) struct Shim {
    control: PathBuf,
    pub(crate) module: PathBuf,
    _turn: std::sync::MutexGuard<'static, ()>,
}

impl Shim {
    /// Builds the shim, once a process, around a copy of SoftHSM2: its own instance, so that other tests do not see it restart.
    pub(crate) fn take() -> Self {
        static TURN: std::sync::Mutex<()> = std::sync::Mutex::new(());
        static BUILT: OnceLock<PathBuf> = OnceLock::new();
        let turn = TURN.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let home = BUILT.get_or_init(|| {
            let home = tokens().parent().unwrap().join("shim");
            std::fs::create_dir(&home).unwrap();
            std::fs::copy(module(), home.join("softhsm.so")).unwrap();
            let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/shim/shim.c");
            let built = Command::new("cc")
                .args(["-shared", "-fPIC", "-O1", "-o"])
                .arg(home.join("shim.so"))
                .arg(source)
                .arg("-ldl")
                .output()
                .expect("a C compiler is needed");
            assert!(
                built.status.success(),
                "{}",
                String::from_utf8_lossy(&built.stderr)
            );
            set_variable("SIGWARD_SHIM_MODULE", &home.join("softhsm.so"));
            set_variable("SIGWARD_SHIM_CONTROL", &home.join("control"));
            home
        });
        let shim = Self {
            control: home.join("control"),
            module: home.join("shim.so"),
            _turn: turn,
        };
        shim.tell("");
        let _none_yet = std::fs::remove_file(shim.control.with_extension("logins"));
        shim
    }

    /// What it does from now on; words as in `tests/shim/shim.c`.
    pub(crate) fn tell(&self, words: &str) {
        let new = self.control.with_extension("new");
        std::fs::write(&new, words).unwrap();
        std::fs::rename(&new, &self.control).unwrap();
    }
}

impl Shim {
    /// How often `C_Login` was called since the shim was taken.
    pub(crate) fn logins(&self) -> usize {
        std::fs::read_to_string(self.control.with_extension("logins"))
            .map_or(0, |lines| lines.lines().count())
    }
}

impl Drop for Shim {
    fn drop(&mut self) {
        self.tell("");
    }
}

/// Before any thread reads the environment for the module: `OnceLock` lets one thread through.
#[allow(
    unsafe_code,
    reason = "modules take their configuration from the environment alone"
)]
fn set_variable(name: &str, path: &Path) {
    // SAFETY: called once a variable, before the module that reads it is loaded; Rust's own readers take the same lock.
    unsafe { std::env::set_var(name, path) };
}

/// Makes a token and gives its configuration; `folder` is for the records.
pub(crate) fn token(folder: &Path) -> TokenConfig {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    tokens();
    // softhsm2-util stumbles over a token that another one is making.
    static MAKING: std::sync::Mutex<()> = std::sync::Mutex::new(());
    let one_at_a_time = MAKING.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    // Another test may just be hiding a token of its own: the tool, which looks at all of them, fails then too, and may leave a token
    // without a PIN. So the next try has another label.
    let mut attempts = 0;
    let label = loop {
        let label = format!("sigward-{}", NUMBER.fetch_add(1, Ordering::Relaxed));
        let made = init(&label);
        if made.status.success() {
            break label;
        }
        attempts += 1;
        assert!(attempts < 20, "{}", String::from_utf8_lossy(&made.stderr));
        std::thread::sleep(Duration::from_millis(100));
    };
    drop(one_at_a_time);
    let pin = folder.join("pin");
    crate::private_file::write(&pin, PIN.as_bytes(), crate::Existing::Replace).unwrap();
    TokenConfig {
        module: module(),
        token: TokenSelector::Label(label),
        pin: PinSource::File(pin),
        sessions: 4,
        deadline: Duration::from_secs(3),
        folder: folder.join("records"),
        refused_pins: folder.join("refused-pins"),
    }
}

/// A token in an instance of the module that nobody shares: whoever has the module restarted ends the sessions of all its tokens.
pub(crate) fn token_alone(folder: &Path) -> TokenConfig {
    let own = folder.join("softhsm.so");
    std::fs::copy(module(), &own).unwrap();
    TokenConfig {
        module: own,
        ..token(folder)
    }
}

fn init(label: &str) -> std::process::Output {
    Command::new("softhsm2-util")
        .args([
            "--init-token",
            "--free",
            "--label",
            label,
            "--pin",
            PIN,
            "--so-pin",
            "so-pin-0815",
        ])
        .output()
        .expect("softhsm2-util is needed: apt-get install softhsm2")
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
