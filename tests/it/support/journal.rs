//! What a fake node asked and got, over the lives of many signers, and what must be true of it.

use std::collections::{BTreeMap, HashMap};

use sha2::{Digest, Sha256};

use super::audit::Record;
use super::fake_node::{Answer, Ask, FakeNode};

/// Every message ever asked for, with the signature that came, if one came.
#[derive(Default)]
pub(crate) struct Journal {
    asked: Vec<(Ask, Option<Vec<u8>>)>,
}

impl Journal {
    /// Asks and writes down. Panics when a signature comes for a position that has another one.
    pub(crate) fn ask(&mut self, node: &mut FakeNode, ask: Ask) -> Answer {
        let answer = node.ask(ask);
        let signature = match &answer {
            Answer::Signed(signature) => Some(signature.clone()),
            Answer::Refused { .. } | Answer::Lost => None,
        };
        if let Some(signature) = &signature
            && let Some(other) = self.signature(&ask)
        {
            assert_eq!(signature, other, "TWO SIGNATURES at {}", ask.position());
        }
        // A commit that failed half-way may be there after a restart: nobody knows.
        let known = |text: &str| !text.starts_with("store_unavailable");
        if !matches!(&answer, Answer::Refused { text, .. } if known(text)) {
            self.asked.push((ask, signature));
        }
        answer
    }

    /// The signature that the node holds for this position, whatever the message.
    pub(crate) fn signature(&self, ask: &Ask) -> Option<&Vec<u8>> {
        self.asked
            .iter()
            .filter(|(other, _)| other.position() == ask.position())
            .find_map(|(_, signature)| signature.as_ref())
    }

    /// How many signatures the node holds.
    pub(crate) fn signed(&self) -> usize {
        self.asked
            .iter()
            .filter(|(_, signature)| signature.is_some())
            .count()
    }

    /// The greatest height ever asked for.
    pub(crate) fn highest(&self) -> i64 {
        self.asked.iter().map(|(ask, _)| ask.height).max().unwrap_or(0)
    }

    /// Asks for all of it once more: another message for a position that has a signature is refused, and the last message is
    /// answered with the signature that the node has. (An older one is refused too: the watermark is beyond it.)
    pub(crate) fn ask_again(&self, node: &mut FakeNode) {
        let released: Vec<_> = self
            .asked
            .iter()
            .filter_map(|(ask, signature)| signature.as_ref().map(|signature| (*ask, signature)))
            .collect();
        for (ask, _) in &released {
            let answer = node.ask(ask.conflicting());
            assert!(
                matches!(answer, Answer::Refused { code: 2, .. }),
                "another message at {}: {answer:?}",
                ask.position()
            );
        }
        // Where the last message asked for was lost, it may be what the watermark stands at.
        if let (Some((ask, signature)), Some((last, _))) = (released.last(), self.asked.last())
            && ask == last
        {
            assert_eq!(
                node.ask(*ask),
                Answer::Signed(signature.to_vec()),
                "the same message again"
            );
        }
        for (ask, signature) in &released {
            if let Answer::Signed(again) = node.ask(*ask) {
                assert_eq!(
                    again,
                    **signature,
                    "the same message again, at {}",
                    ask.position()
                );
            }
        }
    }

    /// Every signature that the node holds is in the audit chain of `chain`, signed once and never beside another.
    pub(crate) fn assert_recorded(&self, chain: &str, records: &[Record]) {
        let mut by_position: HashMap<&str, Vec<&Record>> = HashMap::new();
        for record in records
            .iter()
            .filter(|record| record.chain == chain && record.released())
        {
            by_position.entry(&record.position).or_default().push(record);
        }
        for (position, records) in &by_position {
            let first = records
                .iter()
                .filter(|record| record.decision == "allowed")
                .count();
            assert_eq!(first, 1, "{position} on {chain} was signed {first} times");
        }
        let held: BTreeMap<String, &Vec<u8>> = self
            .asked
            .iter()
            .filter_map(|(ask, signature)| Some((ask.position(), signature.as_ref()?)))
            .collect();
        for (position, signature) in held {
            // What leaves is the message's signature, then its extension's; the chain names the first.
            let digest = hex::encode(Sha256::digest(&signature[..64]));
            let found = by_position
                .get(&*position)
                .is_some_and(|records| records.iter().any(|record| record.signature_digest == digest));
            assert!(
                found,
                "the signature for {position} on {chain} is not in the audit chain"
            );
        }
    }
}
