//! The last word of every node test: the audit chain verifies, and it tells of at most one message for each position.

use std::collections::BTreeMap;

use serde_json::Value;

use super::signer::Signer;

/// One line of `sigward audit tail --json`.
#[derive(Clone, Debug)]
pub(crate) struct Record {
    pub(crate) sequence: u64,
    pub(crate) subject: String,
    pub(crate) operation: String,
    pub(crate) key: String,
    pub(crate) chain: String,
    /// `height/round/step`; empty when the operation has none.
    pub(crate) position: String,
    pub(crate) decision: String,
    pub(crate) reason: String,
    pub(crate) request_digest: String,
    /// SHA-256 of the signatures that were made, one after the other.
    pub(crate) signature_digest: String,
}

impl Record {
    fn parse(line: &str) -> Self {
        let value: Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error} in {line}"));
        let text = |field: &str| value[field].as_str().unwrap_or_default().to_owned();
        Self {
            sequence: value["sequence"]
                .as_u64()
                .unwrap_or_else(|| panic!("no sequence in {line}")),
            subject: text("subject"),
            operation: text("operation"),
            key: text("key"),
            chain: text("chain_id"),
            position: text("position"),
            decision: text("decision"),
            reason: text("reason"),
            request_digest: text("request_digest"),
            signature_digest: text("signature_digest"),
        }
    }

    /// Whether a signature left with this record, for the first time or again.
    pub(crate) fn released(&self) -> bool {
        !self.position.is_empty() && matches!(self.decision.as_str(), "allowed" | "replayed")
    }
}

/// Every record from the first one on.
pub(crate) fn records(signer: &Signer) -> Vec<Record> {
    let text = signer.run(&["audit", "tail", "--lines", "0", "--json"]);
    let records: Vec<Record> = text.lines().map(Record::parse).collect();
    for (index, record) in records.iter().enumerate() {
        assert_eq!(
            record.sequence,
            index as u64 + 1,
            "the chain is read whole, without a gap"
        );
    }
    records
}

/// Demands that the audit chain verifies and that no two different messages were signed for one position. Returns the records.
pub(crate) fn assert_no_double_sign(signer: &Signer) -> Vec<Record> {
    signer.run(&["audit", "verify", "--json"]);
    let records = records(signer);
    if let Err(found) = judge(&records) {
        panic!("{found}\n{}", signer.log_tail());
    }
    let signed = records.iter().filter(|record| record.released()).count();
    assert!(signed > 0, "nothing was signed: the test proves nothing");
    records
}

/// One message a position: whatever was released for it, now or again, is the message that was signed first. (A repeat that
/// differs by its timestamp is answered with the first signature, and recorded as the message that this one is of.)
fn judge(records: &[Record]) -> Result<(), String> {
    let mut signed: BTreeMap<(&str, &str, &str), &Record> = BTreeMap::new();
    // What a key signed before it came here came with it: its last position is answered without ever having been signed here.
    let came_with_a_past = |record: &Record| {
        let brought = |act: &&Record| act.key == record.key && act.sequence < record.sequence;
        let acts = records.iter().filter(brought);
        acts.map(|act| &*act.operation)
            .any(|act| matches!(act, "key.import" | "state.import"))
    };
    for record in records.iter().filter(|record| record.released()) {
        if record.key.is_empty() || record.request_digest.is_empty() {
            return Err(format!("no key or digest: {record:?}"));
        }
        match signed.get(&(&*record.key, &*record.chain, &*record.position)) {
            None if record.decision == "replayed" && !came_with_a_past(record) => {
                return Err(format!("replayed before it was signed: {record:?}"));
            }
            None => {
                signed.insert((&record.key, &record.chain, &record.position), record);
            }
            Some(first) if record.request_digest != first.request_digest => {
                return Err(format!(
                    "TWO MESSAGES at {}:\n{first:?}\n{record:?}",
                    record.position
                ));
            }
            Some(_) => {}
        }
    }
    Ok(())
}

#[test]
fn two_messages_for_one_position_are_found() {
    let record = |decision: &str, position: &str, request: &str| Record {
        sequence: 0,
        subject: "node:c/a".to_owned(),
        operation: "sign.prevote".to_owned(),
        key: "k".to_owned(),
        chain: "c".to_owned(),
        position: position.to_owned(),
        decision: decision.to_owned(),
        reason: String::new(),
        request_digest: request.to_owned(),
        signature_digest: String::new(),
    };
    let first = record("allowed", "1/0/prevote", "x");
    let other = |record: Record| judge(&[first.clone(), record]);
    assert!(
        other(record("allowed", "1/0/precommit", "y")).is_ok(),
        "another position"
    );
    assert!(
        other(record("denied", "1/0/prevote", "y")).is_ok(),
        "a refusal releases nothing"
    );
    assert!(
        other(record("replayed", "1/0/prevote", "x")).is_ok(),
        "the same message again"
    );
    assert!(
        other(record("allowed", "1/0/prevote", "y")).is_err(),
        "two messages"
    );
    assert!(
        other(record("replayed", "1/0/prevote", "y")).is_err(),
        "a replay of another message"
    );
    assert!(
        judge(&[record("replayed", "1/0/prevote", "x")]).is_err(),
        "a replay of nothing"
    );
    assert!(
        judge(&[record("allowed", "1/0/prevote", "")]).is_err(),
        "no digest"
    );
}
