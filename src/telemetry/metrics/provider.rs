//! Tokens: whether each is up, how busy it is, and how many keys it has lost.

use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use sigward_hsm::pkcs11::Load;

use super::labels::ProviderLabels;

#[derive(Debug, Clone)]
pub(super) struct ProviderFamilies {
    up: Family<ProviderLabels, Gauge>,
    sessions: Family<ProviderLabels, Gauge>,
    waiting: Family<ProviderLabels, Gauge>,
    hanging: Family<ProviderLabels, Gauge>,
    missing: Family<ProviderLabels, Gauge>,
}

/// Handles for one token.
#[derive(Debug, Clone)]
pub struct ProviderMetrics {
    up: Gauge,
    sessions: Gauge,
    waiting: Gauge,
    hanging: Gauge,
    missing: Gauge,
}

impl ProviderFamilies {
    pub(super) fn register(registry: &mut Registry) -> Self {
        let families = Self {
            up: Family::default(),
            sessions: Family::default(),
            waiting: Family::default(),
            hanging: Family::default(),
            missing: Family::default(),
        };
        for (name, help, family) in [
            (
                "provider_up",
                "1 while signatures can be had from the token",
                &families.up,
            ),
            (
                "provider_sessions",
                "Sessions of the token that sign; 0 while it is not open",
                &families.sessions,
            ),
            (
                "provider_waiting",
                "Signatures that wait for a session of the token",
                &families.waiting,
            ),
            (
                "provider_hanging",
                "Sessions inside a call of the token that outlived its deadline",
                &families.hanging,
            ),
            (
                "provider_missing_keys",
                "Keys that are recorded in the token and that it does not show",
                &families.missing,
            ),
        ] {
            registry.register(name, help, family.clone());
        }
        families
    }

    pub(super) fn handles(&self, provider: &str) -> ProviderMetrics {
        let labels = ProviderLabels {
            provider: provider.to_owned(),
        };
        let of = |family: &Family<ProviderLabels, Gauge>| family.get_or_create(&labels).clone();
        ProviderMetrics {
            up: of(&self.up),
            sessions: of(&self.sessions),
            waiting: of(&self.waiting),
            hanging: of(&self.hanging),
            missing: of(&self.missing),
        }
    }
}

impl ProviderMetrics {
    /// What is known of the token now.
    pub fn set(&self, up: bool, load: Option<Load>, missing: usize) {
        let count = |number: usize| i64::try_from(number).unwrap_or(i64::MAX);
        self.up.set(i64::from(up));
        self.sessions.set(load.map_or(0, |load| count(load.sessions)));
        self.waiting.set(load.map_or(0, |load| count(load.waiting)));
        self.hanging.set(load.map_or(0, |load| count(load.hanging)));
        self.missing.set(count(missing));
    }
}
