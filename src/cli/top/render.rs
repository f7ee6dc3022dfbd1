//! A status as lines of text. Pure: what is shown, in how many columns, and in which style come in; nothing else is looked at.
//!
//! *Invariant:* no line is wider than it may be, and nothing that a peer or a configuration chose reaches the terminal but printable
//! characters (names and chain ids are such by their types; reasons are cleaned here).

use sigward_proto::v1::{ChainStatus, GetStatusResponse, HeightStatus, LatencyStatus, NodeStatus};

/// How the picture of heights is drawn.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::cli) enum Words {
    /// Block characters.
    Unicode,
    /// ASCII only.
    Ascii,
}

/// How a frame looks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::cli) struct Style {
    /// Its characters.
    pub(in crate::cli) words: Words,
    /// Whether alarms are coloured (SGR sequences; never in a pipe).
    pub(in crate::cli) colour: bool,
}

impl Words {
    /// Unicode where the locale says UTF-8 and nothing asks for less.
    pub(in crate::cli) fn of_environment() -> Self {
        let set = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        let locale = set("LC_ALL")
            .or_else(|| set("LC_CTYPE"))
            .or_else(|| set("LANG"))
            .unwrap_or_default();
        let utf8 = locale.to_lowercase().replace('-', "").contains("utf8");
        if utf8 && set("NO_COLOR").is_none() {
            Self::Unicode
        } else {
            Self::Ascii
        }
    }

    /// One height.
    const fn height(self, height: &HeightStatus) -> char {
        match (
            self,
            height.precommit,
            height.refused,
            height.prevote || height.proposal,
        ) {
            (Self::Unicode, true, _, _) => '█',
            (Self::Ascii, true, _, _) => '#',
            (_, false, true, _) => 'x',
            (Self::Unicode, false, false, true) => '▄',
            (Self::Ascii, false, false, true) => '+',
            (Self::Unicode, false, false, false) => '▁',
            (Self::Ascii, false, false, false) => '_',
        }
    }

    const fn legend(self) -> &'static str {
        match self {
            Self::Unicode => "█ precommit  ▄ no precommit  x refused  ▁ not asked",
            Self::Ascii => "# precommit  + no precommit  x refused  _ not asked",
        }
    }

    const fn dot(self) -> &'static str {
        match self {
            Self::Unicode => " · ",
            Self::Ascii => " | ",
        }
    }

    const fn ellipsis(self) -> char {
        match self {
            Self::Unicode => '…',
            Self::Ascii => '~',
        }
    }
}

/// All lines of a status, none wider than `width`. `note` is what stands above everything, such as a lost connection.
pub(in crate::cli) fn frame(
    status: &GetStatusResponse,
    note: Option<&str>,
    width: usize,
    style: Style,
) -> Vec<String> {
    let mut page = Page {
        lines: Vec::new(),
        width: width.max(1),
        style,
    };
    page.head(status, note);
    page.alarms(status);
    for chain in &status.chains {
        page.plain("");
        page.chain(chain, now(status));
    }
    if status.chains.is_empty() && status.instance.is_some() {
        page.plain("");
        page.plain(match super::super::remote::server() {
            // Those that a rule does not show are left out of the answer.
            Some(_) => "no chain that you may see",
            None => "no chain is configured: add one to sigward.toml",
        });
    }
    if status.chains.iter().any(|chain| !chain.heights.is_empty()) {
        page.plain("");
        page.plain(style.words.legend());
    }
    page.lines
}

/// The part of a frame that fits into `height` lines: the head stays, the rest scrolls. Says how far it can be scrolled, too.
pub(super) fn window(lines: Vec<String>, height: usize, scroll: usize) -> (Vec<String>, usize) {
    let most = lines.len().saturating_sub(height);
    let scroll = scroll.min(most);
    if most == 0 {
        return (lines, 0);
    }
    let kept = 2.min(height);
    let head: Vec<_> = lines.iter().take(kept).cloned().collect();
    let rest = lines.into_iter().skip(kept + scroll).take(height - kept);
    (head.into_iter().chain(rest).collect(), most)
}

/// Seconds since 1970 when the answer was made, by the daemon's clock.
fn now(status: &GetStatusResponse) -> Option<i64> {
    Some(status.instance.as_ref()?.now.as_ref()?.seconds)
}

struct Page {
    lines: Vec<String>,
    width: usize,
    style: Style,
}

#[derive(Clone, Copy)]
enum Ink {
    Plain,
    Bold,
    Alarm,
}

impl Page {
    fn head(&mut self, status: &GetStatusResponse, note: Option<&str>) {
        let Some(instance) = status.instance.clone() else {
            self.put("sigward", Ink::Bold);
            self.put(&format!("! {}", note.unwrap_or("no answer yet")), Ink::Alarm);
            return;
        };
        let state = match (instance.serving, status.ready) {
            (false, _) => "NOT RUNNING",
            (true, false) => "NOT READY",
            (true, true) => "ready",
        };
        let store = status.store.clone().unwrap_or_default();
        let mut parts = vec![format!("sigward {} {state}", instance.version)];
        parts.extend(super::super::status::uptime(status).map(|up| format!("up {}", span(up))));
        parts.extend(store.database_bytes.map(|bytes| {
            let log = store.wal_bytes.unwrap_or(0);
            format!("database {}", size(bytes.saturating_add(log)))
        }));
        parts.extend(store.free_bytes.map(|free| format!("{} free", size(free))));
        let ink = if status.ready && note.is_none() {
            Ink::Bold
        } else {
            Ink::Alarm
        };
        let dot = self.style.words.dot();
        self.put(&parts.join(dot), ink);
        let mut parts = vec![format!("audit {} records", store.audit_records)];
        for (what, times) in [("sign", &status.sign), ("commit", &status.commit)] {
            let measured = times.as_ref().filter(|times| times.count > 0);
            parts.extend(measured.map(|times| latency(what, times)));
        }
        self.plain(&parts.join(dot));
        if let Some(note) = note {
            self.put(&format!("! {note}"), Ink::Alarm);
        }
    }

    fn alarms(&mut self, status: &GetStatusResponse) {
        for check in status.checks.iter().filter(|check| !check.failing.is_empty()) {
            self.whole(&format!("! {}: {}", check.name, check.failing), Ink::Alarm);
            if !check.remedy.is_empty() {
                self.whole(&format!("  {}", check.remedy), Ink::Plain);
            }
        }
        for chain in &status.chains {
            for refusal in &chain.refusals {
                if matches!(
                    refusal.reason.as_str(),
                    "double_sign_conflict" | "height_jump" | "verification_failed"
                ) {
                    let line = format!(
                        "! {}: {} {} since the start",
                        chain.chain_id, refusal.count, refusal.reason
                    );
                    self.put(&line, Ink::Alarm);
                }
            }
        }
    }

    fn chain(&mut self, chain: &ChainStatus, now: Option<i64>) {
        let mark = match &chain.watermark {
            None => "no sign state".to_owned(),
            Some(mark) => match mark.kind.as_str() {
                "fresh" => "never signed".to_owned(),
                "closed" => format!("closed up to {}", mark.height),
                "exported" => format!("moved out at {}", mark.height),
                _ => format!("{}/{}/{}", mark.height, mark.round, mark.step),
            },
        };
        let mut parts = vec![chain.chain_id.clone(), mark];
        if let (Some(now), Some(last)) = (now, &chain.last_signed_at) {
            parts.push(format!("{} ago", span(now.saturating_sub(last.seconds).max(0))));
        }
        parts.push(format!("key {}", chain.key));
        if !chain.configured {
            parts.push("not in the configuration".to_owned());
        }
        let dot = self.style.words.dot();
        self.put(&parts.join(dot), Ink::Bold);
        if chain.frozen {
            self.put("  ! FROZEN by an operator: nothing is signed", Ink::Alarm);
        }
        if let Some(line) = chain.stop_line {
            self.put(
                &format!("  ! STOP LINE by an operator: nothing is signed at or above {line}"),
                Ink::Alarm,
            );
        }
        if !chain.address.is_empty() && self.width >= 60 {
            self.plain(&format!("  address {}", chain.address));
        }
        self.picture(chain);
        for node in &chain.nodes {
            self.node(node, now);
        }
        let refusals: Vec<_> = chain
            .refusals
            .iter()
            .map(|refusal| format!("{} {}", refusal.reason, refusal.count))
            .collect();
        if !refusals.is_empty() {
            self.plain(&format!("  refused: {}", refusals.join(", ")));
        }
    }

    fn picture(&mut self, chain: &ChainStatus) {
        if chain.heights.is_empty() {
            return;
        }
        // The newest are the ones to see.
        let fits = self.width.saturating_sub(2);
        let from = chain.heights.len().saturating_sub(fits);
        let drawn: String = chain
            .heights
            .iter()
            .skip(from)
            .map(|height| self.style.words.height(height))
            .collect();
        self.plain(&format!("  {drawn}"));
        if let Some(passed) = &chain.passed {
            self.plain(&format!(
                "  {} signed, {} refused, {} unfinished, {} skipped",
                passed.signed, passed.refused, passed.unfinished, passed.skipped
            ));
        }
    }

    fn node(&mut self, node: &NodeStatus, now: Option<i64>) {
        let link = match node.link.as_str() {
            "" => "not dialled yet",
            "unauthenticated_network" => "UNAUTHENTICATED network",
            link => link,
        };
        let since = node.connected_since.as_ref().zip(now);
        let state = match (node.drained, since) {
            (true, _) => "DRAINED by an operator: not dialled".to_owned(),
            (false, None) => format!("NOT CONNECTED, {link}"),
            (false, Some((since, now))) => {
                let span = span(now.saturating_sub(since.seconds).max(0));
                format!("connected {span}, {link}")
            }
        };
        let line = format!("  {:<12} {state}, asked first {}", node.name, node.positions_won);
        let ink = if node.connected_since.is_none() || node.drained {
            Ink::Alarm
        } else {
            Ink::Plain
        };
        self.put(&line, ink);
    }

    fn plain(&mut self, text: &str) {
        self.put(text, Ink::Plain);
    }

    /// What must be read whole: on as many lines as it takes, broken between words where that is possible.
    fn whole(&mut self, text: &str, ink: Ink) {
        let indent = if text.starts_with(' ') { "  " } else { "" };
        let mut line = indent.to_owned();
        let mut words = 0;
        for word in text.split_whitespace() {
            if words > 0 && line.chars().count() + 1 + word.chars().count() > self.width {
                self.put(&line, ink);
                line = "  ".to_owned();
                words = 0;
            }
            if words > 0 {
                line.push(' ');
            }
            line.push_str(word);
            words += 1;
        }
        self.put(&line, ink);
    }

    /// One line, cleaned and cut. Every character of ours is one column wide; of others only ASCII passes.
    fn put(&mut self, text: &str, ink: Ink) {
        let known = |c: char| matches!(c, ' '..='~' | '█' | '▄' | '▁' | '·' | '…');
        let ascii = self.style.words == Words::Ascii;
        let clean = |c: char| {
            if known(c) && (c.is_ascii() || !ascii) {
                c
            } else {
                '?'
            }
        };
        let mut line: String = text.chars().map(clean).collect();
        if line.chars().count() > self.width {
            line = line.chars().take(self.width - 1).collect();
            line.push(self.style.words.ellipsis());
        }
        let line = match (self.style.colour, ink) {
            (true, Ink::Bold) => format!("\x1b[1m{line}\x1b[0m"),
            (true, Ink::Alarm) => format!("\x1b[1;31m{line}\x1b[0m"),
            (true, Ink::Plain) | (false, _) => line,
        };
        self.lines.push(line);
    }
}

fn latency(what: &str, times: &LatencyStatus) -> String {
    format!(
        "{what} p50 {} p99 {}",
        time(times.p50_seconds),
        time(times.p99_seconds)
    )
}

fn time(seconds: f64) -> String {
    if seconds < 0.001 {
        format!("{:.0} us", seconds * 1e6)
    } else {
        format!("{:.1} ms", seconds * 1e3)
    }
}

/// Seconds in two units at most.
fn span(seconds: i64) -> String {
    match seconds {
        ..60 => format!("{seconds} s"),
        60..3_600 => format!("{} min {} s", seconds / 60, seconds % 60),
        3_600..86_400 => format!("{} h {} min", seconds / 3_600, seconds % 3_600 / 60),
        _ => format!("{} d {} h", seconds / 86_400, seconds % 86_400 / 3_600),
    }
}

/// Bytes in one unit of 1024.
fn size(bytes: u64) -> String {
    let mut whole = bytes;
    for unit in ["B", "KiB", "MiB", "GiB"] {
        if whole < 1024 * 10 {
            return format!("{whole} {unit}");
        }
        whole /= 1024;
    }
    format!("{whole} TiB")
}

#[cfg(test)]
#[path = "render_tests.rs"]
mod tests;
