//! What a probe, a scraper and a hostile neighbour get, over a real socket.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

use super::*;
use crate::clock::SystemClock;
use crate::shutdown::Shutdown;
use crate::telemetry::metrics::Build;
use crate::telemetry::readiness::Weight;
use crate::telemetry::{Metrics, Readiness};

struct Server {
    address: SocketAddr,
    readiness: Readiness,
    shutdown: Shutdown,
    task: JoinHandle<()>,
}

async fn server() -> Server {
    let build = Build {
        version: "1",
        commit: "c",
    };
    let listener = Listener::bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
    let (address, readiness, shutdown) = (listener.address(), Readiness::default(), Shutdown::default());
    let metrics = Metrics::new(build, &SystemClock);
    let task = tokio::spawn(serve(listener, metrics, readiness.clone(), shutdown.clone()));
    Server {
        address,
        readiness,
        shutdown,
        task,
    }
}

impl Server {
    /// Sends `request` and reads until the connection closes.
    async fn raw(&self, request: &str) -> String {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        // A server that has heard enough may close before everything is written.
        let _cut = stream.write_all(request.as_bytes()).await;
        let mut answer = Vec::new();
        let _reset = stream.read_to_end(&mut answer).await;
        String::from_utf8_lossy(&answer).into_owned()
    }

    async fn get(&self, path: &str, host: &str) -> (u16, String) {
        let answer = self
            .raw(&format!(
                "GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"
            ))
            .await;
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        assert!(head.contains("cache-control: no-store"), "{head}");
        (status(head), body.to_owned())
    }
}

fn status(answer: &str) -> u16 {
    answer
        .split(' ')
        .nth(1)
        .unwrap_or_else(|| panic!("no status in {answer:?}"))
        .parse()
        .unwrap()
}

#[tokio::test]
async fn probes_and_scrapers_are_answered() {
    let server = server().await;
    assert_eq!(
        server.get("/livez", "sigward.pod:80").await,
        (200, "ok\n".to_owned())
    );
    let (status, body) = server.get("/metrics", "127.0.0.1").await;
    assert_eq!(status, 200);
    assert!(body.contains("sigward_build_info{version=\"1\",commit=\"c\"} 1") && body.ends_with("# EOF\n"));
}

#[tokio::test]
async fn readiness_says_what_fails_and_what_to_do() {
    let server = server().await;
    assert_eq!(
        server.get("/readyz", "a").await,
        (503, r#"{"failing":[],"ready":false}"#.to_owned())
    );
    let store = server.readiness.check("store", Weight::Required, "see the disk");
    let node = server
        .readiness
        .check("node c-1/n", Weight::Told, "start the node");
    store.fail("disk full");
    node.fail("connection refused");
    assert_eq!(
        server.get("/readyz", "a").await,
        (503, r#"{"failing":["store"],"ready":false}"#.to_owned())
    );
    store.good();
    assert_eq!(
        server.get("/readyz", "a").await,
        (200, r#"{"failing":[],"ready":true}"#.to_owned())
    );
    for query in ["verbose", "verbose=1", "a&verbose"] {
        let (status, body) = server.get(&format!("/readyz?{query}"), "a").await;
        let body: serde_json::Value = serde_json::from_str(&body).unwrap();
        let expected = serde_json::json!({ "ready": true, "checks": [
            { "name": "node c-1/n", "required": false, "status": "failing", "reason": "connection refused",
              "what_to_do": "start the node" },
            { "name": "store", "required": true, "status": "ok" },
        ]});
        assert_eq!((status, body), (200, expected));
    }
}

#[tokio::test]
async fn another_host_method_or_body_is_refused() {
    let server = server().await;
    assert_eq!(server.get("/", "evil.example").await.0, 421);
    assert_eq!(server.get("/", "127.0.0.1:26650").await.0, 404);
    assert_eq!(server.get("/livez/../x", "localhost").await.0, 404);
    for method in ["POST", "HEAD", "PUT", "OPTIONS", "TRACE", "DELETE"] {
        let answer = server
            .raw(&format!(
                "{method} /livez HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
            ))
            .await;
        assert_eq!(status(&answer), 405, "{method}");
    }
    for body in [
        "Content-Length: 3\r\n\r\nabc",
        "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n",
    ] {
        let answer = server
            .raw(&format!("GET /livez HTTP/1.1\r\nHost: a\r\n{body}"))
            .await;
        assert_eq!(status(&answer), 413, "{answer}");
    }
    let two = server
        .raw("GET / HTTP/1.1\r\nHost: localhost\r\nHost: evil\r\nConnection: close\r\n\r\n")
        .await;
    assert!(matches!(status(&two), 400 | 421), "{two}");
    let line = server
        .raw("GET http://evil.example/ HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        .await;
    assert_eq!(status(&line), 421);
}

#[tokio::test]
async fn garbage_and_oversized_heads_close_their_connection_only() {
    let server = server().await;
    let long = format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", "x".repeat(64 << 10));
    let many: String = (0..500).map(|n| format!("h{n}: x\r\n")).collect();
    let many = format!("GET /livez HTTP/1.1\r\nHost: a\r\n{many}\r\n");
    for request in [
        long.as_str(),
        many.as_str(),
        "\0\0\0\0\r\n\r\n",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        "GET\r\n\r\n",
    ] {
        let answer = server.raw(request).await;
        assert!(
            answer.is_empty() || (400..=431).contains(&status(&answer)),
            "{answer}"
        );
        assert_eq!(server.get("/livez", "a").await.0, 200);
    }
}

#[tokio::test]
async fn silent_connections_are_closed_and_make_room() {
    let server = server().await;
    let mut silent = Vec::new();
    for _ in 0..80 {
        silent.push(TcpStream::connect(server.address).await.unwrap());
    }
    let begun = Instant::now();
    assert_eq!(server.get("/livez", "a").await.0, 200);
    assert!(begun.elapsed() < Duration::from_secs(15), "{:?}", begun.elapsed());
}

#[tokio::test]
async fn a_shutdown_ends_idle_connections_and_the_listener() {
    let server = server().await;
    let mut kept = TcpStream::connect(server.address).await.unwrap();
    kept.write_all(b"GET /livez HTTP/1.1\r\nHost: a\r\n\r\n")
        .await
        .unwrap();
    let mut some = [0; 16];
    assert!(kept.read(&mut some).await.unwrap() > 0);
    server.shutdown.begin();
    tokio::time::timeout(Duration::from_secs(5), server.task)
        .await
        .unwrap()
        .unwrap();
    let mut rest = Vec::new();
    let _reset = kept.read_to_end(&mut rest).await;
    assert!(TcpStream::connect(server.address).await.is_err());
}

#[tokio::test]
async fn off_loopback_nothing_is_bound() {
    for address in ["0.0.0.0:0", "[::]:0", "192.0.2.1:1"] {
        assert!(matches!(
            Listener::bind(address.parse().unwrap()).await,
            Err(ListenError::NotLoopback(_))
        ));
    }
    let taken = Listener::bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
    assert!(matches!(
        Listener::bind(taken.address()).await,
        Err(ListenError::Bind { .. })
    ));
}
