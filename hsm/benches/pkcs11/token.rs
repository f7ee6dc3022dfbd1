//! The token: one of SoftHSM2's for this run, or the one that the environment names; used barely and through the provider.

use std::{
    env,
    error::Error,
    fs,
    path::{Path, PathBuf},
    process::Command,
    sync::{Barrier, Mutex, mpsc},
    time::{Duration, Instant},
};

use cryptoki::{
    context::{CInitializeArgs, CInitializeFlags, Pkcs11},
    mechanism::{
        Mechanism,
        eddsa::{EddsaParams, EddsaSignatureScheme},
    },
    object::{Attribute, ObjectClass, ObjectHandle},
    session::{Session, UserType},
    slot::Slot,
    types::AuthPin,
};
use sha2::{Digest as _, Sha256};
use sigward_hsm::{
    conformance::operator,
    fixtures::{VoteFixture, arena, order},
    pkcs11::{PinSource, Pkcs11Provider, TokenConfig, TokenSelector},
    provider::{HsmProvider as _, KeyHandle, KeySpec, KeyStorageProvider as _},
    verify::Verifier,
};
use sigward_policies::model::{
    algorithm::Algorithm,
    id::{KeyName, UnixSeconds},
};

use crate::measure::{self, Figure};

const MODULE: &str = "PKCS11_MODULE";
const TOKEN: &str = "PKCS11_TOKEN";
const PIN_FILE: &str = "PKCS11_PIN_FILE";
/// As long as a canonical vote.
const MESSAGE: &[u8] = &[0x42; 112];

pub(crate) type Failure = Box<dyn Error + Send + Sync>;

/// Whether the environment names a token.
pub(crate) fn is_configured() -> bool {
    [MODULE, TOKEN, PIN_FILE]
        .iter()
        .all(|name| env::var_os(name).is_some())
}

/// Makes a token of SoftHSM2, and runs this program with it: the module reads its configuration from the environment.
pub(crate) fn run_again_with_softhsm() -> Result<(), Failure> {
    let module = [
        "/usr/lib/softhsm/libsofthsm2.so",
        "/usr/lib/x86_64-linux-gnu/softhsm/libsofthsm2.so",
        "/usr/local/lib/softhsm/libsofthsm2.so",
    ];
    let module = module
        .iter()
        .find(|path| Path::new(path).exists())
        .ok_or("apt-get install softhsm2")?;
    let home = tempfile::tempdir()?;
    let (tokens, conf, pin) = (
        home.path().join("tokens"),
        home.path().join("conf"),
        home.path().join("pin"),
    );
    fs::create_dir(&tokens)?;
    fs::write(
        &conf,
        format!("directories.tokendir = {}\nlog.level = ERROR\n", tokens.display()),
    )?;
    fs::write(&pin, "bench-pin")?;
    fs::set_permissions(&pin, std::os::unix::fs::PermissionsExt::from_mode(0o600))?;
    let made = Command::new("softhsm2-util")
        .args([
            "--init-token",
            "--free",
            "--label",
            "bench",
            "--pin",
            "bench-pin",
            "--so-pin",
            "bench-so-pin",
        ])
        .env("SOFTHSM2_CONF", &conf)
        .output()?;
    if !made.status.success() {
        return Err(String::from_utf8_lossy(&made.stderr).into());
    }
    let ran = Command::new(env::current_exe()?)
        .args(env::args_os().skip(1))
        .env("SOFTHSM2_CONF", &conf)
        .env(MODULE, module)
        .env(TOKEN, "bench")
        .env(PIN_FILE, &pin)
        .status()?;
    if ran.success() {
        Ok(())
    } else {
        Err("the run failed".into())
    }
}

/// The token, opened both ways.
pub(crate) struct Token {
    provider: Pkcs11Provider,
    module: Pkcs11,
    slot: Slot,
    _records: tempfile::TempDir,
    /// Keeps the application logged in.
    _login: Mutex<Session>,
}

/// A key of the token.
pub(crate) struct Key {
    handle: KeyHandle,
    name: String,
}

impl Key {
    /// The mechanism, and what it is given.
    fn how(&self) -> (Mechanism<'static>, Vec<u8>) {
        match self.handle.public_key().algorithm() {
            Algorithm::Ed25519 => (
                Mechanism::Eddsa(EddsaParams::new(EddsaSignatureScheme::Ed25519)),
                MESSAGE.to_vec(),
            ),
            Algorithm::Secp256k1 => (Mechanism::Ecdsa, Sha256::digest(MESSAGE).to_vec()),
        }
    }
}

impl Token {
    pub(crate) fn open(sessions: usize) -> Result<Self, Failure> {
        let of = |name: &str| env::var(name).map_err(|_| format!("{name} is not set"));
        let (path, label, pin) = (
            PathBuf::from(of(MODULE)?),
            of(TOKEN)?,
            PathBuf::from(of(PIN_FILE)?),
        );
        let module = Pkcs11::new(&path)?;
        module.initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK))?;
        let mut slots = module.get_slots_with_initialized_token()?.into_iter();
        let slot = slots
            .find(|slot| {
                module
                    .get_token_info(*slot)
                    .is_ok_and(|info| info.label() == label)
            })
            .ok_or("no token has this label")?;
        let login = module.open_ro_session(slot)?;
        login.login(
            UserType::User,
            Some(&AuthPin::new(fs::read_to_string(&pin)?.trim_end().into())),
        )?;
        let records = tempfile::tempdir()?;
        let config = TokenConfig {
            module: path,
            token: TokenSelector::Label(label),
            pin: PinSource::File(pin),
            sessions,
            deadline: Duration::from_secs(5),
            folder: records.path().join("records"),
            refused_pins: records.path().join("refused-pins"),
        };
        Ok(Self {
            provider: Pkcs11Provider::open(&config, &arena(8))?,
            module,
            slot,
            _records: records,
            _login: Mutex::new(login),
        })
    }

    pub(crate) fn about(&self) -> String {
        let token = self.provider.token();
        let version = self
            .module
            .get_library_info()
            .map(|info| info.library_version().to_string());
        format!(
            "{} {}, {}",
            token.manufacturer,
            token.model,
            version.unwrap_or_default()
        )
    }

    pub(crate) fn make_key(&self, algorithm: Algorithm) -> Result<Key, Failure> {
        let name = format!("bench-{algorithm}-{}", std::process::id());
        let spec = KeySpec {
            name: KeyName::new(&name)?,
            algorithm,
            created_at: UnixSeconds(1),
        };
        let made = self.provider.generate_key_pair(&operator(), &spec)?;
        Ok(Key {
            handle: self.provider.load_key(&made.public_key)?,
            name,
        })
    }

    pub(crate) fn destroy_key(&self, key: &Key) -> Result<(), Failure> {
        Ok(self.provider.delete_key(&operator(), &key.handle)?)
    }

    /// `C_SignInit` and `C_Sign`, and nothing else.
    pub(crate) fn bare(&self, key: &Key, threads: usize, turn: Duration) -> Result<Figure, Failure> {
        let times = at_once(threads, |start| {
            // All threads come to the start, also one that cannot begin.
            let ready = self.find(&key.name);
            start.wait();
            let (session, private) = ready?;
            let (mechanism, message) = key.how();
            Ok(measure::repeat(turn, || {
                session.sign(&mechanism, private, &message).map(drop)
            })?)
        })?;
        Ok(measure::figure(times, turn))
    }

    /// The same on another thread, which is woken for each signature: what no provider with threads of its own can beat.
    pub(crate) fn bare_elsewhere(&self, key: &Key, turn: Duration) -> Result<Figure, Failure> {
        let (session, private) = self.find(&key.name)?;
        let (there, hear) = mpsc::sync_channel::<()>(1);
        let (back, answer) = mpsc::sync_channel(1);
        let times = std::thread::scope(|scope| {
            scope.spawn(move || {
                let (mechanism, message) = key.how();
                while hear.recv().is_ok() {
                    if back.send(session.sign(&mechanism, private, &message)).is_err() {
                        return;
                    }
                }
            });
            let times = measure::repeat(turn, || -> Result<(), Failure> {
                there.send(())?;
                answer.recv()??;
                Ok(())
            });
            drop(there);
            times
        })?;
        Ok(measure::figure(times, turn))
    }

    /// A session, and the key in it.
    fn find(&self, name: &str) -> Result<(Session, ObjectHandle), Failure> {
        let session = self.module.open_ro_session(self.slot)?;
        let template = [
            Attribute::Class(ObjectClass::PRIVATE_KEY),
            Attribute::Label(name.as_bytes().to_vec()),
        ];
        let private = session
            .find_objects(&template)?
            .into_iter()
            .next()
            .ok_or("the key is gone")?;
        Ok((session, private))
    }

    /// Orders through the provider's threads. Each caller waits for its answer; signatures are verified when the turn is over.
    pub(crate) fn provider(&self, key: &Key, callers: usize, turn: Duration) -> Result<Figure, Failure> {
        let verifier = Verifier::new(key.handle.public_key())?;
        let times = at_once(callers, |start| {
            let mut signed = Vec::new();
            let mut times = Vec::new();
            let (tell, hear) = mpsc::sync_channel(1);
            let mut height = 0;
            start.wait();
            let end = Instant::now() + turn;
            while Instant::now() < end {
                // Making the order is no part of the provider's time.
                height += 1;
                let order = order(key.handle.public_key(), height, VoteFixture::Prevote);
                let tell = tell.clone();
                let began = Instant::now();
                let submit: &dyn sigward_hsm::provider::Sign<_> = &self.provider;
                submit.submit(
                    &key.handle,
                    order,
                    Box::new(move |outcome| drop(tell.send(outcome))),
                );
                let outcome = hear.recv()?;
                times.push(began.elapsed());
                signed.push(outcome?);
            }
            for unreleased in signed {
                let pairs = unreleased.to_verify()?;
                let _verified = verifier.check(pairs)?;
            }
            Ok(times)
        })?;
        Ok(measure::figure(times, turn))
    }
}

/// Runs `work` on so many threads, which begin together.
fn at_once(
    threads: usize,
    work: impl Fn(&Barrier) -> Result<Vec<Duration>, Failure> + Sync,
) -> Result<Vec<Duration>, Failure> {
    let start = Barrier::new(threads);
    std::thread::scope(|scope| {
        let running: Vec<_> = (0..threads).map(|_| scope.spawn(|| work(&start))).collect();
        let mut all = Vec::new();
        for thread in running {
            all.extend(thread.join().map_err(|_| "a thread panicked")??);
        }
        Ok(all)
    })
}
