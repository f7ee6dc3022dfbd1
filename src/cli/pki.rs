//! `sigward pki`: an authority in a folder, for people who have none. Needs no daemon and asks nobody.

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::{Value, json};

use super::exit::{RefusedByRule, WrongUsage};
use super::output::{Output, one_line};
use crate::clock::{Clock as _, SystemClock};
use crate::pki::{Authority, Issued, Lifetimes, Names, NewAuthority, PkiError, Shown, Use, show};

const DAY: i64 = 24 * 60 * 60;

/// Make an authority, certificates for sigward and its clients, and revoke them
///
/// sigward talks to other machines over TLS, and only to clients with a certificate. Who has an authority already uses that; this is
/// for everybody else. The authority is a folder, by default `pki` in sigward's home; better on a machine of its own, because whoever
/// has `ca.key` can be anybody.
///
///   sigward pki init                                        the authority, and an empty CRL
///   sigward pki server sigward --name signer.example.org --ip 10.0.0.7
///   sigward pki client admin                                for a person: dns:admin
///   sigward pki client pod-7 --uri spiffe://example.org/pod/7
///   sigward pki revoke admin                                on the CRL, in force as soon as sigward reads it
///   sigward pki renew server/sigward.crt                    the same names and key for another 90 days
///   sigward pki show                                        what, and until when
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub(super) struct Args {
    /// The folder of the authority [default: pki in sigward's home]
    #[arg(long, global = true, value_name = "DIR")]
    dir: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Make an authority: ca.crt, ca.key (mode 0600) and an empty CRL
    ///
    /// It vouches for servers and clients, never for another authority. Domains, where given, bound what DNS names it can vouch for.
    Init {
        /// What it is called; no two authorities that are in use at once should be called the same [default: sigward CA and a number]
        #[arg(long, value_name = "TEXT")]
        name: Option<String>,
        /// A domain below which its DNS names must be; may be repeated
        #[arg(long = "domain", value_name = "DOMAIN")]
        domains: Vec<String>,
        /// How long it is good for
        #[arg(long, default_value_t = Lifetimes::default().authority, value_name = "DAYS", value_parser = clap::value_parser!(u32).range(1..=36500))]
        days: u32,
    },
    /// Make a key and a certificate for whoever listens
    Server {
        /// What to call the files
        #[arg(value_name = "FILE", default_value = "server")]
        file: String,
        /// A name by which clients reach it; may be repeated
        #[arg(long = "name", value_name = "HOST")]
        names: Vec<String>,
        /// An address by which clients reach it; may be repeated
        #[arg(long = "ip", value_name = "IP")]
        ips: Vec<IpAddr>,
        #[command(flatten)]
        made: Made,
    },
    /// Make a key and a certificate for whoever connects: NAME becomes its one DNS name, unless --uri names it
    Client {
        /// Who it is, and what the files are called
        #[arg(value_name = "NAME")]
        name: String,
        /// Name it by a URI, such as a SPIFFE id, and by nothing else
        #[arg(long, value_name = "URI")]
        uri: Option<String>,
        #[command(flatten)]
        made: Made,
    },
    /// Make a certificate anew before it ends: same names, same key, another 90 days
    Renew {
        /// The certificate; its key is beside it, as FILE.key
        #[arg(value_name = "FILE.crt")]
        certificate: PathBuf,
        /// How long it is good for
        #[arg(long, default_value_t = Lifetimes::default().certificate, value_name = "DAYS", value_parser = clap::value_parser!(u32).range(1..=825))]
        days: u32,
    },
    /// Put certificates on the CRL: one by its serial number, or all that stand under a name; there is no way back
    Revoke {
        /// A name of theirs: of the files, or as `pki show`, rules or records write it (admin, dns:admin, cert:dns:admin,
        /// signer.example.org); or the serial number of one
        #[arg(value_name = "NAME|SERIAL")]
        what: String,
        #[command(flatten)]
        crl: CrlDays,
    },
    /// Make the CRL anew, for another 30 days: sigward lets nobody in by a CRL of the past
    Crl {
        #[command(flatten)]
        crl: CrlDays,
    },
    /// List what the authority has made, and until when it holds
    ///
    /// Ends with 4 when something that is not revoked has ended, or ends within --soon days.
    Show {
        /// How many days before its end a thing is worth a word
        #[arg(long, default_value_t = 14, value_name = "DAYS")]
        soon: u32,
    },
}

#[derive(Debug, clap::Args)]
struct Made {
    /// Where to put FILE.crt and FILE.key [default: `server` or `clients` in the authority's folder]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// How long it is good for
    #[arg(long, default_value_t = Lifetimes::default().certificate, value_name = "DAYS", value_parser = clap::value_parser!(u32).range(1..=825))]
    days: u32,
}

#[derive(Debug, clap::Args)]
struct CrlDays {
    /// How long the new CRL is good for
    #[arg(long, default_value_t = Lifetimes::default().crl, value_name = "DAYS", value_parser = clap::value_parser!(u32).range(1..=365))]
    days: u32,
}

pub(super) fn run(
    args: Args,
    home: impl Fn() -> anyhow::Result<PathBuf>,
    output: &Output,
) -> anyhow::Result<()> {
    let folder = match &args.dir {
        Some(folder) => std::path::absolute(folder)?,
        None => home()?.join("pki"),
    };
    match args.command {
        Command::Init { name, domains, days } => init(&folder, name.as_deref(), &domains, days, output),
        Command::Server {
            file,
            names,
            ips,
            made,
        } => {
            let names = Names {
                dns: names,
                ips,
                uri: None,
            };
            issue(&folder, &file, Use::Server, &names, made, output)
        }
        Command::Client { name, uri, made } => {
            let names = Names {
                dns: if uri.is_some() {
                    Vec::new()
                } else {
                    vec![name.clone()]
                },
                ips: Vec::new(),
                uri,
            };
            issue(&folder, &name, Use::Client, &names, made, output)
        }
        Command::Renew { certificate, days } => {
            let authority = Authority::open(&folder).map_err(explain)?;
            let issued = authority.renew(&certificate, (now(), days)).map_err(explain)?;
            let next = match issued.facts.usage.1 {
                true => "sigward takes it over by itself within seconds",
                false => {
                    "Give it to the client; its key is the same, and the old certificate stands until it ends"
                }
            };
            told(&issued, output, next);
            Ok(())
        }
        Command::Revoke { what, crl } => {
            let authority = Authority::open(&folder).map_err(explain)?;
            let revoked = authority.revoke(&what, (now(), crl.days)).map_err(explain)?;
            let until = revoked.crl.next_update.unwrap_or_default();
            let serials: Vec<_> = revoked
                .meant
                .iter()
                .map(|facts| crate::tls::x509::serial_text(&facts.serial))
                .collect();
            let names: Vec<_> = revoked
                .meant
                .first()
                .map(|facts| facts.names())
                .unwrap_or_default();
            output.result(
                &json!({
                    "serial": serials.first(), "serials": serials, "names": names, "already_revoked": revoked.already,
                    "crl": authority.crl(), "crl_until": day(until), "revoked": revoked.crl.revoked.len(),
                }),
                format!(
                    "{} {} ({})\nWrote {}, good until {}\nIn force as soon as sigward sees that file: within seconds where `[listen] crl` \
                     names it; copied there, where it names another",
                    if revoked.already { "Was revoked already:" } else { "Revoked" },
                    one_line(&names.join(", ")),
                    serials.join(", "),
                    authority.crl().display(),
                    day(until),
                ),
            );
            Ok(())
        }
        Command::Crl { crl } => {
            let authority = Authority::open(&folder).map_err(explain)?;
            let facts = authority.renew_crl((now(), crl.days)).map_err(explain)?;
            let until = facts.next_update.unwrap_or_default();
            output.result(
                &json!({ "crl": authority.crl(), "crl_until": day(until), "revoked": facts.revoked.len() }),
                format!(
                    "Wrote {}: {} revoked, good until {}",
                    authority.crl().display(),
                    facts.revoked.len(),
                    day(until)
                ),
            );
            Ok(())
        }
        Command::Show { soon } => list(&folder, soon, output),
    }
}

fn init(
    folder: &Path,
    name: Option<&str>,
    domains: &[String],
    days: u32,
    output: &Output,
) -> anyhow::Result<()> {
    let lifetimes = Lifetimes {
        authority: days,
        ..Lifetimes::default()
    };
    let new = NewAuthority {
        name,
        domains,
        lifetimes,
    };
    let authority = Authority::create(folder, &new, now()).map_err(explain)?;
    let until = day(authority.facts().not_after);
    output.result(
        &json!({
            "dir": folder, "certificate": authority.certificate(), "crl": authority.crl(),
            "serial": crate::tls::x509::serial_text(&authority.facts().serial), "until": until,
        }),
        format!(
            "Wrote {}, good until {until}, and an empty CRL, good for {} days\n\n\
             Whoever has {} can be anybody: keep it, and a copy, where nobody else comes.\n\n\
             Next\n  sigward pki server --name HOST          for this sigward\n  sigward pki client NAME                 for each who may connect\n  \
             sigward pki crl                         once a month, by a timer",
            authority.certificate().display(),
            lifetimes.crl,
            folder.join("ca.key").display(),
        ),
    );
    Ok(())
}

fn issue(
    folder: &Path,
    file: &str,
    of: Use,
    names: &Names,
    made: Made,
    output: &Output,
) -> anyhow::Result<()> {
    let authority = Authority::open(folder).map_err(explain)?;
    let into = match made.out {
        Some(into) => std::path::absolute(into)?,
        None => folder.join(match of {
            Use::Server => "server",
            Use::Client => "clients",
        }),
    };
    let issued = authority
        .issue((file, &into), of, names, (now(), made.days))
        .map_err(explain)?;
    let next = match of {
        Use::Server => format!(
            "Name them in sigward.toml:\n  [listen]\n  address = \"0.0.0.0:26660\"\n  certificate = {:?}\n  private_key = {:?}\n  client_ca = {:?}\n  crl = {:?}",
            issued.certificate,
            issued.private_key,
            authority.certificate(),
            authority.crl()
        ),
        Use::Client => format!(
            "Give both, and {}, to the client. Rules call it {name}, records cert:{name}",
            authority.certificate().display(),
            name = issued
                .facts
                .identity()
                .map(|name| name.to_string())
                .unwrap_or_default()
        ),
    };
    told(&issued, output, &next);
    Ok(())
}

fn told(issued: &Issued, output: &Output, next: &str) {
    let until = day(issued.facts.not_after);
    let serial = crate::tls::x509::serial_text(&issued.facts.serial);
    output.result(
        &json!({
            "certificate": issued.certificate, "private_key": issued.private_key, "serial": serial,
            "names": issued.facts.names(), "until": until,
        }),
        format!(
            "Wrote {}, good until {until}\n  {}\nIts key is {}\n\n{next}",
            issued.certificate.display(),
            one_line(&issued.facts.names().join(", ")),
            issued.private_key.display(),
        ),
    );
}

fn list(folder: &Path, soon: u32, output: &Output) -> anyhow::Result<()> {
    let all = show(folder).map_err(explain)?;
    let today = i64::try_from(now().as_secs())?;
    let left = |shown: &Shown| shown.not_after.saturating_sub(today).div_euclid(DAY);
    // Of a name that was renewed, only the last certificate is asked for.
    let replaced = |shown: &Shown| {
        all.iter().any(|other| {
            (other.kind, &other.name, &other.names) == (shown.kind, &shown.name, &shown.names)
                && other.not_after > shown.not_after
        })
    };
    let ending: Vec<_> = all
        .iter()
        .filter(|shown| shown.revoked.is_none() && left(shown) < i64::from(soon) && !replaced(shown))
        .collect();
    let lines: Vec<_> = all
        .iter()
        .map(|shown| {
            let state = match shown.revoked {
                Some(at) => format!("revoked {}", day(at)),
                None if left(shown) < 0 => format!("ended {}", day(shown.not_after)),
                None => format!("until {} ({} days)", day(shown.not_after), left(shown)),
            };
            let what = match shown.names.is_empty() {
                true => one_line(&shown.name),
                false => one_line(&shown.names.join(", ")),
            };
            format!(
                "{:<9}  {:<32}  {what}  {}",
                shown.kind.as_str(),
                state,
                shown.serial
            )
        })
        .collect();
    let values: Vec<Value> = all
        .iter()
        .map(|shown| {
            json!({
                "kind": shown.kind.as_str(), "name": shown.name, "names": shown.names, "serial": shown.serial,
                "from": day(shown.not_before), "until": day(shown.not_after), "days_left": left(shown),
                "revoked": shown.revoked.map(day),
            })
        })
        .collect();
    output.result(&json!({ "dir": folder, "issued": values }), lines.join("\n"));
    if ending.is_empty() {
        return Ok(());
    }
    let names: Vec<_> = ending
        .iter()
        .map(|shown| format!("{} {}", shown.kind.as_str(), one_line(&shown.name)))
        .collect();
    Err(super::exit::CheckFailed(format!(
        "ended, or ends within {soon} days: {}\n`sigward pki renew FILE.crt` makes a certificate anew, `sigward pki crl` the CRL",
        names.join(", ")
    ))
    .into())
}

/// What the caller can put right is a refusal.
fn explain(error: PkiError) -> anyhow::Error {
    match error {
        PkiError::Name(_) => WrongUsage(error.to_string()).into(),
        PkiError::NotIssued(_)
        | PkiError::NotRenewed(_)
        | PkiError::Revoked(_)
        | PkiError::Ambiguous { .. } => RefusedByRule(error.to_string()).into(),
        error => error.into(),
    }
}

fn now() -> Duration {
    Duration::from_micros(SystemClock.unix_micros().unsigned_abs())
}

fn day(seconds: i64) -> String {
    jiff::Timestamp::from_second(seconds).map_or_else(|_| "unknown".to_owned(), |time| time.to_string())
}
