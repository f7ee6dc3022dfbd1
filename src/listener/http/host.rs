//! Whether a `Host` header names this machine. A page of a foreign site whose name was rebound to 127.0.0.1 sends its own name.

use std::net::{IpAddr, Ipv6Addr};

use axum::http::{Request, Version, header};

/// What is said to whoever asks for another machine.
pub(in crate::listener) const REFUSED: &str = "host_refused: ask for 127.0.0.1 or localhost";

/// Whether a request is for this machine: one `Host`, and the same in the request line (`:authority`) where that has one, which in
/// HTTP/2 will do by itself (RFC 9113, section 8.3.1).
pub(in crate::listener) fn names_this_machine<B>(request: &Request<B>) -> bool {
    let mut hosts = request.headers().get_all(header::HOST).iter();
    let header = hosts.next().map(|host| host.to_str().is_ok_and(is_loopback));
    let line = request.uri().authority().map(|line| is_loopback(line.as_str()));
    let named = match (header, line) {
        (Some(header), line) => header && line.unwrap_or(true),
        (None, Some(line)) => line && request.version() == Version::HTTP_2,
        (None, None) => false,
    };
    named && hosts.next().is_none()
}

/// Whether `host` (RFC 9110 7.2: host, or host and port) is a name or an address of loopback.
fn is_loopback(host: &str) -> bool {
    let (name, port) = match host.strip_prefix('[') {
        Some(rest) => match rest.split_once(']') {
            Some((name, port)) => {
                return name
                    .parse::<Ipv6Addr>()
                    .is_ok_and(|ip| ip.to_canonical().is_loopback())
                    && is_port(port);
            }
            None => return false,
        },
        None => match host.find(':') {
            Some(at) => host.split_at(at),
            None => (host, ""),
        },
    };
    let ours =
        name.eq_ignore_ascii_case("localhost") || name.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback());
    ours && is_port(port)
}

/// Nothing, or a colon and digits.
fn is_port(text: &str) -> bool {
    match text.strip_prefix(':') {
        Some(digits) => digits.len() <= 5 && digits.bytes().all(|b| b.is_ascii_digit()),
        None => text.is_empty(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_this_machine_is_this_machine() {
        for host in [
            "localhost",
            "LOCALHOST:80",
            "127.0.0.1:26650",
            "127.0.0.1",
            "[::1]:1",
            "[::1]",
            "127.1.2.3",
        ] {
            assert!(is_loopback(host), "{host}");
        }
        for host in [
            "",
            ":80",
            "evil.example",
            "localhost.evil.example",
            "evil.example:80",
            "127.0.0.1.evil.example",
            "::1",
            "[::1",
            "[::1]x",
            "[::1]:x",
            "localhost:80:80",
            "127.0.0.1@evil",
            "10.0.0.1",
            "[::2]",
            "localhost:123456",
            " localhost",
        ] {
            assert!(!is_loopback(host), "{host}");
        }
    }
}
