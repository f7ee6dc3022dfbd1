//! The door for clients on other machines: who came in, who did not, and until when its certificates hold.

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use super::labels::{ReasonLabels, ResultLabels, WhatLabels};

/// How a handshake went.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Handshake {
    /// The client is in.
    Good,
    /// It showed no certificate.
    NoCertificate,
    /// Nobody we know vouches for it.
    UnknownAuthority,
    /// It is revoked.
    Revoked,
    /// There is no CRL of its authority: nobody can tell it from the revoked.
    NoCrl,
    /// It is of the past or of the future, or the CRL is.
    OutOfDate,
    /// It names nobody, or several.
    NoIdentity,
    /// It took too long.
    Late,
    /// It was no TLS 1.3 that we speak, or the certificate is bad in another way.
    Failed,
}

impl Handshake {
    const ALL: [Self; 9] = [
        Self::Good,
        Self::NoCertificate,
        Self::UnknownAuthority,
        Self::Revoked,
        Self::NoCrl,
        Self::OutOfDate,
        Self::NoIdentity,
        Self::Late,
        Self::Failed,
    ];

    /// The word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Good => "ok",
            Self::NoCertificate => "no_certificate",
            Self::UnknownAuthority => "unknown_authority",
            Self::Revoked => "revoked",
            Self::NoCrl => "no_crl",
            Self::OutOfDate => "out_of_date",
            Self::NoIdentity => "no_identity",
            Self::Late => "late",
            Self::Failed => "failed",
        }
    }
}

/// Why a connection was closed before anything was read from it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Full {
    /// All seats are taken.
    Total,
    /// The address has its share.
    Source,
    /// Too many are at their handshake.
    Strangers,
    /// There were too many handshakes lately.
    Pace,
}

impl Full {
    const ALL: [Self; 4] = [Self::Total, Self::Source, Self::Strangers, Self::Pace];

    const fn as_str(self) -> &'static str {
        match self {
            Self::Total => "total",
            Self::Source => "source",
            Self::Strangers => "handshakes",
            Self::Pace => "pace",
        }
    }
}

/// Handles for the door.
#[derive(Clone, Debug)]
pub struct DoorMetrics {
    handshakes: Family<ResultLabels, Counter>,
    turned_away: Family<ReasonLabels, Counter>,
    refused: Family<ReasonLabels, Counter>,
    connections: Gauge,
    expiry: Family<WhatLabels, Gauge>,
    good: Gauge,
}

impl DoorMetrics {
    /// `codes` are those of its refusals.
    pub(super) fn register(registry: &mut Registry, codes: &[&'static str]) -> Self {
        let door = Self {
            handshakes: Family::default(),
            turned_away: Family::default(),
            refused: Family::default(),
            connections: Gauge::default(),
            expiry: Family::default(),
            good: Gauge::default(),
        };
        registry.register(
            "tls_handshakes",
            "TLS handshakes of clients by result",
            door.handshakes.clone(),
        );
        registry.register(
            "tls_turned_away",
            "Connections that were closed at once, by the bound that they met",
            door.turned_away.clone(),
        );
        registry.register(
            "tls_refused_requests",
            "Requests over TLS that were refused before they were read, by code",
            door.refused.clone(),
        );
        registry.register(
            "tls_connections",
            "Open connections of clients with a certificate",
            door.connections.clone(),
        );
        registry.register(
            "cert_expiry_timestamp_seconds",
            "When the first of what is in force ends, since 1970",
            door.expiry.clone(),
        );
        registry.register(
            "tls_files_good",
            "1 while the files of certificates are what is in force",
            door.good.clone(),
        );
        for result in Handshake::ALL {
            drop(door.handshakes.get_or_create(&ResultLabels {
                result: result.as_str(),
            }));
        }
        for reason in codes {
            drop(door.refused.get_or_create(&ReasonLabels { reason }));
        }
        for full in Full::ALL {
            drop(door.turned_away.get_or_create(&ReasonLabels {
                reason: full.as_str(),
            }));
        }
        door
    }

    /// A handshake came to its end.
    pub fn handshake(&self, result: Handshake) {
        let labels = ResultLabels {
            result: result.as_str(),
        };
        self.handshakes.get_or_create(&labels).inc();
    }

    /// A connection was closed at once.
    pub fn turned_away(&self, full: Full) {
        self.turned_away
            .get_or_create(&ReasonLabels {
                reason: full.as_str(),
            })
            .inc();
    }

    /// A request was refused before it was read.
    pub fn refused(&self, code: &'static str) {
        self.refused.get_or_create(&ReasonLabels { reason: code }).inc();
    }

    /// How many are connected.
    pub fn connected(&self, by: i64) {
        self.connections.inc_by(by);
    }

    /// Until when a part holds.
    pub fn expires(&self, what: &'static str, at: i64) {
        self.expiry.get_or_create(&WhatLabels { what }).set(at);
    }

    /// Whether the files are what is in force.
    pub fn files_good(&self, good: bool) {
        self.good.set(i64::from(good));
    }
}
