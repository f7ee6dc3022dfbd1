//! Differences of the tables that are about one thing each: the audit chain, the policy, tokens.

use std::collections::BTreeSet;

use sigward_policies::authz::PolicyVersion;

use super::{Diff, Effect, POLICY, Subject, text};
use crate::config::{
    AuditConfig, BearerConfig, IssuerConfig, OtlpConfig, PolicyConfig, ProviderConfig, ProviderId,
};

impl Diff {
    pub(super) fn audit(&mut self, old: &AuditConfig, new: &AuditConfig) {
        use Effect::NeedsRestart;
        let AuditConfig {
            folder,
            segment_records,
            segment_age,
            retention,
            segments_for,
            segments_bytes,
            checkpoint_records,
            checkpoint_age,
            anchor_file,
            anchor_syslog,
            anchor_webhook,
        } = old;
        let of = Subject::Setting;
        self.set(&of, "audit.folder", (folder, &new.folder), NeedsRestart, |path| {
            text::path(path)
        });
        for (name, old, new) in [
            ("audit.segment_records", *segment_records, new.segment_records),
            (
                "audit.segment_age_s",
                segment_age.as_secs(),
                new.segment_age.as_secs(),
            ),
            ("audit.retention_s", retention.as_secs(), new.retention.as_secs()),
            (
                "audit.checkpoint_records",
                *checkpoint_records,
                new.checkpoint_records,
            ),
            (
                "audit.checkpoint_age_s",
                checkpoint_age.as_secs(),
                new.checkpoint_age.as_secs(),
            ),
        ] {
            self.set(&of, name, (&old, &new), NeedsRestart, u64::to_string);
        }
        let most = |most: &Option<u64>| most.map_or_else(|| "all".to_owned(), |most| most.to_string());
        let seconds = |time: Option<std::time::Duration>| time.map(|time| time.as_secs());
        let mib = |bytes: Option<u64>| bytes.map(|bytes| bytes >> 20);
        for (name, old, new) in [
            (
                "audit.keep_segments_s",
                seconds(*segments_for),
                seconds(new.segments_for),
            ),
            (
                "audit.keep_segments_mib",
                mib(*segments_bytes),
                mib(new.segments_bytes),
            ),
        ] {
            self.set(&of, name, (&old, &new), NeedsRestart, most);
        }
        let path =
            |path: &Option<std::path::PathBuf>| path.as_deref().map_or_else(|| "none".to_owned(), text::path);
        self.set(
            &of,
            "audit.anchor_file",
            (anchor_file, &new.anchor_file),
            NeedsRestart,
            path,
        );
        self.set(
            &of,
            "audit.anchor_syslog",
            (anchor_syslog, &new.anchor_syslog),
            NeedsRestart,
            path,
        );
        self.set(
            &of,
            "audit.anchor_webhook",
            (anchor_webhook, &new.anchor_webhook),
            NeedsRestart,
            |url| {
                url.as_ref()
                    .map_or_else(|| "none".to_owned(), ToString::to_string)
            },
        );
    }

    /// The door itself is opened at the start. Who is believed there changes at once: to take somebody out must not wait.
    pub(super) fn bearer(&mut self, old: Option<&BearerConfig>, new: Option<&BearerConfig>) {
        let of = Subject::Setting;
        let door = |bearer: Option<&BearerConfig>| {
            bearer.map(|bearer| BearerConfig {
                issuers: Vec::new(),
                ..bearer.clone()
            })
        };
        let doors = (&door(old), &door(new));
        self.set(&of, "listen.bearer", doors, Effect::NeedsRestart, text::bearer);
        // A door that is not open yet believes nobody; one that is gone from the file believes nobody any more.
        let Some(old) = old else { return };
        let (old, new) = (&old.issuers, new.map_or(&[][..], |new| &new.issuers));
        let name = |issuer: &IssuerConfig| issuer.name.clone();
        let names: BTreeSet<_> = old.iter().chain(new).map(name).collect();
        for name in names {
            let find = |all: &[IssuerConfig]| all.iter().find(|issuer| issuer.name == name).cloned();
            let issuers = (&find(old), &find(new));
            self.set(&of, "listen.bearer.issuer", issuers, Effect::Live, text::issuer);
        }
    }

    /// The keys that issuers' files hold differ; how many, and a digest of them.
    pub fn issuer_keys(&mut self, old: (usize, [u8; 32]), new: (usize, [u8; 32])) {
        let show = |(count, digest): &(usize, [u8; 32])| {
            let first = digest.iter().take(4).map(|byte| format!("{byte:02x}"));
            format!("{count} ({})", first.collect::<String>())
        };
        self.set(
            &Subject::Setting,
            "listen.bearer keys",
            (&old, &new),
            Effect::Live,
            show,
        );
        // Settings come first.
        self.entries
            .sort_by_key(|entry| entry.subject != Subject::Setting);
    }

    /// Another document is taken, and what it says is told by its version. None at all, or one that is only logged, would let through
    /// what is denied now: that takes a restart, as loosening the guard does.
    pub(super) fn policy_place(&mut self, old: &PolicyConfig, new: &PolicyConfig) {
        let PolicyConfig { file, dry_run } = old;
        let of = Subject::Setting;
        let effect = if file.is_some() && new.file.is_none() {
            Effect::Loosens
        } else {
            Effect::Live
        };
        self.set(&of, "policy.file", (file, &new.file), effect, text::optional_path);
        let effect = if *dry_run {
            Effect::Tightens
        } else {
            Effect::Loosens
        };
        // The first document of all takes nothing away.
        let effect = if file.is_none() { Effect::Live } else { effect };
        self.set(
            &of,
            "policy.dry_run",
            (dry_run, &new.dry_run),
            effect,
            bool::to_string,
        );
    }

    /// The document of the policy itself differs; versions as log lines show them.
    pub fn policy(&mut self, old: Option<PolicyVersion>, new: Option<PolicyVersion>) {
        let show = |version: &Option<PolicyVersion>| {
            version.map_or_else(|| "none".to_owned(), |version| version.to_string())
        };
        self.set(&Subject::Setting, POLICY, (&old, &new), Effect::Live, show);
        // Settings come first.
        self.entries
            .sort_by_key(|entry| entry.subject != Subject::Setting);
    }

    /// Where traces go is decided at the start; what the file of headers says is read again and again.
    pub(super) fn otlp(&mut self, old: Option<&OtlpConfig>, new: Option<&OtlpConfig>) {
        let show = |otlp: &Option<&OtlpConfig>| otlp.map_or_else(|| "none".to_owned(), ToString::to_string);
        self.set(
            &Subject::Setting,
            "otlp",
            (&old, &new),
            Effect::NeedsRestart,
            show,
        );
    }

    /// Modules are loaded and sessions counted at the start, so a token that comes, goes or is another one waits for the next. Only
    /// where its PIN is may change meanwhile: it is read whenever the token is logged in to.
    pub(super) fn providers(&mut self, old: &[ProviderConfig], new: &[ProviderConfig]) {
        let find = |all: &[ProviderConfig], id: &ProviderId| all.iter().find(|one| one.id == *id).cloned();
        let ids: BTreeSet<_> = old
            .iter()
            .chain(new)
            .map(|provider| provider.id.clone())
            .collect();
        for id in ids {
            let (was, is) = (find(old, &id), find(new, &id));
            let of = Subject::Provider(id);
            let token = |provider: &Option<ProviderConfig>| {
                provider
                    .as_ref()
                    .map_or_else(|| "none".to_owned(), |provider| text::token(&provider.pkcs11))
            };
            let same = token(&was) == token(&is);
            self.set(
                &of,
                "token",
                (&token(&was), &token(&is)),
                Effect::NeedsRestart,
                String::clone,
            );
            if let (true, Some(was), Some(is)) = (same, was, is) {
                let pins = (&was.pkcs11.pin, &is.pkcs11.pin);
                self.set(&of, "pin", pins, Effect::Live, ToString::to_string);
            }
        }
    }
}
