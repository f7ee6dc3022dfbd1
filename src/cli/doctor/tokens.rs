//! Tokens, where no daemon tells of them: whether each is there, and whether its PIN would be tried. Nobody logs in.

use super::finding::{Check, Finding};
use crate::app::Trouble;
use crate::app::probe::TokenSeen;

pub(super) fn judge(seen: &[TokenSeen]) -> Vec<Finding> {
    seen.iter().map(one).collect()
}

fn one(seen: &TokenSeen) -> Finding {
    let failure = |trouble: &Trouble| {
        let remedy = trouble
            .remedy
            .clone()
            .unwrap_or_else(|| "docs/runbooks/token-lost.md".to_owned());
        Finding::failure(Check::KeysToken, trouble.what.clone(), remedy)
    };
    let finding = match &seen.found {
        Ok((name, None)) => Finding::ok(
            Check::KeysToken,
            format!("the token is there: {name}; nobody logged in"),
        ),
        Ok((_, Some(trouble))) | Err(trouble) => failure(trouble),
    };
    finding.about(seen.id.clone())
}

#[cfg(test)]
mod tests {
    use super::super::finding::Status;
    use super::*;

    #[test]
    fn a_token_that_is_away_and_a_pin_that_would_not_be_tried_are_failures() {
        let trouble = |what: &str| Trouble {
            what: what.to_owned(),
            remedy: None,
        };
        let seen = |found| TokenSeen {
            id: "hsm-a".to_owned(),
            found,
        };
        let name = || "label \"a\"".to_owned();
        let all = [
            seen(Ok((name(), None))),
            seen(Ok((name(), Some(trouble("pin_unusable: few tries are left"))))),
            seen(Err(trouble("token_unavailable: C_GetSlotList shows no token"))),
        ];
        let found = judge(&all);
        let states: Vec<_> = found.iter().map(|finding| finding.status).collect();
        assert_eq!(states, [Status::Ok, Status::Failure, Status::Failure]);
        assert!(found.iter().all(|finding| finding.about == "hsm-a"));
    }
}
