//! A SoftHSM2 token of a test's own: its folder can be taken away and brought back.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::home::Home;
use crate::support::signer::Signer;

pub(crate) const PIN: &str = "4711-test-pin";
pub(crate) const LABEL: &str = "validators";

/// The token, its module's configuration and its PIN's file.
pub(crate) struct Token {
    folder: PathBuf,
}

impl Token {
    /// In a folder `name` of `home`. A missing SoftHSM2 fails the test.
    pub(crate) fn new(home: &Home, name: &str) -> Self {
        let token = Self {
            folder: home.path(name),
        };
        std::fs::create_dir_all(token.tokens()).unwrap();
        let text = format!(
            "directories.tokendir = {}\nobjectstore.backend = file\nlog.level = ERROR\nslots.removable = true\n",
            token.tokens().display()
        );
        std::fs::write(token.configuration(), text).unwrap();
        let made = Command::new("softhsm2-util")
            .args([
                "--init-token",
                "--free",
                "--label",
                LABEL,
                "--pin",
                PIN,
                "--so-pin",
                "so-pin-0815",
            ])
            .env("SOFTHSM2_CONF", token.configuration())
            .output()
            .expect("softhsm2-util is needed: apt-get install softhsm2");
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        token.set_pin(PIN);
        token
    }

    /// SoftHSM2's library.
    pub(crate) fn module() -> &'static str {
        [
            "/usr/lib/softhsm/libsofthsm2.so",
            "/usr/lib/x86_64-linux-gnu/softhsm/libsofthsm2.so",
            "/usr/local/lib/softhsm/libsofthsm2.so",
        ]
        .into_iter()
        .find(|path| Path::new(path).exists())
        .expect("SoftHSM2 is needed: apt-get install softhsm2")
    }

    /// What `SOFTHSM2_CONF` says.
    pub(crate) fn configuration(&self) -> PathBuf {
        self.folder.join("softhsm2.conf")
    }

    pub(crate) fn pin_file(&self) -> PathBuf {
        self.folder.join("pin")
    }

    pub(crate) fn set_pin(&self, pin: &str) {
        use std::os::unix::fs::PermissionsExt as _;
        std::fs::write(self.pin_file(), pin).unwrap();
        std::fs::set_permissions(self.pin_file(), std::fs::Permissions::from_mode(0o600)).unwrap();
    }

    /// It is gone, as when it is pulled out.
    pub(crate) fn take_away(&self) {
        std::fs::rename(self.tokens(), self.folder.join("away")).unwrap();
    }

    pub(crate) fn bring_back(&self) {
        std::fs::rename(self.folder.join("away"), self.tokens()).unwrap();
    }

    /// A signer that finds it.
    pub(crate) fn signer(&self, home: &Home) -> Signer {
        self.found_by(Signer::not_yet(home))
    }

    pub(crate) fn found_by(&self, mut signer: Signer) -> Signer {
        signer.environment("SOFTHSM2_CONF", &self.configuration());
        signer
    }

    /// `sigward init` with the token as the seal.
    pub(crate) fn init(&self, home: &Home) -> Signer {
        let signer = self.signer(home);
        let pin = self.pin_file();
        signer.make_with(&[
            "--seal-pkcs11",
            Self::module(),
            "--token-label",
            LABEL,
            "--pin-file",
            pin.to_str().unwrap(),
        ]);
        signer
    }

    /// Describes the token in the configuration of a home that has another seal.
    pub(crate) fn describe(&self, signer: &Signer) {
        let file = signer.home().join("sigward.toml");
        let text = std::fs::read_to_string(&file).unwrap();
        let provider = format!(
            "\n[[provider]]\nid = \"hsm-a\"\n[provider.pkcs11]\nmodule = \"{}\"\ntoken_label = \"{LABEL}\"\npin_file = \"{}\"\n",
            Self::module(),
            self.pin_file().display()
        );
        std::fs::write(&file, text + &provider).unwrap();
    }

    fn tokens(&self) -> PathBuf {
        self.folder.join("tokens")
    }
}
