//! Peers that cheat, stammer or hang up (after `p2p/conn/evil_secret_connection_test.go`, and further).

use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex};
use tokio::time::timeout;

use super::super::*;
use super::TestIdentity;
use crate::listener::privval::framing::{FramingError, Messages};
use crate::listener::privval::transport::Transport;

/// A peer that is driven by hand, with honest parts to choose from.
struct Peer {
    io: DuplexStream,
}

type Ours = tokio::task::JoinHandle<Result<SecretConnection<DuplexStream>, ConnectionError>>;

impl Peer {
    fn connect() -> (Self, Ours) {
        let (near, io) = duplex(1 << 16);
        let ours =
            tokio::spawn(async move { SecretConnection::handshake(near, &TestIdentity::new([1; 32])).await });
        (Self { io }, ours)
    }

    async fn hello(&mut self) -> [u8; HELLO_LEN] {
        let mut hello = [0; HELLO_LEN];
        self.io.read_exact(&mut hello).await.unwrap();
        hello
    }

    /// An honest hello, up to where the authentications are sent.
    async fn exchange(&mut self) -> AwaitingAuth {
        let mine = AwaitingHello::start().unwrap();
        self.io.write_all(&mine.hello()).await.unwrap();
        mine.receive(&self.hello().await).unwrap()
    }

    /// An honest handshake to its end.
    async fn establish(&mut self) -> Established {
        let mut awaiting = self.exchange().await;
        let mut out = Vec::new();
        awaiting
            .authenticate(&TestIdentity::new([2; 32]), &mut out)
            .unwrap();
        self.io.write_all(&out).await.unwrap();
        let mut frame = [0; SEALED_LEN];
        self.io.read_exact(&mut frame).await.unwrap();
        match awaiting.receive(&mut frame).unwrap() {
            Step::Done(established) => established,
            Step::More(_) => panic!("our own side sends one frame"),
        }
    }
}

fn protocol(result: Result<SecretConnection<DuplexStream>, ConnectionError>) -> ProtocolError {
    match result {
        Err(ConnectionError::Protocol(error)) => error,
        Err(other) => panic!("{other}"),
        Ok(_) => panic!("the handshake succeeded"),
    }
}

/// Runs a handshake in which the peer sends this hello and hangs up.
async fn with_hello(hello: &[u8]) -> Result<SecretConnection<DuplexStream>, ConnectionError> {
    let (mut peer, ours) = Peer::connect();
    peer.io.write_all(hello).await.unwrap();
    peer.hello().await;
    drop(peer);
    ours.await.unwrap()
}

fn hello_with(key: [u8; 32]) -> Vec<u8> {
    [&[0x22, 0x0a, 0x20][..], &key].concat()
}

#[tokio::test]
async fn a_low_order_ephemeral_key_is_refused() {
    for point in ["00", "01", "ec", "ed", "ee"] {
        let first = u8::from_str_radix(point, 16).unwrap();
        for last in [0x00, 0x80] {
            let mut key = [if first > 1 { 0xff } else { 0 }; 32];
            key[0] = first;
            key[31] = if first > 1 { 0x7f | last } else { last };
            assert_eq!(
                protocol(with_hello(&hello_with(key)).await),
                ProtocolError::LowOrderPoint
            );
        }
    }
}

#[tokio::test]
async fn our_own_ephemeral_key_sent_back_is_refused() {
    let (mut peer, ours) = Peer::connect();
    let hello = peer.hello().await;
    peer.io.write_all(&hello).await.unwrap();
    assert_eq!(protocol(ours.await.unwrap()), ProtocolError::ReflectedKey);
}

#[tokio::test]
async fn a_peer_that_speaks_something_else_is_turned_away_at_its_first_bytes() {
    for start in [
        &b"HTTP/1.1 400 Bad Request\r\n"[..],
        b"\x16\x03\x01",
        b"\x22\x0b",
        b"\x22\x0a\x21",
    ] {
        let (mut peer, ours) = Peer::connect();
        peer.io.write_all(start).await.unwrap();
        // The peer stays: no end of stream is needed to see it.
        let result = timeout(Duration::from_secs(5), ours).await.unwrap().unwrap();
        assert_eq!(protocol(result), ProtocolError::HelloMalformed);
    }
}

#[tokio::test]
async fn a_hello_that_ends_early_is_an_error() {
    for len in [0, 1, 3, 34] {
        let result = with_hello(&hello_with([9; 32])[..len]).await;
        assert!(matches!(
            result,
            Err(ConnectionError::Truncated {
                during: "the handshake"
            } | ConnectionError::Io(_))
        ));
    }
}

#[tokio::test]
async fn an_honest_hello_and_then_silence_waits_for_the_callers_timeout() {
    let (mut peer, ours) = Peer::connect();
    let _awaiting = peer.exchange().await;
    assert!(timeout(Duration::from_millis(20), ours).await.is_err());
}

/// What our side says to an authentication message with this plaintext.
async fn with_auth(make: impl FnOnce([u8; 103]) -> Vec<u8>) -> ProtocolError {
    let (mut peer, ours) = Peer::connect();
    let mut awaiting = peer.exchange().await;
    let honest = super::super::auth::encode(&TestIdentity::new([2; 32]), &awaiting.challenge_for_tests());
    let mut out = Vec::new();
    awaiting
        .sealer_for_tests()
        .seal(&make(honest.try_into().unwrap()), &mut out)
        .unwrap();
    peer.io.write_all(&out).await.unwrap();
    protocol(ours.await.unwrap())
}

#[tokio::test]
async fn a_wrong_signature_over_the_challenge_is_refused() {
    let flip = |at: usize| {
        move |mut auth: [u8; 103]| {
            auth[at] ^= 1;
            auth.to_vec()
        }
    };
    assert_eq!(with_auth(flip(102)).await, ProtocolError::AuthSignature);
    assert_eq!(with_auth(flip(39)).await, ProtocolError::AuthSignature);
    // Another key's bytes: not the one that signed.
    assert_eq!(with_auth(flip(5)).await, ProtocolError::AuthSignature);
    // The neutral point as a key, with which some verifiers accept anything.
    let weak = |mut auth: [u8; 103]| {
        auth[5..37].copy_from_slice(&[0; 32]);
        auth[5] = 1;
        auth[39..].fill(0);
        auth[39] = 1;
        auth.to_vec()
    };
    assert_eq!(with_auth(weak).await, ProtocolError::AuthSignature);
}

#[tokio::test]
async fn a_key_that_is_not_ed25519_is_refused() {
    // PublicKey{secp256k1: 33 bytes}, signature of 64.
    let secp = |_| {
        [
            &[0x67, 0x0a, 0x23, 0x12, 0x21][..],
            &[2; 33],
            &[0x12, 0x40],
            &[7; 64],
        ]
        .concat()
    };
    assert_eq!(with_auth(secp).await, ProtocolError::AuthKeyType);
}

#[tokio::test]
async fn an_authentication_that_is_not_the_one_legal_encoding_is_refused() {
    let longer = |auth: [u8; 103]| [&auth[..], &[0]].concat();
    assert_eq!(with_auth(longer).await, ProtocolError::AuthMalformed);
    assert_eq!(with_auth(|_| vec![0; 103]).await, ProtocolError::AuthMalformed);
    assert_eq!(
        with_auth(|_| b"hello".to_vec()).await,
        ProtocolError::AuthMalformed
    );
    let other_middle = |mut auth: [u8; 103]| {
        auth[37] = 0x1a;
        auth.to_vec()
    };
    assert_eq!(with_auth(other_middle).await, ProtocolError::AuthMalformed);
}

#[tokio::test]
async fn our_own_authentication_sent_back_does_not_open() {
    let (mut peer, ours) = Peer::connect();
    let _awaiting = peer.exchange().await;
    let mut frame = [0; SEALED_LEN];
    peer.io.read_exact(&mut frame).await.unwrap();
    peer.io.write_all(&frame).await.unwrap();
    assert_eq!(protocol(ours.await.unwrap()), ProtocolError::FrameTag);
}

/// What our side reads of these bytes, made by an honest sealer and then mistreated, before the peer hangs up.
async fn with_frames(make: impl FnOnce(&mut Sealer) -> Vec<u8>) -> (Vec<Vec<u8>>, Option<FramingError>) {
    let (mut peer, ours) = Peer::connect();
    let mut established = peer.establish().await;
    let mut messages = Messages::new(Transport::secret(ours.await.unwrap().unwrap()));
    peer.io.write_all(&make(&mut established.sealer)).await.unwrap();
    drop(peer);
    let mut got = Vec::new();
    loop {
        match messages.read().await {
            Ok(Some(message)) => got.push(message.to_vec()),
            Ok(None) => return (got, None),
            Err(error) => {
                // Once failed, for ever failed: no later frame is believed.
                assert!(messages.read().await.is_err());
                return (got, Some(error));
            }
        }
    }
}

fn frames(sealer: &mut Sealer, messages: &[&[u8]]) -> Vec<u8> {
    let mut out = Vec::new();
    for message in messages {
        sealer.seal(message, &mut out).unwrap();
    }
    out
}

fn is(error: Option<FramingError>, expected: ProtocolError) -> bool {
    matches!(error, Some(FramingError::Connection(ConnectionError::Protocol(error))) if error == expected)
}

#[tokio::test]
async fn honest_frames_are_read_and_the_end_is_clean() {
    let (got, error) =
        with_frames(|sealer| frames(sealer, &[b"\x02ab", b"\x03c", b"de\x00", b"\x01f"])).await;
    assert_eq!(got, [&b"ab"[..], b"cde", b"", b"f"]);
    assert!(error.is_none(), "{error:?}");
}

#[tokio::test]
async fn a_flipped_bit_anywhere_ends_the_connection() {
    for at in [0, 4, 600, 1028, 1043] {
        let (got, error) = with_frames(|sealer| {
            let mut out = frames(sealer, &[b"\x02ab"]);
            out[at] ^= 0x80;
            out
        })
        .await;
        assert!(got.is_empty() && is(error, ProtocolError::FrameTag), "{at}");
    }
}

#[tokio::test]
async fn replayed_reordered_and_dropped_frames_end_the_connection() {
    let replayed = with_frames(|sealer| frames(sealer, &[b"\x02ab"]).repeat(2)).await;
    let swapped = with_frames(|sealer| {
        let mut out = frames(sealer, &[b"\x02ab", b"\x02cd"]);
        out.rotate_left(SEALED_LEN);
        out
    })
    .await;
    let dropped = with_frames(|sealer| frames(sealer, &[b"\x02ab", b"\x02cd"]).split_off(SEALED_LEN)).await;
    // A message that came before the fault is delivered, however the bytes were cut on their way.
    assert_eq!(
        [&replayed.0, &swapped.0, &dropped.0],
        [&vec![b"ab".to_vec()], &vec![], &vec![]]
    );
    for (_, error) in [replayed, swapped, dropped] {
        assert!(is(error, ProtocolError::FrameTag));
    }
}

#[tokio::test]
async fn an_end_inside_a_frame_or_between_the_frames_of_a_message_is_an_error() {
    for cut in [1, 1043] {
        let (got, error) = with_frames(|sealer| frames(sealer, &[b"\x02ab"])[..cut].to_vec()).await;
        assert!(got.is_empty());
        assert!(matches!(
            error,
            Some(FramingError::Connection(ConnectionError::Truncated {
                during: "a frame"
            }))
        ));
    }
    let (_, error) = with_frames(|sealer| frames(sealer, &[b"\x05ab"])).await;
    assert!(matches!(error, Some(FramingError::Truncated)));
}

#[tokio::test]
async fn an_oversized_message_is_refused_inside_the_secret_connection_too() {
    let (_, error) = with_frames(|sealer| frames(sealer, &[b"\xff\xff\xff\x7f"])).await;
    assert!(matches!(error, Some(FramingError::RequestTooLong { .. })));
}

#[tokio::test]
async fn a_drip_of_single_bytes_works_even_when_every_read_is_cancelled() {
    let (mut peer, ours) = Peer::connect();
    let mut established = peer.establish().await;
    let mut messages = Messages::new(Transport::secret(ours.await.unwrap().unwrap()));
    let body = vec![0x77; 1500];
    let framed = [&[0xdc, 0x0b][..], &body].concat();
    let sealed = frames(&mut established.sealer, &[&framed]);
    assert_eq!(sealed.len(), 2 * SEALED_LEN);
    for (index, byte) in sealed.iter().enumerate() {
        peer.io.write_all(&[*byte]).await.unwrap();
        let read = timeout(Duration::ZERO, messages.read()).await;
        assert_eq!(read.is_ok(), index == sealed.len() - 1, "{index}");
        if let Ok(message) = read {
            assert_eq!(message.unwrap().unwrap(), body);
        }
    }
}

#[tokio::test]
async fn a_handshake_that_drips_byte_by_byte_works() {
    let (near, io) = duplex(1);
    let (mut peer, ours) = (
        Peer { io },
        tokio::spawn(async move { SecretConnection::handshake(near, &TestIdentity::new([1; 32])).await }),
    );
    let mine = AwaitingHello::start().unwrap();
    // A pipe of one byte: hellos must be written and read at once.
    let hello = mine.hello();
    let (mut read, mut write) = tokio::io::split(&mut peer.io);
    let mut theirs = [0; HELLO_LEN];
    let (written, got) = tokio::join!(write.write_all(&hello), read.read_exact(&mut theirs));
    written.unwrap();
    got.unwrap();
    let mut awaiting = mine.receive(&theirs).unwrap();
    let mut out = Vec::new();
    awaiting
        .authenticate(&TestIdentity::new([2; 32]), &mut out)
        .unwrap();
    let mut frame = [0; SEALED_LEN];
    let (written, got) = tokio::join!(write.write_all(&out), read.read_exact(&mut frame));
    written.unwrap();
    got.unwrap();
    assert!(matches!(awaiting.receive(&mut frame), Ok(Step::Done(_))));
    ours.await.unwrap().unwrap();
}
