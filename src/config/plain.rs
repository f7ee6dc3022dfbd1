//! `[listen.plain]`: the door for clients on this machine that show tokens and speak no TLS. Loopback, or no door.

use std::net::SocketAddr;

use super::error::{ConfigError, quote};
use super::raw::RawListen;
use super::validate::Source;

pub(super) fn plain(
    listen: Option<&RawListen>,
    source: &Source<'_>,
) -> Result<Option<SocketAddr>, ConfigError> {
    let Some((listen, spanned)) = listen.and_then(|listen| Some((listen, listen.plain.as_ref()?))) else {
        return Ok(None);
    };
    const KEY: &str = "listen.plain.address";
    let text = spanned.as_ref().address.as_ref().ok_or_else(|| {
        let advice = "write 127.0.0.1:26662, or take the table out";
        source.bad(spanned, KEY, "[listen.plain] has no address", advice)
    })?;
    let address: SocketAddr = text.as_ref().parse().map_err(|_| {
        let message = format!("{} is no IP address with a port", quote(text.as_ref()));
        source.bad(text, KEY, message, "write 127.0.0.1:26662, or [::1]:26662")
    })?;
    if !address.ip().to_canonical().is_loopback() {
        let message = format!(
            "{} is not on loopback, and this door has no TLS",
            quote(text.as_ref())
        );
        let advice = "listen on 127.0.0.1 or [::1]; clients on other machines come in by [listen.bearer] with the same tokens, by TLS";
        return Err(source.bad(text, KEY, message, advice));
    }
    // Whoever owns the machine's other users shares its loopback: an address is no identity.
    if listen
        .bearer
        .as_ref()
        .is_none_or(|bearer| bearer.as_ref().issuer.is_empty())
    {
        let message = "[listen.plain] has nobody whose tokens it could take";
        let advice = "name one in [[listen.bearer.issuer]], with [listen.bearer]; `sigward token keygen NAME` makes a key, docs/http.md says how";
        return Err(source.bad(spanned, "listen.plain", message, advice));
    }
    Ok(Some(address))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use std::path::Path;

    use crate::config::parse;

    const WHOLE: &str = "[listen.plain]\naddress='127.0.0.1:26662'\n\
        [listen.bearer]\naddress='0.0.0.0:26661'\ncertificate='a.crt'\nprivate_key='a.key'\naudience='https://a:1'\n\
        [[listen.bearer.issuer]]\nname='ci'\nkey_file='ci.pub'\n";

    #[test]
    fn what_has_no_tls_is_on_loopback_and_knows_whom_to_believe() {
        let read = |text: &str| parse(text, Path::new("/etc/sigward"));
        let config = read(WHOLE).unwrap();
        assert_eq!(
            (config.plain, config.listen),
            ("127.0.0.1:26662".parse().ok(), None)
        );
        for good in ["127.8.9.10:1", "[::1]:26662", "[::ffff:127.0.0.1]:26662"] {
            assert!(read(&WHOLE.replace("127.0.0.1:26662", good)).is_ok(), "{good}");
        }
        for (line, wrong) in [
            ("127.0.0.1:26662", "0.0.0.0:26662"),
            ("127.0.0.1:26662", "10.0.0.1:26662"),
            ("127.0.0.1:26662", "[::]:26662"),
            ("127.0.0.1:26662", "[::ffff:10.0.0.1]:26662"),
            ("127.0.0.1:26662", "localhost:26662"),
            ("127.0.0.1:26662", "127.0.0.1"),
            ("127.0.0.1:26662", ""),
            ("address='127.0.0.1:26662'", ""),
            (
                "address='127.0.0.1:26662'",
                "address='127.0.0.1:26662'\ntls=false",
            ),
            ("[[listen.bearer.issuer]]\nname='ci'\nkey_file='ci.pub'\n", ""),
        ] {
            let error = read(&WHOLE.replacen(line, wrong, 1)).unwrap_err();
            assert!(!error.advice.is_empty(), "{wrong}: {error}");
        }
        assert!(read("[listen.plain]\naddress='127.0.0.1:1'\n").is_err());
    }
}
