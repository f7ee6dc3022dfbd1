//! Telling systemd that sigward serves, and that it stops: one datagram each to the socket named in `$NOTIFY_SOCKET` (sd_notify(3)).
//! Without that variable nothing is told. A message that cannot be sent is a warning: signing does not depend on it.

use std::ffi::OsStr;
use std::io;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};

/// Every link was begun and every listener listens: units that wait for sigward may start.
pub(super) fn ready() {
    tell("READY=1\nSTATUS=serving");
}

/// No new requests; those under way are finished.
pub(super) fn stopping() {
    tell("STOPPING=1\nSTATUS=finishing what is under way");
}

fn tell(state: &str) {
    if let Some(socket) = std::env::var_os("NOTIFY_SOCKET")
        && let Err(error) = send(&socket, state)
    {
        tracing::warn!("systemd was not told ({}): {error}", socket.display());
    }
}

/// `socket` is a path or, with `@` in front, a name in the abstract namespace (unix(7)).
fn send(socket: &OsStr, state: &str) -> io::Result<()> {
    let address = match socket.as_bytes() {
        [b'@', name @ ..] => SocketAddr::from_abstract_name(name)?,
        _ => SocketAddr::from_pathname(socket)?,
    };
    let from = UnixDatagram::unbound()?;
    // A full queue must not hold up the signer.
    from.set_nonblocking(true)?;
    from.send_to_addr(state.as_bytes(), &address).map(|_| ())
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn it_speaks_to_paths_and_abstract_names_and_fails_quietly() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("notify");
        let name = format!("sigward-test-{}", std::process::id());
        let listeners = [
            (UnixDatagram::bind(&path).unwrap(), path.clone().into_os_string()),
            (
                UnixDatagram::bind_addr(&SocketAddr::from_abstract_name(&name).unwrap()).unwrap(),
                format!("@{name}").into(),
            ),
        ];
        for (listener, address) in &listeners {
            send(address, "READY=1").unwrap();
            let mut said = [0; 64];
            let length = listener.recv(&mut said).unwrap();
            assert_eq!(said.get(..length).unwrap(), b"READY=1");
        }
        assert!(send(OsStr::new("/nowhere/at/all"), "READY=1").is_err());
        assert!(send(OsStr::new(""), "READY=1").is_err());
    }
}
