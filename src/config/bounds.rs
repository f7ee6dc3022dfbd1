//! `[listen.bounds]`: what the doors for clients give at most, for those whom the defaults do not fit.

use std::fmt;
use std::time::Duration;

use super::error::ConfigError;
use super::raw::{Number, RawListen};
use super::validate::{Source, number};

/// Handshakes in a second that may be asked for: no machine does more.
const MOST_HANDSHAKES: u64 = 100_000;
const DAY: u64 = 86_400;

/// `[listen.bounds]`. Every door has these for itself.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct DoorBounds {
    /// Handshakes in a second, with all addresses together.
    pub handshakes: u32,
    /// The same with one address.
    pub handshakes_of_one: u32,
    /// How long a connection takes requests.
    pub connection_age: Duration,
    /// How long an answer is held open.
    pub stream_age: Duration,
}

impl fmt::Display for DoorBounds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            handshakes,
            handshakes_of_one,
            connection_age,
            stream_age,
        } = self;
        write!(
            f,
            "handshakes {handshakes}, of one address {handshakes_of_one}, connection age {} s, stream age {} s",
            connection_age.as_secs(),
            stream_age.as_secs()
        )
    }
}

pub(super) fn bounds(raw: Option<&RawListen>, source: &Source<'_>) -> Result<DoorBounds, ConfigError> {
    let raw = raw.and_then(|listen| listen.bounds.as_ref());
    let read = |value: Option<&Number>, name: &str, default, most| {
        number(value, &format!("listen.bounds.{name}"), default, most, source)
    };
    let pace = |value: Option<&Number>, name: &str, default| {
        let number = read(value, name, default, MOST_HANDSHAKES)?;
        Ok(u32::try_from(number).unwrap_or(u32::MAX))
    };
    let of_one = raw.and_then(|raw| raw.handshakes_of_one_address.as_ref());
    let bounds = DoorBounds {
        handshakes: pace(raw.and_then(|raw| raw.handshakes.as_ref()), "handshakes", 400)?,
        handshakes_of_one: pace(of_one, "handshakes_of_one_address", 100)?,
        connection_age: Duration::from_secs(read(
            raw.and_then(|raw| raw.connection_age_s.as_ref()),
            "connection_age_s",
            600,
            DAY,
        )?),
        stream_age: Duration::from_secs(read(
            raw.and_then(|raw| raw.stream_age_s.as_ref()),
            "stream_age_s",
            86_400,
            30 * DAY,
        )?),
    };
    match of_one {
        // One address would take what is there for all of them, and believe to have more.
        Some(of_one) if bounds.handshakes_of_one > bounds.handshakes => Err(source.bad(
            of_one,
            "listen.bounds.handshakes_of_one_address",
            format!(
                "{} with one address are more than {} with all",
                bounds.handshakes_of_one, bounds.handshakes
            ),
            "raise listen.bounds.handshakes too: it is what all addresses together get",
        )),
        _ => Ok(bounds),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config::{Config, parse};

    fn read(text: &str) -> Result<Config, ConfigError> {
        parse(&format!("[listen.bounds]\n{text}"), Path::new("/etc/sigward"))
    }

    #[test]
    fn bounds_are_there_without_a_door_and_without_a_word() {
        let config = read("").unwrap();
        assert_eq!(config.listen, None);
        assert_eq!(
            config.bounds.to_string(),
            "handshakes 400, of one address 100, connection age 600 s, stream age 86400 s"
        );
        let config = read(
            "handshakes = 2000\nhandshakes_of_one_address = 1000\nconnection_age_s = 60\nstream_age_s = 3600",
        );
        assert_eq!(
            config.unwrap().bounds.to_string(),
            "handshakes 2000, of one address 1000, connection age 60 s, stream age 3600 s"
        );
        assert_eq!(
            parse("", Path::new("/etc/sigward")).unwrap().bounds,
            read("").unwrap().bounds
        );
    }

    #[test]
    fn what_would_shut_a_door_or_take_its_bound_away_is_refused() {
        for (text, wanted) in [
            ("handshakes = 0", "out of range"),
            ("handshakes = 100001", "out of range"),
            ("handshakes_of_one_address = -1", "out of range"),
            (
                "handshakes_of_one_address = 401",
                "401 with one address are more than 400",
            ),
            ("connection_age_s = 0", "out of range"),
            ("connection_age_s = 86401", "out of range"),
            ("stream_age_s = 2592001", "out of range"),
            ("streams = 1", "unknown field"),
        ] {
            let error = read(text).unwrap_err();
            let told = format!("{error}\n{}", error.advice);
            assert!(told.contains(wanted), "{text}: {told}");
        }
        // Fewer for all are fewer for one, without a word about one.
        assert_eq!(read("handshakes = 50").unwrap().bounds.handshakes, 50);
    }
}
