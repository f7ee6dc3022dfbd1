//! From what is written to what holds: the tables that stand alone. Chains are in chain.rs.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use toml::Spanned;

use super::error::{ConfigError, quote};
use super::raw::{Number, RawConfig, RawHttp, RawKeys, RawLog, RawStore, Text};
use super::read_from::ReadFrom;
use super::{
    ADMIN_SOCKET, Config, KeysConfig, LogConfig, LogFormat, MAX_SOCKET_PATH, PinFrom, SealSource,
    StoreConfig, audit, bearer, bounds, chain, doors, listen, otlp, plain, policy, provider, seal, suggest,
};

/// Where health and metrics are served unless the file says otherwise.
const HTTP: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 26650);
const LEVELS: [&str; 6] = ["error", "warn", "info", "debug", "trace", "off"];

/// The file and the folder it stands in.
pub(super) struct Source<'a> {
    pub(super) text: &'a str,
    pub(super) base: &'a Path,
}

impl Source<'_> {
    /// A refusal that points at `value`.
    pub(super) fn bad<T>(
        &self,
        value: &Spanned<T>,
        key: impl Into<String>,
        message: impl Into<String>,
        advice: impl Into<String>,
    ) -> ConfigError {
        ConfigError::invalid(message, advice)
            .at(self.text, &value.span())
            .key(key)
    }

    pub(super) fn path(
        &self,
        value: Option<&Text>,
        key: &str,
        default: &str,
    ) -> Result<PathBuf, ConfigError> {
        let Some(value) = value else {
            return Ok(self.base.join(default));
        };
        let text = value.as_ref();
        if text.is_empty() || text.contains('\0') {
            return Err(self.bad(
                value,
                key,
                format!("{} is no path", quote(text)),
                format!("name a path, or leave the field out for {default:?}"),
            ));
        }
        Ok(self.base.join(text))
    }

    /// A credential's name becomes a file name in `$CREDENTIALS_DIRECTORY`: it must not lead out of it.
    pub(super) fn credential(&self, name: &Text, key: &str, such_as: &str) -> Result<String, ConfigError> {
        let text = name.as_ref();
        let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
        if text.is_empty() || text.len() > 255 || text.starts_with('.') || !text.bytes().all(plain) {
            return Err(self.bad(
                name,
                key,
                format!("{} is no name of a systemd credential", quote(text)),
                format!(
                    "use the name that stands in LoadCredentialEncrypted= of the unit, such as {such_as}"
                ),
            ));
        }
        Ok(text.clone())
    }
}

pub(super) fn config(raw: RawConfig, source: &Source<'_>) -> Result<Config, ConfigError> {
    let admin = raw.admin.unwrap_or_default().socket;
    let providers = provider::providers(&raw.provider, source)?;
    let config = Config {
        store: store(&raw.store.unwrap_or_default(), source)?,
        seal: seal::source(raw.seal.as_ref(), &providers, source)?,
        keys: keys(&raw.keys.unwrap_or_default(), source)?,
        identity: source.path(
            raw.identity.unwrap_or_default().file.as_ref(),
            "identity.file",
            "identity.key",
        )?,
        policy: policy::policy(&raw.policy.unwrap_or_default(), source)?,
        admin_socket: admin_socket(admin.as_ref(), source)?,
        http: http(&raw.http.unwrap_or_default(), source)?,
        listen: listen::listen(raw.listen.as_ref(), source)?,
        bearer: bearer::bearer(
            raw.listen
                .as_ref()
                .and_then(|listen| listen.as_ref().bearer.as_ref()),
            source,
        )?,
        plain: plain::plain(raw.listen.as_ref().map(|listen| listen.as_ref()), source)?,
        bounds: bounds::bounds(raw.listen.as_ref().map(|listen| listen.as_ref()), source)?,
        log: log(&raw.log.unwrap_or_default(), source)?,
        audit: audit::audit(&raw.audit.unwrap_or_default(), source)?,
        otlp: otlp::otlp(raw.otlp.as_ref(), source, otlp::Built::OF_THIS_PROGRAM)?,
        providers,
        chains: chain::chains(&raw.chain, source)?,
        read_from: ReadFrom::default(),
    };
    paths_are_distinct(&config)?;
    doors::are_apart(&config)?;
    Ok(config)
}

fn store(raw: &RawStore, source: &Source<'_>) -> Result<StoreConfig, ConfigError> {
    let dir = source.path(raw.dir.as_ref(), "store.dir", "state")?;
    let witness = match &raw.witness {
        None => dir.join("witness"),
        witness => source.path(witness.as_ref(), "store.witness", "state/witness")?,
    };
    Ok(StoreConfig {
        dir,
        witness,
        allow_volatile: raw.allow_volatile.unwrap_or(false),
        low_space_mib: mebibytes(raw.low_space_mib.as_ref(), "low_space_mib", 1, 256, source)?,
        reserve_mib: mebibytes(raw.reserve_mib.as_ref(), "reserve_mib", 0, 16, source)?,
    })
}

/// A size in MiB; up to a TiB, so that no sum of them overflows.
fn mebibytes(
    value: Option<&Number>,
    name: &str,
    least: u64,
    default: u64,
    source: &Source<'_>,
) -> Result<u64, ConfigError> {
    const MOST: u64 = 1 << 20;
    let Some(value) = value else {
        return Ok(default);
    };
    match u64::try_from(*value.as_ref()) {
        Ok(good) if (least..=MOST).contains(&good) => Ok(good),
        _ => Err(source.bad(
            value,
            format!("store.{name}"),
            format!("{} is out of range", value.as_ref()),
            format!("use a number of MiB from {least} to {MOST}; the default is {default}"),
        )),
    }
}

fn keys(raw: &RawKeys, source: &Source<'_>) -> Result<KeysConfig, ConfigError> {
    Ok(KeysConfig {
        dir: source.path(raw.dir.as_ref(), "keys.dir", "keys")?,
        allow_unlocked_memory: raw.allow_unlocked_memory.unwrap_or(false),
    })
}

fn admin_socket(raw: Option<&Text>, source: &Source<'_>) -> Result<PathBuf, ConfigError> {
    let path = source.path(raw, "admin.socket", ADMIN_SOCKET)?;
    if path.as_os_str().len() <= MAX_SOCKET_PATH {
        return Ok(path);
    }
    let mut error = ConfigError::invalid(
        format!(
            "the path {} has more than {MAX_SOCKET_PATH} bytes, the most that a unix socket can have",
            quote(&path.to_string_lossy())
        ),
        "set a shorter one, such as socket = \"/run/sigward/admin.sock\"",
    )
    .key("admin.socket");
    if let Some(raw) = raw {
        error = error.at(source.text, &raw.span());
    }
    Err(error)
}

fn http(raw: &RawHttp, source: &Source<'_>) -> Result<Option<SocketAddr>, ConfigError> {
    let Some(listen) = &raw.listen else {
        return Ok(Some(HTTP));
    };
    let text = listen.as_ref();
    if text.is_empty() {
        return Ok(None);
    }
    let advice =
        "listen on loopback, such as 127.0.0.1:26650, and let something that speaks TLS stand before it";
    let numeric = match text.strip_prefix("localhost:") {
        Some(port) => format!("127.0.0.1:{port}"),
        None => text.clone(),
    };
    let address: SocketAddr = numeric.parse().map_err(|_| {
        source.bad(
            listen,
            "http.listen",
            format!("{} is no IP address with a port", quote(text)),
            advice,
        )
    })?;
    if !address.ip().to_canonical().is_loopback() {
        return Err(source.bad(
            listen,
            "http.listen",
            format!("{} is not on loopback, and this listener has no TLS", quote(text)),
            advice,
        ));
    }
    Ok(Some(address))
}

fn log(raw: &RawLog, source: &Source<'_>) -> Result<LogConfig, ConfigError> {
    let format = match &raw.format {
        None => LogFormat::Text,
        Some(format) => match format.as_ref().as_str() {
            "text" => LogFormat::Text,
            "json" => LogFormat::Json,
            other => {
                return Err(source.bad(
                    format,
                    "log.format",
                    format!("unknown format {}", quote(other)),
                    suggest::advice(other, &["text", "json"]),
                ));
            }
        },
    };
    let level = match &raw.level {
        None => "info".to_owned(),
        Some(level) => {
            for item in level.as_ref().split(',') {
                level_is_known(item.trim(), level, source)?;
            }
            level.as_ref().clone()
        }
    };
    Ok(LogConfig { format, level })
}

/// `EnvFilter` would take a mistyped level for the name of a module, and log everything of it.
fn level_is_known(item: &str, whole: &Text, source: &Source<'_>) -> Result<(), ConfigError> {
    let (target, level) = item.split_once('=').unwrap_or(("", item));
    let path = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b':');
    if LEVELS.contains(&level) && target.bytes().all(path) && (item == level || !target.is_empty()) {
        return Ok(());
    }
    Err(source.bad(
        whole,
        "log.level",
        format!("unknown level {}", quote(item)),
        suggest::advice(level, &LEVELS),
    ))
}

/// One file with two tasks would overwrite itself.
fn paths_are_distinct(config: &Config) -> Result<(), ConfigError> {
    let seal = match &config.seal {
        SealSource::KeyFile(path) => Some(("seal.key_file", path)),
        SealSource::PassphraseFile(path) => Some(("seal.passphrase_file", path)),
        SealSource::Pkcs11(token) => Some(("seal.pkcs11.file", &token.file)),
        SealSource::Credential(_) => None,
    };
    let mut seen: Vec<(&str, &PathBuf)> = Vec::new();
    let paths = [
        ("store.dir", &config.store.dir),
        ("store.witness", &config.store.witness),
        ("keys.dir", &config.keys.dir),
        ("identity.file", &config.identity),
        ("admin.socket", &config.admin_socket),
        ("audit.folder", &config.audit.folder),
    ];
    let anchor = config
        .audit
        .anchor_file
        .iter()
        .map(|path| ("audit.anchor_file", path));
    let pins = config
        .providers
        .iter()
        .filter_map(|provider| match &provider.pkcs11.pin {
            PinFrom::File(path) => Some(("provider.pkcs11.pin_file", path)),
            PinFrom::Credential(_) | PinFrom::Descriptor(_) => None,
        });
    let policy = config.policy.file.iter().map(|path| ("policy.file", path));
    let door = config
        .listen
        .iter()
        .map(|listen| ("listen.private_key", &listen.private_key));
    // Both doors may have one certificate, and so one key.
    let bearer = config
        .bearer
        .iter()
        .map(|bearer| ("listen.bearer.private_key", &bearer.private_key));
    let headers = config.otlp.iter().filter_map(|otlp| otlp.headers_file.as_ref());
    let headers = headers.map(|path| ("otlp.headers_file", path));
    let bearer = bearer.filter(|(_, path)| config.listen.iter().all(|listen| listen.private_key != **path));
    for (key, path) in paths
        .into_iter()
        .chain(seal)
        .chain(policy)
        .chain(anchor)
        .chain(door)
        .chain(bearer)
        .chain(headers)
    {
        // Paths compare by their components: `a//b` is `a/b`.
        if let Some((other, _)) = seen.iter().find(|(_, known)| *known == path) {
            return Err(ConfigError::invalid(
                format!("{} is {other} already", quote(&path.to_string_lossy())),
                "give each its own path",
            )
            .key(key));
        }
        seen.push((key, path));
    }
    // Two tokens may have one PIN; it is no other thing's file.
    for (key, path) in pins {
        if let Some((other, _)) = seen.iter().find(|(_, known)| *known == path) {
            return Err(ConfigError::invalid(
                format!("{} is {other} already", quote(&path.to_string_lossy())),
                "put the PIN into a file of its own",
            )
            .key(key));
        }
    }
    Ok(())
}

/// A number from 1 to `most`, or the default.
pub(super) fn number(
    value: Option<&Number>,
    key: &str,
    default: i64,
    most: u64,
    source: &Source<'_>,
) -> Result<u64, ConfigError> {
    let given = value.map_or(default, |value| *value.as_ref());
    match (u64::try_from(given), value) {
        (Ok(good), _) if (1..=most).contains(&good) => Ok(good),
        (_, Some(value)) => Err(source.bad(
            value,
            key,
            format!("{given} is out of range"),
            format!("use a number from 1 to {most}; the default is {default}"),
        )),
        (_, None) => Ok(1),
    }
}
