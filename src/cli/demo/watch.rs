//! Watches blocks come: each precommit in sigward's audit chain, and the block that the node made of it.

use std::io::{BufRead as _, BufReader};
use std::os::unix::process::CommandExt as _;
use std::process::{Child, ChildStdout, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use serde_json::{Value, json};

use super::interrupt::Interrupt;
use super::node::Node;
use super::signer::Signer;
use super::{Narrator, wait_for};

/// How long a block may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// What was seen.
#[derive(Debug)]
pub(super) struct Watched {
    pub(super) blocks: u64,
    /// From the start of the demo to the first block.
    pub(super) first_block: Duration,
}

/// Prints each block as it is signed, until there are `wanted`.
pub(super) fn blocks(
    wanted: u64,
    begun: Instant,
    say: Narrator,
    interrupt: &Interrupt,
    signer: &Signer,
    node: &mut Node,
) -> anyhow::Result<Watched> {
    let tail = Tail::start(signer)?;
    let mut watched = Watched {
        blocks: 0,
        first_block: Duration::ZERO,
    };
    let mut last_height = 0;
    let mut last_seen = Instant::now();
    while watched.blocks < wanted {
        interrupt.check()?;
        node.check()?;
        let Some(record) = tail.next()? else {
            anyhow::ensure!(
                last_seen.elapsed() < PATIENCE,
                "no block for {} s",
                PATIENCE.as_secs()
            );
            continue;
        };
        let Some(precommit) = Precommit::of(&record).filter(|precommit| precommit.height > last_height)
        else {
            continue;
        };
        // Signed; the block is there as soon as the node has counted its one vote. A nil precommit makes none.
        let height = precommit.height;
        let hash = wait_for(&format!("block {height}"), PATIENCE, || {
            interrupt.check()?;
            node.check()?;
            Ok(node.block_hash(height))
        })?;
        (last_height, last_seen) = (height, Instant::now());
        watched.blocks += 1;
        if watched.blocks == 1 {
            watched.first_block = begun.elapsed();
            say.step(format_args!(
                "First block after {:.1} s:\n",
                watched.first_block.as_secs_f64()
            ));
        }
        let block = json!({ "height": height, "round": precommit.round, "block_hash": hash, "audit_sequence": precommit.sequence });
        say.result(
            &block,
            format_args!(
                "  height {height:>4}  block {}…  signed by sigward, audit record {}",
                hash.get(..16).unwrap_or(&hash),
                precommit.sequence
            ),
        );
    }
    Ok(watched)
}

/// A precommit that sigward let out.
struct Precommit {
    height: u64,
    round: u64,
    sequence: u64,
}

impl Precommit {
    fn of(record: &Value) -> Option<Self> {
        let text = |field: &str| record.get(field).and_then(Value::as_str);
        if text("decision") != Some("allowed") {
            return None;
        }
        let mut position = text("position")?.split('/');
        let (height, round, step) = (position.next()?, position.next()?, position.next()?);
        Some(Self {
            height: height.parse().ok()?,
            round: round.parse().ok()?,
            sequence: record.get("sequence")?.as_u64()?,
        })
        .filter(|_| step == "precommit")
    }
}

/// `sigward audit tail --follow`; killed on drop.
struct Tail {
    process: Child,
    lines: Receiver<String>,
}

impl Tail {
    fn start(signer: &Signer) -> anyhow::Result<Self> {
        let mut command = signer.follow();
        let mut process = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .process_group(0)
            .spawn()
            .context("cannot start sigward audit tail")?;
        let output = process.stdout.take();
        let (send, lines) = mpsc::channel();
        let tail = Self { process, lines };
        let output: ChildStdout = output.context("sigward audit tail has no output")?;
        std::thread::Builder::new()
            .name("audit-tail".to_owned())
            .spawn(move || {
                for line in BufReader::new(output).lines().map_while(Result::ok) {
                    if send.send(line).is_err() {
                        return;
                    }
                }
            })?;
        Ok(tail)
    }

    /// The next record; `None` when there is none for 100 ms.
    fn next(&self) -> anyhow::Result<Option<Value>> {
        match self.lines.recv_timeout(Duration::from_millis(100)) {
            Ok(line) => Ok(Some(
                serde_json::from_str(&line).context("sigward audit tail printed no JSON")?,
            )),
            Err(RecvTimeoutError::Timeout) => Ok(None),
            Err(RecvTimeoutError::Disconnected) => anyhow::bail!("sigward audit tail ended"),
        }
    }
}

impl Drop for Tail {
    fn drop(&mut self) {
        let _gone = self.process.kill();
        let _gone = self.process.wait();
    }
}
