//! `sigward policy explain`: a question to a document, and every rule that was looked at.

use std::net::IpAddr;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::builder::{PossibleValue, TypedValueParser};
use serde_json::{Value, json};
use sigward_policies::authz::{Explanation, KeyFacts, Policy, Question, Rate, Verdict};
use sigward_policies::model::algorithm::PublicKey;
use sigward_policies::model::bearer::TokenHolder;
use sigward_policies::model::caller::{Caller, SubjectName};
use sigward_policies::model::id::{ApiKeyName, ChainId, KeyName, NodeName, UnixSeconds};
use sigward_policies::model::operation::Operation;
use sigward_policies::model::suggest;

use super::super::exit::CheckFailed;
use super::super::output::Output;
use crate::clock::{Clock as _, SystemClock};
use crate::config;

/// Ask a policy: may SUBJECT do this? Says which rule decides, and why each rule before it does not
///
/// Nothing is done and nobody is asked: a question to a file. Approvals are told and not looked for, rates are told and not counted.
/// What is about several keys or chains is asked once for each.
///
///   sigward policy explain --as dns:ada.ops.example.org --op key.rotate --key validator
///   sigward policy explain --as uid:1000 --op freeze --chain my-chain-1 --from 10.8.0.3 new-policy.toml
///   sigward policy explain --as node:my-chain-1/node-0 --op sign.cometbft.prevote --key validator --chain my-chain-1
///   sigward policy explain --as dns:jane.example.com --op audit.read --at 2026-03-07T23:00:00Z --expect deny
///
/// Exit code 0 whatever the answer is; with --expect 4 when it is the other one: put such lines beside your policy, as its tests.
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub(in crate::cli) struct Args {
    /// Who asks: dns:NAME or uri:URI of a client certificate, jwt:ISSUER/SUBJECT of a token, apikey:NAME, uid:NUMBER on the admin socket, node:CHAIN/NODE
    #[arg(long = "as", value_name = "SUBJECT", value_parser = subject)]
    subject: Caller,
    /// For what; `sigward policy show` lists the operations
    #[arg(long, value_name = "OPERATION", hide_possible_values = true, value_parser = Operations)]
    op: Operation,
    /// About the key of this name
    #[arg(long, value_name = "NAME", value_parser = key_name)]
    key: Option<KeyName>,
    /// The key itself, as `sigward keys show` prints it, for rules that name it so
    #[arg(long, value_name = "ALGORITHM:HEX", requires = "key", value_parser = public_key)]
    public_key: Option<PublicKey>,
    /// The provider that keeps the key
    #[arg(long, value_name = "ID", requires = "key")]
    provider: Option<String>,
    /// On this chain
    #[arg(long, value_name = "CHAIN_ID", value_parser = chain)]
    chain: Option<ChainId>,
    /// From this address; left out: from no network, as over the admin socket
    #[arg(long, value_name = "IP")]
    from: Option<IpAddr>,
    /// At this time, such as 2026-03-04T10:00:00Z [default: now]
    #[arg(long, value_name = "TIME", value_parser = time)]
    at: Option<UnixSeconds>,
    /// End with exit code 4 unless this is the answer
    #[arg(long, value_name = "ANSWER")]
    expect: Option<Answer>,
    /// The document [default: the `file` that `[policy]` of sigward.toml names]
    #[arg(value_name = "FILE")]
    file: Option<PathBuf>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, clap::ValueEnum)]
enum Answer {
    Allow,
    Deny,
}

pub(super) fn run(
    args: Args,
    home: impl Fn() -> anyhow::Result<PathBuf>,
    output: &Output,
) -> anyhow::Result<()> {
    let runs = users_who_run(&home, args.file.as_deref());
    let (_file, policy) = super::read(args.file, &home)?;
    let key = args.key.map(|name| KeyFacts {
        name,
        public_key: args.public_key,
        provider: args.provider.as_deref().map(Arc::from),
    });
    let question = Question {
        subject: &args.subject,
        operation: args.op,
        key: key.as_ref(),
        chain: args.chain.as_ref(),
        from: args.from,
        now: args
            .at
            .unwrap_or_else(|| UnixSeconds(SystemClock.unix_micros() / 1_000_000)),
    };
    let explanation = policy.explain(&question);
    let note = note(&args.subject);
    let word = Word::on(&explanation, &args.subject, &runs);
    let mut text = explanation.rules();
    if let Some(note) = note {
        text = format!("note: {note}\n{text}");
    }
    text.push_str(&word.text);
    output.result(&value(&policy, (&explanation, &word), note), text);
    let answer = if word.allowed { Answer::Allow } else { Answer::Deny };
    match args.expect {
        Some(expected) if expected != answer => Err(CheckFailed(format!(
            "expected {}: {}",
            match expected {
                Answer::Allow => "allow",
                Answer::Deny => "deny",
            },
            word.text
        ))
        .into()),
        _ => Ok(()),
    }
}

/// What the daemon would say: as the document does, but that the user who runs it needs no rule.
struct Word {
    allowed: bool,
    text: String,
}

impl Word {
    fn on(explanation: &Explanation<'_>, subject: &Caller, runs: &[u32]) -> Self {
        let ruled = explanation.fixed.is_some() || explanation.verdict.rule().is_some();
        match subject {
            Caller::LocalUser { uid } if !ruled && runs.contains(uid) => Self {
                allowed: true,
                text: format!(
                    "allowed: built in: no rule takes it from {subject}, who runs sigward, or is root"
                ),
            },
            Caller::LocalUser { .. } if !ruled => Self {
                allowed: false,
                text: format!(
                    "{}; and the admin socket lets in root, and who runs sigward, alone",
                    explanation.answer()
                ),
            },
            _ => Self {
                allowed: explanation.is_allowed(),
                text: explanation.answer(),
            },
        }
    }
}

/// Who gets through the admin socket (mode 0600): root, and the owner of the home, or of the document where there is no home to see.
fn users_who_run(home: impl Fn() -> anyhow::Result<PathBuf>, file: Option<&Path>) -> Vec<u32> {
    let owner = |path: &Path| std::fs::metadata(path).ok().map(|found| found.uid());
    // A folder without sigward.toml is nobody's home yet.
    let home = home()
        .ok()
        .and_then(|home| owner(&home.join(config::FILE_NAME)).and(owner(&home)));
    let runs = home.or_else(|| file.and_then(owner));
    std::iter::once(0).chain(runs).collect()
}

/// What somebody has without any rule.
const fn note(subject: &Caller) -> Option<&'static str> {
    match subject {
        Caller::Node { .. } => Some(
            "a node has consensus signatures of its chain by the configuration; only a rule that denies takes them",
        ),
        Caller::LocalUser { .. } => Some(
            "the user who runs sigward may everything over the admin socket; only a rule that denies takes it",
        ),
        Caller::ApiKey { .. } => Some(
            "an API key is for signing only (sign.*), whatever a rule says, and is told who it is (whoami)",
        ),
        Caller::Certificate { .. } | Caller::Token { .. } | Caller::Service => None,
    }
}

fn value(policy: &Policy, (explanation, word): (&Explanation<'_>, &Word), note: Option<&str>) -> Value {
    let looks: Vec<_> = explanation
        .looks
        .iter()
        .map(|look| {
            json!({
                "number": look.number, "rule": look.rule.id().as_str(), "line": look.rule.line(),
                "effect": look.rule.effect().as_str(), "matches": look.miss.is_none(),
                "miss": look.miss.map(|miss| miss.as_str()), "reason": explanation.reason(look),
            })
        })
        .collect();
    let (approvals, rate) = match &explanation.verdict {
        Verdict::Allow { approvals, rate, .. } => (*approvals, rate.map(rate_value)),
        Verdict::Deny { .. } => (0, None),
    };
    json!({
        "allowed": word.allowed, "rule": explanation.verdict.rule().map(|rule| rule.as_str()),
        "approvals": approvals, "rate": rate, "verdict": word.text, "note": note,
        "version": format!("{:#}", policy.version()), "looked_at": looks,
    })
}

fn rate_value(rate: Rate) -> Value {
    json!({ "count": rate.count(), "per_seconds": rate.per_seconds() })
}

fn subject(text: &str) -> Result<Caller, String> {
    let refused = || {
        "write dns:NAME, uri:URI, jwt:ISSUER/SUBJECT, apikey:NAME, uid:NUMBER or node:CHAIN/NODE".to_owned()
    };
    // As log lines and records show a certificate.
    let text = text.strip_prefix("cert:").unwrap_or(text);
    match text.split_once(':').ok_or_else(refused)? {
        ("uid", uid) => uid
            .parse()
            .map(|uid| Caller::LocalUser { uid })
            .map_err(|_| "a user id is a number: what `id -u NAME` prints".to_owned()),
        ("node", place) => {
            let (chain, node) = place
                .rsplit_once('/')
                .ok_or("a node is written with its chain: node:CHAIN/NODE")?;
            Ok(Caller::Node {
                chain: ChainId::new(chain).map_err(|refusal| refusal.message)?,
                node: NodeName::new(node).map_err(|refusal| refusal.message)?,
            })
        }
        ("jwt", holder) => TokenHolder::parse(holder)
            .map(|holder| Caller::Token { holder })
            .map_err(|refusal| refusal.message),
        ("apikey", name) => ApiKeyName::new(name)
            .map(|name| Caller::ApiKey { name })
            .map_err(|refusal| refusal.message),
        ("dns" | "uri", _) => SubjectName::parse(text)
            .map(|name| Caller::Certificate { name })
            .map_err(|refusal| refusal.message),
        _ => Err(refused()),
    }
}

/// Operations by their names, which shells complete.
#[derive(Clone, Copy)]
struct Operations;

impl TypedValueParser for Operations {
    type Value = Operation;

    fn parse_ref(
        &self,
        command: &clap::Command,
        argument: Option<&clap::Arg>,
        value: &std::ffi::OsStr,
    ) -> Result<Operation, clap::Error> {
        // The list is long, and `policy show` has it: one suggestion says more.
        let by_name: fn(&str) -> Result<Operation, String> = operation;
        by_name.parse_ref(command, argument, value)
    }

    fn possible_values(&self) -> Option<Box<dyn Iterator<Item = PossibleValue> + '_>> {
        let names = Operation::ALL
            .iter()
            .map(|operation| PossibleValue::new(operation.as_str()));
        Some(Box::new(names))
    }
}

fn operation(text: &str) -> Result<Operation, String> {
    Operation::parse(text).ok_or_else(|| {
        let known: Vec<&str> = Operation::ALL
            .iter()
            .map(|operation| operation.as_str())
            .collect();
        match suggest::nearest(text, &known) {
            Some(near) => format!("did you mean `{near}`?"),
            None => "`sigward policy show` lists the operations".to_owned(),
        }
    })
}

fn key_name(text: &str) -> Result<KeyName, String> {
    KeyName::new(text).map_err(|refusal| refusal.message)
}

fn public_key(text: &str) -> Result<PublicKey, String> {
    PublicKey::parse(text).map_err(|refusal| refusal.message)
}

fn chain(text: &str) -> Result<ChainId, String> {
    ChainId::new(text).map_err(|refusal| refusal.message)
}

fn time(text: &str) -> Result<UnixSeconds, String> {
    text.parse::<jiff::Timestamp>()
        .map(|time| UnixSeconds(time.as_second()))
        .map_err(|_| "write a time with its zone, such as 2026-03-04T10:00:00Z".to_owned())
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn a_subject_is_written_as_rules_and_as_records_write_it() {
        for (text, shown) in [
            ("uid:1000", "uid:1000"),
            ("node:a/b-1/n0", "node:a/b-1/n0"),
            ("dns:Ada.example", "cert:dns:ada.example"),
            ("cert:uri:spiffe://e/x", "cert:uri:spiffe://e/x"),
            ("jwt:ci/deploy", "jwt:ci/deploy"),
            ("apikey:ci", "apikey:ci"),
        ] {
            assert_eq!(subject(text).unwrap().to_string(), shown);
        }
        for bad in [
            "",
            "ada",
            "uid:root",
            "uid:-1",
            "node:chain",
            "dns:*.example",
            "email:a@b",
            "service",
            "jwt:ci",
        ] {
            assert!(subject(bad).is_err(), "{bad}");
        }
    }

    /// What `--expect` is decided by is what the daemon does.
    #[test]
    fn whoever_runs_sigward_needs_no_rule_and_no_other_user_gets_in() {
        let text = "version = 1\n[[rule]]\nid = \"no\"\neffect = \"deny\"\nsubjects = [\"uid:*\"]\noperations = [\"freeze\"]\n";
        let policy = Policy::parse(text, sigward_policies::authz::PolicyVersion([0; 32])).unwrap();
        let ask = |uid, operation| {
            let subject = Caller::LocalUser { uid };
            let question = Question {
                subject: &subject,
                operation,
                key: None,
                chain: None,
                from: None,
                now: UnixSeconds(0),
            };
            let word = Word::on(&policy.explain(&question), &subject, &[0, 1000]);
            (word.allowed, word.text)
        };
        for uid in [0, 1000] {
            let (allowed, text) = ask(uid, Operation::Unfreeze);
            assert!(allowed && text.starts_with("allowed: built in"), "{text}");
            assert_eq!(
                ask(uid, Operation::Freeze),
                (false, "denied by rule no".to_owned())
            );
        }
        let (allowed, text) = ask(1001, Operation::Unfreeze);
        assert!(
            !allowed && text.contains("the admin socket lets in root"),
            "{text}"
        );
        assert!(ask(1001, Operation::WhoAmI).0);
    }

    #[test]
    fn a_mistyped_operation_finds_its_word() {
        assert_eq!(
            operation("key.rotat"),
            Err("did you mean `key.rotate`?".to_owned())
        );
        assert!(operation("everything").unwrap_err().contains("policy show"));
        assert_eq!(time("2026-03-04T10:00:00Z"), Ok(UnixSeconds(1_772_618_400)));
        assert!(time("yesterday").is_err());
    }
}
