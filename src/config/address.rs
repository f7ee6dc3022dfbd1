//! Where a node listens for its signer: `unix:///path` or `tcp://host:port`.
//!
//! *Invariant:* an address that exists is one that can be dialled, and says truly whether it leaves the machine. The node's key in
//! a SecretConnection is ephemeral and proves nothing, so an address off loopback is one that whoever owns the route can answer.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::{Path, PathBuf};

use super::error::quote;

/// Longest path of a unix socket, in bytes (`sun_path` of unix(7) less its final zero).
pub const MAX_SOCKET_PATH: usize = 107;

/// Where a node listens.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum NodeAddress {
    /// A unix socket, by absolute path.
    Unix(PathBuf),
    /// A TCP port.
    Tcp {
        /// An IP address, or a name that is resolved at each dial.
        host: Host,
        /// 1 to 65535.
        port: u16,
    },
}

/// The host of a TCP address.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Host {
    /// An address; IPv4 in IPv6 has been unwrapped.
    Ip(IpAddr),
    /// A name, in lower case. Only `localhost` counts as this machine.
    Name(String),
}

/// Whether an address stays on this machine.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Reach {
    /// A unix socket, a loopback address, or `localhost` (whoever dials must refuse it if it resolves to anything else).
    ThisMachine,
    /// Anything else.
    Network,
}

/// What is wrong with an address, and what to do.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct AddressError {
    pub(super) message: String,
    pub(super) advice: String,
}

impl NodeAddress {
    /// Reads an address; a relative socket path is relative to `base`.
    pub(super) fn parse(text: &str, base: &Path) -> Result<Self, AddressError> {
        match text.split_once("://") {
            Some(("unix", path)) => unix(path, base),
            Some(("tcp", rest)) => tcp(rest),
            Some(("noise", _)) => Err(refuse(
                format!("{} asks for the Noise transport, which comes later", quote(text)),
                "use `unix:///path/to/socket`; across machines carry it through an mTLS or WireGuard tunnel",
            )),
            Some((scheme, _)) => Err(refuse(
                format!("unknown scheme {} in {}", quote(scheme), quote(text)),
                EXAMPLE,
            )),
            None => Err(refuse(format!("{} has no scheme", quote(text)), EXAMPLE)),
        }
    }

    /// Reads an address that is not in the configuration yet; why it is none, and what to write instead.
    pub fn read(text: &str, base: &Path) -> Result<Self, String> {
        Self::parse(text, base).map_err(|error| format!("{}; {}", error.message, error.advice))
    }

    /// Whether it stays on this machine.
    pub fn reach(&self) -> Reach {
        match self {
            Self::Unix(_) => Reach::ThisMachine,
            Self::Tcp {
                host: Host::Ip(ip), ..
            } if ip.is_loopback() => Reach::ThisMachine,
            Self::Tcp {
                host: Host::Name(name),
                ..
            } if name == "localhost" => Reach::ThisMachine,
            Self::Tcp { .. } => Reach::Network,
        }
    }
}

impl fmt::Display for NodeAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix(path) => write!(f, "unix://{}", path.display()),
            Self::Tcp { host, port } => write!(f, "tcp://{host}:{port}"),
        }
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ip(IpAddr::V6(ip)) => write!(f, "[{ip}]"),
            Self::Ip(IpAddr::V4(ip)) => ip.fmt(f),
            Self::Name(name) => f.write_str(name),
        }
    }
}

fn unix(path: &str, base: &Path) -> Result<NodeAddress, AddressError> {
    if path.is_empty() || path.contains('\0') {
        return Err(refuse("the socket has no path".to_owned(), EXAMPLE));
    }
    // `unix://run/a.sock` is a slash short of what was meant far more often than it is relative.
    let relative = ["./", "../"].iter().any(|dots| path.starts_with(dots));
    if !path.starts_with('/') && !relative {
        return Err(refuse(
            format!("the path {} does not begin with a slash", quote(path)),
            "write three slashes, `unix:///run/signer.sock`; a path relative to the configuration's folder begins with `./`, \
             `unix://./signer.sock`",
        ));
    }
    let path = base.join(path.strip_prefix("./").unwrap_or(path));
    if path.as_os_str().len() > MAX_SOCKET_PATH {
        return Err(refuse(
            format!(
                "the path {} has more than {MAX_SOCKET_PATH} bytes, the most that a unix socket can have",
                quote(&path.to_string_lossy())
            ),
            "use a shorter path, such as one under /run",
        ));
    }
    Ok(NodeAddress::Unix(path))
}

fn tcp(rest: &str) -> Result<NodeAddress, AddressError> {
    if rest.contains(['/', '@', '?', '#']) {
        return Err(refuse(
            format!("{} is more than a host and a port", quote(rest)),
            "write `tcp://HOST:PORT`, without a node id, user or path",
        ));
    }
    let split = match rest.strip_prefix('[') {
        Some(rest) => rest.split_once("]:"),
        None => rest.rsplit_once(':'),
    };
    let (host, port) =
        split.ok_or_else(|| refuse(format!("{} has no port", quote(rest)), "write `tcp://HOST:PORT`"))?;
    let digits = (1..=5).contains(&port.len()) && port.bytes().all(|b| b.is_ascii_digit());
    let port = match port.parse::<u16>() {
        Ok(number) if digits && number > 0 => number,
        _ => {
            return Err(refuse(
                format!("{} is no port", quote(port)),
                "a port is a number from 1 to 65535",
            ));
        }
    };
    let host = if rest.starts_with('[') {
        ip6(host)?
    } else {
        ip4_or_name(host)?
    };
    if let Host::Ip(ip) = &host
        && (ip.is_unspecified() || ip.is_multicast() || *ip == IpAddr::V4(Ipv4Addr::BROADCAST))
    {
        return Err(refuse(
            format!("{ip} is an address to listen on, not one to dial"),
            "write the address at which this machine reaches the node, such as tcp://127.0.0.1:26659",
        ));
    }
    Ok(NodeAddress::Tcp { host, port })
}

fn ip6(text: &str) -> Result<Host, AddressError> {
    let ip: Ipv6Addr = text.parse().map_err(|_| {
        refuse(
            format!("{} is no IPv6 address", quote(text)),
            "write `tcp://[2001:db8::1]:26659`",
        )
    })?;
    Ok(Host::Ip(ip.to_canonical()))
}

fn ip4_or_name(text: &str) -> Result<Host, AddressError> {
    if let Ok(ip) = text.parse::<Ipv4Addr>() {
        return Ok(Host::Ip(IpAddr::V4(ip)));
    }
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    let name = text.strip_suffix('.').unwrap_or(text).to_ascii_lowercase();
    // Resolvers read `127.1` and `0x7f.1` as IPv4 addresses: what ends in a number is no name (RFC 3696, WHATWG URL 3.5).
    let numeric = name
        .rsplit('.')
        .next()
        .is_some_and(|last| last.bytes().next().is_some_and(|b| b.is_ascii_digit()));
    if name.is_empty() || name.len() > 253 || numeric || !name.split('.').all(label) {
        return Err(refuse(
            format!("{} is neither an IP address nor a host name", quote(text)),
            "write `tcp://HOST:PORT`; IPv6 addresses stand in brackets",
        ));
    }
    Ok(Host::Name(name))
}

fn refuse(message: String, advice: &str) -> AddressError {
    AddressError {
        message,
        advice: advice.to_owned(),
    }
}

const EXAMPLE: &str = "write `unix:///path/to/socket` or `tcp://host:port`";

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<NodeAddress, AddressError> {
        NodeAddress::parse(text, Path::new("/etc/sigward"))
    }

    #[test]
    fn good_addresses_say_whether_they_leave_the_machine() {
        for (text, shown, reach) in [
            ("unix:///run/a.sock", "unix:///run/a.sock", Reach::ThisMachine),
            (
                "unix://./run/a.sock",
                "unix:///etc/sigward/run/a.sock",
                Reach::ThisMachine,
            ),
            (
                "tcp://127.0.0.1:26659",
                "tcp://127.0.0.1:26659",
                Reach::ThisMachine,
            ),
            ("tcp://127.9.9.9:1", "tcp://127.9.9.9:1", Reach::ThisMachine),
            ("tcp://[::1]:26659", "tcp://[::1]:26659", Reach::ThisMachine),
            (
                "tcp://[::ffff:127.0.0.1]:26659",
                "tcp://127.0.0.1:26659",
                Reach::ThisMachine,
            ),
            (
                "tcp://LocalHost:26659",
                "tcp://localhost:26659",
                Reach::ThisMachine,
            ),
            (
                "tcp://localhost.:26659",
                "tcp://localhost:26659",
                Reach::ThisMachine,
            ),
            (
                "tcp://localhost.example.com:26659",
                "tcp://localhost.example.com:26659",
                Reach::Network,
            ),
            (
                "tcp://[::ffff:10.0.0.1]:26659",
                "tcp://10.0.0.1:26659",
                Reach::Network,
            ),
            ("tcp://10.0.0.7:65535", "tcp://10.0.0.7:65535", Reach::Network),
            ("tcp://node_1.val:26659", "tcp://node_1.val:26659", Reach::Network),
        ] {
            let address = parse(text).unwrap();
            assert_eq!(
                (address.to_string().as_str(), address.reach()),
                (shown, reach),
                "{text}"
            );
        }
    }

    #[test]
    fn whatever_cannot_be_dialled_is_refused() {
        let long = format!("unix:///{}", "a".repeat(107));
        for text in [
            "",
            "127.0.0.1:26659",
            "tcp:127.0.0.1:1",
            "udp://127.0.0.1:1",
            "noise://a:1",
            "unix://",
            "unix://run/a.sock",
            "unix:///a\0b",
            &long,
            "tcp://",
            "tcp://:1",
            "tcp://host",
            "tcp://host:",
            "tcp://host:0",
            "tcp://host:65536",
            "tcp://host:+1",
            "tcp://host:000001",
            "tcp://a:b@c:1",
            "tcp://host:1/x",
            "tcp://0.0.0.0:1",
            "tcp://[::]:1",
            "tcp://224.0.0.1:1",
            "tcp://255.255.255.255:1",
            "tcp://127.1:1",
            "tcp://0x7f.0x1:1",
            "tcp://1:1",
            "tcp://::1:1",
            "tcp://[::1:1",
            "tcp://[127.0.0.1]:1",
            "tcp://a..b:1",
            "tcp://-a:1",
            "tcp://a b:1",
            "TCP://127.0.0.1:1",
        ] {
            assert!(parse(text).is_err(), "{text:?}");
        }
    }
}
