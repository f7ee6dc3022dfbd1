//! One HTTP request on a fresh loopback connection: enough for a node's RPC and for `/livez`, `/readyz`, `/metrics`.
//!
//! HTTP/1.0, so that the answer ends with the connection and is never chunked (RFC 9112, section 7.1).

use std::io::{Error, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::Duration;

use serde_json::Value;

/// What came back.
pub(crate) struct Response {
    pub(crate) status: u16,
    pub(crate) body: String,
}

/// `GET http://127.0.0.1:port/path`.
pub(crate) fn get(port: u16, path: &str) -> std::io::Result<Response> {
    let limit = Duration::from_secs(5);
    let mut stream = TcpStream::connect_timeout(&SocketAddr::from((Ipv4Addr::LOCALHOST, port)), limit)?;
    stream.set_read_timeout(Some(limit))?;
    stream.set_write_timeout(Some(limit))?;
    write!(
        stream,
        "GET {path} HTTP/1.0\r\nHost: 127.0.0.1:{port}\r\nAccept: */*\r\n\r\n"
    )?;
    let mut raw = Vec::new();
    stream.read_to_end(&mut raw)?;
    let text = String::from_utf8(raw).map_err(Error::other)?;
    let (head, body) = text
        .split_once("\r\n\r\n")
        .ok_or_else(|| Error::other("no end of headers"))?;
    let status = head.split(' ').nth(1).and_then(|word| word.parse().ok());
    let status = status.ok_or_else(|| Error::other(format!("no status in {head:?}")))?;
    Ok(Response {
        status,
        body: body.to_owned(),
    })
}

/// The `result` of a CometBFT RPC method; `None` while the node does not answer or answers with an error.
pub(crate) fn rpc(port: u16, path: &str) -> Option<Value> {
    let response = get(port, path).ok()?;
    let mut answer: Value = serde_json::from_str(&response.body).ok()?;
    Some(answer.get_mut("result")?.take()).filter(|result| !result.is_null())
}
