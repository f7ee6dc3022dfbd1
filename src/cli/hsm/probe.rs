//! `sigward hsm probe`: what a token can do for each purpose of sigward, measured.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::sync::mpsc;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Value, json};

use crate::app::Trouble;
use crate::app::probe::{Asked, Finding, Probe, TOPICS, Verdict, probe};
use crate::cli::exit::{CheckFailed, RefusedByRule};
use crate::cli::output::Output;
use crate::config::{self, PinFrom, Pkcs11Config, TokenName};

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
    /// A token of the configuration, by the id of its provider; may be left out where there is one only
    #[arg(long, value_name = "ID", conflicts_with = "module")]
    provider: Option<String>,
    /// The vendor's PKCS#11 library, for a token that is in no configuration
    #[arg(long, value_name = "FILE", requires = "pin_file")]
    module: Option<PathBuf>,
    /// The token's label
    #[arg(long, value_name = "LABEL", requires = "module")]
    token_label: Option<String>,
    /// The token's serial number
    #[arg(
        long,
        value_name = "SERIAL",
        requires = "module",
        conflicts_with = "token_label"
    )]
    token_serial: Option<String>,
    /// A file with the token's user PIN, mode 0600; there is no flag for the PIN itself
    #[arg(long, value_name = "FILE", requires = "module")]
    pin_file: Option<PathBuf>,
    /// How often each operation is measured
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u16).range(1..=10_000))]
    rounds: u16,
}

pub(super) fn run(
    args: &Args,
    home: impl FnOnce() -> anyhow::Result<PathBuf>,
    output: &Output,
) -> anyhow::Result<()> {
    let asked = asked(args, home()?)?;
    let bar = ProgressBar::new(TOPICS);
    if output.is_json() {
        bar.set_draw_target(indicatif::ProgressDrawTarget::hidden());
    }
    if let Ok(style) = ProgressStyle::with_template("{bar:24} {pos}/{len} {msg}") {
        bar.set_style(style);
    }
    bar.set_message("logging in");
    bar.tick();
    let outcome = watched(asked, usize::from(args.rounds), |done| {
        bar.inc(1);
        bar.set_message(done);
    });
    bar.finish_and_clear();
    let found = outcome.map_err(|trouble| {
        let advice = trouble
            .remedy
            .map(|remedy| format!("\n{remedy}"))
            .unwrap_or_default();
        CheckFailed(format!("{}{advice}", trouble.what))
    })?;
    output.result(&value(&found), text(&found)?);
    Ok(())
}

/// Longest time between two steps, and for each round of one: a token that is silent for so long hangs.
const STEP: Duration = Duration::from_secs(30);
const ROUND: Duration = Duration::from_millis(500);

/// The probe in a thread of its own: one that is inside a call that never returns is left behind.
fn watched(asked: Asked, rounds: usize, mut done: impl FnMut(&'static str)) -> Result<Probe, Trouble> {
    enum Said {
        Step(&'static str),
        End(Result<Probe, Trouble>),
    }
    let (tell, hear) = mpsc::channel();
    let patience = STEP + ROUND.saturating_mul(u32::try_from(rounds).unwrap_or(u32::MAX));
    let work = move || {
        let steps = tell.clone();
        let end = probe(&asked, rounds, |step| drop(steps.send(Said::Step(step))));
        drop(tell.send(Said::End(end)));
    };
    let silent = |after: &str| Trouble {
        what: format!(
            "token_unavailable: the token has not answered for {} s, {after}: a call to the module does not return",
            patience.as_secs()
        ),
        remedy: Some(
            "the token hangs: look at it, at its network and at the service or device behind the module"
                .to_owned(),
        ),
    };
    let mut after = "while it was logged in to".to_owned();
    if std::thread::Builder::new().spawn(work).is_err() {
        return Err(silent("because no thread could be started"));
    }
    loop {
        match hear.recv_timeout(patience) {
            Ok(Said::Step(step)) => {
                after = format!("after {step}");
                done(step);
            }
            Ok(Said::End(end)) => return end,
            Err(_) => return Err(silent(&after)),
        }
    }
}

fn asked(args: &Args, home: PathBuf) -> anyhow::Result<Asked> {
    if let (Some(module), Some(pin)) = (&args.module, &args.pin_file) {
        let token = match (&args.token_label, &args.token_serial) {
            (Some(label), _) => TokenName::Label(label.clone()),
            (None, Some(serial)) => TokenName::Serial(serial.clone()),
            (None, None) => {
                return Err(RefusedByRule(
                    "invalid_parameters: name the token, by --token-label or by --token-serial; `pkcs11-tool --module … -L` lists them"
                        .to_owned(),
                )
                .into());
            }
        };
        return Ok(Asked::Given {
            pkcs11: Pkcs11Config {
                module: std::path::absolute(module)?,
                token,
                pin: PinFrom::File(std::path::absolute(pin)?),
                sessions: 1,
                deadline: Duration::from_secs(10),
            },
            home,
        });
    }
    let config = config::load(&home)?;
    let ids: Vec<_> = config
        .providers
        .iter()
        .map(|provider| provider.id.as_str())
        .collect();
    let wanted = match (&args.provider, ids.as_slice()) {
        (Some(id), _) => id.as_str(),
        (None, [only]) => only,
        (None, []) => {
            return Err(RefusedByRule(
                "provider_not_found: the configuration has no [[provider]]; name a token with --module, --token-label and --pin-file"
                    .to_owned(),
            )
            .into());
        }
        (None, _) => {
            return Err(RefusedByRule(format!(
                "invalid_parameters: there are several tokens; choose one with --provider: {}",
                ids.join(", ")
            ))
            .into());
        }
    };
    match config
        .providers
        .iter()
        .find(|provider| provider.id.as_str() == wanted)
    {
        Some(provider) => Ok(Asked::Configured {
            provider: provider.clone(),
            keys: config.keys.dir.clone(),
        }),
        None => Err(RefusedByRule(format!(
            "provider_not_found: the configuration has no token {wanted:?}; it has {}",
            if ids.is_empty() {
                "none".to_owned()
            } else {
                ids.join(", ")
            }
        ))
        .into()),
    }
}

/// Operations a second in one session, by the median.
fn rate(median: Duration) -> u64 {
    let nanos = median.as_nanos().max(1);
    u64::try_from(1_000_000_000 / nanos).unwrap_or(u64::MAX)
}

fn value(probe: &Probe) -> Value {
    let findings: Vec<_> = probe.findings.iter().map(finding).collect();
    json!({
        "token": {
            "label": probe.token.label,
            "serial": probe.token.serial,
            "manufacturer": probe.token.manufacturer,
            "model": probe.token.model,
        },
        "library": probe.library,
        "max_sessions": probe.sessions,
        "mechanisms": probe.mechanisms,
        "findings": findings,
    })
}

fn finding(finding: &Finding) -> Value {
    let (verdict, mechanism, reason) = match &finding.verdict {
        Verdict::InHardware { mechanism } => ("in_hardware", Some(*mechanism), None),
        Verdict::WrappedByHardware { mechanism } => ("wrapped_by_hardware", Some(*mechanism), None),
        Verdict::Unknown { reason } => ("unknown", None, Some(reason.as_str())),
        Verdict::No { reason } => ("no", None, Some(reason.as_str())),
    };
    let micros = |duration: Duration| duration.as_secs_f64() * 1e6;
    json!({
        "purpose": finding.purpose.as_str(),
        "verdict": verdict,
        "mechanism": mechanism,
        "reason": reason,
        "p50_us": finding.latency.map(|(median, _)| micros(median)),
        "p99_us": finding.latency.map(|(_, slow)| micros(slow)),
        "per_second": finding.rate,
        "per_second_one_session": finding.latency.map(|(median, _)| rate(median)),
    })
}

fn text(probe: &Probe) -> anyhow::Result<String> {
    let mut text = String::new();
    let token = &probe.token;
    writeln!(
        text,
        "token   {:?}, serial {:?}: {} {}",
        token.label, token.serial, token.manufacturer, token.model
    )?;
    writeln!(text, "module  {}", probe.library)?;
    let sessions = probe
        .sessions
        .map_or_else(|| "as many as you like".to_owned(), |most| most.to_string());
    writeln!(
        text,
        "        {} mechanisms, sessions: {sessions}\n",
        probe.mechanisms
    )?;
    for finding in &probe.findings {
        let (verdict, detail) = match &finding.verdict {
            Verdict::InHardware { mechanism } => ("yes, the key never leaves it", *mechanism),
            Verdict::WrappedByHardware { mechanism } => ("sealed by it, in memory while used", *mechanism),
            Verdict::Unknown { reason } => ("unknown", reason.as_str()),
            Verdict::No { reason } => ("no", reason.as_str()),
        };
        write!(text, "{:30} {verdict:36} {detail}", finding.purpose.as_str())?;
        if let Some((median, slow)) = finding.latency {
            write!(text, "  p50 {median:.0?}, p99 {slow:.0?}, {}/s", rate(median))?;
            if let Some(all) = finding.rate {
                write!(text, " in one session, {all:.0}/s in all")?;
            }
        }
        writeln!(text)?;
    }
    Ok(text.trim_end().to_owned())
}
