//! `[otlp]`: who collects traces. In programs that were built with the feature `otel`; in others the table is refused, and not passed over.
//!
//! *Invariant:* no secret stands here, and none leaves this machine without TLS; what is not in the file is the default, whatever the
//! environment says (`OTEL_…`).

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use toml::Spanned;

use super::audit::is_loopback;
use super::error::{ConfigCode, ConfigError, quote};
use super::raw::{RawOtlp, Text};
use super::rpc::RpcUrl;
use super::suggest;
use super::validate::{Source, number};

/// Longest patience with a collector.
const MOST_MS: u64 = 60_000;

/// `[otlp]`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct OtlpConfig {
    /// The collector: https, or http on loopback.
    pub endpoint: RpcUrl,
    /// What is spoken with it.
    pub protocol: OtlpProtocol,
    /// The authorities of its certificate; none: those of the machine.
    pub ca_file: Option<PathBuf>,
    /// Headers that it wants, such as a token.
    pub headers_file: Option<PathBuf>,
    /// The share of the traces that begin here.
    pub sample: Sample,
    /// How long it may take for an answer.
    pub timeout: Duration,
}

/// What is spoken with a collector (OTLP 1, "OTLP/gRPC" and "OTLP/HTTP").
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum OtlpProtocol {
    /// gRPC.
    Grpc,
    /// Protobuf, POSTed.
    HttpProtobuf,
}

/// A share, from 0 to 1, in millionths.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Sample(u32);

/// Whether a program can send traces.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Built {
    With,
    Without,
}

const MILLIONTHS: f64 = 1_000_000.0;

impl Built {
    pub(super) const OF_THIS_PROGRAM: Self = if cfg!(feature = "otel") {
        Self::With
    } else {
        Self::Without
    };
}

impl Sample {
    /// All of them.
    pub const ALL: Self = Self(1_000_000);

    fn new(share: f64) -> Option<Self> {
        #[allow(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a share of a million"
        )]
        (0.0..=1.0)
            .contains(&share)
            .then(|| Self((share * MILLIONTHS).round() as u32))
    }

    /// As a share of 1.
    pub fn share(self) -> f64 {
        f64::from(self.0) / MILLIONTHS
    }
}

impl OtlpProtocol {
    const NAMES: [&str; 2] = ["grpc", "http/protobuf"];

    /// As the file has it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Grpc => "grpc",
            Self::HttpProtobuf => "http/protobuf",
        }
    }
}

impl fmt::Display for OtlpConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            endpoint,
            protocol,
            ca_file,
            headers_file,
            sample,
            timeout,
        } = self;
        write!(f, "{endpoint} ({}, sample {}", protocol.as_str(), sample.share())?;
        write!(f, ", timeout {} ms", timeout.as_millis())?;
        for (name, path) in [("ca", ca_file), ("headers", headers_file)] {
            if let Some(path) = path {
                write!(f, ", {name} {}", quote(&path.to_string_lossy()))?;
            }
        }
        f.write_str(")")
    }
}

pub(super) fn otlp(
    raw: Option<&Spanned<RawOtlp>>,
    source: &Source<'_>,
    built: Built,
) -> Result<Option<OtlpConfig>, ConfigError> {
    let Some(spanned) = raw else { return Ok(None) };
    let raw = spanned.as_ref();
    if built == Built::Without {
        let message = "this sigward was built without OpenTelemetry: it cannot send traces";
        let advice =
            "take [otlp] out, or build with `cargo build --release --features otel` (docs/tracing.md)";
        return Err(ConfigError::new(ConfigCode::NotBuiltIn, message, advice)
            .at(source.text, &spanned.span())
            .key("otlp"));
    }
    let endpoint = raw.endpoint.as_ref().ok_or_else(|| {
        let advice = "write that of a collector, such as http://127.0.0.1:4317, or take the table out";
        source.bad(spanned, "otlp.endpoint", "[otlp] has no endpoint", advice)
    })?;
    let protocol = match &raw.protocol {
        None => OtlpProtocol::Grpc,
        Some(given) => match given.as_ref().as_str() {
            "grpc" => OtlpProtocol::Grpc,
            "http/protobuf" => OtlpProtocol::HttpProtobuf,
            other => {
                let message = format!("unknown protocol {}", quote(other));
                let advice = suggest::advice(other, &OtlpProtocol::NAMES);
                return Err(source.bad(given, "otlp.protocol", message, advice));
            }
        },
    };
    let path = |value: &Option<Text>, key| {
        let value = value.as_ref();
        value.map(|value| source.path(Some(value), key, "")).transpose()
    };
    Ok(Some(OtlpConfig {
        endpoint: collector(endpoint, protocol, raw.ca_file.as_ref(), source)?,
        protocol,
        ca_file: path(&raw.ca_file, "otlp.ca_file")?,
        headers_file: path(&raw.headers_file, "otlp.headers_file")?,
        sample: sample(raw.sample.as_ref(), source)?,
        timeout: number(raw.timeout_ms.as_ref(), "otlp.timeout_ms", 5000, MOST_MS, source)
            .map(Duration::from_millis)?,
    }))
}

fn collector(
    text: &Text,
    protocol: OtlpProtocol,
    ca_file: Option<&Text>,
    source: &Source<'_>,
) -> Result<RpcUrl, ConfigError> {
    let key = "otlp.endpoint";
    let advice = match protocol {
        OtlpProtocol::Grpc => "write https://HOST:4317, without a user, a path or a query",
        OtlpProtocol::HttpProtobuf => {
            "write https://HOST:4318, or with the path of the collector, without a user or a query"
        }
    };
    let url = RpcUrl::parse(text.as_ref()).map_err(|error| source.bad(text, key, error.message, advice))?;
    let (scheme, rest) = url.as_str().split_once("://").unwrap_or_default();
    if protocol == OtlpProtocol::Grpc && rest.contains('/') {
        let message = format!("{url} has a path, and gRPC has one of its own");
        return Err(source.bad(text, key, message, advice));
    }
    if scheme == "http" && !is_loopback(url.as_str()) {
        let message = format!("{url} leaves this machine without TLS");
        let advice = "write https://HOST:PORT; http:// is for a collector on 127.0.0.1 only";
        return Err(source.bad(text, key, message, advice));
    }
    if let Some(ca_file) = ca_file.filter(|_| scheme == "http") {
        let message = "the endpoint is http://, which has no certificate";
        return Err(source.bad(
            ca_file,
            "otlp.ca_file",
            message,
            "write https://, or take ca_file out",
        ));
    }
    Ok(url)
}

fn sample(raw: Option<&Spanned<f64>>, source: &Source<'_>) -> Result<Sample, ConfigError> {
    let Some(raw) = raw else {
        return Ok(Sample::ALL);
    };
    Sample::new(*raw.as_ref()).ok_or_else(|| {
        let message = format!("{} is no share", raw.as_ref());
        let advice = "use a number from 0.0 (only what its caller follows) to 1.0 (everything), such as 0.1";
        source.bad(raw, "otlp.sample", message, advice)
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config::raw::RawConfig;

    fn read(lines: &str, built: Built) -> Result<Option<OtlpConfig>, ConfigError> {
        let text = format!("[otlp]\n{lines}");
        let raw: RawConfig = toml::from_str(&text).map_err(|error| ConfigError::from_toml(&text, error))?;
        let source = Source {
            text: &text,
            base: Path::new("/etc/sigward"),
        };
        otlp(raw.otlp.as_ref(), &source, built)
    }

    #[test]
    fn a_collector_is_reached_by_tls_or_is_on_this_machine() {
        let config = read("endpoint='http://127.0.0.1:4317'", Built::With)
            .unwrap()
            .unwrap();
        assert_eq!(config.protocol, OtlpProtocol::Grpc);
        assert_eq!((config.sample.share(), config.timeout.as_secs()), (1.0, 5));
        let whole = "endpoint='https://otel.example.org/v1/traces'\nprotocol='http/protobuf'\nca_file='ca.pem'\n\
                     headers_file='otlp.headers'\nsample=0.25\ntimeout_ms=250";
        let config = read(whole, Built::With).unwrap().unwrap();
        assert_eq!(config.sample.share(), 0.25);
        assert_eq!(
            config.to_string(),
            "https://otel.example.org/v1/traces (http/protobuf, sample 0.25, timeout 250 ms, ca \"/etc/sigward/ca.pem\", headers \"/etc/sigward/otlp.headers\")"
        );
        assert!(read("endpoint='http://[::1]:4317'\nsample=0", Built::With).is_ok());
        for bad in [
            "",
            "endpoint=''",
            "endpoint='127.0.0.1:4317'",
            "endpoint='http://otel:4317'",
            "endpoint='http://10.0.0.1:4317'",
            "endpoint='https://me:secret@otel'",
            "endpoint='https://otel/?token=x'",
            "endpoint='https://otel/v1/traces'",
            "endpoint='https://otel'\nprotocol='http'",
            "endpoint='https://otel'\nprotocol='http/json'",
            "endpoint='http://127.0.0.1:1'\nca_file='x'",
            "endpoint='https://otel'\nsample=1.01",
            "endpoint='https://otel'\nsample=-0.1",
            "endpoint='https://otel'\nsample=nan",
            "endpoint='https://otel'\nsample=inf",
            "endpoint='https://otel'\nsample='all'",
            "endpoint='https://otel'\ntimeout_ms=0",
            "endpoint='https://otel'\ntimeout_ms=60001",
            "endpoint='https://otel'\nheaders_file=''",
            "endpoint='https://otel'\nheaders='authorization: x'",
        ] {
            let error = read(bad, Built::With).unwrap_err();
            assert_eq!(error.code, ConfigCode::Invalid, "{bad}: {error}");
            assert!(
                !error.advice.is_empty() && error.place.is_some(),
                "{bad}: {error}"
            );
        }
    }

    #[test]
    fn the_printed_default_shows_the_defaults() {
        let (_, table) = crate::config::DEFAULT.split_once("#[otlp]\n").unwrap();
        let (table, _) = table.split_once("\n\n").unwrap();
        let lines = table.lines().filter_map(|line| line.strip_prefix('#'));
        let shown: Vec<_> = lines.filter(|line| !line.starts_with(' ')).collect();
        assert_eq!(shown.len(), 4);
        let short = read("endpoint='http://127.0.0.1:4317'", Built::With).unwrap();
        assert_eq!(read(&shown.join("\n"), Built::With).unwrap(), short);
    }

    #[test]
    fn a_program_that_cannot_send_traces_says_so_and_how_one_that_can_is_made() {
        let error = read("endpoint='http://127.0.0.1:4317'", Built::Without).unwrap_err();
        assert_eq!(error.code, ConfigCode::NotBuiltIn);
        let said = error.to_string();
        assert!(
            said.starts_with("feature_not_built_in: line 1, column 1: otlp: "),
            "{said}"
        );
        assert!(said.contains("--features otel"), "{said}");
        // Nobody asked for it: nothing is missing.
        let source = Source {
            text: "",
            base: Path::new("/"),
        };
        assert_eq!(otlp(None, &source, Built::Without).unwrap(), None);
    }
}
