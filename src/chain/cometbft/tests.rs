//! Answers of real nodes, answers of odd ones, and a server that misbehaves.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use super::*;

macro_rules! sample {
    ($version:literal, $name:literal) => {
        include_bytes!(concat!(
            "../../../tests/vectors/cometbft-rpc@",
            $version,
            "/",
            $name,
            ".json"
        ))
    };
}

fn code<T: std::fmt::Debug>(outcome: Result<T, RpcError>) -> &'static str {
    outcome.unwrap_err().code.as_str()
}

#[test]
fn the_status_of_real_nodes_is_read() {
    for (json, version) in [
        (&sample!("v0.38.25", "status")[..], "0.38.25"),
        (&sample!("v1.0.1", "status")[..], "1.0.1"),
    ] {
        let status = parse_status(json).unwrap();
        assert_eq!(status.version, version);
        assert!(status.chain_id.as_str().starts_with("test-chain-"));
        assert!(status.latest_height >= 4, "{status:?}");
        assert_eq!(status.earliest_height, 1);
        assert!(!status.catching_up);
        assert_eq!(status.voting_power, 10);
        assert!(status.validator_public_key.is_some() && status.validator_address.is_some());
        assert!(status.latest_time > Timestamp::UNIX_EPOCH);
    }
}

#[test]
fn commits_of_real_nodes_name_who_signed() {
    for (status, second, latest) in [
        (
            &sample!("v0.38.25", "status")[..],
            &sample!("v0.38.25", "commit-height2")[..],
            &sample!("v0.38.25", "commit")[..],
        ),
        (
            &sample!("v1.0.1", "status")[..],
            &sample!("v1.0.1", "commit-height2")[..],
            &sample!("v1.0.1", "commit")[..],
        ),
    ] {
        let own = parse_status(status).unwrap().validator_address.unwrap();
        let (second, latest) = (parse_commit(second).unwrap(), parse_commit(latest).unwrap());
        assert_eq!((second.height, second.canonical), (2, true));
        assert!(latest.height >= 4 && !latest.canonical, "{latest:?}");
        let part = second.signed_by(&own).unwrap();
        assert_eq!(part.flag, BlockIdFlag::Commit);
        assert!(part.timestamp.unwrap() >= second.time);
        assert!(second.signed_by(&Address([7; 20])).is_none());
    }
}

#[test]
fn validators_of_real_nodes_are_read() {
    for json in [
        &sample!("v0.38.25", "validators")[..],
        &sample!("v1.0.1", "validators")[..],
    ] {
        let page = parse_validators(json).unwrap();
        assert_eq!((page.total, page.validators.len()), (1, 1));
        assert_eq!(page.validators[0].voting_power, 10);
    }
}

#[test]
fn a_height_that_the_node_does_not_have_is_the_nodes_error() {
    let error = parse_commit(sample!("v0.38.25", "commit-height1000")).unwrap_err();
    assert_eq!(error.code, RpcCode::NodeError);
    assert!(error.message.contains("less than or equal"), "{error}");
}

#[test]
fn absent_and_nil_signatures_are_told_apart() {
    let text = String::from_utf8(sample!("v0.38.25", "commit-height2").to_vec()).unwrap();
    let own = parse_commit(text.as_bytes()).unwrap().signatures[0]
        .validator
        .unwrap();
    let nil = parse_commit(
        text.replace("\"block_id_flag\":2", "\"block_id_flag\":3")
            .as_bytes(),
    )
    .unwrap();
    assert_eq!(nil.signed_by(&own).unwrap().flag, BlockIdFlag::Nil);
    let absent = text.replace("\"block_id_flag\":2", "\"block_id_flag\":1");
    let absent = parse_commit(absent.as_bytes()).unwrap();
    assert!(absent.signed_by(&own).is_none());
    let odd = text.replace("\"block_id_flag\":2", "\"block_id_flag\":9");
    assert_eq!(code(parse_commit(odd.as_bytes())), "rpc_invalid_answer");
}

#[test]
fn what_is_no_answer_is_refused() {
    for json in [
        &b""[..],
        b"{}",
        b"[]",
        b"null",
        b"<html>",
        br#"{"result":{}}"#,
        br#"{"result":{"block_height":"-1","validators":[]}}"#,
        br#"{"result":{"block_height":"99999999999999999999","validators":[]}}"#,
        br#"{"result":{"block_height":"1","validators":[],"total":"10001"}}"#,
        br#"{"result":{"block_height":"1","validators":[{"address":"00"}]}}"#,
    ] {
        assert_eq!(code(parse_validators(json)), "rpc_invalid_answer");
        assert_eq!(code(parse_status(json)), "rpc_invalid_answer");
        assert_eq!(code(parse_commit(json)), "rpc_invalid_answer");
    }
    let said = parse_status(b"{\"error\":{\"code\":1,\"message\":\"a\\u001b[2Jb\"}}").unwrap_err();
    assert_eq!(said.message, "a [2Jb (1)");
}

#[test]
fn addresses_are_read_strictly() {
    for (text, host, port, path, tls) in [
        ("http://127.0.0.1:26657", "127.0.0.1", 26657, "", false),
        ("tcp://localhost", "localhost", 26657, "", false),
        ("https://rpc.example.com/", "rpc.example.com", 443, "", true),
        (
            "HTTPS://rpc.example.com:8443/a/b/",
            "rpc.example.com",
            8443,
            "/a/b",
            true,
        ),
        ("http://[::1]:1", "::1", 1, "", false),
    ] {
        let url = Url::parse(text).unwrap();
        assert_eq!(
            (&*url.host, url.port, &*url.path, url.tls),
            (host, port, path, tls),
            "{text}"
        );
    }
    for text in [
        "",
        "127.0.0.1:26657",
        "unix:///a",
        "http://",
        "http://a:0",
        "http://a:65536",
        "http://u@a",
        "http://a?x",
        "http://a b",
        "http://[::1",
        "http://[x]:1",
        "http://a/\r\nx: y",
        "http://[::1]x",
        "ftp://a",
    ] {
        assert_eq!(code(Url::parse(text)), "rpc_invalid_url", "{text:?}");
    }
}

/// A server that says `answer` to whoever comes, byte for byte, and then waits.
async fn server(answer: Vec<u8>) -> Client {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut request = [0; 2048];
            let _read = stream.read(&mut request).await;
            let _written = stream.write_all(&answer).await;
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
    Client::new(&url).unwrap().with_timeout(Duration::from_secs(5))
}

fn http(status: &str, body: &[u8]) -> Vec<u8> {
    let head = format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n\r\n", body.len());
    [head.as_bytes(), body].concat()
}

#[tokio::test]
async fn a_real_answer_comes_through_a_connection() {
    let client = server(http("200 OK", sample!("v1.0.1", "status"))).await;
    assert_eq!(client.status().await.unwrap().version, "1.0.1");
    let client = server(http("200 OK", sample!("v0.38.25", "validators"))).await;
    assert_eq!(client.validators(None).await.unwrap().total_power(), 10);
    let client = server(http("500 Error", sample!("v0.38.25", "commit-height1000"))).await;
    assert_eq!(code(client.commit(Some(1000)).await), "rpc_node_error");
}

#[tokio::test]
async fn a_commit_of_another_height_is_not_taken() {
    let client = server(http("200 OK", sample!("v0.38.25", "commit-height2"))).await;
    assert_eq!(client.commit(Some(2)).await.unwrap().height, 2);
    let error = client.commit(Some(3)).await.unwrap_err();
    assert_eq!(error.code, RpcCode::InvalidAnswer);
    assert!(
        error
            .to_string()
            .starts_with("rpc_invalid_answer: http://127.0.0.1:"),
        "{error}"
    );
}

#[tokio::test]
async fn a_server_that_misbehaves_is_named() {
    let redirect =
        b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n".to_vec();
    for (answer, want) in [
        (redirect, "rpc_http_status"),
        (http("404 Not Found", b"<html>"), "rpc_http_status"),
        (http("200 OK", b"<html>"), "rpc_invalid_answer"),
        (b"SSH-2.0-x\r\n".to_vec(), "rpc_unreachable"),
        (
            [&b"HTTP/1.1 200 OK\r\n\r\n"[..], &vec![b' '; MAX_ANSWER + 1]].concat(),
            "rpc_too_large",
        ),
    ] {
        assert_eq!(code(server(answer).await.status().await), want);
    }
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", silent.local_addr().unwrap());
    let client = Client::new(&url).unwrap().with_timeout(Duration::from_millis(50));
    assert_eq!(code(client.status().await), "rpc_timeout");
    drop(silent);
    assert_eq!(code(Client::new(&url).unwrap().status().await), "rpc_unreachable");
}

#[tokio::test]
async fn tls_to_a_server_that_has_none_fails_as_tls() {
    let client = server(http("200 OK", b"{}")).await;
    let url = client.url().replace("http:", "https:");
    assert_eq!(code(Client::new(&url).unwrap().status().await), "rpc_tls");
}
