//! `[listen.bearer]`: the door for clients that have no certificates and show tokens. TLS, or no door.

use std::net::SocketAddr;
use std::path::PathBuf;

use sigward_policies::model::bearer::IssuerName;
use toml::Spanned;

use super::error::{ConfigError, quote};
use super::raw::{RawBearer, RawIssuer, Text};
use super::validate::Source;

/// Longest audience, issuers at one time, and what one of them may revoke.
const MAX_AUDIENCE: usize = 255;
const MAX_ISSUERS: usize = 64;
const MAX_REVOKED: usize = 10_000;

/// `[listen.bearer]`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct BearerConfig {
    /// Where.
    pub address: SocketAddr,
    /// The server's certificate, and intermediate ones after it.
    pub certificate: PathBuf,
    /// Its private key.
    pub private_key: PathBuf,
    /// What tokens must be for (`aud`).
    pub audience: String,
    /// Whose tokens count; names are distinct.
    pub issuers: Vec<IssuerConfig>,
}

/// `[[listen.bearer.issuer]]`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct IssuerConfig {
    /// What its tokens call it (`iss`), and rules and records too.
    pub name: IssuerName,
    /// Its public keys.
    pub key_file: PathBuf,
    /// What of its word does not count any more.
    pub revoked: Vec<Revoked>,
}

/// What is revoked.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Revoked {
    /// Everything of a subject (`sub:…`).
    Subject(String),
    /// One token (`jti:…`).
    Token(String),
}

pub(super) fn bearer(
    raw: Option<&Spanned<RawBearer>>,
    source: &Source<'_>,
) -> Result<Option<BearerConfig>, ConfigError> {
    let Some(spanned) = raw else { return Ok(None) };
    let raw = spanned.as_ref();
    let missing = |name: &str, advice: &str| {
        source.bad(
            spanned,
            format!("listen.bearer.{name}"),
            format!("[listen.bearer] has no {name}"),
            advice,
        )
    };
    let text = raw
        .address
        .as_ref()
        .ok_or_else(|| missing("address", "write 0.0.0.0:26661 for every address of this machine"))?;
    let address = text.as_ref().parse::<SocketAddr>().map_err(|_| {
        source.bad(
            text,
            "listen.bearer.address",
            format!("{} is no IP address with a port", quote(text.as_ref())),
            "write 0.0.0.0:26661 for every address of this machine, [::]:26661 with IPv6, or the one that clients come in by",
        )
    })?;
    let file = |value: &Option<Text>, name: &str| match value {
        Some(value) => source.path(Some(value), &format!("listen.bearer.{name}"), name),
        None => Err(missing(
            name,
            "name it; the certificate and the key of [listen] will do, and `sigward pki server` makes them",
        )),
    };
    let audience = raw.audience.as_ref().ok_or_else(|| {
        missing(
            "audience",
            "write what clients call this sigward, such as https://signer.example.org:26661",
        )
    })?;
    let plain = audience.as_ref().bytes().all(|b| b.is_ascii_graphic());
    if !plain || !(1..=MAX_AUDIENCE).contains(&audience.as_ref().len()) {
        return Err(source.bad(
            audience,
            "listen.bearer.audience",
            format!("{} is no audience", quote(audience.as_ref())),
            "write 1 to 255 printable ASCII characters without spaces, such as https://signer.example.org:26661",
        ));
    }
    Ok(Some(BearerConfig {
        address,
        certificate: file(&raw.certificate, "certificate")?,
        private_key: file(&raw.private_key, "private_key")?,
        audience: audience.as_ref().clone(),
        issuers: issuers(&raw.issuer, spanned, source)?,
    }))
}

fn issuers(
    raw: &[RawIssuer],
    table: &Spanned<RawBearer>,
    source: &Source<'_>,
) -> Result<Vec<IssuerConfig>, ConfigError> {
    let mut issuers: Vec<IssuerConfig> = Vec::new();
    for (number, raw) in raw.iter().enumerate() {
        let key = |field: &str| format!("listen.bearer.issuer[{number}].{field}");
        let name = IssuerName::new(raw.name.as_ref()).map_err(|refusal| {
            let message = format!("{} is no name of an issuer", quote(raw.name.as_ref()));
            source.bad(&raw.name, key("name"), message, refusal.message)
        })?;
        if issuers.iter().any(|known| known.name == name) {
            let message = format!("{} is an issuer already", quote(name.as_str()));
            let advice =
                "one key_file may hold several keys of an issuer: the old and the new one, while they change";
            return Err(source.bad(&raw.name, key("name"), message, advice));
        }
        if raw.revoked.len() > MAX_REVOKED {
            let message = format!("more than {MAX_REVOKED} are revoked");
            let advice =
                "a token ends within five minutes: take out those that have; or give the issuer another key";
            return Err(source.bad(&raw.name, key("revoked"), message, advice));
        }
        let revoked: Result<_, _> = raw
            .revoked
            .iter()
            .map(|word| revoked(word, &key("revoked"), source))
            .collect();
        issuers.push(IssuerConfig {
            key_file: source.path(Some(&raw.key_file), &key("key_file"), "issuer.pub")?,
            name,
            revoked: revoked?,
        });
    }
    if issuers.len() > MAX_ISSUERS {
        let message = format!("there are more than {MAX_ISSUERS} issuers");
        return Err(source.bad(
            table,
            "listen.bearer.issuer",
            message,
            "let fewer sign for more subjects",
        ));
    }
    Ok(issuers)
}

fn revoked(word: &Text, key: &str, source: &Source<'_>) -> Result<Revoked, ConfigError> {
    match word.as_ref().split_once(':') {
        Some(("sub", subject)) if !subject.is_empty() => Ok(Revoked::Subject(subject.to_owned())),
        Some(("jti", token)) if !token.is_empty() => Ok(Revoked::Token(token.to_owned())),
        _ => Err(source.bad(
            word,
            key,
            format!("{} names nothing that can be revoked", quote(word.as_ref())),
            "write \"sub:NAME\" for everything of a subject, \"jti:ID\" for one token",
        )),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config::parse;

    const WHOLE: &str = "[listen.bearer]\naddress='0.0.0.0:26661'\ncertificate='a.crt'\nprivate_key='a.key'\naudience='https://a:1'\n\
        [[listen.bearer.issuer]]\nname='ci'\nkey_file='ci.pub'\nrevoked=['sub:eve', 'jti:x']\n";

    #[test]
    fn the_door_for_tokens_needs_no_other_door_and_has_everything_that_it_needs() {
        let config = parse(WHOLE, Path::new("/etc/sigward")).unwrap();
        assert_eq!(config.listen, None);
        let bearer = config.bearer.unwrap();
        assert_eq!(bearer.audience, "https://a:1");
        let issuer = bearer.issuers.first().unwrap();
        assert_eq!(issuer.key_file, Path::new("/etc/sigward/ci.pub"));
        let revoked = [Revoked::Subject("eve".to_owned()), Revoked::Token("x".to_owned())];
        assert_eq!(issuer.revoked, revoked);
        for (line, wrong) in [
            ("address='0.0.0.0:26661'", ""),
            ("address='0.0.0.0:26661'", "address='a:1'"),
            ("certificate='a.crt'", ""),
            ("private_key='a.key'", ""),
            ("private_key='a.key'", "private_key='seal.key'"),
            ("audience='https://a:1'", ""),
            ("audience='https://a:1'", "audience=''"),
            ("audience='https://a:1'", "audience='a b'"),
            ("name='ci'", ""),
            ("name='ci'", "name='C I'"),
            ("key_file='ci.pub'", ""),
            ("'sub:eve'", "'eve'"),
            ("'sub:eve'", "'sub:'"),
            ("revoked=", "revoke="),
            ("[listen.bearer]", "[listen]\ncrl='x'\n[listen.bearer]"),
            (
                "[[listen.bearer.issuer]]",
                "[[listen.bearer.issuer]]\nname='ci'\nkey_file='b'\n[[listen.bearer.issuer]]",
            ),
        ] {
            let text = WHOLE.replacen(line, wrong, 1);
            let error = parse(&text, Path::new("/etc/sigward")).unwrap_err();
            assert!(!error.advice.is_empty(), "{text}: {error}");
        }
    }
}
