//! Bytes that are no requests: the connection ends, and the next one is served.

use std::io::{Read as _, Write as _};
use std::time::Duration;

use super::fake_node::{Link, Listener, framed};
use super::messages::{PREVOTE, ping, sign_vote, signed_vote, vote};
use super::requests::state_height;
use super::stage::{CHAIN, Stage};
use crate::support::standstill::replayed;

/// sigward's read cap: 1 MiB + 16 KiB + 1 KiB.
const CAP: u64 = (1 << 20) + (16 << 10) + (1 << 10);

fn announced(len: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    prost::encoding::encode_varint(len, &mut bytes);
    bytes
}

/// What ends a connection, and why.
fn fatal() -> Vec<(&'static str, Vec<u8>)> {
    let two = [ping(), ping()].concat();
    let mut nested = sign_vote(CHAIN, vote(PREVOTE, 5, 1));
    nested.extend(sign_vote(CHAIN, vote(PREVOTE, 6, 1)));
    vec![
        ("an empty message", framed(b"")),
        ("a response", framed(b"\x12\x00")),
        ("a signed vote", framed(b"\x22\x00")),
        ("a pong", framed(b"\x42\x00")),
        ("two requests in one message", framed(&two)),
        ("two votes in one message", framed(&nested)),
        ("a number for a request", framed(b"\x18\x01")),
        ("a group", framed(b"\x1b\x1c")),
        ("a field number 0", framed(b"\x02\x00")),
        ("a body longer than its message", framed(b"\x1a\x7f")),
        ("a body that is no protobuf", framed(b"\x1a\x03\xff\xff\xff")),
        ("one byte more than the cap", announced(CAP + 1)),
        ("4 GiB", announced(1 << 32)),
        ("2^64 - 1 bytes", announced(u64::MAX)),
        ("a length of eleven bytes", vec![0xff; 11]),
        ("a length with a needless byte", vec![0x82, 0x00, 0x3a, 0x00]),
        ("HTTP", b"GET / HTTP/1.1\r\nHost: x\r\n\r\n".to_vec()),
    ]
}

#[test]
fn bytes_that_are_no_request_end_the_connection_and_nothing_else() {
    replayed(|| {
        let stage = Stage::new(|home| vec![Listener::unix(home, "u"), Listener::tcp()]);
        let node = &stage.nodes[0];
        for (name, bytes) in fatal() {
            let mut wire = node.accept();
            wire.write_all(&bytes).unwrap();
            let mut rest = [0; 64];
            let ended = matches!(wire.read(&mut rest), Ok(0) | Err(_));
            assert!(ended, "{name} is answered: {rest:?}");
        }
        stage.unharmed();
        let mut link = node.connect();
        signed_vote(link.ask(&sign_vote(CHAIN, vote(PREVOTE, 5, 1)))).unwrap();

        // Inside a SecretConnection the same.
        let node = &stage.nodes[1];
        for bytes in [&b""[..], b"\x12\x00", b"\x1a\x03\xff\xff\xff"] {
            let mut link = node.connect();
            link.send(bytes).unwrap();
            assert!(link.receive().is_none());
        }
        assert!(node.connect().lives());
        assert_eq!(state_height(&stage.state()), 5);
        stage.finish();
    });
}

#[test]
fn a_connection_cut_anywhere_in_a_request_costs_nothing() {
    replayed(|| {
        let stage = Stage::new(|home| vec![Listener::unix(home, "u"), Listener::tcp()]);
        let request = framed(&sign_vote(CHAIN, vote(PREVOTE, 5, 1)));
        for at in [1, 2, 3, request.len() / 2, request.len() - 1] {
            let mut wire = stage.nodes[0].accept();
            wire.write_all(&request[..at]).unwrap();
        }
        // A whole request, and nobody there for the answer: it may be signed, and then it is a repeat.
        stage.nodes[0].accept().write_all(&request).unwrap();
        for _ in 0..3 {
            let Link::Secret(mut connection) = stage.nodes[1].connect() else {
                unreachable!()
            };
            connection.flush().unwrap();
        }
        let mut link = stage.nodes[0].connect();
        signed_vote(link.ask(&sign_vote(CHAIN, vote(PREVOTE, 5, 1)))).unwrap();
        let other = signed_vote(link.ask(&sign_vote(CHAIN, vote(PREVOTE, 5, 2)))).unwrap_err();
        assert_eq!(other.code, 2);
        stage.finish();
    });
}

#[test]
fn one_byte_at_a_time_is_slow_and_works() {
    replayed(|| {
        let stage = Stage::new(|home| vec![Listener::unix(home, "u"), Listener::tcp()]);
        for (height, (node, pause)) in (5..).zip(stage.nodes.iter().zip([5000, 200])) {
            let mut wire = node.accept();
            wire.drip = Some(Duration::from_micros(pause));
            let mut link = node.connect_over(wire);
            signed_vote(link.ask(&sign_vote(CHAIN, vote(PREVOTE, height, 1)))).unwrap();
            assert!(link.lives());
        }
        stage.finish();
    });
}

/// `0x22 0x0a 0x20` and a point: what a peer says first.
fn hello(point: [u8; 32]) -> Vec<u8> {
    [&[0x22, 0x0a, 0x20][..], &point].concat()
}

fn point(first: u8, middle: u8, last: u8) -> [u8; 32] {
    let mut point = [middle; 32];
    (point[0], point[31]) = (first, last);
    point
}

/// Nothing but its own hello leaves sigward before the peer's was good: above all no signature of its identity.
#[test]
fn a_bad_handshake_ends_before_sigward_has_signed_anything() {
    replayed(|| {
        let stage = Stage::new(|_| vec![Listener::tcp()]);
        let node = &stage.nodes[0];
        let bad = [
            ("the point 0", hello([0; 32])),
            ("the point 1", hello(point(1, 0, 0))),
            ("the point p - 1", hello(point(0xec, 0xff, 0x7f))),
            ("the point p with the top bit set", hello(point(0xed, 0xff, 0xff))),
            ("no point", b"\x22\x0a\x1f".to_vec()),
            ("HTTP", b"GET / HTTP/1.1\r\n\r\n".to_vec()),
            ("half a hello", hello([9; 32])[..20].to_vec()),
        ];
        for (name, bytes) in bad {
            let mut wire = node.accept();
            wire.write_all(&bytes).unwrap();
            if name == "half a hello" {
                continue;
            }
            assert_eq!(wire.read_to_close().len(), 35, "{name}");
        }
        // Its own hello sent back.
        let mut wire = node.accept();
        let mut own = [0; 35];
        wire.read_exact(&mut own).unwrap();
        wire.write_all(&own).unwrap();
        assert_eq!(wire.read_to_close(), b"");
        // A good point, and then a frame that nobody sealed.
        let mut wire = node.accept();
        wire.write_all(&hello(point(9, 0, 0))).unwrap();
        wire.write_all(&[0x5a; 1044]).unwrap();
        assert_eq!(wire.read_to_close().len(), 35 + 1044);
        assert!(node.connect().lives());
        stage.finish();
    });
}
