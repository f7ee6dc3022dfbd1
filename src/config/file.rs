//! The file: from a folder to a [`Config`], and what each way of not being readable is called.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::error::{ConfigCode, ConfigError, Place};
use super::read_from::ReadFrom;
use super::{Config, MAX_CONFIG_BYTES, parse};

/// The name of the file in its folder.
pub const FILE_NAME: &str = "sigward.toml";

/// Reads `sigward.toml` of the folder `home`. Paths in it become absolute, `home` being made so first.
pub fn load(home: &Path) -> Result<Config, ConfigError> {
    load_with_text(home).map(|(config, _)| config)
}

/// The same, with the very text that it was read from: what is put on record is then what was judged.
pub fn load_with_text(home: &Path) -> Result<(Config, String), ConfigError> {
    let home = std::path::absolute(home).map_err(|error| {
        ConfigError::new(
            ConfigCode::Unreadable,
            format!("the folder {} cannot be made absolute: {error}", home.display()),
            "name the folder with --home DIR",
        )
        .because(error)
    })?;
    let path = home.join(FILE_NAME);
    read_config(&path)
        .and_then(|text| {
            let mut config = parse(&text, &home)?;
            config.read_from = ReadFrom::file(&path, &text);
            Ok((config, text))
        })
        .map_err(|error| error.in_file(&path))
}

/// The admin socket that a file names which cannot be read as a whole: a mistake anywhere else in it must not hide the daemon from
/// whoever wants to freeze it. A guess, for looking; nothing is judged by it.
pub fn admin_socket_of_a_bad_file(home: &Path) -> Option<PathBuf> {
    let home = std::path::absolute(home).ok()?;
    let text = read_config(&home.join(FILE_NAME)).ok()?;
    let mut section = "";
    for line in text.lines().map(str::trim) {
        if line.starts_with('[') {
            section = line;
        }
        let named = match section {
            "[admin]" => line.strip_prefix("socket"),
            "" => line.strip_prefix("admin.socket"),
            _ => None,
        };
        let value = named.and_then(|rest| rest.trim_start().strip_prefix('='));
        if let Some(value) = value.map(str::trim_start) {
            let quote = value.chars().next().filter(|c| matches!(c, '"' | '\''))?;
            return Some(home.join(value.split(quote).nth(1)?));
        }
    }
    None
}

/// What is read, and what is said where it cannot be.
pub(super) struct What {
    pub(super) max_bytes: usize,
    pub(super) invalid: ConfigCode,
    pub(super) missing: ConfigCode,
    pub(super) unreadable: ConfigCode,
    /// What is not there, and what to do.
    pub(super) no_file: (&'static str, &'static str),
    /// What to do about something that is no file.
    pub(super) other_kind: &'static str,
    /// What everybody could do who may write it.
    pub(super) everybody: &'static str,
    /// What it has too many bytes for.
    pub(super) small: &'static str,
}

const CONFIG: What = What {
    max_bytes: MAX_CONFIG_BYTES,
    invalid: ConfigCode::Invalid,
    missing: ConfigCode::Missing,
    unreadable: ConfigCode::Unreadable,
    no_file: (
        "there is no configuration here",
        "make one with `sigward init`, or name its folder with --home DIR",
    ),
    other_kind: "put a file there, or name another folder with --home DIR",
    everybody: "choose whom sigward signs for",
    small: "a configuration is small; see that this is the right file",
};

/// The text of a `sigward.toml`.
pub(super) fn read_config(path: &Path) -> Result<String, ConfigError> {
    read(path, &CONFIG)
}

pub(super) fn read(path: &Path, what: &What) -> Result<String, ConfigError> {
    let unreadable = |error| unreadable(error, what);
    // Asked before opening: opening a pipe would wait for its writer.
    let about = std::fs::metadata(path).map_err(unreadable)?;
    if !about.is_file() {
        return Err(ConfigError::new(
            what.unreadable,
            "this is not a file",
            what.other_kind,
        ));
    }
    if about.mode() & 0o002 != 0 {
        return Err(ConfigError::new(
            what.invalid,
            format!(
                "everybody on this machine may write this file, and so {}",
                what.everybody
            ),
            "take that right away: chmod o-w",
        ));
    }
    let mut bytes = Vec::new();
    File::open(path)
        .and_then(|file| file.take(what.max_bytes as u64 + 1).read_to_end(&mut bytes))
        .map_err(unreadable)?;
    if bytes.len() > what.max_bytes {
        return Err(too_large(what));
    }
    String::from_utf8(bytes).map_err(|error| {
        let good = error.utf8_error().valid_up_to();
        let text = String::from_utf8_lossy(error.as_bytes());
        let mut refused = ConfigError::new(
            what.invalid,
            "this byte is not UTF-8",
            "save the file as UTF-8 text",
        );
        refused.place = Some(Place::of(&text, good));
        refused
    })
}

fn unreadable(error: io::Error, what: &What) -> ConfigError {
    let (code, message, advice) = match error.kind() {
        io::ErrorKind::NotFound => (what.missing, what.no_file.0.to_owned(), what.no_file.1),
        io::ErrorKind::PermissionDenied => (
            what.unreadable,
            "this user may not read it".to_owned(),
            "run sigward as the user who owns it",
        ),
        _ => (
            what.unreadable,
            error.to_string(),
            "see that the file and its disk are in order",
        ),
    };
    ConfigError::new(code, message, advice).because(error)
}

/// For text that was not read from a file.
pub(super) fn config_too_large() -> ConfigError {
    too_large(&CONFIG)
}

fn too_large(what: &What) -> ConfigError {
    ConfigError::new(
        what.invalid,
        format!("the file has more than {} bytes", what.max_bytes),
        what.small,
    )
}
