//! `[audit]`: where records go when they leave the database, how often the chain is vouched for, and who outside is told.

use std::path::PathBuf;
use std::time::Duration;

use super::error::ConfigError;
use super::raw::{Number, RawAudit, Text};
use super::rpc::RpcUrl;
use super::validate::{Source, number};

/// `[audit]`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AuditConfig {
    /// The folder of segments and checkpoints.
    pub folder: PathBuf,
    /// Records of a segment.
    pub segment_records: u64,
    /// A segment is written when its first record is this old.
    pub segment_age: Duration,
    /// How long records stay in the database.
    pub retention: Duration,
    /// How long segments stay; none: for ever.
    pub segments_for: Option<Duration>,
    /// How many bytes of segments stay; none: all.
    pub segments_bytes: Option<u64>,
    /// Records between two checkpoints.
    pub checkpoint_records: u64,
    /// A checkpoint is signed when the first record behind the last one is this old.
    pub checkpoint_age: Duration,
    /// A file that checkpoints are appended to.
    pub anchor_file: Option<PathBuf>,
    /// The socket of the system's log.
    pub anchor_syslog: Option<PathBuf>,
    /// A URL that checkpoints are sent to: https, or http on loopback.
    pub anchor_webhook: Option<RpcUrl>,
}

/// A PiB.
const MOST_MIB: u64 = 1 << 30;
const DAY: i64 = 86_400;
/// Ten years.
const LONGEST: u64 = 10 * 366 * 86_400;

pub(super) fn audit(raw: &RawAudit, source: &Source<'_>) -> Result<AuditConfig, ConfigError> {
    let count = |value: Option<&Number>, key, default, most| number(value, key, default, most, source);
    let age = |value: Option<&Number>, key, default| {
        number(value, key, default, LONGEST, source).map(Duration::from_secs)
    };
    let path = |value: Option<&Text>, key| value.map(|value| source.path(Some(value), key, "")).transpose();
    Ok(AuditConfig {
        folder: source.path(raw.folder.as_ref(), "audit.folder", "audit")?,
        segment_records: count(
            raw.segment_records.as_ref(),
            "audit.segment_records",
            100_000,
            10_000_000,
        )?,
        segment_age: age(raw.segment_age_s.as_ref(), "audit.segment_age_s", DAY)?,
        retention: age(raw.retention_s.as_ref(), "audit.retention_s", DAY)?,
        segments_for: raw
            .keep_segments_s
            .as_ref()
            .map(|value| age(Some(value), "audit.keep_segments_s", DAY))
            .transpose()?,
        segments_bytes: raw
            .keep_segments_mib
            .as_ref()
            .map(|value| count(Some(value), "audit.keep_segments_mib", 1024, MOST_MIB))
            .transpose()?
            .map(|mib| mib.saturating_mul(1 << 20)),
        checkpoint_records: count(
            raw.checkpoint_records.as_ref(),
            "audit.checkpoint_records",
            10_000,
            10_000_000,
        )?,
        checkpoint_age: age(raw.checkpoint_age_s.as_ref(), "audit.checkpoint_age_s", 60)?,
        anchor_file: path(raw.anchor_file.as_ref(), "audit.anchor_file")?,
        anchor_syslog: path(raw.anchor_syslog.as_ref(), "audit.anchor_syslog")?,
        anchor_webhook: raw
            .anchor_webhook
            .as_ref()
            .map(|url| webhook(url, source))
            .transpose()?,
    })
}

fn webhook(text: &Text, source: &Source<'_>) -> Result<RpcUrl, ConfigError> {
    let key = "audit.anchor_webhook";
    let url = RpcUrl::parse(text.as_ref()).map_err(|error| {
        source.bad(
            text,
            key,
            error.message,
            "write https://HOST/PATH, without a user, a query or a fragment",
        )
    })?;
    if url.as_str().starts_with("https://") || is_loopback(url.as_str()) {
        return Ok(url);
    }
    Err(source.bad(
        text,
        key,
        format!("{url} leaves this machine without TLS"),
        "write https://HOST/PATH; http:// is for 127.0.0.1 only",
    ))
}

/// Whether an `http://` URL names this machine by its number.
pub(super) fn is_loopback(url: &str) -> bool {
    let authority = url
        .strip_prefix("http://")
        .and_then(|rest| rest.split('/').next());
    authority.is_some_and(|authority| {
        let host = match authority.rsplit_once(':') {
            Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => host,
            _ => authority,
        };
        let host = host.trim_start_matches('[').trim_end_matches(']');
        host.parse::<std::net::IpAddr>()
            .is_ok_and(|address| address.to_canonical().is_loopback())
    })
}
