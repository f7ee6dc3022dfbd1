//! `[[provider]]`: places where keys live besides the software store. Nothing here opens a module or reads a PIN.
//!
//! *Invariants:* ids are distinct, none is `software`; a token is named in exactly one way, and its PIN comes from exactly one place,
//! which is never this file.

use std::collections::HashMap;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use sigward_policies::model::id::KeyName;
use toml::Spanned;

use super::error::{ConfigError, quote};
use super::raw::{RawPkcs11, RawProvider, Text};
use super::validate::{Source, number};

/// The provider that is always there: sealed files, used in memory.
pub const SOFTWARE: &str = "software";

/// Sessions with a token unless the file says otherwise.
const SESSIONS: i64 = 8;
/// Milliseconds for one signature unless the file says otherwise.
const DEADLINE_MS: i64 = 1_000;
/// PKCS#11 gives a label 32 bytes and a serial number 16 (v3.0, 3.2: `CK_TOKEN_INFO`).
const MAX_LABEL: usize = 32;
const MAX_SERIAL: usize = 16;

/// The id of a configured provider: a key's name by its letters; never `software`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct ProviderId(String);

impl ProviderId {
    /// The id that is written `text`; none where it is no id, or `software`.
    pub fn new(text: &str) -> Option<Self> {
        (text != SOFTWARE && KeyName::new(text).is_ok()).then(|| Self(text.to_owned()))
    }

    /// The id.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ProviderId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// `[[provider]]`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ProviderConfig {
    /// What the operator calls it; keys are recorded with it.
    pub id: ProviderId,
    /// The token.
    pub pkcs11: Pkcs11Config,
}

/// `[provider.pkcs11]`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Pkcs11Config {
    /// The vendor's library.
    pub module: PathBuf,
    /// Which token.
    pub token: TokenName,
    /// Where its user PIN is.
    pub pin: PinFrom,
    /// Sessions to sign with, 1 to 64.
    pub sessions: usize,
    /// How long one signature may take.
    pub deadline: Duration,
}

/// Which token of a module.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum TokenName {
    /// `token_label`.
    Label(String),
    /// `token_serial`.
    Serial(String),
    /// `slot`, which another reader or a restart may renumber.
    Slot(u64),
}

/// Where a PIN is. A PIN is in no configuration, flag or variable.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum PinFrom {
    /// `pin_file`: a file, mode 0600 or 0400.
    File(PathBuf),
    /// `pin_credential`: a systemd credential, by name.
    Credential(String),
    /// `pin_fd`: a file descriptor that is open when sigward starts.
    Descriptor(u32),
}

pub(super) fn providers(
    raw: &[RawProvider],
    source: &Source<'_>,
) -> Result<Vec<ProviderConfig>, ConfigError> {
    let mut ids = HashMap::new();
    let mut providers = Vec::with_capacity(raw.len());
    for (index, entry) in raw.iter().enumerate() {
        let at = format!("provider[{index}]");
        let provider = ProviderConfig {
            id: id(&entry.id, &at, source)?,
            pkcs11: pkcs11(&entry.pkcs11, &format!("{at}.pkcs11"), source)?,
        };
        if let Some(first) = ids.insert(provider.id.clone(), index) {
            return Err(source.bad(
                &entry.id,
                format!("{at}.id"),
                format!("{} is provider[{first}] already", quote(entry.id.as_ref())),
                "give each provider an id of its own; its keys are recorded with it",
            ));
        }
        let same = |known: &ProviderConfig| {
            (&known.pkcs11.module, &known.pkcs11.token) == (&provider.pkcs11.module, &provider.pkcs11.token)
        };
        if let Some(known) = providers.iter().find(|known| same(known)) {
            return Err(source.bad(
                &entry.id,
                format!("{at}.pkcs11"),
                format!("it is the token of provider {} already", known.id),
                "give each token one [[provider]]: a token has one login, and one PIN, for all of them",
            ));
        }
        providers.push(provider);
    }
    Ok(providers)
}

fn id(value: &Text, at: &str, source: &Source<'_>) -> Result<ProviderId, ConfigError> {
    let text = value.as_ref();
    if let Err(refusal) = KeyName::new(text) {
        return Err(source.bad(
            value,
            format!("{at}.id"),
            format!("bad value {}", quote(text)),
            refusal.message,
        ));
    }
    ProviderId::new(text).ok_or_else(|| {
        source.bad(
            value,
            format!("{at}.id"),
            "\"software\" is the provider that is always there",
            "choose another id, such as \"hsm-a\"",
        )
    })
}

fn pkcs11(raw: &Spanned<RawPkcs11>, at: &str, source: &Source<'_>) -> Result<Pkcs11Config, ConfigError> {
    let table = raw.as_ref();
    let key = |name: &str| format!("{at}.{name}");
    let sessions = number(table.sessions.as_ref(), &key("sessions"), SESSIONS, 64, source)?;
    let deadline = number(
        table.deadline_ms.as_ref(),
        &key("deadline_ms"),
        DEADLINE_MS,
        60_000,
        source,
    )?;
    let module = source.path(Some(&table.module), &key("module"), "")?;
    Ok(Pkcs11Config {
        module,
        token: token(raw, at, source)?,
        pin: pin(raw, at, source)?,
        sessions: usize::try_from(sessions).unwrap_or(1),
        deadline: Duration::from_millis(deadline),
    })
}

fn token(raw: &Spanned<RawPkcs11>, at: &str, source: &Source<'_>) -> Result<TokenName, ConfigError> {
    let table = raw.as_ref();
    match (&table.token_label, &table.token_serial, &table.slot) {
        (Some(label), None, None) => {
            named(label, &format!("{at}.token_label"), MAX_LABEL, source).map(TokenName::Label)
        }
        (None, Some(serial), None) => {
            named(serial, &format!("{at}.token_serial"), MAX_SERIAL, source).map(TokenName::Serial)
        }
        (None, None, Some(slot)) => u64::try_from(*slot.as_ref())
            .map(TokenName::Slot)
            .map_err(|_| source.bad(slot, format!("{at}.slot"), "no slot is below 0", ONE_TOKEN)),
        (None, None, None) => Err(source.bad(raw, at, "the table names no token", ONE_TOKEN)),
        _ => Err(source.bad(
            raw,
            at,
            "the table names its token in more than one way",
            ONE_TOKEN,
        )),
    }
}

const ONE_TOKEN: &str = "name exactly one of token_label, token_serial and (last resort) slot; `pkcs11-tool --module … -L` lists tokens";

/// Text that a token pads with blanks: what ends with one would never be found.
fn named(value: &Text, key: &str, most: usize, source: &Source<'_>) -> Result<String, ConfigError> {
    let text = value.as_ref();
    let odd = text.ends_with(' ') || text.chars().any(char::is_control);
    if text.is_empty() || text.len() > most || odd {
        return Err(source.bad(
            value,
            key,
            format!("{} cannot be what a token calls itself", quote(text)),
            format!("use 1 to {most} bytes as the token shows them, without the blanks at the end"),
        ));
    }
    Ok(text.clone())
}

fn pin(raw: &Spanned<RawPkcs11>, at: &str, source: &Source<'_>) -> Result<PinFrom, ConfigError> {
    let table = raw.as_ref();
    match (&table.pin_file, &table.pin_credential, &table.pin_fd) {
        (Some(file), None, None) => source
            .path(Some(file), &format!("{at}.pin_file"), "pin")
            .map(PinFrom::File),
        (None, Some(name), None) => source
            .credential(name, &format!("{at}.pin_credential"), "sigward-pin")
            .map(PinFrom::Credential),
        (None, None, Some(fd)) => match u32::try_from(*fd.as_ref()) {
            // 0 to 2 are the terminal or the log.
            Ok(number) if (3..=1 << 20).contains(&number) => Ok(PinFrom::Descriptor(number)),
            _ => Err(source.bad(
                fd,
                format!("{at}.pin_fd"),
                format!("{} is no file descriptor to read a PIN from", fd.as_ref()),
                "use a number from 3 on, which whoever starts sigward opens",
            )),
        },
        (None, None, None) => Err(source.bad(raw, at, "the table says nothing of the PIN", ONE_PIN)),
        _ => Err(source.bad(raw, at, "the table names more than one place of the PIN", ONE_PIN)),
    }
}

const ONE_PIN: &str =
    "name exactly one of pin_file, pin_credential and pin_fd; the PIN itself never stands here";
