//! Logging in: one try at a time for each token, written down before it is made.
//!
//! A PIN that is wrong and tried over and over locks a token, for most of them for good. Threads that all lose their login, several
//! providers on one token, a command beside the daemon, and a service that is started again and again must together spend one try.
//! May import: `pin`, `refused_pins`, `private_file`.
//!
//! # Invariants
//! * `C_Login` is called here alone, by one thread at a time for each serial number: in this process by a mutex, beside other
//!   processes of the same home by a locked file.
//! * Before it is called, the try is on disk; where it cannot be written, nothing is tried.
//! * What a token answers counts as a spent try unless it is known not to be one: unknown is no.

use std::{
    collections::BTreeMap,
    fs::{File, OpenOptions, TryLockError},
    os::unix::fs::OpenOptionsExt as _,
    path::PathBuf,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use cryptoki::{
    context::Pkcs11,
    error::{Error, RvError},
    session::{Session, SessionState, UserType},
    slot::{Slot, TokenInfo},
    types::RawAuthPin,
};

use super::{
    error::{Kind, TokenError},
    pin::{Pin, PinSource},
    refused_pins::{RefusedPins, Trial},
};
use crate::{private_file, secret::Arena};

/// How long another process may take to log in before this one gives up for now.
const OTHERS: Duration = Duration::from_secs(5);

/// Whether the last tries of a token may be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tries {
    /// Stop while there is more than one left (the rule).
    Spare,
    /// The operator said `--once`.
    UseOne,
}

/// What logging in came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LoggedIn {
    /// The token took the PIN.
    Now,
    /// This process is logged in already, with the very PIN that is in its place.
    BeforeWithThisPin,
    /// This process is logged in already: whether the token takes this PIN was not tried.
    Before,
}

/// How one client logs in.
pub(super) struct Logins {
    arena: Arena,
    source: Mutex<PinSource>,
    refused: RefusedPins,
    folder: PathBuf,
    prepared: AtomicBool,
}

/// What this process knows of a token's PIN.
#[derive(Default)]
struct Known {
    /// The PIN that was tried last, with its digest: whoever logs in again need not work it out again.
    last: Option<(Arc<Pin>, Trial)>,
    /// The token took it.
    taken: bool,
}

/// One for each serial number of this process.
static TOKENS: Mutex<BTreeMap<String, Arc<Mutex<Known>>>> = Mutex::new(BTreeMap::new());

impl Logins {
    /// `folder`: where refused PINs are remembered, for all tokens of a home.
    pub(super) fn new(arena: &Arena, source: PinSource, folder: PathBuf) -> Self {
        Self {
            arena: arena.clone(),
            source: Mutex::new(source),
            refused: RefusedPins::new(&folder),
            folder,
            prepared: AtomicBool::new(false),
        }
    }

    /// Whether [`Logins::prepare`] has nothing to do any more.
    pub(super) fn is_prepared(&self) -> bool {
        self.prepared.load(Ordering::Relaxed)
    }

    /// Where the PIN is from now on.
    pub(super) fn pin_is_at(&self, source: PinSource) {
        *lock(&self.source) = source;
    }

    /// Works out the digest of the PIN, if this process has not tried one on this token yet. It takes its time, and is best done while
    /// the module is not held: who logs in would have to do it then.
    pub(super) fn prepare(&self, serial: &str) -> Result<(), TokenError> {
        let known = known(serial);
        let mut known = lock(&known);
        if known.last.is_none() {
            let pin = self.read()?;
            let trial = self.refused.trial(serial, &pin)?;
            known.last = Some((pin, trial));
        }
        self.prepared.store(true, Ordering::Relaxed);
        Ok(())
    }

    /// Logs in, unless this process is logged in: the login is the token's, not the session's (PKCS#11 v3.0, 5.6.8). The PIN is read
    /// anew, so one that was changed in the token and in its place is the one that is tried.
    pub(super) fn log_in(
        &self,
        context: &Pkcs11,
        session: &Session,
        slot: Slot,
        tries: Tries,
    ) -> Result<LoggedIn, TokenError> {
        // Asked under the lock: whoever had it before us may have spent a try.
        let serial = context.get_token_info(slot)?.serial_number().to_owned();
        let known = known(&serial);
        let mut known = lock(&known);
        if is_logged_in(session)? {
            return Ok(match tries {
                Tries::Spare => LoggedIn::Before,
                Tries::UseOne => self.compare(&known),
            });
        }
        let _alone = self.beside_others(&serial)?;
        let info = context.get_token_info(slot)?;
        takes_a_pin(&info)?;
        let pin = self.read()?;
        let trial = match &known.last {
            Some((last, trial)) if last.equals(&pin) && self.refused.compares(&serial, trial) => {
                trial.clone()
            }
            _ => self.refused.trial(&serial, &pin)?,
        };
        known.taken = false;
        known.last = Some((Arc::clone(&pin), trial.clone()));
        if tries == Tries::Spare {
            self.refused.check(&serial, &trial)?;
            has_spare_tries(&info)?;
        }
        let before = self.refused.begin(&serial, &trial)?;
        // A protected authentication path has its own keyboard; what we hold would be refused.
        let given = RawAuthPin::new(Box::new(pin.expose().to_vec()));
        match session.login_with_raw(UserType::User, &given) {
            Ok(()) => {
                self.refused.forget(&serial);
                known.taken = true;
                Ok(LoggedIn::Now)
            }
            Err(Error::Pkcs11(RvError::UserAlreadyLoggedIn, _)) => {
                self.refused.undo(&serial, before);
                Ok(LoggedIn::Before)
            }
            Err(error) => {
                match cost(&error) {
                    Cost::Refused => self.refused.settle(&serial, &trial),
                    Cost::Nothing => self.refused.undo(&serial, before),
                    // It stays written down as begun.
                    Cost::Unknown => {}
                }
                Err(error.into())
            }
        }
    }

    /// Whether the PIN would be tried now, by what the token says of itself and what is remembered; nothing is tried.
    pub(super) fn would_try(&self, info: &TokenInfo) -> Result<(), TokenError> {
        takes_a_pin(info)?;
        let (serial, pin) = (info.serial_number(), self.read()?);
        // Comparing takes its time; without a record there is nothing to compare with.
        if self.refused.knows(serial) {
            let trial = self.refused.trial(serial, &pin)?;
            self.refused.check(serial, &trial)?;
        }
        has_spare_tries(info)
    }

    fn read(&self) -> Result<Arc<Pin>, TokenError> {
        lock(&self.source).read(&self.arena).map_err(|error| {
            let remedy = error
                .remedy()
                .unwrap_or_else(|| "put the PIN where the configuration says".to_owned());
            TokenError::new(Kind::PinUnusable, format!("cannot read the PIN: {error}"), remedy)
        })
    }

    /// Whether what is in the PIN's place is what this process is logged in with.
    fn compare(&self, known: &Known) -> LoggedIn {
        let same = known.taken
            && matches!((&known.last, self.read()), (Some((last, _)), Ok(pin)) if last.equals(&pin));
        if same {
            LoggedIn::BeforeWithThisPin
        } else {
            LoggedIn::Before
        }
    }

    /// Keeps other processes of this home from logging in to the token meanwhile.
    fn beside_others(&self, serial: &str) -> Result<File, TokenError> {
        let failed = |what: String| {
            TokenError::new(
                Kind::Failed,
                format!("no PIN is tried: {what}"),
                "make room, or mend the permissions of the folder",
            )
        };
        private_file::ensure_folder(&self.folder).map_err(|error| failed(error.to_string()))?;
        let path = self.folder.join(format!("{}.lock", hex::encode(serial)));
        let file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .mode(0o600)
            .open(&path)
            .map_err(|error| failed(format!("{}: {error}", path.display())))?;
        let deadline = Instant::now() + OTHERS;
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(file),
                Err(TryLockError::WouldBlock) if Instant::now() < deadline => {
                    std::thread::sleep(Duration::from_millis(20));
                }
                Err(TryLockError::WouldBlock) => {
                    return Err(TokenError::new(
                        Kind::Lost,
                        "another process of this home is logging in to the token, and has not come back",
                        "see what else runs: `sigward hsm` beside the daemon; it is tried again",
                    ));
                }
                Err(TryLockError::Error(error)) => {
                    return Err(failed(format!("{}: {error}", path.display())));
                }
            }
        }
    }
}

fn known(serial: &str) -> Arc<Mutex<Known>> {
    lock(&TOKENS).entry(serial.to_owned()).or_default().clone()
}

fn is_logged_in(session: &Session) -> Result<bool, TokenError> {
    Ok(matches!(
        session.get_session_info()?.session_state(),
        SessionState::RoUser | SessionState::RwUser
    ))
}

fn takes_a_pin(info: &TokenInfo) -> Result<(), TokenError> {
    if info.user_pin_locked() {
        return Err(TokenError::new(
            Kind::PinUnusable,
            format!(
                "the user PIN of the token {:?} is locked (C_GetTokenInfo: CKF_USER_PIN_LOCKED)",
                info.serial_number()
            ),
            "its security officer sets a new PIN; then `sigward hsm login --once`",
        ));
    }
    Ok(())
}

/// Whether a token says that a wrong PIN was tried, and that few tries are left.
pub(super) fn has_few_tries(info: &TokenInfo) -> bool {
    info.user_pin_final_try() || info.user_pin_count_low()
}

fn has_spare_tries(info: &TokenInfo) -> Result<(), TokenError> {
    if has_few_tries(info) {
        return Err(TokenError::new(
            Kind::PinUnusable,
            format!(
                "a wrong PIN was tried on the token {:?}, and few tries are left (C_GetTokenInfo): none is spent here",
                info.serial_number()
            ),
            "make sure of the PIN, then `sigward hsm login --once`, which spends one",
        ));
    }
    Ok(())
}

/// What a failed `C_Login` may have cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Cost {
    /// The token says that the PIN is wrong.
    Refused,
    /// It did not look at the PIN.
    Nothing,
    /// Who knows.
    Unknown,
}

fn cost(error: &Error) -> Cost {
    match error {
        Error::Pkcs11(RvError::PinIncorrect | RvError::PinInvalid | RvError::PinLenRange, _) => Cost::Refused,
        Error::Pkcs11(
            RvError::SessionHandleInvalid
            | RvError::SessionClosed
            | RvError::DeviceRemoved
            | RvError::TokenNotPresent
            | RvError::TokenNotRecognized
            | RvError::SlotIdInvalid
            | RvError::CryptokiNotInitialized
            | RvError::PinLocked
            | RvError::PinExpired
            | RvError::UserPinNotInitialized
            | RvError::UserTypeInvalid
            | RvError::UserAnotherAlreadyLoggedIn
            | RvError::UserTooManyTypes
            | RvError::SessionReadOnlyExists
            | RvError::FunctionNotSupported,
            _,
        ) => Cost::Nothing,
        _ => Cost::Unknown,
    }
}

/// What is behind it is whole after every step.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
