//! `sigward policy show`: the words of a document that are not its own.

use serde_json::json;
use sigward_policies::authz::BUILT_IN;
use sigward_policies::model::operation::Operation;

use super::super::output::Output;

pub(super) fn run(output: &Output) {
    let operations: Vec<_> = Operation::ALL
        .iter()
        .map(|operation| {
            let roles: Vec<_> = roles_of(*operation).collect();
            json!({ "name": operation.as_str(), "reserved": operation.is_reserved(), "roles": roles })
        })
        .collect();
    let roles: Vec<_> = BUILT_IN
        .iter()
        .map(|role| {
            let may: Vec<_> = role.operations.iter().map(Operation::as_str).collect();
            json!({ "name": role.name, "purpose": role.purpose, "operations": may })
        })
        .collect();
    output.result(&json!({ "roles": roles, "operations": operations }), text());
}

fn text() -> String {
    let mut text = "Roles, for `roles = [\"…\"]` in a rule:\n".to_owned();
    for role in BUILT_IN {
        text.push_str(&format!("\n  {:<10} {}", role.name, role.purpose));
    }
    text.push_str("\n\nOperations, for `operations = [\"…\"]`, and the roles that have them; `key.*` is every one that begins so:\n");
    for operation in Operation::ALL {
        let roles: Vec<_> = roles_of(*operation).collect();
        let roles = match (operation.is_reserved(), roles.is_empty()) {
            (true, _) => "(never meant by a *: name it in full)".to_owned(),
            (false, true) => "-".to_owned(),
            (false, false) => roles.join(" "),
        };
        text.push_str(&format!("\n  {:<26} {roles}", operation.as_str()));
    }
    text
}

fn roles_of(operation: Operation) -> impl Iterator<Item = &'static str> {
    let having = move |role: &&sigward_policies::authz::Role| role.operations.contains(operation);
    BUILT_IN.iter().filter(having).map(|role| role.name)
}
