//! The command line: one file a verb. Everything that touches keys or state goes through the admin services, over the admin
//! socket when a daemon runs and in this very process when none does; the code is the same.

mod api_key;
mod approvals;
mod audit;
mod backup;
mod client;
mod completions;
mod config;
mod demo;
mod doctor;
mod exit;
mod hold;
mod hsm;
mod import;

mod init;
mod keys;
mod man;
mod node;
mod out_file;
mod output;
mod pki;
mod policy;
mod reload;
mod remote;
mod running;
mod seal;
mod serve;
mod signed;
mod state;
mod status;
mod token;
mod top;
mod whoami;

use std::path::PathBuf;

use anyhow::Context as _;
use clap::{Parser, Subcommand};

use sigward_hsm::secret::harden_process;

use crate::config::find_home;
use output::Output;

/// Signs CometBFT blocks, and never twice.
///
/// sigward keeps validator keys, dials the `priv_validator_laddr` of your nodes, and lets a signature out only when the rules
/// allow it, no second message for that position can ever follow, and both facts are on disk.
///
/// A first run:
///
///   sigward init                          writes the configuration, a sealing key and an empty guard
///   sigward keys create validator         makes a key and prints what your chain needs to know of it
///   $EDITOR ~/.sigward/sigward.toml       names the chain and its node
///   sigward serve                         signs
///
/// `sigward demo` shows all of it with a real CometBFT node in half a minute.
#[derive(Debug, Parser)]
#[command(verbatim_doc_comment, version, long_version = LONG_VERSION, max_term_width = 110, propagate_version = true, after_help = exit::HELP)]
struct Cli {
    /// Folder of the configuration and, by default, of everything else [default: $SIGWARD_HOME, else ~/.sigward]
    #[arg(long, global = true, value_name = "DIR")]
    home: Option<PathBuf>,

    /// Print JSON for scripts instead of text for people
    #[arg(long, global = true)]
    json: bool,

    #[command(flatten)]
    remote: remote::Args,

    #[command(subcommand)]
    command: Command,
}

/// What `--version` says; `-V` leaves out the commit.
const LONG_VERSION: &str = concat!(
    env!("CARGO_PKG_VERSION"),
    " (commit ",
    env!("SIGWARD_COMMIT"),
    ")"
);

#[derive(Debug, Subcommand)]
enum Command {
    /// Write a configuration, a sealing key, a node identity and an empty guard
    Init(init::Args),
    /// Sign: connect to the configured nodes and answer them until SIGTERM
    Serve,
    /// Move in from another signer: its keys, its watermarks and its nodes, in one step
    Import(import::Args),
    /// Make, bring in and list keys
    #[command(subcommand)]
    Keys(keys::Command),
    /// See what opens the sealed keys; go from a file or a passphrase to a token, and back
    #[command(subcommand)]
    Seal(seal::Command),
    /// Tokens (PKCS#11): see them, log in to one, find out what one can do
    #[command(subcommand)]
    Hsm(hsm::Command),
    /// Look at and move sign states: the watermarks that no signature goes below
    #[command(subcommand)]
    State(state::Command),
    /// Sign nothing any more, in force for the very next request: everything, a chain or a key
    ///
    /// Persisted: a restart stays frozen. Freezing twice is freezing once. Needs no approval.
    ///
    ///   sigward freeze --all --reason "node-2 looks hijacked"
    ///   sigward freeze --chain my-chain-1
    ///
    /// If the admin socket is gone: `kill -USR1 PID` freezes everything.
    #[command(verbatim_doc_comment)]
    Freeze(hold::FreezeArgs),
    /// Lift a freeze; exactly the scope that is given, wider and narrower ones stay
    ///
    /// CometBFT does not ask again for a vote that was refused. Other validators carry the chain past it; where yours is the only
    /// one, or holds a third of the power, restart the node.
    Unfreeze(hold::UnfreezeArgs),
    /// Sign nothing at or above a height: for a planned halt
    ///
    ///   sigward stop-line set --chain my-chain-1 --at 5200791
    ///   sigward stop-line clear --chain my-chain-1
    #[command(subcommand, verbatim_doc_comment)]
    StopLine(hold::StopLine),
    /// List what is held back: freezes, stop lines, drained nodes, rebound chains
    Holds,
    /// See what waits for approval by others, and say yes or no to it
    #[command(subcommand)]
    Approvals(approvals::Command),
    /// Make and revoke API keys: for programs that can neither have a certificate nor sign tokens, and for signing only
    #[command(subcommand)]
    ApiKey(api_key::Command),
    /// Read and check the audit chain
    #[command(subcommand)]
    Audit(audit::Command),
    /// Say how this signer is: readiness, chains, nodes, store and latency
    ///
    /// Asks the daemon. Without one it says so, shows the watermarks that the store holds, and ends with 1.
    ///
    ///   sigward status                       for people
    ///   sigward status --json | jq .ready    for scripts
    #[command(verbatim_doc_comment)]
    Status,
    /// Say who you are to this signer, by what you show: user, certificate, token or API key
    ///
    ///   sigward whoami
    ///   sigward whoami --server https://HOST:26661 --api-key ci.api-key
    #[command(verbatim_doc_comment)]
    Whoami,
    /// Watch it sign: the last heights of each chain as a picture, refreshed each second
    ///
    /// q or Ctrl-C leaves; the arrow keys, Page Up and Page Down scroll. When the daemon goes away, top says so and waits for it.
    ///
    ///   sigward top            a whole terminal
    ///   sigward top --once     one frame, for scripts and tickets
    #[command(verbatim_doc_comment)]
    Top(top::Args),
    /// Check a configuration, or print one that explains itself
    #[command(subcommand)]
    Config(config::Command),
    /// Who may what: check a policy, and have it explain what it would answer
    #[command(subcommand)]
    Policy(policy::Command),
    Reload(reload::Args),
    /// See the nodes and their connections; leave one alone, or dial it again
    #[command(subcommand)]
    Node(node::Command),
    Pki(pki::Args),
    Token(token::Args),
    /// Look at the whole installation, and say what is wrong and what to do
    Doctor(doctor::Args),
    /// Watch a real CometBFT node make blocks that sigward signs
    Demo(demo::DemoArgs),
    /// Print a shell completion script
    Completions(completions::Args),
    /// Print the manual page, or write one for each command
    Man(man::Args),
}

impl Command {
    /// Whether a sigward on another machine can be asked for it.
    const fn goes_elsewhere(&self) -> bool {
        matches!(
            self,
            Self::Keys(_)
                | Self::State(_)
                | Self::Freeze(_)
                | Self::Unfreeze(_)
                | Self::StopLine(_)
                | Self::Holds
                | Self::Approvals(_)
                | Self::ApiKey(_)
                | Self::Whoami
                | Self::Audit(_)
                | Self::Status
                | Self::Top(_)
                | Self::Reload(_)
                | Self::Node(_)
        )
    }
}

/// Runs the command line of this process.
///
/// `cut` ends the process at once: on a second signal, or when a soft end takes too long.
pub fn main(cut: fn()) -> u8 {
    #[cfg(feature = "failpoints")]
    let _armed = crate::crash::arm();
    let cli = Cli::parse();
    let output = Output::new(cli.json);
    let outcome = run(cli, &output, cut).and_then(|()| {
        output
            .finish()
            .context("the output could not be written; what was asked is done")
    });
    match outcome {
        Ok(()) => 0,
        Err(error) => exit::report(&error, &output),
    }
}

fn run(cli: Cli, output: &Output, cut: fn()) -> anyhow::Result<()> {
    let home = || -> anyhow::Result<PathBuf> {
        let home = find_home(cli.home.as_deref(), |name| std::env::var_os(name))?;
        Ok(std::path::absolute(home)?)
    };
    // Whatever the command: it may come to hold a key, and then nobody reads this process's memory, alive or dead.
    harden_process()?;
    cli.remote.remember(cli.command.goes_elsewhere())?;
    match cli.command {
        Command::Init(args) => init::run(&args, &home()?, output),
        Command::Serve => serve::run(&home()?, cut),
        Command::Import(args) => import::run(args, &home()?, output),
        Command::Keys(command) => keys::run(command, &home()?, output),
        Command::Seal(command) => seal::run(command, &home()?, output),
        Command::Hsm(command) => hsm::run(command, home, output),
        Command::State(command) => state::run(command, &home()?, output),
        Command::Freeze(args) => hold::freeze(args, &home()?, output),
        Command::Unfreeze(args) => hold::unfreeze(args, &home()?, output),
        Command::StopLine(command) => hold::stop_line(command, &home()?, output),
        Command::Holds => hold::list(&home()?, output),
        Command::Approvals(command) => approvals::run(command, &home()?, output),
        Command::ApiKey(command) => api_key::run(command, &home()?, output),
        Command::Whoami => whoami::run(&home()?, output),
        Command::Audit(command) => audit::run(command, &home()?, output),
        Command::Status => status::run(&home()?, output),
        Command::Top(args) => top::run(&args, &home()?, output),
        Command::Config(command) => config::run(&command, home, output),
        Command::Policy(command) => policy::run(command, home, output),
        Command::Reload(args) => reload::run(&args, &home()?, output),
        Command::Node(command) => node::run(command, &home()?, output),
        Command::Pki(args) => pki::run(args, home, output),
        Command::Token(args) => token::run(&args, output),
        Command::Doctor(args) => doctor::run(&args, &home()?, output),
        Command::Demo(args) => demo::run(&args, cli.json),
        Command::Completions(args) => {
            completions::run::<Cli>(&args, output);
            Ok(())
        }
        Command::Man(args) => man::run::<Cli>(&args, output),
    }
}
