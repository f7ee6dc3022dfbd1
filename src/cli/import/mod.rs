//! `sigward import`: moving in from another signer. Look, check, write; and say what is left to do by hand.
//!
//! Not through the admin services: it makes homes and changes the configuration, which a daemon holds, so none may run.

mod chain_check;
mod scan;
mod show;
mod watch;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde_json::json;
use sigward_policies::decision::{Refusal, RefusalCode, Refused};
use sigward_policies::model::id::{ChainId, Height, KeyName};

use super::exit::{CheckFailed, RefusedByRule};
use super::output::Output;
use super::running::{self, OldSigner};
use crate::app::Durability;
use crate::app::import::{self, Import, Wish};
use crate::chain::cometbft::Client;
use crate::config::{self, ConfigError};
use crate::foreign::{ForeignKind, Places};

use chain_check::Checked;
use watch::{Standstill, Watch};

/// How long state files are watched at least before anything is written: a validator signs several times in a block.
const SETTLE: Duration = Duration::from_secs(4);
/// And at most, in seconds, where blocks come slowly.
const MOST_SETTLE: f64 = 20.0;

/// Examples below the help.
const EXAMPLES: &str = "\
Without --apply nothing is written: what would be done is shown, and what would be refused.

A node that signs for itself:
  sigward import --from cometbft ~/.cometbft --rpc http://192.0.2.20:26657
  systemctl disable --now cometbft
  sigward import --from cometbft ~/.cometbft --node unix:///run/cometbft/signer.sock --rpc http://192.0.2.20:26657 --apply

tmkms, with a look at the chain before anything is written:
  systemctl disable --now tmkms
  sigward import --from tmkms /etc/tmkms/tmkms.toml --rpc http://192.0.2.20:26657 --wait-blocks 5 --apply

Give --rpc a node that is level with the chain, and not the one whose signer you stop: that one waits for its signer, and knows
nothing of what comes after.";

#[derive(Debug, clap::Args)]
#[command(after_long_help = EXAMPLES)]
pub(super) struct Args {
    /// The signer to move from
    #[arg(long, value_name = "SIGNER")]
    from: From,
    /// Its files. cometbft: the node's home, or key file and state file; tmkms: tmkms.toml; cosmos-kms and horcrux: config.yaml.
    /// The folder of such a file does too
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// Write. Without it only what would be done is shown
    #[arg(long, visible_alias = "yes", conflicts_with = "dry_run")]
    apply: bool,
    /// Show what would be done; the default
    #[arg(long)]
    dry_run: bool,
    /// Move this chain only; needed where the files do not say which chain they are of
    #[arg(long, value_name = "CHAIN_ID")]
    chain: Option<String>,
    /// A node to sign for that the files do not name; with several chains CHAIN=ADDRESS
    #[arg(long, value_name = "[CHAIN=]ADDRESS")]
    node: Vec<String>,
    /// What to call the key [default: validator]
    #[arg(long)]
    name: Option<String>,
    /// Sign only heights greater than this on the chain, whatever the files say; needed where there is no state file
    #[arg(long, value_name = "CHAIN=HEIGHT")]
    above: Vec<String>,
    /// You vouch that the key has never signed anything on the chain
    #[arg(long, value_name = "CHAIN")]
    never_signed: Vec<String>,
    /// The folder that the old signer is started in, if its files have relative paths [default: the folder of its configuration]
    #[arg(long, value_name = "DIR")]
    started_in: Option<PathBuf>,
    /// A node's RPC, to compare the watermarks with what the chain has seen signed; repeat it for other chains or a second opinion
    #[arg(long, value_name = "URL")]
    rpc: Vec<String>,
    /// Watch this many new blocks for a signature that would mean that another signer is alive, before anything is written
    #[arg(long, value_name = "N", requires = "rpc", value_parser = clap::value_parser!(u64).range(1..=1000))]
    wait_blocks: Option<u64>,
    /// How long the chain may stand still meanwhile [default: ten block intervals, at least 30]
    #[arg(long, value_name = "SECONDS", requires = "wait_blocks", value_parser = clap::value_parser!(u64).range(1..=86400))]
    wait_limit: Option<u64>,
    /// How long one node may be asked for the blocks from now down to the watermark
    #[arg(long, value_name = "SECONDS", requires = "rpc", default_value_t = 120, value_parser = clap::value_parser!(u64).range(1..=86400))]
    rpc_limit: u64,
    /// Take a chain that stands still while it is watched for one where nobody signs with the key: you know why it halts
    #[arg(long, requires = "wait_blocks")]
    accept_standstill: bool,
    /// Go on although a process that looks like the old signer runs on this machine, or may run unseen
    #[arg(long)]
    ignore_running: bool,
    /// For a home that is made: accept file systems that may forget (as `sigward init` does). For development only
    #[arg(long)]
    allow_volatile: bool,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum From {
    /// A CometBFT node that signs for itself
    Cometbft,
    /// tmkms with keys in files (softsign)
    Tmkms,
    /// github.com/cosmos/kms with keys in files
    CosmosKms,
    /// horcrux in single-signer mode
    Horcrux,
}

pub(super) fn run(args: Args, home: &Path, output: &Output) -> anyhow::Result<()> {
    let outcome = go(&args, home, output);
    outcome.map_err(|error| {
        let refused = error.downcast_ref::<Refusal>().map(ToString::to_string);
        match refused.or_else(|| error.downcast_ref::<Refused>().map(ToString::to_string)) {
            Some(text) => RefusedByRule(text).into(),
            None => error,
        }
    })
}

fn go(args: &Args, home: &Path, output: &Output) -> anyhow::Result<()> {
    let wish = wish(args)?;
    let clients = args
        .rpc
        .iter()
        .map(|url| Client::new(url))
        .collect::<Result<Vec<_>, _>>()?;
    let import = import::read(home, &wish).map_err(|error| match error.downcast::<ConfigError>() {
        Ok(config) => RefusedByRule(config.to_string()).into(),
        Err(error) => error,
    })?;
    if !output.is_json() {
        output.line(show::plan(&import, args.apply));
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?;

    let read_at = Instant::now();
    let mut problems = Vec::new();
    let old = OldSigner::of(
        wish.from,
        import
            .sources
            .iter()
            .map(PathBuf::as_path)
            .chain(import.state_files()),
        &wish.places.paths,
    );
    let looked = old.look();
    if !looked.running.is_empty() && !args.ignore_running {
        problems.push(Refusal::new(
            RefusalCode::OldSignerRuns,
            running::sentence(&looked.running),
        ));
    }
    // A signer that is seen at work says all: a state that is behind is then no wonder.
    if args.apply
        && let Some(problem) = problems.first()
    {
        return Err(problem.clone().into());
    }
    let serving = import.home_exists && runtime.block_on(serves(home))?;
    anyhow::ensure!(
        !(serving && args.apply),
        "store_locked: a sigward serves from {}. Stop it (`systemctl stop sigward`), then run the same command again; nothing was written",
        home.display()
    );
    let limit = Duration::from_secs(args.rpc_limit);
    let mut checked = runtime.block_on(chain_check::all(&import, &clients, limit, output))?;
    let watched = runtime.block_on(watch_all(args, &import, &clients, &mut checked, output))?;
    if let Some(why) = looked.blind.filter(|_| !args.ignore_running && !watched) {
        problems.push(unseen(&why));
    }
    if serving {
        checked.notices.push(format!(
            "A sigward serves from {}: stop it before --apply (`systemctl stop sigward`).",
            home.display()
        ));
    }
    problems.extend(checked.problems.iter().cloned());
    if !output.is_json() {
        checked.reports.iter().for_each(|report| output.line(report));
        checked.notices.iter().for_each(|notice| output.line(notice));
    }
    if args.apply {
        if let Some(problem) = problems.first() {
            return Err(problem.clone().into());
        }
        let done = show::done(&import);
        let value = show::value(&import, &checked, &[], true);
        settle(&checked, read_at, output);
        let last_look = || match old.look().running {
            running if running.is_empty() || args.ignore_running => Ok(()),
            running => Err(Refusal::new(
                RefusalCode::OldSignerRuns,
                running::sentence(&running),
            )),
        };
        runtime.block_on(import.apply(last_look))?;
        output.result(&value, done);
        return Ok(());
    }
    problems.extend(import.still_as_read().err());
    if output.is_json() {
        output.line(show::value(&import, &checked, &problems, false));
    } else {
        problems
            .iter()
            .for_each(|problem| output.line(format!("WOULD REFUSE  {problem}")));
        output.line("\nNothing was written. When the old signer is stopped, repeat it with --apply.");
    }
    match problems.len() {
        0 => Ok(()),
        count => Err(CheckFailed(format!("--apply would refuse, for {count} reason(s)")).into()),
    }
}

/// Watches new blocks at every node. Whether that says of every chain that nobody signs with its key.
async fn watch_all(
    args: &Args,
    import: &Import,
    clients: &[Client],
    checked: &mut Checked,
    output: &Output,
) -> anyhow::Result<bool> {
    let Some(blocks) = args.wait_blocks else {
        return Ok(false);
    };
    let watch = Watch {
        blocks,
        limit: args.wait_limit.map(Duration::from_secs),
        standstill: if args.accept_standstill {
            Standstill::Accepted
        } else {
            Standstill::ProvesLittle
        },
    };
    let (mut notices, mut proved) = (Vec::new(), Vec::new());
    for (client, report) in clients.iter().zip(&checked.reports) {
        match watch::blocks(import, client, report, watch, output).await {
            Ok(None) => {}
            Ok(Some(watched)) => {
                notices.push(watched.notice);
                if watched.proof {
                    proved.push(report.chain.clone());
                }
            }
            Err(error) => match error.downcast::<Refusal>() {
                // It comes first: it is the reason of the others.
                Ok(refusal) => checked.problems.insert(0, refusal),
                Err(error) => return Err(error),
            },
        }
    }
    checked.notices.extend(notices);
    Ok(import
        .chains()
        .all(|(_, chain)| proved.iter().any(|proved| proved == chain.id.as_str())))
}

fn unseen(why: &str) -> Refusal {
    Refusal::new(
        RefusalCode::OldSignerUnseen,
        format!(
            "whether the signer that is moved from still runs cannot be seen from here: {why}. Run this as root, or let the chain say it \
             (--rpc URL --wait-blocks 5); --ignore-running if you have seen yourself that it is stopped"
        ),
    )
}

/// Lets a signer that still runs write its state once more: what it has written since the plan was made is seen right before the
/// commit.
fn settle(checked: &Checked, read_at: Instant, output: &Output) {
    let interval = checked
        .reports
        .iter()
        .filter_map(|report| report.interval)
        .fold(0.0, f64::max);
    let wait = SETTLE.max(Duration::from_secs_f64((interval * 1.5).clamp(0.0, MOST_SETTLE)));
    let left = wait.saturating_sub(read_at.elapsed());
    if !left.is_zero() {
        if !output.is_json() {
            output.line(format!(
                "Looking once more in {} s: a state that changes meanwhile is a signer that lives.",
                left.as_secs() + 1
            ));
        }
        std::thread::sleep(left);
    }
}

/// A daemon holds the store, and what moving in writes into its configuration it would not know of.
async fn serves(home: &Path) -> anyhow::Result<bool> {
    let socket = config::load(home)?.admin_socket;
    Ok(super::client::daemon(&socket).await?.is_some())
}

fn wish(args: &Args) -> anyhow::Result<Wish> {
    let pair = |text: &str, what: &str| -> Result<(ChainId, String), Refusal> {
        let (chain, value) = text.rsplit_once('=').ok_or_else(|| {
            Refusal::new(
                RefusalCode::InvalidParameters,
                format!("--{what} {text}: write CHAIN=VALUE"),
            )
        })?;
        Ok((ChainId::new(chain)?, value.to_owned()))
    };
    Ok(Wish {
        from: match args.from {
            From::Cometbft => ForeignKind::CometBft,
            From::Tmkms => ForeignKind::Tmkms,
            From::CosmosKms => ForeignKind::CosmosKms,
            From::Horcrux => ForeignKind::Horcrux,
        },
        places: Places {
            paths: args
                .paths
                .iter()
                .map(std::path::absolute)
                .collect::<Result<_, _>>()?,
            chain: args.chain.as_deref().map(ChainId::new).transpose()?,
            started_in: args.started_in.as_ref().map(std::path::absolute).transpose()?,
        },
        name: args.name.as_deref().map(KeyName::new).transpose()?,
        nodes: args
            .node
            .iter()
            // An address has its scheme; what stands before `=` before that is a chain.
            .map(|text| {
                match text
                    .find('=')
                    .filter(|at| text.find("://").is_none_or(|scheme| *at < scheme))
                {
                    Some(_) => {
                        let (chain, address) = text.split_once('=').unwrap_or_default();
                        Ok((Some(ChainId::new(chain)?), address.to_owned()))
                    }
                    None => Ok((None, text.clone())),
                }
            })
            .collect::<Result<_, Refusal>>()?,
        above: args
            .above
            .iter()
            .map(|text| {
                let (chain, height) = pair(text, "above")?;
                let height = height.parse().map_err(|_| {
                    Refusal::new(RefusalCode::InvalidHeight, format!("--above {text}: no height"))
                })?;
                Ok((chain, Height::new(height)?))
            })
            .collect::<Result<_, Refusal>>()?,
        never_signed: args
            .never_signed
            .iter()
            .map(|text| ChainId::new(text))
            .collect::<Result<_, _>>()?,
        durability: if args.allow_volatile {
            Durability::Volatile
        } else {
            Durability::Demanded
        },
    })
}

/// The position up to which a chain is closed, in words.
fn watermark(beginning: &sigward_policies::double_sign::Beginning) -> String {
    use sigward_policies::double_sign::Beginning;
    match beginning {
        Beginning::NeverSigned => "never signed".to_owned(),
        Beginning::Above(height) | Beginning::Unproven(height) => format!("height {height}, closed"),
        Beginning::State(last) => last.position.to_string(),
    }
}

/// The height up to which a chain is closed, or its last signature; 0 where nothing was signed.
const fn height_of(beginning: &sigward_policies::double_sign::Beginning) -> i64 {
    use sigward_policies::double_sign::Beginning;
    match beginning {
        Beginning::NeverSigned => 0,
        Beginning::Above(height) | Beginning::Unproven(height) => height.value(),
        Beginning::State(last) => last.position.height.value(),
    }
}

/// Every chain of the plan as JSON, for `--json`.
fn chains_value(import: &Import) -> Vec<serde_json::Value> {
    import
        .chains()
        .map(|(key, chain)| {
            json!({
                "chain": chain.id.as_str(), "key": key.name.as_str(), "watermark": watermark(&chain.beginning),
                "from": chain.said_by, "nodes": chain.nodes, "shared": key.chains.len() > 1,
            })
        })
        .collect()
}
