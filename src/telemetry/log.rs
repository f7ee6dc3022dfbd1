//! The log: lines on standard error, for people or for machines.
//!
//! *Invariant:* whatever the configured level, other people's code never logs below `info`: at `debug` and `trace` HTTP and TLS
//! libraries may print what they carry, and what the admin socket carries may be a key.

use std::fmt::{self, Debug};
use std::io::{self, IsTerminal};

use sigward_policies::model::text;
use tracing::field::Field;
use tracing::{Level, Metadata, Subscriber};
use tracing_subscriber::field::MakeExt as _;
use tracing_subscriber::filter::{EnvFilter, FilterExt, filter_fn};
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::fmt::format::{Writer, debug_fn};
use tracing_subscriber::layer::{Layer, SubscriberExt};
use tracing_subscriber::registry::Registry;
use tracing_subscriber::reload;

/// How a line looks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Style {
    /// For people; coloured only on a terminal.
    Text,
    /// One JSON object a line, RFC 3339 times in UTC.
    Json,
}

/// Why there is no log.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The levels do not parse.
    #[error("bad log level {level:?}")]
    Level {
        /// The levels as given.
        level: String,
        /// What is wrong with them.
        #[source]
        source: tracing_subscriber::filter::ParseError,
    },
    /// Something set a subscriber before.
    #[error("the log was begun already")]
    Begun,
    /// Nobody writes it any more.
    #[error("the log has ended")]
    Gone,
}

/// The levels of the log, which may change while it is written.
#[derive(Clone, Debug)]
pub struct Levels(reload::Handle<EnvFilter, Registry>);

impl Levels {
    /// Writes at `level` from now on.
    pub fn set(&self, level: &str) -> Result<(), LogError> {
        self.0.reload(filter(level)?).map_err(|_| LogError::Gone)
    }
}

/// Begins the log of this process, on standard error. `level` is in the words of `EnvFilter`. Once a process.
pub fn begin(style: Style, level: &str) -> Result<Levels, LogError> {
    let colour = if io::stderr().is_terminal() {
        Colour::Yes
    } else {
        Colour::No
    };
    let (subscriber, levels) = subscriber(style, level, colour, io::stderr)?;
    tracing::subscriber::set_global_default(subscriber).map_err(|_| LogError::Begun)?;
    Ok(levels)
}

/// Whether lines carry ANSI escapes. Never in a file or a pipe.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Colour {
    Yes,
    No,
}

fn subscriber<W>(
    style: Style,
    level: &str,
    colour: Colour,
    writer: W,
) -> Result<(impl Subscriber + Send + Sync, Levels), LogError>
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    let (filter, levels) = reload::Layer::new(filter(level)?);
    let base = tracing_subscriber::fmt::layer().with_writer(writer);
    let lines: Box<dyn Layer<Registry> + Send + Sync> = match style {
        Style::Text => Box::new(
            base.with_ansi(colour == Colour::Yes)
                .fmt_fields(debug_fn(field).delimited(" ")),
        ),
        Style::Json => Box::new(
            base.json()
                .flatten_event(true)
                .with_current_span(false)
                .with_ansi(false),
        ),
    };
    let lines = lines.with_filter(filter.and(filter_fn(ours_or_important)));
    Ok((tracing_subscriber::registry().with(lines), Levels(levels)))
}

/// One field of a line. What has several lines is joined, as in `sigward status`: whoever looks for `alarm=true` finds time and cause
/// beside it.
fn field(to: &mut Writer<'_>, field: &Field, value: &dyn Debug) -> fmt::Result {
    let said = format!("{value:?}");
    let lines: Vec<_> = said
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty())
        .collect();
    let said = text::one_line(&lines.join("; "));
    match field.name() {
        "message" => to.write_str(&said),
        name => write!(to, "{name}={said}"),
    }
}

fn filter(level: &str) -> Result<EnvFilter, LogError> {
    EnvFilter::builder()
        .parse(level)
        .map_err(|source| LogError::Level {
            level: level.to_owned(),
            source,
        })
}

fn ours_or_important(about: &Metadata<'_>) -> bool {
    let target = about.target();
    let ours = target == "sigward" || target.starts_with("sigward::") || target.starts_with("sigward_");
    ours || *about.level() <= Level::INFO
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    #[derive(Clone, Default)]
    struct Sink(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Sink {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn logged(style: Style, level: &str, colour: Colour) -> String {
        let sink = Sink::default();
        let to = sink.clone();
        let (subscriber, _levels) = subscriber(style, level, colour, move || to.clone()).unwrap();
        tracing::subscriber::with_default(subscriber, || {
            tracing::info!(chain = "c-1", "hello\u{1b}[2J");
            tracing::debug!("ours in detail");
            tracing::debug!(target: "h2::codec", "theirs in detail");
            tracing::trace!(target: "sigwardian", "not ours either");
            tracing::warn!(target: "h2::codec", "theirs and important");
        });
        let bytes = sink.0.lock().unwrap().clone();
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn json_is_one_object_a_line() {
        let text = logged(Style::Json, "info", Colour::No);
        let lines: Vec<serde_json::Value> = text
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        assert_eq!(lines.len(), 2);
        assert_eq!(lines.first().unwrap()["chain"], "c-1");
        assert_eq!(lines.first().unwrap()["level"], "INFO");
    }

    /// `grep alarm=true` finds when and why.
    #[test]
    fn a_message_of_several_lines_is_one_line_for_people() {
        let sink = Sink::default();
        let to = sink.clone();
        let (subscriber, _levels) = subscriber(Style::Text, "info", Colour::No, move || to.clone()).unwrap();
        tracing::subscriber::with_default(subscriber, || {
            tracing::error!(alarm = true, by = %"a\nforged", "bad: x\n  chmod o-w x\nthe old stays");
        });
        let text = String::from_utf8(sink.0.lock().unwrap().clone()).unwrap();
        assert_eq!(text.lines().count(), 1, "{text}");
        assert!(
            text.contains("bad: x; chmod o-w x; the old stays alarm=true by=a; forged"),
            "{text}"
        );
    }

    #[test]
    fn there_are_no_escapes_off_a_terminal() {
        assert!(
            !logged(Style::Text, "info", Colour::No).contains('\u{1b}'),
            "a hostile message, escaped"
        );
        assert!(logged(Style::Text, "info", Colour::Yes).contains('\u{1b}'));
    }

    #[test]
    fn other_peoples_code_never_logs_in_detail() {
        for level in ["trace", "h2=trace,sigward=trace", "debug,h2::codec=debug"] {
            let text = logged(Style::Text, level, Colour::No);
            assert!(
                text.contains("ours in detail") && text.contains("theirs and important"),
                "{text}"
            );
            assert!(
                !text.contains("theirs in detail") && !text.contains("not ours"),
                "{text}"
            );
        }
    }

    #[test]
    fn levels_change_while_the_log_is_written() {
        let sink = Sink::default();
        let to = sink.clone();
        let (subscriber, levels) = subscriber(Style::Text, "info", Colour::No, move || to.clone()).unwrap();
        tracing::subscriber::with_default(subscriber, || {
            for level in ["info", "debug", "error"] {
                levels.set(level).unwrap();
                tracing::info!("info at {level}");
                tracing::debug!("debug at {level}");
                tracing::debug!(target: "h2::codec", "theirs at {level}");
            }
        });
        let bytes = sink.0.lock().unwrap().clone();
        let text = String::from_utf8(bytes).unwrap();
        let said: Vec<_> = text
            .lines()
            .filter_map(|line| line.split_once(": "))
            .map(|(_, said)| said)
            .collect();
        assert_eq!(said, ["info at info", "info at debug", "debug at debug"]);
    }

    #[test]
    fn a_bad_level_is_an_error() {
        assert!(matches!(
            subscriber(Style::Text, "sigward=loud", Colour::No, io::sink),
            Err(LogError::Level { .. })
        ));
    }
}
