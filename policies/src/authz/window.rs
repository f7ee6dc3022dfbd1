//! When: hours of the day and days of the week, in UTC. Pure arithmetic on seconds since 1970.
//!
//! A window that crosses midnight belongs to the day on which it began: `days = ["fri"], hours = ["22:00-06:00"]` lasts until
//! Saturday morning, and does not begin on Saturday.

use std::fmt;

use crate::model::id::UnixSeconds;

const DAY: i64 = 86_400;

/// Days as documents write them, Monday first.
pub(super) const DAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];

/// Some minutes of a day, up to the end and without it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Hours {
    /// Minutes after midnight, 0 to 1439.
    from: i64,
    /// 1 to 1440; before `from` where midnight lies between.
    to: i64,
}

impl Hours {
    /// Reads `08:00-18:00`. The sentence says what is wrong.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let window = text
            .split_once('-')
            .and_then(|(from, to)| Some((minutes(from)?, minutes(to)?)));
        match window {
            Some((from, _)) if from >= 1440 => Err("a day begins at 00:00".to_owned()),
            Some((from, to)) if from == to => {
                Err("this is no time at all; leave `hours` out for the whole day".to_owned())
            }
            Some((from, 0)) => Ok(Self { from, to: 1440 }),
            Some((from, to)) => Ok(Self { from, to }),
            None => Err("write hours in UTC such as 08:00-18:00, or 22:00-06:00 across midnight".to_owned()),
        }
    }
}

impl fmt::Display for Hours {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (a, b) = (self.from, self.to);
        write!(f, "{:02}:{:02}-{:02}:{:02}", a / 60, a % 60, b / 60, b % 60)
    }
}

/// Days and hours together. Neither: always.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Window {
    /// Empty: the whole day.
    pub(super) hours: Box<[Hours]>,
    /// A bit a day, Monday first; none set: every day.
    pub(super) days: u8,
}

impl Window {
    pub(super) fn contains(&self, now: UnixSeconds) -> bool {
        let today = weekday(now.0.div_euclid(DAY));
        let minute = now.0.rem_euclid(DAY) / 60;
        if self.hours.is_empty() {
            return self.on(today);
        }
        self.hours.iter().any(|hours| {
            if hours.from < hours.to {
                self.on(today) && (hours.from..hours.to).contains(&minute)
            } else {
                let yesterday = (today + 6) % 7;
                (self.on(today) && minute >= hours.from) || (self.on(yesterday) && minute < hours.to)
            }
        })
    }

    fn on(&self, day: u8) -> bool {
        self.days == 0 || self.days >> day & 1 == 1
    }
}

/// Monday is 0; 1970-01-01 was a Thursday.
fn weekday(day: i64) -> u8 {
    u8::try_from((day.rem_euclid(7) + 3) % 7).unwrap_or_default()
}

/// `HH:MM` up to `24:00`.
fn minutes(text: &str) -> Option<i64> {
    let (hours, minutes) = text.trim().split_once(':')?;
    let two = |digits: &str| digits.len() == 2 && digits.bytes().all(|b| b.is_ascii_digit());
    if !two(hours) || !two(minutes) {
        return None;
    }
    let (hours, minutes): (i64, i64) = (hours.parse().ok()?, minutes.parse().ok()?);
    (minutes < 60 && hours * 60 + minutes <= 1440).then_some(hours * 60 + minutes)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Friday, 2026-01-02 00:00 UTC.
    const FRIDAY: i64 = 1_767_312_000;

    fn window(days: &[usize], hours: &[&str]) -> Window {
        Window {
            hours: hours.iter().map(|text| Hours::parse(text).unwrap()).collect(),
            days: days.iter().map(|day| 1 << day).sum(),
        }
    }

    fn at(day: i64, hour: i64, minute: i64) -> UnixSeconds {
        UnixSeconds(FRIDAY + day * DAY + hour * 3600 + minute * 60)
    }

    #[test]
    fn days_are_counted_from_a_thursday() {
        assert_eq!((weekday(0), weekday(FRIDAY / DAY), weekday(-1)), (3, 4, 2));
    }

    #[test]
    fn a_night_belongs_to_the_day_on_which_it_began() {
        let night = window(&[4], &["22:00-06:00"]);
        for (day, hour, minute, open) in [
            (0, 21, 59, false),
            (0, 22, 0, true),
            (0, 23, 59, true),
            (1, 0, 0, true),
            (1, 5, 59, true),
            (1, 6, 0, false),
            (1, 22, 0, false),
            (0, 3, 0, false),
        ] {
            assert_eq!(
                night.contains(at(day, hour, minute)),
                open,
                "{day} {hour}:{minute}"
            );
        }
    }

    #[test]
    fn the_end_is_outside_and_midnight_may_be_the_end() {
        let day = window(&[], &["08:00-12:00", "13:00-24:00"]);
        for (hour, minute, open) in [
            (7, 59, false),
            (8, 0, true),
            (11, 59, true),
            (12, 0, false),
            (13, 0, true),
            (23, 59, true),
        ] {
            assert_eq!(day.contains(at(0, hour, minute)), open, "{hour}:{minute}");
        }
        assert_eq!(Hours::parse("13:00-00:00"), Hours::parse("13:00-24:00"));
    }

    #[test]
    fn what_is_no_time_is_refused() {
        for bad in [
            "",
            "8-18",
            "08:00",
            "08:00-",
            "08:60-09:00",
            "25:00-26:00",
            "24:00-06:00",
            "08:00-08:00",
            "08:00-18:00-19:00",
            "+8:00-09:00",
            "00:00-24:01",
        ] {
            assert!(Hours::parse(bad).is_err(), "{bad}");
        }
    }

    proptest! {
        /// Minute by minute: the definition is a list of minutes, starting with each chosen day's window.
        #[test]
        fn a_window_is_the_minutes_it_lists(days in proptest::collection::btree_set(0_usize..7, 0..7), from in 0_i64..1440, length in 1_i64..1440, probe in 0_i64..(7 * 1440)) {
            let to = (from + length) % 1440;
            prop_assume!(to != from);
            let text = format!("{:02}:{:02}-{:02}:{:02}", from / 60, from % 60, to / 60, to % 60);
            let days: Vec<usize> = days.into_iter().collect();
            let window = window(&days, &[&text]);
            let chosen: Vec<i64> = if days.is_empty() { (0..7).collect() } else { days.iter().map(|d| *d as i64).collect() };
            // Monday, 2026-01-05.
            let monday = FRIDAY + 3 * DAY;
            let week = 7 * 1440;
            let wanted = chosen.iter().any(|day| {
                let start = day * 1440 + from;
                (0..length).contains(&(probe - start).rem_euclid(week))
            });
            prop_assert_eq!(window.contains(UnixSeconds(monday + probe * 60)), wanted);
        }

        #[test]
        fn any_time_at_all_is_judged(now: i64) {
            let _ = window(&[1], &["22:00-06:00"]).contains(UnixSeconds(now));
        }
    }
}
