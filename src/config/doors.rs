//! That no two listeners want one port: the second would not start, and say that something else listens there.

use std::net::SocketAddr;

use super::Config;
use super::error::ConfigError;

pub(super) fn are_apart(config: &Config) -> Result<(), ConfigError> {
    let doors: Vec<(&str, SocketAddr)> = [
        ("http.listen", config.http),
        ("listen.address", config.listen.as_ref().map(|door| door.address)),
        (
            "listen.bearer.address",
            config.bearer.as_ref().map(|door| door.address),
        ),
        ("listen.plain.address", config.plain),
    ]
    .into_iter()
    .filter_map(|(key, address)| Some((key, address?)))
    .collect();
    for (index, (key, address)) in doors.iter().enumerate() {
        let Some((other, _)) = doors
            .iter()
            .take(index)
            .find(|(_, other)| collide(*address, *other))
        else {
            continue;
        };
        return Err(ConfigError::invalid(
            format!("{address} is the address of {other} too"),
            "give each its own port: 26650 is for [http], 26660 for [listen], 26661 for [listen.bearer], 26662 for [listen.plain]",
        )
        .key(*key));
    }
    Ok(())
}

/// Whether both cannot be bound. Port 0 is whichever is free.
fn collide(a: SocketAddr, b: SocketAddr) -> bool {
    let (ip, other) = (a.ip().to_canonical(), b.ip().to_canonical());
    let any = |one: SocketAddr, other: SocketAddr| {
        // `[::]` takes IPv4 as well (ipv6(7), net.ipv6.bindv6only).
        one.ip().is_unspecified() && (one.is_ipv6() || other.ip().to_canonical().is_ipv4())
    };
    a.port() != 0 && a.port() == b.port() && (ip == other || any(a, b) || any(b, a))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config::parse;

    #[test]
    fn two_doors_at_one_port_are_a_mistake_in_the_file() {
        let collide = |a: &str, b: &str| collide(a.parse().unwrap(), b.parse().unwrap());
        for (a, b) in [
            ("127.0.0.1:1", "127.0.0.1:1"),
            ("0.0.0.0:1", "127.0.0.1:1"),
            ("10.0.0.1:1", "0.0.0.0:1"),
            ("[::]:1", "10.0.0.1:1"),
            ("[::]:1", "[::1]:1"),
            ("[::ffff:10.0.0.1]:1", "10.0.0.1:1"),
        ] {
            assert!(collide(a, b) && collide(b, a), "{a} {b}");
        }
        for (a, b) in [
            ("127.0.0.1:1", "127.0.0.1:2"),
            ("127.0.0.1:1", "127.0.0.2:1"),
            ("0.0.0.0:1", "[::1]:1"),
            ("0.0.0.0:0", "0.0.0.0:0"),
        ] {
            assert!(!collide(a, b) && !collide(b, a), "{a} {b}");
        }
        let listen = "[listen]\naddress='0.0.0.0:26650'\ncertificate='a'\nprivate_key='b'\nclient_ca='c'\n";
        let error = parse(listen, Path::new("/etc/sigward")).unwrap_err();
        assert!(
            error.to_string().contains("listen.address") && error.to_string().contains("http.listen"),
            "{error}"
        );
        assert!(parse(&listen.replace("26650", "26660"), Path::new("/etc/sigward")).is_ok());
    }
}
