//! The command line as its users meet it: words, exit codes, JSON shapes; with a daemon and without one; and no secret in any of it.

mod config;
mod keys;
mod secrets;
mod services;
mod states;
mod usage;

use std::process::Output;

use serde_json::Value;

use crate::support::signer::Signer;

/// What a command that must fail with this exit code says on standard error. Nothing is on standard output.
fn fails(signer: &Signer, code: i32, arguments: &[&str]) -> String {
    let output = signer.attempt(arguments);
    let said = text(&output);
    assert_eq!(output.status.code(), Some(code), "{arguments:?}: {said}");
    assert!(
        output.stdout.is_empty(),
        "{arguments:?}: errors go to standard error: {said}"
    );
    assert!(!said.contains("panicked"), "{said}");
    String::from_utf8(output.stderr).unwrap()
}

/// A command that a rule must refuse with `refusal`: exit code 3, as text and as JSON.
fn refused(signer: &Signer, refusal: &str, arguments: &[&str]) {
    let said = fails(signer, 3, arguments);
    assert!(
        said.starts_with(&format!("sigward: {refusal}: ")),
        "{arguments:?}: {said}"
    );
    let said = fails(signer, 3, &[arguments, &["--json"]].concat());
    let value: Value = serde_json::from_str(&said).unwrap_or_else(|error| panic!("{error} in {said}"));
    let error = value["error"].as_str().unwrap();
    assert!(
        error.starts_with(&format!("{refusal}: ")),
        "{arguments:?}: {said}"
    );
}

fn text(output: &Output) -> String {
    format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}

fn keys_of(value: &Value) -> Vec<&str> {
    let mut keys: Vec<&str> = value.as_object().unwrap().keys().map(String::as_str).collect();
    keys.sort_unstable();
    keys
}
