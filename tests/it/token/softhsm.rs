//! A SoftHSM2 of its own for each test: its own configuration, named to the signer's processes alone, and one token in it.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use toml::{Table, Value};

use crate::support::home::Home;
use crate::support::signer::Signer;

/// The token's user PIN.
pub(super) const PIN: &str = "4711-test-pin";
/// What the configuration calls it.
pub(super) const ID: &str = "hsm-a";
const LABEL: &str = "validators";

/// The token.
pub(super) struct Token {
    home: PathBuf,
    conf: PathBuf,
    /// The folder that is the token.
    folder: PathBuf,
}

impl Token {
    /// Makes a token, and gives it to the signer as `hsm-a`.
    pub(super) fn given_to(home: &Home, signer: &mut Signer) -> Self {
        let token = Self::new(home);
        token.give(signer);
        token
    }

    pub(super) fn new(home: &Home) -> Self {
        let tokens = home.path("tokens");
        std::fs::create_dir(&tokens).unwrap();
        let conf = home.path("softhsm2.conf");
        let text = format!(
            "directories.tokendir = {}\nobjectstore.backend = file\nlog.level = ERROR\nslots.removable = true\n",
            tokens.display()
        );
        std::fs::write(&conf, text).unwrap();
        let mut token = Self {
            home: home.path(""),
            conf,
            folder: PathBuf::new(),
        };
        let init = [
            "--init-token",
            "--free",
            "--label",
            LABEL,
            "--pin",
            PIN,
            "--so-pin",
            "so-pin-0815",
        ];
        let made = token.tool("softhsm2-util", &init);
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        token.folder = std::fs::read_dir(&tokens)
            .unwrap()
            .next()
            .unwrap()
            .unwrap()
            .path();
        token
    }

    /// Makes another token beside it, and gives both to the signer behind one module that misbehaves as it is told: `hsm-a`, and
    /// `other` by its label.
    pub(super) fn with_another_behind_a_shim(home: &Home, signer: &mut Signer, other: &str) -> (Self, Shim) {
        let token = Self::given_to(home, signer);
        let init = [
            "--init-token",
            "--free",
            "--label",
            other,
            "--pin",
            PIN,
            "--so-pin",
            "so-pin-0815",
        ];
        let made = token.tool("softhsm2-util", &init);
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        let shim = Shim::build(home, signer);
        signer.configure(|config| {
            let providers = config["provider"].as_array_mut().unwrap();
            providers[0]["pkcs11"]["module"] = shim.module.to_str().unwrap().into();
            let mut second = providers[0].clone();
            second["id"] = other.into();
            second["pkcs11"]["token_label"] = other.into();
            providers.push(second);
        });
        (token, shim)
    }

    /// The signer's processes see this token, and its configuration names it.
    pub(super) fn give(&self, signer: &mut Signer) {
        signer.environment("SOFTHSM2_CONF", &self.conf);
        write_pin(signer, PIN);
        signer.configure(|config| {
            let pkcs11: Table = [
                ("module", module().to_str().unwrap()),
                ("token_label", LABEL),
                ("pin_file", "hsm-a.pin"),
            ]
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value.into()))
            .collect();
            let provider: Table = [("id".to_owned(), ID.into()), ("pkcs11".to_owned(), pkcs11.into())]
                .into_iter()
                .collect();
            config.insert("provider".to_owned(), Value::Array(vec![provider.into()]));
        });
    }

    /// The token is unplugged.
    pub(super) fn take_away(&self) {
        std::fs::rename(&self.folder, self.home.join("away")).unwrap();
    }

    /// It is plugged in again.
    pub(super) fn bring_back(&self) {
        std::fs::rename(self.home.join("away"), &self.folder).unwrap();
    }

    /// OpenSC's tool, logged in: whoever else has the PIN.
    pub(super) fn pkcs11_tool(&self, arguments: &[&str]) -> String {
        let output = self.pkcs11_tool_with(PIN, arguments);
        assert!(
            output.status.success(),
            "pkcs11-tool {arguments:?}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// The same, mistyped.
    pub(super) fn is_given_a_wrong_pin(&self) {
        let output = self.pkcs11_tool_with("not-the-pin", &["--list-objects"]);
        assert!(!output.status.success());
    }

    fn pkcs11_tool_with(&self, pin: &str, arguments: &[&str]) -> Output {
        let module = module();
        let mut all = vec![
            "--module",
            module.to_str().unwrap(),
            "--token-label",
            LABEL,
            "--login",
            "--pin",
            pin,
        ];
        all.extend(arguments);
        self.tool("pkcs11-tool", &all)
    }

    fn tool(&self, program: &str, arguments: &[&str]) -> Output {
        Command::new(program)
            .args(arguments)
            .env("SOFTHSM2_CONF", &self.conf)
            .output()
            .unwrap_or_else(|error| panic!("{program} is needed (scripts/setup.sh tokens): {error}"))
    }
}

/// A module between the signer and SoftHSM2 that misbehaves as its control file says (hsm/tests/shim/shim.c).
pub(super) struct Shim {
    module: PathBuf,
    control: PathBuf,
}

impl Shim {
    fn build(home: &Home, signer: &mut Signer) -> Self {
        let shim = Self {
            module: home.path("shim.so"),
            control: home.path("shim-control"),
        };
        let built = Command::new("cc")
            .args(["-shared", "-fPIC", "-O1", "-o"])
            .arg(&shim.module)
            .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("hsm/tests/shim/shim.c"))
            .arg("-ldl")
            .output()
            .expect("a C compiler is needed");
        assert!(
            built.status.success(),
            "{}",
            String::from_utf8_lossy(&built.stderr)
        );
        signer.environment("SIGWARD_SHIM_MODULE", &module());
        signer.environment("SIGWARD_SHIM_CONTROL", &shim.control);
        shim.tell("");
        shim
    }

    /// What it does from now on.
    pub(super) fn tell(&self, words: &str) {
        let new = self.control.with_extension("new");
        std::fs::write(&new, words).unwrap();
        std::fs::rename(&new, &self.control).unwrap();
    }
}

/// What lies where the PIN is read from.
pub(super) fn write_pin(signer: &Signer, pin: &str) {
    let path = signer.home().join("hsm-a.pin");
    let new = path.with_extension("new");
    std::fs::write(&new, format!("{pin}\n")).unwrap();
    std::fs::set_permissions(&new, std::fs::Permissions::from_mode(0o600)).unwrap();
    std::fs::rename(&new, &path).unwrap();
}

/// SoftHSM2's library.
pub(super) fn module() -> PathBuf {
    [
        "/usr/lib/softhsm/libsofthsm2.so",
        "/usr/lib/x86_64-linux-gnu/softhsm/libsofthsm2.so",
        "/usr/local/lib/softhsm/libsofthsm2.so",
    ]
    .iter()
    .map(Path::new)
    .find(|path| path.exists())
    .expect("SoftHSM2 is needed: scripts/setup.sh tokens")
    .to_owned()
}
