//! The file of headers that a collector wants, such as a token: `name: value`, one a line; `#` begins a comment.
//!
//! *Invariants:* it is its owner's file, or it is not read; what stands in it is never told, only where it is wrong.

use std::path::{Path, PathBuf};

use hyper::header::{HeaderMap, HeaderName, HeaderValue};

use crate::tls::{TlsWhat, files};

/// How many headers, and how many bytes of them.
const MOST: usize = 16;
const MOST_BYTES: usize = 8 << 10;
/// Those that are HTTP's, gRPC's or ours to say.
const NOT_HERE: [&str; 10] = [
    "host",
    "te",
    "connection",
    "transfer-encoding",
    "upgrade",
    "keep-alive",
    "user-agent",
    "traceparent",
    "tracestate",
    "trailer",
];

/// A file that cannot be used.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{code}: {}: {why}\n{advice}", file.display())]
pub struct HeadersError {
    code: &'static str,
    file: PathBuf,
    why: String,
    advice: &'static str,
}

/// Reads it.
pub(super) fn read(file: &Path) -> Result<HeaderMap, HeadersError> {
    let bytes = files::read_secret(file).map_err(|error| {
        let (code, advice) = match error.what {
            TlsWhat::Permissions => (
                "otlp_headers_permissions",
                "what it holds is a secret: `chmod 600` it",
            ),
            _ => (
                "otlp_headers_unreadable",
                "put it where [otlp] headers_file says, or take that out",
            ),
        };
        HeadersError {
            code,
            file: file.to_owned(),
            why: error.why,
            advice,
        }
    })?;
    parse(&bytes).map_err(|why| HeadersError {
        code: "otlp_headers_invalid",
        file: file.to_owned(),
        why,
        advice: "write one header a line, such as `authorization: Bearer …`",
    })
}

fn parse(bytes: &[u8]) -> Result<HeaderMap, String> {
    if bytes.len() > MOST_BYTES {
        return Err(format!("it has more than {MOST_BYTES} bytes"));
    }
    let text = std::str::from_utf8(bytes).map_err(|_| "it is not UTF-8".to_owned())?;
    let mut headers = HeaderMap::new();
    for (number, line) in (1..).zip(text.lines()) {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let wrong = |what: &str| format!("line {number}: {what}");
        let (name, value) = line.split_once(':').ok_or_else(|| wrong("no colon"))?;
        let name: HeaderName = name
            .trim()
            .parse()
            .map_err(|_| wrong("no name of a header before the colon"))?;
        let ours = ["content-", "grpc-"]
            .iter()
            .any(|ours| name.as_str().starts_with(ours));
        // gRPC carries others encoded, as bytes.
        if ours || NOT_HERE.contains(&name.as_str()) || name.as_str().ends_with("-bin") {
            return Err(wrong("this header cannot be set"));
        }
        let mut value = HeaderValue::from_str(value.trim()).map_err(|_| wrong("no value of a header"))?;
        value.set_sensitive(true);
        if value.is_empty() || headers.insert(name, value).is_some() {
            return Err(wrong("no value, or the header stands there twice"));
        }
    }
    match headers.len() {
        0 => Err("there is no header in it".to_owned()),
        1..=MOST => Ok(headers),
        _ => Err(format!("it has more than {MOST} headers")),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn headers_are_read_and_what_is_wrong_is_told_by_its_place_alone() {
        let headers = parse(b"# a token\nauthorization: Bearer abc:def\n\nX-Scope-OrgID: 7\n").unwrap();
        assert_eq!(headers.get("authorization").unwrap(), "Bearer abc:def");
        assert_eq!(headers.get("x-scope-orgid").unwrap(), "7");
        assert!(headers.values().all(HeaderValue::is_sensitive));
        let many: String = (0..17).map(|n| format!("h{n}: secret\n")).collect();
        let long = format!("h: {}", "secret".repeat(2000));
        for bad in [
            "",
            "# nothing",
            "secret",
            "a b: secret",
            ": secret",
            "a:",
            "a: 1\nA: secret",
            "host: secret",
            "te: secret",
            "grpc-timeout: secret",
            "content-type: secret",
            "key-bin: secret",
            "a: secret\u{7f}",
            &many,
            &long,
        ] {
            let why = parse(bad.as_bytes()).unwrap_err();
            assert!(!why.contains("secret"), "{bad}: {why}");
        }
        assert!(parse(b"a: \xff").is_err());
    }

    #[test]
    fn a_file_that_others_may_read_is_not_read() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("headers");
        let code = || read(&file).unwrap_err().code;
        assert_eq!(code(), "otlp_headers_unreadable");
        std::fs::write(&file, "a: b").unwrap();
        let set = |mode| std::fs::set_permissions(&file, std::fs::Permissions::from_mode(mode)).unwrap();
        set(0o644);
        assert_eq!(code(), "otlp_headers_permissions");
        set(0o600);
        assert_eq!(read(&file).unwrap().len(), 1);
        std::fs::write(&file, "b").unwrap();
        assert_eq!(code(), "otlp_headers_invalid");
    }
}
