//! `[seal]`: what opens the sealed keys; reading it, and writing it when the seal moves.
//!
//! *Invariant:* [`with_seal`] returns a text that says what it is asked to and nothing else besides: it is read again and compared.

use std::ops::Range;
use std::path::{Path, PathBuf};

use toml::Spanned;

use super::error::{ConfigError, quote};
use super::provider::{ProviderConfig, ProviderId};
use super::raw::{RawConfig, RawSeal, RawTokenSeal, Text};
use super::validate::Source;
use super::{SealSource, parse, suggest};

/// What the wrapping key is called in the token unless the file says otherwise.
pub const SEAL_LABEL: &str = "sigward-seal";

/// Longest label of a wrapping key. PKCS#11 sets no limit; tokens do.
const MAX_LABEL: usize = 64;

/// `pkcs11` of `[seal]`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TokenSealConfig {
    /// The `[[provider]]` whose token it is.
    pub provider: ProviderId,
    /// What new wrapping keys are called there. Which one is used stands in the file.
    pub key_label: String,
    /// The wrapped key-encryption key. No secret, and nothing opens without it.
    pub file: PathBuf,
}

impl TokenSealConfig {
    /// A key in the token of `provider`, with its file where it is by default.
    pub fn of(provider: &ProviderId, key_label: &str, base: &Path) -> Self {
        Self {
            provider: provider.clone(),
            key_label: key_label.to_owned(),
            file: base.join(default_file(provider)),
        }
    }
}

fn default_file(provider: &ProviderId) -> String {
    format!("seal-{provider}.wrapped")
}

pub(super) fn source(
    raw: Option<&Spanned<RawSeal>>,
    providers: &[ProviderConfig],
    source: &Source<'_>,
) -> Result<SealSource, ConfigError> {
    let default = "seal.key";
    let Some(table) = raw else {
        return Ok(SealSource::KeyFile(source.base.join(default)));
    };
    let advice = "name exactly one of key_file, passphrase_file, credential and pkcs11";
    let RawSeal {
        key_file,
        passphrase_file,
        credential,
        pkcs11,
    } = table.as_ref();
    match (key_file, passphrase_file, credential, pkcs11) {
        (file @ Some(_), None, None, None) => source
            .path(file.as_ref(), "seal.key_file", default)
            .map(SealSource::KeyFile),
        (None, file @ Some(_), None, None) => source
            .path(file.as_ref(), "seal.passphrase_file", "passphrase")
            .map(SealSource::PassphraseFile),
        (None, None, Some(name), None) => source
            .credential(name, "seal.credential", "sigward-seal")
            .map(SealSource::Credential),
        (None, None, None, Some(raw)) => token(raw.as_ref(), providers, source).map(SealSource::Pkcs11),
        (None, None, None, None) => Err(source.bad(
            table,
            "seal",
            "the table names nothing that opens the keys",
            advice,
        )),
        _ => {
            let spans = [key_file, passphrase_file, credential]
                .into_iter()
                .flatten()
                .map(Spanned::span);
            let last = spans
                .chain(pkcs11.iter().map(Spanned::span))
                .max_by_key(|span| span.start);
            Err(
                ConfigError::invalid("the table names more than one thing that opens the keys", advice)
                    .at(source.text, &last.unwrap_or_else(|| table.span()))
                    .key("seal"),
            )
        }
    }
}

fn token(
    raw: &RawTokenSeal,
    providers: &[ProviderConfig],
    source: &Source<'_>,
) -> Result<TokenSealConfig, ConfigError> {
    let named = raw.provider.as_ref();
    let Some(provider) = providers.iter().find(|provider| provider.id.as_str() == named) else {
        let known: Vec<&str> = providers.iter().map(|provider| provider.id.as_str()).collect();
        let advice = if known.is_empty() {
            "describe the token in a [[provider]]; `sigward config print-default` shows one".to_owned()
        } else {
            suggest::advice(named, &known)
        };
        let message = format!("there is no [[provider]] {}", quote(named));
        return Err(source.bad(&raw.provider, "seal.pkcs11.provider", message, advice));
    };
    let default = TokenSealConfig::of(&provider.id, SEAL_LABEL, source.base);
    Ok(TokenSealConfig {
        key_label: match &raw.key_label {
            None => default.key_label,
            Some(label) => key_label(label, source)?,
        },
        file: source.path(raw.file.as_ref(), "seal.pkcs11.file", &default_file(&provider.id))?,
        provider: default.provider,
    })
}

fn key_label(label: &Text, source: &Source<'_>) -> Result<String, ConfigError> {
    let text = label.as_ref();
    if (1..=MAX_LABEL).contains(&text.len()) && !text.chars().any(char::is_control) {
        return Ok(text.clone());
    }
    Err(source.bad(
        label,
        "seal.pkcs11.key_label",
        format!("{} is no label", quote(text)),
        format!("use 1 to {MAX_LABEL} bytes without control characters, such as {SEAL_LABEL:?}"),
    ))
}

/// The text of a configuration, with another seal in it and nothing else changed. `base` as for [`parse`].
pub fn with_seal(text: &str, base: &Path, seal: &SealSource) -> Result<String, ConfigError> {
    let before = parse(text, base)?;
    let raw: RawConfig = toml::from_str(text).map_err(|error| ConfigError::from_toml(text, error))?;
    let line = line(seal, base);
    let ways = match raw.seal.as_ref().map(Spanned::as_ref) {
        None => vec![format!("{}\n\n[seal]\n{line}\n", text.trim_end())],
        Some(raw) => {
            let in_place = setting(text, raw).map(|at| {
                let (head, tail) = (text.get(..at.start), text.get(at.end..));
                format!("{}{line}{}", head.unwrap_or_default(), tail.unwrap_or_default())
            });
            in_place.into_iter().chain(without_table(text, &line)).collect()
        }
    };
    let wanted = super::Config {
        seal: seal.clone(),
        ..before
    };
    ways.into_iter()
        .find(|new| parse(new, base).is_ok_and(|read| read == wanted))
        .ok_or_else(|| {
            ConfigError::invalid(
                "[seal] is written in a way that sigward does not edit",
                format!(
                    "write the table as two lines, `[seal]` and what it says now; it is to become: {line}"
                ),
            )
            .key("seal")
        })
}

/// The text without its table `[seal.pkcs11]`, comments apart: with `line` in a table `[seal]` in its place, or in the one there is.
fn without_table(text: &str, line: &str) -> Vec<String> {
    let header = |text: &str, name: &str| {
        let inside = text
            .trim()
            .strip_prefix('[')
            .and_then(|rest| rest.split(']').next());
        inside.is_some_and(|inside| inside.split_whitespace().collect::<String>() == name)
    };
    let (mut alone, mut below) = (String::new(), String::new());
    let mut inside = false;
    for old in text.lines() {
        if header(old, "seal.pkcs11") {
            inside = true;
            alone.push_str(&format!("[seal]\n{line}\n"));
            continue;
        }
        inside &= !old.trim_start().starts_with('[');
        if inside && !old.trim().is_empty() && !old.trim_start().starts_with('#') {
            continue;
        }
        for new in [&mut alone, &mut below] {
            new.push_str(old);
            new.push('\n');
        }
        if header(old, "seal") {
            below.push_str(&format!("{line}\n"));
        }
    }
    vec![alone, below]
}

/// Where the one setting of `[seal]` stands, from its name to the end of its value.
fn setting(text: &str, raw: &RawSeal) -> Option<Range<usize>> {
    let values = [
        ("key_file", raw.key_file.as_ref().map(Spanned::span)),
        ("passphrase_file", raw.passphrase_file.as_ref().map(Spanned::span)),
        ("credential", raw.credential.as_ref().map(Spanned::span)),
        ("pkcs11", raw.pkcs11.as_ref().map(Spanned::span)),
    ];
    let (name, value) = values.into_iter().find_map(|(name, span)| Some((name, span?)))?;
    let before = text.get(..value.start)?.trim_end().strip_suffix('=')?.trim_end();
    let start = before.strip_suffix(name)?.len();
    Some(start..value.end)
}

/// The setting as a line of the file. What lies below `base` is named from there.
fn line(seal: &SealSource, base: &Path) -> String {
    let path = |path: &Path| {
        let path = path.strip_prefix(base).unwrap_or(path);
        toml::Value::from(path.to_string_lossy().into_owned()).to_string()
    };
    let text = |text: &str| toml::Value::from(text).to_string();
    match seal {
        SealSource::KeyFile(file) => format!("key_file = {}", path(file)),
        SealSource::PassphraseFile(file) => format!("passphrase_file = {}", path(file)),
        SealSource::Credential(name) => format!("credential = {}", text(name)),
        SealSource::Pkcs11(token) => {
            let own = base.join(default_file(&token.provider)) != token.file;
            let file = if own {
                format!(", file = {}", path(&token.file))
            } else {
                String::new()
            };
            format!(
                "pkcs11 = {{ provider = {}, key_label = {}{file} }}",
                text(token.provider.as_str()),
                text(&token.key_label)
            )
        }
    }
}

#[cfg(test)]
mod tests;
