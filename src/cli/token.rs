//! `sigward token`: keys and tokens for people who have no issuer. Needs no daemon and asks nobody.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use serde_json::json;
use sigward_hsm::secret::{Arena, ArenaSize, Unlocked};
use sigward_hsm::token_key::{TokenKey, TokenKeyError};
use sigward_policies::model::bearer::{IssuerName, TokenHolder};

use super::exit::WrongUsage;
use super::out_file;
use super::output::Output;
use crate::authn::bearer::{MAX_LIFE, Mint, key_id, public_key_der};
use crate::clock::{Clock as _, SystemClock};
use crate::tls::files;

/// How long a token is good for, unless somebody says otherwise: as long as a request may take to be sent.
const LIFE: u32 = 60;
/// What `sign` reads at most: no request is larger.
const MAX_BODY: u64 = 1 << 20;

/// Sign requests for yourself, where you cannot have a certificate
///
/// A token (JWT) says who asks, for one request only: its method, its path and its body, for five minutes at most, once. Who has an
/// issuer uses that; this is for everybody else. docs/bearer.md shows all of it.
///
///   sigward token keygen alice            alice.key stays with her; alice.pub goes to the signer
///   sigward --server https://HOST:26661 --token-key alice.key --ca ca.crt status
///   sigward token sign --key alice.key --audience https://HOST:26661 GET /readyz      for curl
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Make a key pair: NAME.key (mode 0600) and NAME.pub
    Keygen {
        /// Who it is, as the signer will call them: small letters, digits, `.`, `-` and `_`
        name: String,
        /// Where the files go
        #[arg(long, value_name = "DIR", default_value = ".")]
        out: PathBuf,
    },
    /// Print a token for one request
    Sign(SignArgs),
}

#[derive(Debug, clap::Args)]
struct SignArgs {
    /// The private key
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
    /// Who asks [default: the name of the key's file, for both]
    #[arg(long = "as", value_name = "ISSUER/SUBJECT")]
    holder: Option<String>,
    /// Which sigward is asked: the `audience` of its configuration
    #[arg(long, value_name = "TEXT")]
    audience: String,
    /// How long it is good for
    #[arg(long, value_name = "SECONDS", default_value_t = LIFE, value_parser = clap::value_parser!(u32).range(1..=MAX_LIFE))]
    valid: u32,
    /// The body is one gRPC message: put before it what gRPC puts there (one byte 0, and its length in four)
    #[arg(long)]
    grpc: bool,
    /// The method of the request; POST for gRPC
    #[arg(value_name = "METHOD")]
    method: String,
    /// Its path, with the query if there is one; /sigward.v1.SERVICE/METHOD for gRPC
    #[arg(value_name = "PATH")]
    path: String,
    /// The file of its body [default: no body]
    #[arg(value_name = "BODY-FILE")]
    body: Option<PathBuf>,
}

pub(super) fn run(args: &Args, output: &Output) -> anyhow::Result<()> {
    match &args.command {
        Command::Keygen { name, out } => keygen(name, out, output),
        Command::Sign(args) => sign(args, output),
    }
}

fn keygen(name: &str, out: &Path, output: &Output) -> anyhow::Result<()> {
    let name = IssuerName::new(name).map_err(|refusal| WrongUsage(refusal.to_string()))?;
    let at = |kind: &str| out.join(format!("{name}.{kind}"));
    let (private, public) = (at("key"), at("pub"));
    out_file::may_be_made(&private)?;
    out_file::may_be_made(&public)?;
    let arena = arena()?;
    let key = TokenKey::generate(&arena).map_err(explain)?;
    key.save(&arena, &private).map_err(explain)?;
    let pem = files::to_pem("PUBLIC KEY", &public_key_der(key.public_key()));
    out_file::create(&public, 0o644)?
        .write_all(pem.as_bytes())
        .with_context(|| format!("file_io: cannot write {}", public.display()))?;
    let kid = key_id(key.public_key());
    output.result(
        &json!({ "private_key": private, "public_key": public, "kid": kid }),
        format!(
            "Wrote {}, which whoever has it can be {name} with, and {}\nIts kid is {kid}\n\n\
             Take the second one to the signer, and name it in sigward.toml:\n  [[listen.bearer.issuer]]\n  name = \"{name}\"\n  key_file = \"{name}.pub\"\n\n\
             After `sigward reload` rules call the holder jwt:{name}/{name}",
            private.display(),
            public.display()
        ),
    );
    Ok(())
}

fn sign(args: &SignArgs, output: &Output) -> anyhow::Result<()> {
    if !args.path.starts_with('/') {
        return Err(WrongUsage(format!(
            "{:?} is no path\nwrite what stands after the host, such as /readyz or /sigward.v1.StatusService/Get",
            args.path
        ))
        .into());
    }
    let message = args.body.as_deref().map(read).transpose()?.unwrap_or_default();
    let body = match args.grpc {
        false => message,
        true => [
            &[0],
            u32::try_from(message.len())?.to_be_bytes().as_slice(),
            &message,
        ]
        .concat(),
    };
    let mint = mint(&args.key, args.holder.as_deref(), &args.audience, args.valid)?;
    let now = SystemClock.unix_seconds();
    let token = mint.token(&args.method, &args.path, &body, now)?;
    let until = now.0.saturating_add(i64::from(args.valid));
    output.result(&json!({ "token": token, "expires": until }), &token);
    Ok(())
}

/// Who signs with the key in this file, and for whom.
pub(super) fn mint(key: &Path, holder: Option<&str>, audience: &str, life: u32) -> anyhow::Result<Mint> {
    let by_file = key
        .file_stem()
        .and_then(|stem| stem.to_str())
        .map(|stem| format!("{stem}/{stem}"));
    let holder = holder.map(str::to_owned).or(by_file).unwrap_or_default();
    let holder = TokenHolder::parse(&holder).map_err(|refusal| {
        WrongUsage(format!(
            "{}: {holder:?}: {}\nsay who asks by ISSUER/SUBJECT, the issuer as the signer's [[listen.bearer.issuer]] calls it",
            refusal.code, refusal.message
        ))
    })?;
    let key = TokenKey::load(&arena()?, key).map_err(explain)?;
    Ok(Mint::new(key, holder, audience, life))
}

/// For calls that are signed and sent at once.
pub(super) fn mint_for_calls(key: &Path, holder: Option<&str>, audience: &str) -> anyhow::Result<Mint> {
    mint(key, holder, audience, LIFE)
}

fn read(path: &Path) -> anyhow::Result<Vec<u8>> {
    use std::io::Read as _;
    let mut bytes = Vec::new();
    let file =
        std::fs::File::open(path).with_context(|| format!("file_io: cannot read {}", path.display()))?;
    file.take(MAX_BODY + 1)
        .read_to_end(&mut bytes)
        .with_context(|| format!("file_io: cannot read {}", path.display()))?;
    anyhow::ensure!(
        bytes.len() as u64 <= MAX_BODY,
        "{} has more than {MAX_BODY} bytes\nno sigward takes a request so large",
        path.display()
    );
    Ok(bytes)
}

/// One key, for one command: what memory can be locked is, and the command runs without it.
fn arena() -> anyhow::Result<Arena> {
    Arena::new(ArenaSize::for_keys(1), Unlocked::Allow).map_err(|error| explain(error.into()))
}

fn explain(error: TokenKeyError) -> anyhow::Error {
    let remedy = error
        .remedy()
        .map(|remedy| format!("\n{remedy}"))
        .unwrap_or_default();
    anyhow::anyhow!("{}: {error}{remedy}", error.code())
}
