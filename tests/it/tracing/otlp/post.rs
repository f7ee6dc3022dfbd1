//! Traces by HTTP, with TLS and a header that is a secret; and every byte that went out, searched for what must not be in it.

use std::io::{BufRead as _, BufReader, Read, Write};
use std::net::TcpListener;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use prost::Message as _;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};

use super::collector::{Span, spans};
use super::{secret, send_to};
use crate::support::fake_node::Ask;
use crate::support::poll;
use crate::support::scene::Scene;

const PATIENCE: Duration = Duration::from_secs(30);

/// A request: its head, and its body as it came.
#[derive(Clone)]
struct Posted {
    head: String,
    body: Vec<u8>,
}

/// A collector that takes POSTs, by TLS where it is given files.
pub(crate) struct Post {
    pub(crate) port: u16,
    got: Arc<Mutex<Vec<Posted>>>,
}

impl Post {
    pub(crate) fn start(tls: Option<(&Path, &Path)>) -> Self {
        let socket = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = socket.local_addr().unwrap().port();
        let got: Arc<Mutex<Vec<Posted>>> = Arc::default();
        let into = got.clone();
        let tls = tls.map(|(certificate, key)| Arc::new(server(certificate, key)));
        std::thread::spawn(move || {
            for stream in socket.incoming() {
                let stream = stream.unwrap();
                let posted = match &tls {
                    None => serve(stream),
                    Some(config) => serve(StreamOwned::new(
                        ServerConnection::new(config.clone()).unwrap(),
                        stream,
                    )),
                };
                into.lock().unwrap().extend(posted);
            }
        });
        Self { port, got }
    }

    fn posted(&self) -> Vec<Posted> {
        self.got.lock().unwrap().clone()
    }

    /// Every byte of every body, as it came.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        self.posted().into_iter().flat_map(|posted| posted.body).collect()
    }

    pub(crate) fn spans(&self) -> Vec<Span> {
        let decode = |posted: Posted| ExportTraceServiceRequest::decode(posted.body.as_slice()).unwrap();
        let all: Vec<_> = self.posted().into_iter().map(decode).collect();
        spans(&all)
    }
}

fn server(certificate: &Path, key: &Path) -> ServerConfig {
    let chain = CertificateDer::pem_file_iter(certificate)
        .unwrap()
        .map(Result::unwrap)
        .collect();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, PrivateKeyDer::from_pem_file(key).unwrap())
        .unwrap()
}

/// None for whoever broke off.
fn serve(stream: impl Read + Write) -> Option<Posted> {
    let mut stream = BufReader::new(stream);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if stream.read_line(&mut head).ok()? == 0 {
            return None;
        }
    }
    let length = head.lines().find_map(|line| {
        line.to_lowercase()
            .strip_prefix("content-length: ")
            .map(str::to_owned)
    })?;
    let mut body = vec![0; length.parse().ok()?];
    stream.read_exact(&mut body).ok()?;
    let stream = stream.get_mut();
    stream
        .write_all(b"HTTP/1.1 200 OK\r\ncontent-type: application/x-protobuf\r\ncontent-length: 0\r\n\r\n")
        .ok()?;
    stream.flush().ok()?;
    Some(Posted { head, body })
}

pub(crate) fn holds(bytes: &[u8], what: &[u8]) -> bool {
    bytes.windows(what.len()).any(|window| window == what)
}

#[test]
fn nothing_that_was_signed_nor_any_secret_is_in_what_goes_out() {
    let mut scene = Scene::new();
    scene.signer.run(&["pki", "init"]);
    scene
        .signer
        .run(&["pki", "server", "--name", "localhost", "--ip", "127.0.0.1"]);
    let pki = scene.signer.home().join("pki");
    let server = pki.join("server");
    let collector = Post::start(Some((&server.join("server.crt"), &server.join("server.key"))));
    let headers = scene.signer.home().join("otlp.headers");
    secret(
        &headers,
        "# of the collector\nauthorization: Bearer collectors-secret\n",
        0o600,
    );
    send_to(
        &scene.signer,
        &format!("https://localhost:{}", collector.port),
        &[
            ("protocol", "http/protobuf".into()),
            ("ca_file", "pki/ca.crt".into()),
            ("headers_file", "otlp.headers".into()),
        ],
    );
    scene.start();
    scene.sign(1..=20);
    let conflict = scene.ask(Ask::prevote(20, 1).conflicting());
    assert_eq!(conflict.refusal(), "double_sign_conflict");
    scene.signer.run(&["keys", "list"]);
    let key = scene.signer.json(&["keys", "show", "validator", "--json"]);
    let votes = || {
        let spans = collector.spans();
        spans
            .iter()
            .filter(|span| span.name == "sign.cometbft.prevote")
            .count()
    };
    assert!(
        poll(PATIENCE, || (votes() >= 21).then_some(())).is_some(),
        "{}",
        scene.signer.log_tail()
    );
    scene.signer.terminate();
    let spans = collector.spans();
    assert!(spans.iter().any(|span| span.name == "sigward.v1.KeyService/List"));

    let posted = collector.posted();
    for Posted { head, .. } in &posted {
        assert!(head.starts_with("POST /v1/traces HTTP/1.1\r\n"), "{head}");
        assert!(
            head.contains("\r\nauthorization: Bearer collectors-secret\r\n"),
            "{head}"
        );
        assert!(
            head.contains("\r\ncontent-type: application/x-protobuf\r\n"),
            "{head}"
        );
    }
    let bytes = collector.bytes();
    assert!(holds(&bytes, b"sign.cometbft.prevote"), "the search works");
    let mut secrets: Vec<Vec<u8>> = (1..=20)
        .map(|height| scene.node_signature(height).to_vec())
        .collect();
    // Of a block's hash, 32 of these: sign bytes are not without it.
    secrets.push(vec![1; 8]);
    let public = key["public_key_base64"].as_str().unwrap();
    secrets.push(base64::Engine::decode(&base64::prelude::BASE64_STANDARD, public).unwrap());
    secrets.push(public.as_bytes().to_vec());
    for signature in secrets.clone() {
        secrets.push(hex::encode(&signature).into_bytes());
        secrets.push(hex::encode_upper(&signature).into_bytes());
        let base64 = base64::Engine::encode(&base64::prelude::BASE64_STANDARD, &signature);
        secrets.push(base64.into_bytes());
    }
    secrets.push(b"collectors-secret".to_vec());
    for what in &secrets {
        assert!(!holds(&bytes, what), "{}", String::from_utf8_lossy(what));
    }
    let log = scene.log();
    assert!(!log.contains("collectors-secret"), "{log}");
}
