//! Both directions against `cometbft-p2p`, an independent implementation.

use cometbft_p2p::{AsyncReadMsg as _, AsyncSecretConnection, AsyncWriteMsg as _, IdentitySecret, PublicKey};
use tokio::io::{DuplexStream, duplex};

use super::super::*;
use super::TestIdentity;
use crate::listener::privval::framing::{MAX_REPLY_LEN, Messages};
use crate::listener::privval::transport::Transport;

const OURS: [u8; 32] = [0x11; 32];
const THEIRS: [u8; 32] = [0x22; 32];

/// `google.protobuf.BytesValue` with this many bytes of value; prost encodes a `Vec<u8>` as one.
fn value(len: usize) -> Vec<u8> {
    (0..len).map(|index| (index % 251) as u8 + 1).collect()
}

async fn pair(capacity: usize) -> (Messages<DuplexStream>, AsyncSecretConnection<DuplexStream>) {
    let (near, far) = duplex(capacity);
    let identity = TestIdentity::new(OURS);
    let secret = IdentitySecret::from_bytes(&THEIRS);
    let (ours, theirs) = tokio::join!(
        SecretConnection::handshake(near, &identity),
        AsyncSecretConnection::new(far, &secret),
    );
    let (ours, theirs) = (ours.unwrap(), theirs.unwrap());
    let PublicKey::Ed25519(key) = theirs.peer_public_key();
    assert_eq!(key.to_bytes(), identity.public_key());
    assert_eq!(
        ours.peer().to_string(),
        theirs.local_public_key().peer_id().to_string().to_lowercase()
    );
    (Messages::new(Transport::secret(ours)), theirs)
}

/// Lengths of values whose framed encodings lie around what fits a frame, and up to the oracle's cap of
/// 1 MiB for a message with its prefix.
const LENGTHS: [usize; 13] = [
    0,
    1,
    1000,
    1018,
    1019,
    1020,
    1021,
    1023,
    1024,
    1025,
    2048,
    10_000,
    (1 << 20) - 16,
];

#[tokio::test]
async fn the_oracle_is_understood_at_every_length() {
    let (mut ours, mut theirs) = pair(1 << 14).await;
    let writer = tokio::spawn(async move {
        for len in LENGTHS {
            theirs.write_msg(value(len)).await.unwrap();
        }
    });
    for len in LENGTHS {
        let body = ours.read().await.unwrap().unwrap();
        let decoded = <Vec<u8> as prost::Message>::decode(body).unwrap();
        assert!(decoded == value(len), "{len}");
    }
    writer.await.unwrap();
    assert!(ours.read().await.unwrap().is_none());
}

#[tokio::test]
async fn the_oracle_understands_us_at_every_length_of_a_reply() {
    let (mut ours, mut theirs) = pair(1 << 14).await;
    for len in LENGTHS.into_iter().filter(|len| *len < MAX_REPLY_LEN - 16) {
        ours.write(|out| prost::Message::encode(&value(len), out).unwrap())
            .await
            .unwrap();
        assert!(theirs.read_msg::<Vec<u8>>().await.unwrap() == value(len), "{len}");
    }
}

#[tokio::test]
async fn the_oracle_understands_a_message_of_a_mebibyte() {
    let (near, far) = duplex(1 << 14);
    let identity = TestIdentity::new(OURS);
    let secret = IdentitySecret::from_bytes(&THEIRS);
    let (ours, theirs) = tokio::join!(
        SecretConnection::handshake(near, &identity),
        AsyncSecretConnection::new(far, &secret),
    );
    let (mut ours, mut theirs) = (ours.unwrap(), theirs.unwrap());
    let message = prost::Message::encode_length_delimited_to_vec(&value((1 << 20) - 16));
    let sent = tokio::spawn(async move { ours.send(&message).await });
    assert!(theirs.read_msg::<Vec<u8>>().await.unwrap() == value((1 << 20) - 16));
    sent.await.unwrap().unwrap();
}

#[tokio::test]
async fn the_oracle_reads_and_writes_through_a_pipe_of_one_byte() {
    let (mut ours, mut theirs) = pair(1).await;
    let writer = tokio::spawn(async move {
        theirs.write_msg(value(3000)).await.unwrap();
        theirs.read_msg::<Vec<u8>>().await.unwrap()
    });
    let body = ours.read().await.unwrap().unwrap();
    assert_eq!(<Vec<u8> as prost::Message>::decode(body).unwrap(), value(3000));
    ours.write(|out| prost::Message::encode(&value(2000), out).unwrap())
        .await
        .unwrap();
    assert_eq!(writer.await.unwrap(), value(2000));
}

#[tokio::test]
async fn many_handshakes_so_that_either_side_is_the_smaller_one() {
    for _ in 0..16 {
        let (mut ours, mut theirs) = pair(1 << 12).await;
        theirs.write_msg(value(5)).await.unwrap();
        assert!(ours.read().await.unwrap().is_some());
    }
}

#[tokio::test]
async fn a_connection_at_rest_costs_less_than_17_kib_even_after_large_messages() {
    let (mut ours, mut theirs) = pair(1 << 14).await;
    for len in [1 << 19, 100] {
        let writer = async { theirs.write_msg(value(len)).await.unwrap() };
        let reader = async { assert!(ours.read().await.unwrap().is_some()) };
        tokio::join!(writer, reader);
        ours.write(|out| prost::Message::encode(&value(9000), out).unwrap())
            .await
            .unwrap();
        assert_eq!(theirs.read_msg::<Vec<u8>>().await.unwrap(), value(9000));
    }
    let held = ours.capacity() + size_of::<SecretConnection<tokio::net::TcpStream>>();
    assert!(held < 17 << 10, "{held}");
}
