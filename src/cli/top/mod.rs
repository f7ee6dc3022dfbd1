//! `sigward top`: asks the daemon each second and draws what it says, until somebody leaves.

pub(super) mod render;
mod terminal;

use std::io::{self, IsTerminal as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use sigward_proto::v1::GetStatusResponse;
use tokio::signal::unix::{SignalKind, signal};
use tonic::transport::Channel;

use super::client::{at_once, daemon, sockets};
use super::output::Output;
use super::remote;
use super::status::get;
use crate::config;
use render::{Style, Words, frame, window};
use terminal::{Key, Terminal};

/// How often the daemon is asked.
const REFRESH: Duration = Duration::from_secs(1);
/// How often keys are looked for.
const LISTEN: Duration = Duration::from_millis(50);
/// An answer from this machine that takes longer is none.
const PATIENCE: Duration = Duration::from_secs(3);

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Print one frame and end: no terminal needed, nothing cut off below; with --json the same as `status --json`
    #[arg(long)]
    once: bool,
    /// Draw with ASCII only [default: where the locale is not UTF-8, or NO_COLOR is set]
    #[arg(long)]
    ascii: bool,
    /// Columns of the frame that --once prints
    #[arg(long, value_name = "COLUMNS", default_value_t = 80, requires = "once", value_parser = clap::value_parser!(u16).range(20..=500))]
    width: u16,
}

pub(super) fn run(args: &Args, home: &Path, output: &Output) -> anyhow::Result<()> {
    if args.once && output.is_json() {
        return super::status::run(home, output);
    }
    anyhow::ensure!(
        !output.is_json(),
        "top draws for people\nuse `sigward status --json` in scripts"
    );
    let words = if args.ascii {
        Words::Ascii
    } else {
        Words::of_environment()
    };
    if args.once {
        let status = at_once(home, get)?;
        let style = Style { words, colour: false };
        output.line(frame(&status, None, args.width.into(), style).join("\n"));
        return super::status::must_serve(&status);
    }
    remote::only_here("`top` without --once")?;
    let colour =
        io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    // Looking needs no readable file, as long as the daemon is found.
    let config = config::load(home);
    let sockets = sockets(home, &config);
    if !sockets.iter().any(|socket| socket.exists()) {
        config?;
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let terminal = Terminal::take()?;
    let outcome = runtime.block_on(watch(&sockets, &terminal, Style { words, colour }));
    drop(terminal);
    outcome
}

/// What was last heard, and what is wrong with hearing.
#[derive(Default)]
struct Heard {
    channel: Option<Channel>,
    status: Option<GetStatusResponse>,
    note: Option<String>,
}

async fn watch(sockets: &[PathBuf], terminal: &Terminal, style: Style) -> anyhow::Result<()> {
    let (mut term, mut hup) = (signal(SignalKind::terminate())?, signal(SignalKind::hangup())?);
    let mut heard = Heard::default();
    let mut scroll = 0_usize;
    let mut ask = tokio::time::interval(REFRESH);
    ask.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut listen = tokio::time::interval(LISTEN);
    let mut drawn = Vec::new();
    loop {
        tokio::select! {
            _ = term.recv() => return Ok(()),
            _ = hup.recv() => return Ok(()),
            _ = ask.tick() => heard.ask(sockets).await,
            _ = listen.tick() => {}
        }
        let (width, height) = Terminal::size();
        while let Some(key) = terminal.key() {
            let page = height.saturating_sub(3).max(1);
            match key {
                Key::Leave => return Ok(()),
                Key::Up => scroll = scroll.saturating_sub(1),
                Key::Down => scroll += 1,
                Key::PageUp => scroll = scroll.saturating_sub(page),
                Key::PageDown => scroll += page,
                Key::Home => scroll = 0,
            }
        }
        let status = heard.status.clone().unwrap_or_default();
        let (lines, most) = window(
            frame(&status, heard.note.as_deref(), width, style),
            height,
            scroll,
        );
        scroll = scroll.min(most);
        if lines != drawn {
            Terminal::draw(&lines)?;
            drawn = lines;
        }
    }
}

impl Heard {
    async fn ask(&mut self, sockets: &[PathBuf]) {
        match tokio::time::timeout(PATIENCE, self.answer(sockets)).await {
            Ok(Ok(Some(status))) => (self.status, self.note) = (Some(status), None),
            Ok(Ok(None)) => self.lost("no daemon is running; waiting for it"),
            Ok(Err(error)) => self.lost(&format!("the daemon does not answer: {error}; trying again")),
            Err(_elapsed) => self.lost("the daemon does not answer; trying again"),
        }
    }

    async fn answer(&mut self, sockets: &[PathBuf]) -> anyhow::Result<Option<GetStatusResponse>> {
        for socket in sockets {
            if self.channel.is_none() {
                self.channel = daemon(socket).await?;
            }
        }
        match &self.channel {
            Some(channel) => Ok(Some(get(channel.clone()).await?)),
            None => Ok(None),
        }
    }

    /// What was heard last stays in sight, under the note that it is old.
    fn lost(&mut self, why: &str) {
        self.channel = None;
        if let Some(status) = &mut self.status {
            status.ready = false;
            if let Some(instance) = &mut status.instance {
                instance.serving = false;
            }
        }
        self.note = Some(why.to_owned());
    }
}
