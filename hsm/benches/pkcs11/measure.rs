//! Closed loops, percentiles, and what waking a thread costs here.

use std::{
    sync::mpsc,
    time::{Duration, Instant},
};

use crate::{CALLERS, SESSIONS};

/// One turn of one contender.
#[derive(Clone, Copy)]
pub(crate) struct Figure {
    /// Operations a second, of all threads.
    pub(crate) rate: f64,
    /// Microseconds.
    pub(crate) p50: f64,
    /// Microseconds.
    pub(crate) p99: f64,
}

/// All turns, by the number of threads.
pub(crate) struct Rounds {
    pub(crate) bare: Vec<(usize, Vec<Figure>)>,
    pub(crate) provider: Vec<(usize, Vec<Figure>)>,
    pub(crate) elsewhere: Vec<Figure>,
    pub(crate) hops: Vec<Figure>,
}

impl Default for Rounds {
    fn default() -> Self {
        let of = |counts: &[usize]| counts.iter().map(|count| (*count, Vec::new())).collect();
        Self {
            bare: of(&[1, 2, 4, SESSIONS]),
            provider: of(&[1, CALLERS]),
            elsewhere: Vec::new(),
            hops: Vec::new(),
        }
    }
}

/// Runs `work` over and over for `turn`, and says how long each time took.
pub(crate) fn repeat<E>(turn: Duration, mut work: impl FnMut() -> Result<(), E>) -> Result<Vec<Duration>, E> {
    let mut times = Vec::with_capacity(1 << 14);
    let end = Instant::now() + turn;
    loop {
        let began = Instant::now();
        if began >= end {
            return Ok(times);
        }
        work()?;
        times.push(began.elapsed());
    }
}

/// The figure of a turn in which all threads together did what `times` says.
pub(crate) fn figure(mut times: Vec<Duration>, turn: Duration) -> Figure {
    times.sort_unstable();
    let at = |percent: usize| {
        let place = (times.len() * percent / 100).min(times.len().saturating_sub(1));
        times.get(place).map_or(f64::NAN, |time| time.as_secs_f64() * 1e6)
    };
    Figure {
        rate: times.len() as f64 / turn.as_secs_f64(),
        p50: at(50),
        p99: at(99),
    }
}

/// Each number for itself.
pub(crate) fn median(figures: &[Figure]) -> Figure {
    let middle = |of: fn(&Figure) -> f64| {
        let mut all: Vec<f64> = figures.iter().map(of).collect();
        all.sort_unstable_by(f64::total_cmp);
        all.get(all.len() / 2).copied().unwrap_or(f64::NAN)
    };
    Figure {
        rate: middle(|figure| figure.rate),
        p50: middle(|figure| figure.p50),
        p99: middle(|figure| figure.p99),
    }
}

/// A thread hands something to another one, which works for `work` and answers: what that takes beyond the work. (A processor that
/// was idle meanwhile takes longer to wake than one that was not: so the work is part of it.)
pub(crate) fn two_hops(turn: Duration, work: Duration) -> Figure {
    let (there, hear) = mpsc::sync_channel::<()>(1);
    let (back, answer) = mpsc::sync_channel::<()>(1);
    std::thread::scope(|scope| {
        scope.spawn(move || {
            while hear.recv().is_ok() {
                let end = Instant::now() + work;
                while Instant::now() < end {
                    std::hint::spin_loop();
                }
                if back.send(()).is_err() {
                    return;
                }
            }
        });
        let times = repeat(turn, || {
            there
                .send(())
                .map_err(drop)
                .and_then(|()| answer.recv().map_err(drop))
        });
        drop(there);
        let beyond = times
            .unwrap_or_default()
            .into_iter()
            .map(|time| time.saturating_sub(work));
        figure(beyond.collect(), turn)
    })
}
