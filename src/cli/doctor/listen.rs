//! The ports for other machines, `[listen]` and `[listen.bearer]`: files that belong together, do not end soon and let in nobody who was not
//! meant; the address; the keys of issuers. Reads files and the kernel's tables; no connection is made.

use std::collections::BTreeSet;
use std::fmt::Display;
use std::net::SocketAddr;
use std::path::Path;

use super::door::{Door, listeners};
use super::finding::{Check, Finding};
use crate::authn::bearer::Issuers;
use crate::cli::output::one_line;
use crate::config::Config;
use crate::tls::{Expiry, Keeper, ServerFiles, files, x509};

/// What ends within this is told of: a week before readiness tells of it.
const SOON: i64 = 14 * 86_400;
/// An authority of clients is one of ours; nobody has so many.
const MANY: usize = 8;
/// Whom every program of this machine believes: whoever owns a name anywhere gets a certificate of one of them.
const PUBLIC: [&str; 3] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/cert.pem",
];

/// Who may come in, as the file of authorities says.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Authorities {
    count: usize,
    /// Subjects of those that may issue nothing: a certificate of a client or a server, most likely.
    no_authority: Vec<String>,
    /// Subjects of those that the whole machine believes.
    public: Vec<String>,
}

/// One of the two doors.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Facts {
    /// `[listen]` or `[listen.bearer]`.
    table: &'static str,
    address: SocketAddr,
    files: Files,
    /// Authorities of clients of which `crl` has no CRL.
    without_crl: Vec<String>,
    authorities: Option<Authorities>,
    /// Of `[listen.bearer]`: how many issuers, or what is wrong with a key of theirs.
    issuers: Option<Result<usize, String>>,
    /// Whether somebody listens at that port of this machine.
    taken: bool,
    daemon: bool,
    now: i64,
}

/// Looks at both doors, where the configuration has them.
pub(super) fn gather(config: &Config, daemon: bool, now: i64) -> Vec<Facts> {
    let of = |table, address: SocketAddr, files: ServerFiles| {
        let (expiries, without_crl) = open(&files);
        Facts {
            table,
            address,
            files: expiries,
            without_crl,
            authorities: files.client_ca.as_deref().and_then(authorities),
            issuers: None,
            taken: matches!(listeners(address.port()), Some(Door::Listening { .. })),
            daemon,
            now,
        }
    };
    let mut doors = Vec::new();
    if let Some(listen) = &config.listen {
        let files = ServerFiles {
            certificate: listen.certificate.clone(),
            private_key: listen.private_key.clone(),
            client_ca: Some(listen.client_ca.clone()),
            crl: listen.crl.clone(),
        };
        doors.push(of("[listen]", listen.address, files));
    }
    if let Some(bearer) = &config.bearer {
        let files = ServerFiles {
            certificate: bearer.certificate.clone(),
            private_key: bearer.private_key.clone(),
            client_ca: None,
            crl: None,
        };
        let issuers = Issuers::read(&bearer.issuers)
            .map(|_| bearer.issuers.len())
            .map_err(|refusal| refusal.to_string());
        doors.push(Facts {
            issuers: Some(issuers),
            ..of("[listen.bearer]", bearer.address, files)
        });
    }
    doors
}

/// Until when each part holds, or what is wrong with the files, and what to do.
type Files = Result<Vec<Expiry>, (String, String)>;

fn open(files: &ServerFiles) -> (Files, Vec<String>) {
    match Keeper::check(files) {
        Ok(material) => (Ok(material.expiries().to_vec()), material.without_crl().to_vec()),
        Err(error) => {
            let text = error.to_string();
            let (fact, remedy) = text.split_once('\n').unwrap_or((&text, "sigward pki show"));
            (
                Err((fact.trim().to_owned(), remedy.trim().to_owned())),
                Vec::new(),
            )
        }
    }
}

fn authorities(path: &Path) -> Option<Authorities> {
    let pem = files::read(path).ok()?;
    let all = files::certificates(path, &pem).ok()?;
    let public: BTreeSet<_> = PUBLIC
        .iter()
        .map(Path::new)
        .filter_map(|path| files::certificates(path, &std::fs::read(path).ok()?).ok())
        .flatten()
        .map(|der| der.to_vec())
        .collect();
    let mut found = Authorities {
        count: all.len(),
        ..Authorities::default()
    };
    for der in &all {
        let Ok(facts) = x509::facts(der) else { continue };
        if !facts.authority {
            found.no_authority.push(facts.subject.clone());
        }
        if public.contains(der.as_ref()) {
            found.public.push(facts.subject);
        }
    }
    Some(found)
}

/// What is wrong with a door, or that nothing is.
pub(super) fn judge(facts: &Facts) -> Vec<Finding> {
    let mut findings = Vec::new();
    match &facts.files {
        Err((fact, remedy)) => findings.push(Finding::failure(Check::ListenFiles, one_line(fact), remedy)),
        Ok(expiries) => {
            let whole = "certificate, key and what goes with them can be read, belong together and hold now";
            findings.push(Finding::ok(Check::ListenFiles, whole));
            findings.extend(expiries.iter().map(|expiry| ends(expiry, facts.now)));
        }
    }
    findings.extend(facts.authorities.as_ref().map(clients));
    if !facts.without_crl.is_empty() {
        let who = one_line(&facts.without_crl.join("; "));
        findings.push(Finding::warning(
            Check::ListenClients,
            format!("no CRL in crl of {who}: none of its clients is let in"),
            "append the authority's CRL to the file; an empty one says that nobody is revoked",
        ));
    }
    findings.push(address(facts));
    findings.extend(facts.issuers.as_ref().map(|issuers| match issuers {
        Ok(count) => Finding::ok(
            Check::ListenIssuers,
            format!("the keys of {} can be read", super::count(*count, "issuer")),
        ),
        Err(what) => Finding::failure(
            Check::ListenIssuers,
            one_line(what),
            "docs/bearer.md shows how the file of an issuer's public keys is made",
        ),
    }));
    let about = |finding: Finding| finding.about(facts.table);
    findings.into_iter().map(about).collect()
}

fn ends(expiry: &Expiry, now: i64) -> Finding {
    let (what, remedy) = match expiry.what {
        "server" => ("the server's certificate", "sigward pki renew FILE.crt"),
        "crl" => ("the CRL", "sigward pki crl, from a timer"),
        _ => (
            "an authority of clients",
            "docs/tls.md tells how another authority takes its place",
        ),
    };
    let left = expiry.at.saturating_sub(now);
    let days = left / 86_400;
    if left < 0 {
        let fact = format!("{what} has ended {} days ago: it lets nobody in", -days);
        return Finding::failure(Check::ListenEnds, fact, remedy);
    }
    let fact = format!("{what} ends in {days} days");
    if left < SOON {
        return Finding::warning(Check::ListenEnds, fact, remedy);
    }
    Finding::ok(Check::ListenEnds, fact)
}

fn clients(found: &Authorities) -> Finding {
    let list = |all: &[String]| one_line(&all.join("; "));
    if !found.public.is_empty() {
        let fact = format!(
            "an authority of clients is one that everybody gets certificates of: {}",
            list(&found.public)
        );
        let remedy = "name an authority of your own as client_ca: `sigward pki init` makes one";
        return Finding::failure(Check::ListenClients, fact, remedy);
    }
    if !found.no_authority.is_empty() {
        let fact = format!(
            "client_ca holds what may issue nothing: {}",
            list(&found.no_authority)
        );
        return Finding::warning(
            Check::ListenClients,
            fact,
            "leave only certificates of authorities in client_ca",
        );
    }
    if found.count > MANY {
        let fact = format!("{} authorities say who is a client", found.count);
        return Finding::warning(
            Check::ListenClients,
            fact,
            "leave only the authorities of your own clients in client_ca",
        );
    }
    Finding::ok(
        Check::ListenClients,
        format!("authorities of clients: {}", found.count),
    )
}

fn address(facts: &Facts) -> Finding {
    let Facts { address, table, .. } = facts;
    match (facts.daemon, facts.taken) {
        (false, true) => Finding::failure(
            Check::ListenAddress,
            format!(
                "no sigward runs, and something listens at port {} already",
                address.port()
            ),
            format!("`ss -ltnp` says what; or set another address in {table}"),
        ),
        (true, false) => Finding::warning(
            Check::ListenAddress,
            format!("sigward runs, and nothing listens at port {}", address.port()),
            "restart sigward, if this address is newer than its start; its log tells more",
        ),
        _ => reach(address),
    }
}

fn reach(address: &SocketAddr) -> Finding {
    let ip = address.ip().to_canonical();
    if ip.is_unspecified() {
        let fact = format!(
            "{address} is every address of this machine: see that a firewall lets in only your clients"
        );
        return Finding::note(Check::ListenAddress, fact);
    }
    let reached: &dyn Display = if ip.is_loopback() {
        &"this machine alone"
    } else {
        &"other machines"
    };
    Finding::ok(Check::ListenAddress, format!("{address}, for {reached}"))
}

#[cfg(test)]
mod tests {
    use super::super::finding::Status;
    use super::*;

    fn facts() -> Facts {
        Facts {
            table: "[listen]",
            address: SocketAddr::from(([10, 0, 0, 1], 26660)),
            files: Ok(vec![Expiry {
                what: "crl",
                at: SOON,
            }]),
            authorities: Some(Authorities {
                count: 1,
                ..Authorities::default()
            }),
            without_crl: Vec::new(),
            issuers: Some(Ok(1)),
            taken: false,
            daemon: false,
            now: 0,
        }
    }

    fn worst(facts: &Facts, check: Check) -> Status {
        let findings = judge(facts);
        assert!(findings.iter().all(|finding| finding.about == "[listen]"));
        let of = findings.iter().filter(|finding| finding.check == check);
        of.map(|finding| finding.status).max().unwrap_or(Status::Ok)
    }

    #[test]
    fn each_thing_that_is_wrong_has_its_check() {
        let good = facts();
        assert!(
            judge(&good).iter().all(|finding| finding.status == Status::Ok),
            "{:?}",
            judge(&good)
        );
        let ending = |at| Facts {
            files: Ok(vec![Expiry { what: "crl", at }]),
            ..facts()
        };
        let clients = |found| Facts {
            authorities: Some(found),
            ..facts()
        };
        let named = || vec!["CN=somebody".to_owned()];
        for (wrong, check, status) in [
            (
                Facts {
                    files: Err(("tls_file_unreadable: x".to_owned(), "see".to_owned())),
                    ..facts()
                },
                Check::ListenFiles,
                Status::Failure,
            ),
            (ending(SOON - 1), Check::ListenEnds, Status::Warning),
            (ending(-1), Check::ListenEnds, Status::Failure),
            (
                clients(Authorities {
                    public: named(),
                    count: 1,
                    no_authority: named(),
                }),
                Check::ListenClients,
                Status::Failure,
            ),
            (
                clients(Authorities {
                    no_authority: named(),
                    count: 1,
                    public: Vec::new(),
                }),
                Check::ListenClients,
                Status::Warning,
            ),
            (
                clients(Authorities {
                    count: MANY + 1,
                    ..Authorities::default()
                }),
                Check::ListenClients,
                Status::Warning,
            ),
            (
                Facts {
                    without_crl: named(),
                    ..facts()
                },
                Check::ListenClients,
                Status::Warning,
            ),
            (
                Facts {
                    taken: true,
                    ..facts()
                },
                Check::ListenAddress,
                Status::Failure,
            ),
            (
                Facts {
                    daemon: true,
                    ..facts()
                },
                Check::ListenAddress,
                Status::Warning,
            ),
            (
                Facts {
                    address: SocketAddr::from(([0, 0, 0, 0], 1)),
                    ..facts()
                },
                Check::ListenAddress,
                Status::Note,
            ),
            (
                Facts {
                    issuers: Some(Err("issuer_key_invalid: x".to_owned())),
                    ..facts()
                },
                Check::ListenIssuers,
                Status::Failure,
            ),
        ] {
            assert_eq!(worst(&wrong, check), status, "{wrong:?}");
        }
        let served = Facts {
            daemon: true,
            taken: true,
            ..facts()
        };
        assert_eq!(worst(&served, Check::ListenAddress), Status::Ok);
    }
}
