//! The way to a verdict, rule by rule, for people.

use std::fmt;

use super::approvals::Needed;
use super::fixed::Fixed;
use super::policy::{Policy, Verdict, verdict};
use super::rule::{Miss, Question, Rule};
use crate::decision::Refusal;

/// One rule that was looked at.
#[derive(Clone, Copy, Debug)]
pub struct Look<'a> {
    /// Where it stands in the document, from 1.
    pub number: usize,
    /// The rule.
    pub rule: &'a Rule,
    /// Why it is not about the question; none for the one that decides.
    pub miss: Option<Miss>,
}

/// Every rule that was looked at, and what came of it.
#[derive(Clone, Debug)]
pub struct Explanation<'a> {
    question: Question<'a>,
    /// In order; rules behind the one that decides are not looked at.
    pub looks: Vec<Look<'a>>,
    /// What `judge` says.
    pub verdict: Verdict,
    /// The answer that no document gives; no rule is looked at then.
    pub fixed: Option<Fixed>,
    /// Why the rule that allows it lets nobody through all the same: it wants approvals that cannot be given.
    pub in_vain: Option<Refusal>,
}

impl Policy {
    /// The same word as [`judge`](Self::judge), and how it comes about.
    pub fn explain<'a>(&'a self, question: &Question<'a>) -> Explanation<'a> {
        let fixed = Fixed::of(question.subject, question.operation);
        let mut looks = Vec::new();
        let mut decides = None;
        let asked: &[Rule] = if fixed.is_some() { &[] } else { &self.rules };
        for (index, rule) in asked.iter().enumerate() {
            let miss = rule.misses(question);
            looks.push(Look {
                number: index + 1,
                rule,
                miss,
            });
            if miss.is_none() {
                decides = Some(rule);
                break;
            }
        }
        let verdict = verdict(decides);
        let in_vain = match &verdict {
            Verdict::Allow { rule, approvals, .. } if *approvals > 0 => Needed {
                others: *approvals,
                policy: self.version,
                rule: rule.clone(),
            }
            .in_vain(question.subject, question.operation),
            Verdict::Allow { .. } | Verdict::Deny { .. } => None,
        };
        Explanation {
            question: *question,
            looks,
            verdict,
            fixed,
            in_vain,
        }
    }
}

impl Explanation<'_> {
    /// Whether the answer is yes, approvals and rate aside.
    pub const fn is_allowed(&self) -> bool {
        match self.fixed {
            Some(fixed) => fixed.is_allowed(),
            None => self.verdict.is_allowed() && self.in_vain.is_none(),
        }
    }

    /// The answer in a sentence.
    pub fn answer(&self) -> String {
        match self.fixed {
            Some(fixed) if fixed.is_allowed() => format!("allowed: {fixed}"),
            Some(fixed) => format!("denied: {fixed}"),
            None => match &self.in_vain {
                Some(refusal) => format!("denied: {refusal}"),
                None => self.verdict.to_string(),
            },
        }
    }

    /// A line for each rule that was looked at, each with its line break.
    pub fn rules(&self) -> String {
        let line = |look: &Look<'_>| {
            let (id, effect) = (look.rule.id(), look.rule.effect().as_str());
            format!("{}. {id} ({effect}): {}\n", look.number, self.reason(look))
        };
        self.looks.iter().map(line).collect()
    }

    /// Why the rule of `look` is, or is not, about the question: one sentence.
    pub fn reason(&self, look: &Look<'_>) -> String {
        let (asked, rule) = (&self.question, look.rule);
        let Some(miss) = look.miss else {
            return "all of it matches".to_owned();
        };
        match miss {
            Miss::Operation => format!("{} is not among its operations", asked.operation),
            Miss::Subject => format!(
                "{} is not one of its subjects ({})",
                asked.subject,
                list(&rule.subjects)
            ),
            Miss::Key => match asked.key {
                Some(key) => format!("{} is not one of its keys ({})", key.name, list(&rule.keys)),
                None => format!(
                    "it is about keys ({}), and the question is about none",
                    list(&rule.keys)
                ),
            },
            Miss::Chain => {
                let chains: Vec<_> = rule.chains.iter().map(|glob| glob.as_str()).collect();
                match asked.chain {
                    Some(chain) => format!("{chain} is not one of its chains ({})", list(&chains)),
                    None => format!(
                        "it is about chains ({}), and the question is about none",
                        list(&chains)
                    ),
                }
            }
            Miss::From => match asked.from {
                Some(address) => format!("{address} is not in its networks ({})", list(&rule.from)),
                None => format!(
                    "it is about networks ({}), and the question came over none",
                    list(&rule.from)
                ),
            },
            Miss::Time => "it is not in force at this time (UTC)".to_owned(),
        }
    }
}

impl fmt::Display for Explanation<'_> {
    /// A line for each rule; the last line is the verdict.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.rules(), self.answer())
    }
}

/// The first few of a list.
fn list<T: fmt::Display>(items: &[T]) -> String {
    const SHOWN: usize = 4;
    let mut text = items
        .iter()
        .take(SHOWN)
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join(", ");
    if items.len() > SHOWN {
        text.push_str(&format!(" and {} more", items.len() - SHOWN));
    }
    text
}
