//! A request for approval, for people and for scripts. What others have written is made one line before it is shown.

use std::fmt::Write as _;

use serde_json::{Value, json};
use sigward_proto::v1::{Approval, ApprovalState};

use crate::cli::output::one_line;

const fn word(state: ApprovalState) -> &'static str {
    match state {
        ApprovalState::Open => "open",
        ApprovalState::Approved => "approved",
        ApprovalState::Rejected => "rejected",
        ApprovalState::Expired => "expired",
        ApprovalState::Used => "used",
        ApprovalState::Unspecified => "unknown",
    }
}

pub(super) fn describe(approval: &Approval) -> Value {
    let some = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    let said = approval.said.iter().map(|said| {
        json!({
            "who": said.who,
            "approved": said.approved,
            "at": said.at.as_ref().map(crate::cli::audit::rfc3339),
        })
    });
    json!({
        "id": approval.id,
        "state": word(approval.state()),
        "operation": approval.operation,
        "what": approval.what,
        "requester": approval.requester,
        "needed": approval.needed,
        "said": said.collect::<Vec<_>>(),
        "created_at": approval.created_at.as_ref().map(crate::cli::audit::rfc3339),
        "expires_at": approval.expires_at.as_ref().map(crate::cli::audit::rfc3339),
        "ended_at": approval.ended_at.as_ref().map(crate::cli::audit::rfc3339),
        "key": some(&approval.key),
        "chain_id": some(&approval.chain_id),
        "new_chain_id": some(&approval.new_chain_id),
        "policy": approval.policy,
        "digest": hex::encode(&approval.digest),
    })
}

fn yes(approval: &Approval) -> usize {
    approval.said.iter().filter(|said| said.approved).count()
}

pub(super) fn line(approval: &Approval) -> String {
    format!(
        "{}  {:8} {} of {}  {}: {}",
        approval.id,
        word(approval.state()),
        yes(approval),
        approval.needed,
        one_line(&approval.requester),
        one_line(&approval.what)
    )
}

pub(super) fn text(approval: &Approval) -> String {
    let time =
        |at: &Option<prost_types::Timestamp>| at.as_ref().map(crate::cli::audit::rfc3339).unwrap_or_default();
    let mut text = format!(
        "request    {}\nwhat       {}\noperation  {}\nasked by   {} at {}\nstate      {}, {} of {} approvals\n",
        approval.id,
        one_line(&approval.what),
        one_line(&approval.operation),
        one_line(&approval.requester),
        time(&approval.created_at),
        word(approval.state()),
        yes(approval),
        approval.needed,
    );
    for (name, value) in [
        ("key", &approval.key),
        ("chain", &approval.chain_id),
        ("new chain", &approval.new_chain_id),
    ] {
        if !value.is_empty() {
            let _infallible = writeln!(text, "{name:10} {}", one_line(value));
        }
    }
    for said in &approval.said {
        let word = if said.approved { "approved" } else { "rejected" };
        let _infallible = writeln!(text, "{word:10} by {} at {}", one_line(&said.who), time(&said.at));
    }
    let _infallible = match approval.state() {
        ApprovalState::Open | ApprovalState::Approved => {
            writeln!(text, "until      {}", time(&approval.expires_at))
        }
        _ => writeln!(text, "ended      {}", time(&approval.ended_at)),
    };
    let _infallible = write!(
        text,
        "policy     {}\ndigest     {}",
        approval.policy,
        hex::encode(&approval.digest)
    );
    if approval.state() == ApprovalState::Approved {
        let _infallible = write!(
            text,
            "\nNow {} runs the command again with --approval {}",
            one_line(&approval.requester),
            approval.id
        );
    }
    text
}
