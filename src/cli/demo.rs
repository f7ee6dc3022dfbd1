//! `sigward demo`: a real CometBFT node makes blocks whose validator key only sigward holds.
//!
//! It does nothing that a person at a terminal could not: it runs this very program (`init`, `keys create`, `serve`,
//! `audit verify`) and `cometbft` as child processes in a folder of its own, prints what they do, and takes everything away again.
//!
//! *Invariant:* no child outlives the demo unless the demo itself is killed by SIGKILL; Ctrl-C and errors clean up too.

mod child;
mod folder;
mod http;
mod interrupt;
mod node;
mod signer;
mod timing;
mod watch;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use serde_json::json;

use folder::Folder;
use interrupt::Interrupt;
use node::Node;
use signer::Signer;

/// What `sigward demo` takes.
#[derive(Debug, clap::Args)]
pub(super) struct DemoArgs {
    /// The cometbft program [default: target/peers/v0.38.25/cometbft, where `make peers` puts it, else the one on the PATH]
    #[arg(long, value_name = "PATH")]
    cometbft: Option<PathBuf>,
    /// How many blocks to watch
    #[arg(long, default_value_t = 20, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    blocks: u64,
    /// Leave the folder with both homes and their logs where it is
    #[arg(long)]
    keep: bool,
}

/// Tells a person, and in JSON tells nobody, what is done next.
#[derive(Clone, Copy)]
struct Narrator {
    json: bool,
}

impl Narrator {
    fn step(self, text: impl std::fmt::Display) {
        if !self.json {
            println!("• {text}");
        }
    }

    fn result(self, value: &serde_json::Value, text: impl std::fmt::Display) {
        if self.json {
            println!("{value}");
        } else {
            println!("{text}");
        }
    }
}

/// Runs the demo from the empty folder to the last block.
pub(super) fn run(args: &DemoArgs, json: bool) -> anyhow::Result<()> {
    let say = Narrator { json };
    let interrupt = Interrupt::listen().context("cannot listen for Ctrl-C")?;
    let program = node::find(args.cometbft.as_deref())?;
    let folder = Folder::new(args.keep)?;
    say.step(format_args!(
        "Working in {}; {}",
        folder.path().display(),
        folder.fate()
    ));
    let outcome = play(args, say, &interrupt, program, &folder);
    if outcome.is_err() && !interrupt.came() {
        for log in [folder.path().join(signer::LOG), folder.path().join(node::LOG)] {
            child::print_tail(&log);
        }
    }
    match outcome {
        Err(_) if interrupt.came() => {
            say.step("Interrupted: everything is stopped and taken away.");
            Ok(())
        }
        outcome => outcome,
    }
}

fn play(
    args: &DemoArgs,
    say: Narrator,
    interrupt: &Interrupt,
    program: PathBuf,
    folder: &Folder,
) -> anyhow::Result<()> {
    let begun = Instant::now();
    let mut signer = Signer::init(folder, say)?;
    let key = signer.create_key()?;
    say.step(format_args!(
        "sigward keys create: a fresh validator key, {}",
        key.valcons
    ));

    let mut node = Node::init(program, folder, &key)?;
    say.step(format_args!(
        "cometbft init: chain {} has one validator, {}; the node's own key is not among them",
        node::CHAIN,
        key.address
    ));
    signer.configure(node::CHAIN, &node.laddr())?;

    signer.serve()?;
    say.step(format_args!(
        "sigward serve: dials {} until somebody listens",
        node.laddr()
    ));
    node.start()?;
    say.step(
        "cometbft start --proxy_app=kvstore: listens there, gets the public key, and asks for its first vote",
    );

    let watched = watch::blocks(args.blocks, begun, say, interrupt, &signer, &mut node)?;

    let metrics = http::get(signer.http_port()?, "/metrics").context("sigward does not answer /metrics")?;
    let timing = timing::read(&metrics)?;
    node.stop();
    signer.stop()?;
    let verified = signer.verify()?;
    say.result(
        &json!({
            "blocks": watched.blocks,
            "first_block_seconds": watched.first_block.as_secs_f64(),
            "signatures": timing.count,
            "sign_p50_seconds": timing.p50,
            "sign_p99_seconds": timing.p99,
            "audit": verified,
        }),
        format_args!(
            "\n{} blocks; {} signatures, each on disk before the node had it: p50 {}, p99 {}.\n{verified}",
            watched.blocks,
            timing.count,
            timing::pretty(timing.p50),
            timing::pretty(timing.p99),
        ),
    );
    Ok(())
}

/// Asks again every 20 ms until there is an answer; an error names what did not happen.
fn wait_for<T>(
    what: &str,
    limit: Duration,
    mut probe: impl FnMut() -> anyhow::Result<Option<T>>,
) -> anyhow::Result<T> {
    let end = Instant::now() + limit;
    loop {
        if let Some(answer) = probe()? {
            return Ok(answer);
        }
        anyhow::ensure!(Instant::now() < end, "{what}: not within {} s", limit.as_secs());
        std::thread::sleep(Duration::from_millis(20));
    }
}
