//! `sigward whoami`: who one is to a sigward, by what one shows.

use std::path::Path;

use serde_json::json;
use sigward_proto::v1::status_service_client::StatusServiceClient;
use sigward_proto::v1::{Proof, WhoAmIRequest, WhoAmIResponse};

use super::audit::rfc3339;
use super::client::{at_once, explain};
use super::output::{Output, one_line};

pub(super) fn run(home: &Path, output: &Output) -> anyhow::Result<()> {
    let answer = at_once(home, async |channel| {
        let reply = StatusServiceClient::new(channel).who_am_i(WhoAmIRequest {}).await;
        Ok(reply.map_err(explain)?.into_inner())
    })?;
    let ends = answer.ends_at.as_ref().map(rfc3339);
    let fingerprint = hex::encode(&answer.certificate_sha256);
    let some = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    output.result(
        &json!({
            "subject": answer.subject, "proof": word(answer.proof()), "uid": answer.uid,
            "certificate_sha256": some(&fingerprint), "issuer": some(&answer.issuer), "ends_at": ends,
            "policy": some(&answer.policy), "policy_dry_run": answer.policy_dry_run,
        }),
        text(&answer, ends.as_deref(), &fingerprint),
    );
    Ok(())
}

fn text(answer: &WhoAmIResponse, ends: Option<&str>, fingerprint: &str) -> String {
    let by = match answer.proof() {
        Proof::Local => "the user id of a process on the signer's machine".to_owned(),
        Proof::Certificate => format!("a client certificate, SHA-256 {fingerprint}"),
        Proof::Token => format!("a token of the issuer {}", one_line(&answer.issuer)),
        Proof::ApiKey => "an API key, which is for signing only".to_owned(),
        Proof::Unspecified => "something that this sigward does not know".to_owned(),
    };
    let mut text = format!("You are  {}\nby       {by}", one_line(&answer.subject));
    if let Some(ends) = ends {
        text.push_str(&format!("\nuntil    {ends}"));
    }
    let tried = match answer.policy_dry_run {
        true => " (only tried out: it refuses nothing)",
        false => "",
    };
    text.push_str(&match answer.policy.get(..12) {
        None => "\npolicy   none: the built-in rules are all there are".to_owned(),
        Some(version) => format!("\npolicy   {}{tried}", one_line(version)),
    });
    text
}

const fn word(proof: Proof) -> Option<&'static str> {
    match proof {
        Proof::Local => Some("local"),
        Proof::Certificate => Some("certificate"),
        Proof::Token => Some("token"),
        Proof::ApiKey => Some("api_key"),
        Proof::Unspecified => None,
    }
}
