//! Framing in the clear, over a pipe in memory.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::time::Duration;

use proptest::prelude::*;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex};
use tokio::time::timeout;

use super::*;

/// A runtime for the property tests, which are not async.
fn block_on<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
        .block_on(work)
}

fn pair(capacity: usize) -> (Messages<DuplexStream>, DuplexStream) {
    let (near, far) = duplex(capacity);
    (Messages::new(Transport::plain(near)), far)
}

/// Sends bytes, closes, and reads one message.
async fn first(bytes: &[u8]) -> Result<Option<Vec<u8>>, FramingError> {
    let (mut messages, mut far) = pair(1 << 16);
    far.write_all(bytes).await.unwrap();
    drop(far);
    messages.read().await.map(|message| message.map(<[u8]>::to_vec))
}

fn framed(body: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    prost::encoding::encode_varint(body.len() as u64, &mut out);
    out.extend_from_slice(body);
    out
}

#[tokio::test]
async fn a_ping_as_cometbft_frames_it() {
    assert_eq!(first(&[2, 0x3a, 0]).await.unwrap().unwrap(), [0x3a, 0]);
}

#[tokio::test]
async fn an_end_between_messages_is_no_error_and_an_end_inside_one_is() {
    assert!(first(&[]).await.unwrap().is_none());
    for cut in [&[2_u8][..], &[2, 0x3a], &[0x80], &[0x80, 0x80]] {
        assert!(
            matches!(first(cut).await, Err(FramingError::Truncated)),
            "{cut:?}"
        );
    }
}

#[tokio::test]
async fn lengths_that_are_not_minimal_varints_are_refused() {
    let eleven = [0x80; 11];
    let overlong = [0x82, 0x00, 0x3a, 0x00];
    let tenth_too_large = [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x02];
    for bad in [&eleven[..], &overlong, &tenth_too_large, &[0x80, 0x80, 0x00]] {
        assert!(
            matches!(first(bad).await, Err(FramingError::BadLength)),
            "{bad:?}"
        );
    }
}

#[tokio::test]
async fn an_announced_length_above_the_cap_is_refused_before_its_body() {
    for len in [MAX_REQUEST_LEN as u64 + 1, 1 << 31, u64::MAX] {
        let mut bytes = Vec::new();
        prost::encoding::encode_varint(len, &mut bytes);
        assert!(matches!(first(&bytes).await, Err(FramingError::RequestTooLong { len: l }) if l == len));
    }
    assert!(matches!(first(b"GET / HTTP/1.1\r\n").await, Ok(Some(_)) | Err(_)));
}

#[tokio::test]
async fn the_largest_message_is_read_and_its_memory_given_back() {
    let (mut messages, mut far) = pair(1 << 16);
    let body = vec![0xab; MAX_REQUEST_LEN];
    let sent = [framed(&body), framed(b"next")].concat();
    let writer = tokio::spawn(async move { far.write_all(&sent).await.map(|()| far) });
    assert!(messages.read().await.unwrap().unwrap() == body);
    assert_eq!(messages.read().await.unwrap().unwrap(), b"next");
    drop(writer.await.unwrap());
    assert!(messages.read().await.unwrap().is_none());
}

#[tokio::test]
async fn a_reader_that_is_cancelled_at_every_byte_loses_nothing() {
    let (mut messages, mut far) = pair(64);
    let sent = [framed(&[1; 300]), framed(&[]), framed(&[2; 5])].concat();
    let mut got = Vec::new();
    for byte in sent {
        far.write_all(&[byte]).await.unwrap();
        // A read that is ready at once finishes; any other is dropped here, at its only await.
        while let Ok(Ok(Some(message))) = timeout(Duration::ZERO, messages.read()).await {
            got.push(message.to_vec());
        }
    }
    assert_eq!(got, [vec![1; 300], vec![], vec![2; 5]]);
}

#[tokio::test]
async fn a_reply_is_at_most_what_every_node_reads() {
    let (mut messages, mut far) = pair(1 << 16);
    for len in [0, 1, 127, 128, 1000, MAX_REPLY_LEN] {
        let body = vec![0x11; len];
        messages.write(|out| out.extend_from_slice(&body)).await.unwrap();
        let mut got = vec![0; framed(&body).len()];
        far.read_exact(&mut got).await.unwrap();
        assert_eq!(got, framed(&body));
    }
    let refused = messages
        .write(|out| out.extend_from_slice(&[0; MAX_REPLY_LEN + 1]))
        .await;
    assert!(matches!(refused, Err(FramingError::ReplyTooLong { len }) if len == MAX_REPLY_LEN + 1));
    // Nothing of it was sent: the stream still works.
    messages.write(|out| out.extend_from_slice(b"ok")).await.unwrap();
    let mut got = [0; 3];
    far.read_exact(&mut got).await.unwrap();
    assert_eq!(&got, b"\x02ok");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn messages_come_out_as_they_went_in_however_the_stream_is_cut(
        bodies in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..3000), 0..6),
        capacity in 1_usize..2000,
    ) {
        block_on(async {
            let (mut messages, mut far) = pair(capacity);
            let sent: Vec<u8> = bodies.iter().flat_map(|body| framed(body)).collect();
            let writer = tokio::spawn(async move { far.write_all(&sent).await });
            for body in &bodies {
                assert_eq!(messages.read().await.unwrap().unwrap(), body);
            }
            assert!(messages.read().await.unwrap().is_none());
            writer.await.unwrap().unwrap();
        });
    }

    #[test]
    fn any_bytes_are_read_without_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
        block_on(async {
            let (mut messages, mut far) = pair(1 << 12);
            far.write_all(&bytes).await.unwrap();
            drop(far);
            while let Ok(Some(_)) = messages.read().await {}
        });
    }

    #[test]
    fn lengths_are_read_as_they_are_written(len in 0..=MAX_REQUEST_LEN) {
        let mut bytes = Vec::new();
        prost::encoding::encode_varint(len as u64, &mut bytes);
        prop_assert_eq!(decode_length(&bytes).unwrap(), Some((bytes.len(), len)));
        prop_assert_eq!(decode_length(&bytes[..bytes.len() - 1]).unwrap(), None);
    }
}
