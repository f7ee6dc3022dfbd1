//! `sigward.toml` as it is written, before anything is believed: one struct a table, every unknown field refused.
//!
//! Values keep their place in the file (`Spanned`), so that a refusal can point at them. No `flatten` and no `untagged`: both
//! would let unknown fields through or blur the error.

use serde::Deserialize;
use toml::Spanned;

/// Text with its place.
pub(super) type Text = Spanned<String>;
/// A number with its place.
pub(super) type Number = Spanned<i64>;

#[derive(Deserialize, Debug, Default)]
#[serde(deny_unknown_fields)]
pub(super) struct RawConfig {
    pub(super) store: Option<RawStore>,
    pub(super) seal: Option<Spanned<RawSeal>>,
    pub(super) keys: Option<RawKeys>,
    pub(super) identity: Option<RawIdentity>,
    pub(super) policy: Option<RawPolicy>,
    pub(super) admin: Option<RawAdmin>,
    pub(super) http: Option<RawHttp>,
    pub(super) listen: Option<Spanned<RawListen>>,
    pub(super) log: Option<RawLog>,
    pub(super) audit: Option<RawAudit>,
    pub(super) otlp: Option<Spanned<RawOtlp>>,
    #[serde(default)]
    pub(super) provider: Vec<RawProvider>,
    #[serde(default)]
    pub(super) chain: Vec<RawChain>,
}

#[derive(Deserialize, Debug, Default)]
#[serde(deny_unknown_fields)]
pub(super) struct RawStore {
    pub(super) dir: Option<Text>,
    pub(super) witness: Option<Text>,
    pub(super) allow_volatile: Option<bool>,
    pub(super) low_space_mib: Option<Number>,
    pub(super) reserve_mib: Option<Number>,
}

#[derive(Deserialize, Debug, Default)]
#[serde(deny_unknown_fields)]
pub(super) struct RawSeal {
    pub(super) key_file: Option<Text>,
    pub(super) passphrase_file: Option<Text>,
    pub(super) credential: Option<Text>,
    pub(super) pkcs11: Option<Spanned<RawTokenSeal>>,
}

#[derive(Deserialize, Debug)]
#[serde(deny_unknown_fields)]
pub(super) struct RawTokenSeal {
    pub(super) provider: Text,
    pub(super) key_label: Option<Text>,
    pub(super) file: Option<Text>,
}

#[derive(Deserialize, Debug, Default)]
#[serde(deny_unknown_fields)]
pub(super) struct RawKeys {
    pub(super) dir: Option<Text>,
    pub(super) allow_unlocked_memory: Option<bool>,
}

#[derive(Deserialize, Debug, Default)]
#[serde(deny_unknown_fields)]
pub(super) struct RawIdentity {
    pub(super) file: Option<Text>,
}

#[derive(Deserialize, Debug, Default)]
#[serde(deny_unknown_fields)]
pub(super) struct RawPolicy {
    pub(super) file: Option<Text>,
    pub(super) dry_run: Option<Spanned<bool>>,
}

#[derive(Deserialize, Debug, Default)]
#[serde(deny_unknown_fields)]
pub(super) struct RawAdmin {
    pub(super) socket: Option<Text>,
}

#[derive(Deserialize, Debug, Default)]
#[serde(deny_unknown_fields)]
pub(super) struct RawHttp {
    pub(super) listen: Option<Text>,
}

#[derive(Deserialize, Debug)]
#[serde(deny_unknown_fields)]
pub(super) struct RawListen {
    pub(super) address: Option<Text>,
    pub(super) certificate: Option<Text>,
    pub(super) private_key: Option<Text>,
    pub(super) client_ca: Option<Text>,
    pub(super) crl: Option<Text>,
    pub(super) bounds: Option<RawBounds>,
    pub(super) bearer: Option<Spanned<RawBearer>>,
    pub(super) plain: Option<Spanned<RawPlain>>,
}

#[derive(Deserialize, Debug)]
#[serde(deny_unknown_fields)]
pub(super) struct RawBounds {
    pub(super) handshakes: Option<Number>,
    pub(super) handshakes_of_one_address: Option<Number>,
    pub(super) connection_age_s: Option<Number>,
    pub(super) stream_age_s: Option<Number>,
}

#[derive(Deserialize, Debug)]
#[serde(deny_unknown_fields)]
pub(super) struct RawPlain {
    pub(super) address: Option<Text>,
}

#[derive(Deserialize, Debug)]
#[serde(deny_unknown_fields)]
pub(super) struct RawBearer {
    pub(super) address: Option<Text>,
    pub(super) certificate: Option<Text>,
    pub(super) private_key: Option<Text>,
    pub(super) audience: Option<Text>,
    #[serde(default)]
    pub(super) issuer: Vec<RawIssuer>,
}

#[derive(Deserialize, Debug)]
#[serde(deny_unknown_fields)]
pub(super) struct RawIssuer {
    pub(super) name: Text,
    pub(super) key_file: Text,
    #[serde(default)]
    pub(super) revoked: Vec<Text>,
}

#[derive(Deserialize, Debug, Default)]
#[serde(deny_unknown_fields)]
pub(super) struct RawLog {
    pub(super) format: Option<Text>,
    pub(super) level: Option<Text>,
}

#[derive(Deserialize, Debug, Default)]
#[serde(deny_unknown_fields)]
pub(super) struct RawAudit {
    pub(super) folder: Option<Text>,
    pub(super) segment_records: Option<Number>,
    pub(super) segment_age_s: Option<Number>,
    pub(super) retention_s: Option<Number>,
    pub(super) keep_segments_s: Option<Number>,
    pub(super) keep_segments_mib: Option<Number>,
    pub(super) checkpoint_records: Option<Number>,
    pub(super) checkpoint_age_s: Option<Number>,
    pub(super) anchor_file: Option<Text>,
    pub(super) anchor_syslog: Option<Text>,
    pub(super) anchor_webhook: Option<Text>,
}

#[derive(Deserialize, Debug)]
#[serde(deny_unknown_fields)]
pub(super) struct RawOtlp {
    pub(super) endpoint: Option<Text>,
    pub(super) protocol: Option<Text>,
    pub(super) ca_file: Option<Text>,
    pub(super) headers_file: Option<Text>,
    pub(super) sample: Option<Spanned<f64>>,
    pub(super) timeout_ms: Option<Number>,
}

#[derive(Deserialize, Debug)]
#[serde(deny_unknown_fields)]
pub(super) struct RawProvider {
    pub(super) id: Text,
    pub(super) pkcs11: Spanned<RawPkcs11>,
}

#[derive(Deserialize, Debug)]
#[serde(deny_unknown_fields)]
pub(super) struct RawPkcs11 {
    pub(super) module: Text,
    pub(super) token_label: Option<Text>,
    pub(super) token_serial: Option<Text>,
    pub(super) slot: Option<Number>,
    pub(super) pin_file: Option<Text>,
    pub(super) pin_credential: Option<Text>,
    pub(super) pin_fd: Option<Number>,
    pub(super) sessions: Option<Number>,
    pub(super) deadline_ms: Option<Number>,
}

#[derive(Deserialize, Debug)]
#[serde(deny_unknown_fields)]
pub(super) struct RawChain {
    pub(super) id: Text,
    pub(super) key: Text,
    pub(super) shared: Option<bool>,
    pub(super) strict_extensions: Option<bool>,
    pub(super) height_jump: Option<Number>,
    pub(super) heights_per_second: Option<Number>,
    pub(super) round_jump: Option<Number>,
    #[serde(default)]
    pub(super) node: Vec<RawNode>,
}

#[derive(Deserialize, Debug)]
#[serde(deny_unknown_fields)]
pub(super) struct RawNode {
    pub(super) name: Text,
    pub(super) address: Text,
    pub(super) unauthenticated: Option<Text>,
    pub(super) rpc: Option<Text>,
}
