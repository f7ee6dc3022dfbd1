//! A node's signer socket, seen from outside: is it there, does anybody listen, is its one place taken.
//!
//! A node serves one signer at a time (CometBFT `privval/signer_listener_endpoint.go`): whoever connects takes the place. So the
//! kernel's tables are read first (`/proc/net/unix`, `/proc/net/tcp`), which nobody notices. Only where they show nothing, no
//! daemon of ours runs, and the caller allows it, is the socket dialled: nothing is sent, not even our half of a handshake, and it
//! is closed at once. A node at boot that meets this dial may lose one of the seconds that it gives its signer; the finding says
//! that it was done.

use std::io::{ErrorKind, Read as _};
use std::net::{SocketAddr, TcpStream, ToSocketAddrs as _};
use std::os::unix::fs::FileTypeExt as _;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use rustix::fs::{Access, access};

use crate::config::{Host, NodeAddress};

/// Connecting, and the node's first byte after it, take no longer each.
const LIMIT: Duration = Duration::from_secs(2);

/// What was seen at an address.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Door {
    /// No file at the path.
    NoFile,
    /// The path is something else.
    NoSocket,
    /// This user may not connect, or not look.
    Denied(String),
    /// The name has no address, or `localhost` has one that is not this machine.
    NoName(String),
    /// Nobody listens; with a file at the path it is stale.
    Nobody,
    /// Connecting failed otherwise.
    Unreachable(String),
    /// Somebody listens: so many connections were accepted, so many wait.
    Listening { accepted: usize, waiting: usize },
    /// It was dialled: the node sent its half of the handshake.
    Greeted,
    /// It was dialled: it took the connection, and closed it.
    Closed,
    /// It was dialled: it took the connection, and not a byte came.
    Silent,
    /// It was not looked at: it is on another machine, and dialling was not allowed.
    NotTried,
}

impl Door {
    /// Whether finding out took a connection.
    pub(super) const fn was_dialled(&self) -> bool {
        matches!(self, Self::Greeted | Self::Closed | Self::Silent)
    }
}

/// Looks; dials only if `may_dial` and where looking is not enough.
pub(super) fn look(address: &NodeAddress, may_dial: bool) -> Door {
    match address {
        NodeAddress::Unix(path) => unix(path, may_dial),
        NodeAddress::Tcp { host, port } => tcp(host, *port, may_dial),
    }
}

fn unix(path: &Path, may_dial: bool) -> Door {
    let about = match std::fs::metadata(path) {
        Ok(about) => about,
        Err(error) if error.kind() == ErrorKind::NotFound => return Door::NoFile,
        Err(error) => return Door::Denied(error.to_string()),
    };
    if !about.file_type().is_socket() {
        return Door::NoSocket;
    }
    // connect(2) asks for the right to write.
    if let Err(error) = access(path, Access::WRITE_OK) {
        return Door::Denied(error.to_string());
    }
    let table = std::fs::read_to_string("/proc/net/unix").unwrap_or_default();
    let real = std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    if let Some(seen) = unix_table(&table, path).or_else(|| unix_table(&table, &real)) {
        return seen;
    }
    // Nobody in this network namespace has it: it is stale, or belongs to a container. Only connecting tells which.
    if !may_dial {
        return Door::NotTried;
    }
    match UnixStream::connect(path) {
        Ok(_closed_at_once) => Door::Silent,
        Err(error) if error.kind() == ErrorKind::ConnectionRefused => Door::Nobody,
        Err(error) if error.kind() == ErrorKind::PermissionDenied => Door::Denied(error.to_string()),
        Err(error) => Door::Unreachable(error.to_string()),
    }
}

/// Reads `/proc/net/unix` (proc_net(5)): `Num RefCount Protocol Flags Type St Inode Path`. A listener has the flag
/// `__SO_ACCEPTCON`; what was connected to it has its path, and no inode until it is accepted.
fn unix_table(table: &str, path: &Path) -> Option<Door> {
    let (mut listens, mut accepted, mut waiting) = (false, 0, 0);
    for line in table.lines().skip(1) {
        let words: Vec<&str> = line.splitn(8, ' ').collect();
        let (Some(flags), Some(rest)) = (words.get(3), words.get(6..)) else {
            continue;
        };
        // The inode is right-aligned: its blanks are words too.
        let rest = rest.join(" ");
        let Some((inode, name)) = rest.trim_start().split_once(' ') else {
            continue;
        };
        if Path::new(name) != path {
            continue;
        }
        if *flags == "00010000" {
            listens = true;
        } else if inode == "0" {
            waiting += 1;
        } else {
            accepted += 1;
        }
    }
    listens.then_some(Door::Listening { accepted, waiting })
}

fn tcp(host: &Host, port: u16, may_dial: bool) -> Door {
    let addresses = match resolve(host, port) {
        Ok(addresses) => addresses,
        Err(door) => return door,
    };
    if addresses.iter().any(|at| at.ip().is_loopback())
        && let Some(seen) = listeners(port)
        && (!may_dial || matches!(seen, Door::Listening { accepted: 1.., .. }))
    {
        return seen;
    }
    if may_dial {
        dial(&addresses)
    } else {
        Door::NotTried
    }
}

/// Who listens at a port of this machine, as the kernel tells.
pub(super) fn listeners(port: u16) -> Option<Door> {
    let tables =
        ["/proc/net/tcp", "/proc/net/tcp6"].map(|file| std::fs::read_to_string(file).unwrap_or_default());
    tcp_table(&tables.concat(), port)
}

fn resolve(host: &Host, port: u16) -> Result<Vec<SocketAddr>, Door> {
    let name = match host {
        Host::Ip(ip) => return Ok(vec![SocketAddr::new(*ip, port)]),
        Host::Name(name) => name,
    };
    let found: Vec<SocketAddr> = (name.as_str(), port)
        .to_socket_addrs()
        .map_err(|error| Door::NoName(error.to_string()))?
        .filter(|at| name != "localhost" || at.ip().is_loopback())
        .collect();
    if found.is_empty() {
        return Err(Door::NoName("it has no address that may be dialled".to_owned()));
    }
    Ok(found)
}

/// Reads `/proc/net/tcp` and `tcp6` (proc_net(5)): sockets with this local port. A connection that was not accepted yet has no
/// inode.
fn tcp_table(table: &str, port: u16) -> Option<Door> {
    let (mut listens, mut accepted, mut waiting) = (false, 0, 0);
    for line in table.lines() {
        let words: Vec<&str> = line.split_whitespace().collect();
        let (Some(local), Some(state), Some(inode)) = (words.get(1), words.get(3), words.get(9)) else {
            continue;
        };
        let own = local
            .rsplit_once(':')
            .and_then(|(_, port)| u16::from_str_radix(port, 16).ok());
        if own != Some(port) {
            continue;
        }
        match (*state, *inode) {
            ("0A", _) => listens = true,
            ("01", "0") => waiting += 1,
            ("01", _) => accepted += 1,
            _ => {}
        }
    }
    listens.then_some(Door::Listening { accepted, waiting })
}

/// Dials and waits for the node's first byte: both sides of a SecretConnection send their ephemeral key unasked.
fn dial(addresses: &[SocketAddr]) -> Door {
    let mut last = Door::Nobody;
    for at in addresses {
        match TcpStream::connect_timeout(at, LIMIT) {
            Ok(mut stream) => {
                let heard = stream
                    .set_read_timeout(Some(LIMIT))
                    .and_then(|()| stream.read(&mut [0; 1]));
                return match heard {
                    Ok(0) => Door::Closed,
                    Ok(_) => Door::Greeted,
                    Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                        Door::Silent
                    }
                    Err(error) => Door::Unreachable(error.to_string()),
                };
            }
            Err(error) if error.kind() == ErrorKind::ConnectionRefused => last = Door::Nobody,
            Err(error) => last = Door::Unreachable(error.to_string()),
        }
    }
    last
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::net::TcpListener;
    use std::os::unix::net::UnixListener;

    use super::*;

    #[test]
    fn a_unix_socket_tells_listening_stale_and_taken_without_a_connection() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("n.sock");
        let address = NodeAddress::Unix(path.clone());
        assert_eq!(look(&address, true), Door::NoFile);
        let listener = UnixListener::bind(&path).unwrap();
        assert_eq!(
            look(&address, true),
            Door::Listening {
                accepted: 0,
                waiting: 0
            }
        );
        let one = UnixStream::connect(&path).unwrap();
        assert_eq!(
            look(&address, false),
            Door::Listening {
                accepted: 0,
                waiting: 1
            }
        );
        let accepted = listener.accept().unwrap();
        let two = UnixStream::connect(&path).unwrap();
        assert_eq!(
            look(&address, true),
            Door::Listening {
                accepted: 1,
                waiting: 1
            }
        );
        drop((one, two, accepted, listener));
        assert_eq!(
            (look(&address, true), look(&address, false)),
            (Door::Nobody, Door::NotTried)
        );
        std::fs::remove_file(&path).unwrap();
        std::fs::write(&path, "").unwrap();
        assert_eq!(look(&address, true), Door::NoSocket);
    }

    #[test]
    fn a_port_tells_the_same() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let at = listener.local_addr().unwrap();
        let address = NodeAddress::Tcp {
            host: Host::Ip(at.ip()),
            port: at.port(),
        };
        assert_eq!(
            look(&address, false),
            Door::Listening {
                accepted: 0,
                waiting: 0
            }
        );
        assert_eq!(
            look(&address, true),
            Door::Silent,
            "a backlog takes connections without a byte"
        );
        let one = TcpStream::connect(at).unwrap();
        let accepted = loop {
            let accepted = listener.accept().unwrap();
            if accepted.1 == one.local_addr().unwrap() {
                break accepted;
            }
        };
        assert_eq!(
            look(&address, true),
            Door::Listening {
                accepted: 1,
                waiting: 0
            }
        );
        drop((one, accepted, listener));
        assert_eq!(look(&address, true), Door::Nobody);
        assert_eq!(look(&address, false), Door::NotTried);
    }

    #[test]
    fn strange_tables_are_no_door() {
        assert_eq!(
            unix_table("x\n\ny z\n0: 1 2 00010000 1 01\n", Path::new("/a")),
            None
        );
        assert_eq!(tcp_table("sl local\n 0: 0100007F:zz x 0A\n", 1), None);
        let named = "Num\n0: 00000002 00000000 00010000 0001 01 12 /a b\n";
        assert_eq!(
            unix_table(named, Path::new("/a b")),
            Some(Door::Listening {
                accepted: 0,
                waiting: 0
            })
        );
    }
}
