//! A policy against a reference that reads the same document in the slowest and plainest way; and what judging costs.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    unsafe_code,
    reason = "tests; the allocator that counts is one of `GlobalAlloc`, which is unsafe to implement"
)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::net::IpAddr;

use proptest::prelude::*;
use sigward_policies::authz::{KeyFacts, Policy, PolicyVersion, Question, Verdict};
use sigward_policies::model::caller::{Caller, SubjectName};
use sigward_policies::model::id::{ChainId, KeyName, NodeName, UnixSeconds};
use sigward_policies::model::operation::Operation;

/// A rule as the reference sees it: words, and nothing compiled.
#[derive(Clone, Debug)]
struct Plain {
    allow: bool,
    subjects: Vec<&'static str>,
    operations: Vec<&'static str>,
    keys: Vec<&'static str>,
    chains: Vec<&'static str>,
    from: Vec<&'static str>,
    /// Whole hours of each day.
    hours: Option<(u8, u8)>,
    days: Vec<usize>,
}

const DAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];
const SUBJECTS: [&str; 9] = [
    "*",
    "dns:*.ops.example",
    "dns:ada.ops.example",
    "dns:**.example",
    "uri:spiffe://e/*/signer",
    "uid:1",
    "uid:*",
    "node:a-?/n*",
    "node:*/*",
];
/// None of them both writes the policy and takes keys, and of rules drawn together none does.
const OPERATIONS: [&str; 8] = [
    "freeze",
    "un*",
    "sign.*",
    "sign.raw",
    "key.list",
    "key.*e",
    "*.list",
    "state.allow*",
];
const KEYS: [&str; 4] = [
    "validator",
    "val*",
    "?-1",
    "ed25519:0000000000000000000000000000000000000000000000000000000000000000",
];
const CHAINS: [&str; 3] = ["a-1", "*-1", "b*"];
const NETS: [&str; 4] = [
    "10.0.0.0/8",
    "10.1.0.0/16",
    "2001:db8::/32",
    "::ffff:192.0.2.0/120",
];

fn some<T: Clone + std::fmt::Debug + 'static>(
    of: &'static [T],
    least: usize,
) -> impl Strategy<Value = Vec<T>> {
    proptest::sample::subsequence(of, least..=of.len().min(3))
}

fn rule() -> impl Strategy<Value = Plain> {
    (
        any::<bool>(),
        some(&SUBJECTS, 1),
        some(&OPERATIONS, 1),
        prop_oneof![4 => Just(vec![]), 1 => some(&KEYS, 1)],
        prop_oneof![4 => Just(vec![]), 1 => some(&CHAINS, 1)],
        prop_oneof![4 => Just(vec![]), 1 => some(&NETS, 1)],
        prop_oneof![4 => Just(None), 1 => (0_u8..24, 0_u8..24).prop_filter("some time", |(a, b)| a != b).prop_map(Some)],
        prop_oneof![4 => Just(vec![]), 1 => some(&[0, 1, 2, 3, 4, 5, 6], 1)],
    )
        .prop_map(|(allow, subjects, operations, keys, chains, from, hours, days)| Plain {
            allow,
            subjects,
            operations,
            keys,
            chains,
            from,
            hours,
            days,
        })
}

fn document(rules: &[Plain]) -> String {
    let list = |items: &[&str]| format!("{items:?}");
    let mut text = "version = 1\n".to_owned();
    for (index, rule) in rules.iter().enumerate() {
        let effect = if rule.allow { "allow" } else { "deny" };
        text += &format!(
            "[[rule]]\nid = \"r{index}\"\neffect = \"{effect}\"\nsubjects = {}\noperations = {}\n",
            list(&rule.subjects),
            list(&rule.operations)
        );
        for (name, items) in [
            ("keys", &rule.keys),
            ("chains", &rule.chains),
            ("from", &rule.from),
        ] {
            if !items.is_empty() {
                text += &format!("{name} = {}\n", list(items));
            }
        }
        if let Some((from, to)) = rule.hours {
            text += &format!("hours = [\"{from:02}:00-{to:02}:00\"]\n");
        }
        if !rule.days.is_empty() {
            let days: Vec<_> = rule.days.iter().map(|day| DAYS[*day]).collect();
            text += &format!("days = {days:?}\n");
        }
    }
    text
}

/// What `*`, `**` and `?` mean.
fn glob(pattern: &[u8], name: &[u8], part: Option<u8>) -> bool {
    match pattern {
        [] => name.is_empty(),
        [b'*', b'*', rest @ ..] => (0..=name.len()).any(|taken| glob(rest, &name[taken..], part)),
        [b'*', rest @ ..] => (0..=name.len())
            .take_while(|taken| !name[..*taken].iter().any(|b| Some(*b) == part))
            .any(|taken| glob(rest, &name[taken..], part)),
        [b'?', rest @ ..] => name.first().is_some_and(|b| Some(*b) != part) && glob(rest, &name[1..], part),
        [byte, rest @ ..] => name.first() == Some(byte) && glob(rest, &name[1..], part),
    }
}

fn is(pattern: &str, name: &str) -> bool {
    glob(pattern.as_bytes(), name.as_bytes(), None)
}

fn reference(rules: &[Plain], asked: &Question<'_>) -> String {
    for (index, rule) in rules.iter().enumerate() {
        let who = asked.subject.to_string();
        let subject = |pattern: &&str| {
            let pattern = *pattern;
            match pattern.split_once(':') {
                None => !matches!(asked.subject, Caller::Service),
                Some(("dns", rest)) => who
                    .strip_prefix("cert:dns:")
                    .is_some_and(|name| glob(rest.as_bytes(), name.as_bytes(), Some(b'.'))),
                Some(("uri", rest)) => who
                    .strip_prefix("cert:uri:")
                    .is_some_and(|name| glob(rest.as_bytes(), name.as_bytes(), Some(b'/'))),
                _ => is(pattern, &who),
            }
        };
        let operation = |pattern: &&str| {
            let name = asked.operation.as_str();
            let reserved = ["sign.raw", "sign.bn254"].contains(&name);
            is(pattern, name) && (!reserved || !rule.allow || *pattern == name)
        };
        let key = |pattern: &&str| {
            asked.key.is_some_and(|key| match pattern.split_once(':') {
                Some(_) => key
                    .public_key
                    .is_some_and(|public_key| public_key.to_string() == **pattern),
                None => is(pattern, key.name.as_str()),
            })
        };
        let chain = |pattern: &&str| asked.chain.is_some_and(|chain| is(pattern, chain.as_str()));
        let net = |net: &&str| {
            let Some(from) = asked.from.map(|from| from.to_canonical()) else {
                return false;
            };
            match (*net, from) {
                ("10.0.0.0/8", IpAddr::V4(v4)) => v4.octets()[0] == 10,
                ("10.1.0.0/16", IpAddr::V4(v4)) => v4.octets()[..2] == [10, 1],
                ("::ffff:192.0.2.0/120", IpAddr::V4(v4)) => v4.octets()[..3] == [192, 0, 2],
                ("2001:db8::/32", IpAddr::V6(v6)) => v6.segments()[..2] == [0x2001, 0xdb8],
                _ => false,
            }
        };
        // Hour by hour through the last day and a bit: did the window open at some hour of a chosen day, and is it still open?
        let open = || {
            let hour_now = asked.now.0.div_euclid(3600);
            let chosen = |hour: i64| {
                let weekday = (hour.div_euclid(24) + 3).rem_euclid(7);
                rule.days.is_empty() || rule.days.iter().any(|day| i64::try_from(*day) == Ok(weekday))
            };
            match rule.hours {
                None => chosen(hour_now),
                Some((from, to)) => {
                    let length = (i64::from(to) - i64::from(from)).rem_euclid(24);
                    (0..length).any(|ago| {
                        let begun = hour_now - ago;
                        begun.rem_euclid(24) == i64::from(from) && chosen(begun)
                    })
                }
            }
        };
        if rule.subjects.iter().any(subject)
            && rule.operations.iter().any(operation)
            && (rule.keys.is_empty() || rule.keys.iter().any(key))
            && (rule.chains.is_empty() || rule.chains.iter().any(chain))
            && (rule.from.is_empty() || rule.from.iter().any(net))
            && open()
        {
            return format!("{} by r{index}", rule.allow);
        }
    }
    "false by none".to_owned()
}

fn short(verdict: &Verdict) -> String {
    let rule = verdict
        .rule()
        .map_or_else(|| "none".to_owned(), ToString::to_string);
    format!("{} by {rule}", verdict.is_allowed())
}

/// Mostly one that some rule may be about: else nearly every answer would be the implicit no.
fn operation() -> impl Strategy<Value = Operation> {
    use Operation as O;
    prop_oneof![
        6 => proptest::sample::select(vec![O::Freeze, O::Unfreeze, O::SignPrevote, O::SignRaw, O::KeyList, O::KeyCreate, O::StateDisallow, O::NodeList]),
        1 => proptest::sample::select(decided_by_documents()),
    ]
}

/// All but the one that everybody may ask for, whatever a document says.
fn decided_by_documents() -> Vec<Operation> {
    let all = Operation::ALL.iter().copied();
    all.filter(|operation| *operation != Operation::WhoAmI).collect()
}

fn caller() -> impl Strategy<Value = Caller> {
    let certificate = |name: &str| Caller::Certificate {
        name: SubjectName::parse(name).unwrap(),
    };
    let node = |chain: &str, node: &str| Caller::Node {
        chain: ChainId::new(chain).unwrap(),
        node: NodeName::new(node).unwrap(),
    };
    proptest::sample::select(vec![
        certificate("dns:ada.ops.example"),
        certificate("dns:x.ada.ops.example"),
        certificate("dns:ops.example"),
        certificate("uri:spiffe://e/a/signer"),
        certificate("uri:spiffe://e/a/b/signer"),
        Caller::LocalUser { uid: 1 },
        Caller::LocalUser { uid: 11 },
        node("a-1", "n0"),
        node("a/1", "m"),
        Caller::Service,
    ])
}

fn key() -> impl Strategy<Value = Option<KeyFacts>> {
    let facts = |name: &str, there: bool| {
        let zero = sigward_policies::model::algorithm::PublicKey::new(
            sigward_policies::model::algorithm::Algorithm::Ed25519,
            &[0; 32],
        );
        Some(KeyFacts {
            name: KeyName::new(name).unwrap(),
            public_key: there.then(|| zero.unwrap()),
            provider: None,
        })
    };
    proptest::sample::select(vec![
        None,
        facts("validator", true),
        facts("val", false),
        facts("a-1", true),
        facts("x", false),
    ])
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_048))]

    #[test]
    fn judge_is_the_plain_reading_of_the_document(
        rules in proptest::collection::vec(rule(), 0..14),
        subject in caller(),
        operation in operation(),
        key in key(),
        chain in proptest::sample::select(vec![None, Some("a-1"), Some("b-2"), Some("c-1")]),
        from in proptest::sample::select(vec![None, Some("10.1.2.3"), Some("10.2.2.3"), Some("::ffff:10.2.2.3"), Some("192.0.2.7"), Some("2001:db8::1"), Some("2001:db9::1")]),
        now in 1_700_000_000_i64..1_700_000_000 + 14 * 86_400,
    ) {
        let text = document(&rules);
        let policy = Policy::parse(&text, PolicyVersion([1; 32])).map_err(|error| TestCaseError::fail(format!("{error}\n{text}")))?;
        let chain = chain.map(|chain| ChainId::new(chain).unwrap());
        let question = Question {
            subject: &subject,
            operation,
            key: key.as_ref(),
            chain: chain.as_ref(),
            from: from.map(|from| from.parse().unwrap()),
            now: UnixSeconds(now),
        };
        let verdict = policy.judge(&question);
        prop_assert_eq!(short(&verdict), reference(&rules, &question), "{}", text);

        // The first look, which knows neither key nor chain, never says no where the answer is yes.
        let call = Question { key: None, chain: None, ..question };
        prop_assert!(!verdict.is_allowed() || policy.might_allow(&call), "{}", text);
        if rules.iter().all(|rule| rule.keys.is_empty() && rule.chains.is_empty()) {
            prop_assert_eq!(verdict.is_allowed(), policy.might_allow(&call), "{}", text);
        }

        let explanation = policy.explain(&question);
        prop_assert_eq!(&explanation.verdict, &verdict);
        let shown = explanation.to_string();
        prop_assert_eq!(shown.lines().last().unwrap(), verdict.to_string());
        prop_assert_eq!(shown.lines().count(), explanation.looks.len() + 1);
        let matched = explanation.looks.iter().position(|look| look.miss.is_none());
        prop_assert!(matched.is_none_or(|at| at + 1 == explanation.looks.len()));
        prop_assert_eq!(matched.is_none(), verdict.rule().is_none());
    }

    #[test]
    fn whatever_is_written_is_a_policy_or_an_error_of_two_lines(text in "\\PC{0,200}") {
        let whole = format!("version = 1\n{text}");
        for text in [&text, &whole] {
            if let Err(error) = Policy::parse(text, PolicyVersion([0; 32])) {
                prop_assert_eq!(error.to_string().lines().count(), 2, "{}", error);
            }
        }
    }
}

/// Counts what this thread allocates.
struct Counting;

thread_local! {
    static ALLOCATED: Cell<usize> = const { Cell::new(0) };
}

// SAFETY: everything is handed on to `System` as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let _ = ALLOCATED.try_with(|count| count.set(count.get() + 1));
        // SAFETY: as above.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        // SAFETY: as above.
        unsafe { System.dealloc(memory, layout) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

#[test]
fn judging_by_two_hundred_rules_allocates_nothing() {
    let mut text = "version = 1\n".to_owned();
    for index in 0..200 {
        text += &format!(
            "[[rule]]\nid = \"r{index}\"\neffect = \"allow\"\nsubjects = [\"dns:*.team-{index}.example\", \"uri:spiffe://e/**/{index}\"]\n\
             operations = [\"sign.*\", \"key.list\"]\nkeys = [\"k-{index}-*\"]\nchains = [\"c-*\"]\nfrom = [\"10.0.0.0/8\"]\nhours = [\"00:00-24:00\"]\n"
        );
    }
    let policy = Policy::parse(&text, PolicyVersion([0; 32])).unwrap();
    let subject = Caller::Certificate {
        name: SubjectName::parse("dns:a.team-199.example").unwrap(),
    };
    let key = KeyFacts {
        name: KeyName::new("k-199-x").unwrap(),
        public_key: None,
        provider: None,
    };
    let chain = ChainId::new("c-1").unwrap();
    let question = Question {
        subject: &subject,
        operation: Operation::SignPrevote,
        key: Some(&key),
        chain: Some(&chain),
        from: Some("10.1.1.1".parse().unwrap()),
        now: UnixSeconds(1_700_000_000),
    };
    let before = ALLOCATED.get();
    let verdict = policy.judge(&question);
    let allocated = ALLOCATED.get() - before;
    assert_eq!((short(&verdict).as_str(), allocated), ("true by r199", 0));
}
