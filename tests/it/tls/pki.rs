//! `sigward pki`, judged by openssl and by those who read its answers.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use super::stage::said;
use crate::support::home::Home;
use crate::support::signer::Signer;

fn openssl(folder: &Path, arguments: &[&str]) -> (bool, String) {
    let output = Command::new("openssl")
        .current_dir(folder)
        .args(arguments)
        .output()
        .unwrap();
    (output.status.success(), said(&output))
}

#[test]
fn openssl_believes_what_the_authority_makes_and_only_that() {
    let home = Home::new();
    let signer = Signer::not_yet(&home);
    let pki = home.path("s/pki");
    signer.run(&["pki", "init", "--name", "Test CA", "--domain", "example.org"]);
    signer.run(&[
        "pki",
        "server",
        "--name",
        "signer.example.org",
        "--ip",
        "192.0.2.7",
    ]);
    signer.run(&["pki", "client", "admin.example.org"]);
    signer.run(&["pki", "client", "pod-7", "--uri", "spiffe://example.org/pod/7"]);
    signer.run(&["pki", "client", "gone.example.org"]);
    signer.run(&["pki", "revoke", "gone.example.org"]);
    let verify = |purpose: &str, file: &str| {
        openssl(
            &pki,
            &[
                "verify",
                "-x509_strict",
                "-CAfile",
                "ca.crt",
                "-CRLfile",
                "crl.pem",
                "-crl_check",
                "-purpose",
                purpose,
                file,
            ],
        )
    };
    for (good, purpose, file) in [
        (true, "sslserver", "server/server.crt"),
        (true, "sslclient", "clients/admin.example.org.crt"),
        (true, "sslclient", "clients/pod-7.crt"),
        (false, "sslclient", "server/server.crt"),
        (false, "sslserver", "clients/pod-7.crt"),
        (false, "sslclient", "clients/gone.example.org.crt"),
    ] {
        let (verified, said) = verify(purpose, file);
        assert_eq!(verified, good, "{purpose} {file}: {said}");
    }
    // What it may not vouch for is not believed either: a name elsewhere, another authority.
    signer.run(&["pki", "client", "admin.example.com"]);
    let (verified, said) = verify("sslclient", "clients/admin.example.com.crt");
    assert!(!verified && said.contains("permitted subtree"), "{said}");
    let (_, text) = openssl(&pki, &["x509", "-in", "ca.crt", "-noout", "-text"]);
    for part in [
        "CA:TRUE, pathlen:0",
        "Certificate Sign, CRL Sign",
        "DNS:example.org",
        "prime256v1",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    let (_, text) = openssl(&pki, &["x509", "-in", "clients/pod-7.crt", "-noout", "-text"]);
    for part in [
        "CA:FALSE",
        "TLS Web Client Authentication",
        "URI:spiffe://example.org/pod/7",
        "Digital Signature",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    assert!(!text.contains("DNS:"), "{text}");
    let (verified, said) = openssl(
        &pki,
        &["crl", "-in", "crl.pem", "-CAfile", "ca.crt", "-noout", "-verify"],
    );
    assert!(verified && said.contains("verify OK"), "{said}");
}

#[test]
fn nothing_is_written_over_and_keys_are_their_owners() {
    let home = Home::new();
    let signer = Signer::not_yet(&home);
    signer.run(&["pki", "init"]);
    let made = signer.json(&["pki", "client", "admin", "--json"]);
    let key = Path::new(made["private_key"].as_str().unwrap());
    for file in [key, &home.path("s/pki/ca.key")] {
        let mode = fs::metadata(file).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{}", file.display());
    }
    assert_eq!(made["names"], serde_json::json!(["dns:admin"]));
    let before: Vec<_> = [
        "ca.crt",
        "ca.key",
        "crl.pem",
        "clients/admin.crt",
        "clients/admin.key",
    ]
    .map(|name| fs::read(home.path("s/pki").join(name)).unwrap())
    .into();
    for arguments in [&["pki", "init"][..], &["pki", "client", "admin"]] {
        let output = signer.attempt(arguments);
        assert_eq!(output.status.code(), Some(1));
        assert!(said(&output).contains("file_exists: "), "{}", said(&output));
    }
    let after: Vec<_> = [
        "ca.crt",
        "ca.key",
        "crl.pem",
        "clients/admin.crt",
        "clients/admin.key",
    ]
    .map(|name| fs::read(home.path("s/pki").join(name)).unwrap())
    .into();
    assert_eq!(before, after);
    for (arguments, code) in [
        (&["pki", "client", "*.example"][..], "invalid_name"),
        (&["pki", "client", "../x"], "invalid_name"),
        (&["pki", "client", "x", "--uri", "no uri"], "invalid_name"),
        (&["pki", "server", "s"], "invalid_name"),
        (&["pki", "server", "s", "--name", "*.example"], "invalid_name"),
        (&["pki", "revoke", "nobody"], "pki_not_issued"),
    ] {
        let output = signer.attempt(arguments);
        // A name that cannot be is wrong usage; one that is not there is refused.
        let exit = if code == "invalid_name" { 2 } else { 3 };
        assert_eq!(
            output.status.code(),
            Some(exit),
            "{arguments:?}: {}",
            said(&output)
        );
        assert!(
            said(&output).contains(&format!("{code}: ")),
            "{arguments:?}: {}",
            said(&output)
        );
    }
    let output = signer.attempt(&["pki", "client", "x", "--dir", home.path("no").to_str().unwrap()]);
    assert!(said(&output).contains("pki_missing: "), "{}", said(&output));
    // What was refused left nothing behind that would be in the way.
    signer.run(&["pki", "client", "x"]);
}

#[test]
fn a_name_revokes_all_that_stand_under_it_as_long_as_they_are_of_one_kind() {
    let home = Home::new();
    let signer = Signer::not_yet(&home);
    signer.run(&["pki", "init"]);
    // Two certificates of a name stand, with one key: the name means both, unless it is that of a server as well.
    signer.run(&["pki", "client", "lost"]);
    let lost = signer.home().join("pki/clients/lost.crt");
    signer.run(&["pki", "renew", lost.to_str().unwrap()]);
    let gone = signer.json(&["pki", "revoke", "lost", "--json"]);
    assert_eq!(gone["serials"].as_array().unwrap().len(), 2, "{gone}");
    assert_eq!(
        (&gone["already_revoked"], &gone["revoked"]),
        (&false.into(), &2.into())
    );
    let again = signer.json(&["pki", "revoke", "lost", "--json"]);
    assert_eq!(
        (&again["already_revoked"], &again["revoked"]),
        (&true.into(), &2.into())
    );
    signer.run(&["pki", "server", "twin", "--name", "twin"]);
    signer.run(&["pki", "client", "twin"]);
    let output = signer.attempt(&["pki", "revoke", "twin"]);
    assert_eq!(output.status.code(), Some(3));
    assert!(said(&output).contains("pki_ambiguous: "), "{}", said(&output));
}

#[test]
fn renewing_keeps_the_key_and_a_number_revokes_one() {
    let home = Home::new();
    let signer = Signer::not_yet(&home);
    signer.run(&["pki", "init"]);
    let first = signer.json(&["pki", "client", "admin", "--json"]);
    let file = first["certificate"].as_str().unwrap();
    let key = fs::read(first["private_key"].as_str().unwrap()).unwrap();
    let second = signer.json(&["pki", "renew", file, "--json"]);
    assert_eq!(first["names"], second["names"]);
    assert_ne!(first["serial"], second["serial"]);
    assert_eq!(key, fs::read(first["private_key"].as_str().unwrap()).unwrap());
    for (serial, already, revoked) in [(&first, false, 1), (&first, true, 1), (&second, false, 2)] {
        let answer = signer.json(&["pki", "revoke", serial["serial"].as_str().unwrap(), "--json"]);
        assert_eq!(
            (&answer["already_revoked"], &answer["revoked"]),
            (&already.into(), &revoked.into())
        );
    }
    let output = signer.attempt(&["pki", "renew", file]);
    assert_eq!(output.status.code(), Some(3), "{}", said(&output));
    assert!(
        said(&output).contains("pki_revoked: ") && said(&output).contains("--out DIR"),
        "{}",
        said(&output)
    );
    assert_eq!(signer.json(&["pki", "crl", "--json"])["revoked"], 2);
    let shown = signer.json(&["pki", "show", "--json"]);
    let issued = shown["issued"].as_array().unwrap();
    let kinds: Vec<_> = issued.iter().map(|one| one["kind"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["authority", "crl", "client", "client"]);
    assert!(
        issued.iter().skip(2).all(|one| one["revoked"] != Value::Null),
        "{shown}"
    );
    // What ends soon is a word to whoever watches.
    signer.run(&["pki", "client", "brief", "--days", "3"]);
    let output = signer.attempt(&["pki", "show"]);
    assert_eq!(output.status.code(), Some(4));
    assert!(
        said(&output).contains("ends within 14 days: client brief"),
        "{}",
        said(&output)
    );
}

/// What a refusal says to do is not refused.
#[test]
fn what_is_there_already_says_what_helps_and_that_does() {
    let home = Home::new();
    let signer = Signer::not_yet(&home);
    signer.run(&["pki", "init"]);
    let made = signer.json(&["pki", "client", "admin", "--json"]);
    let file = made["certificate"].as_str().unwrap();
    let refused = |arguments: &[&str], words: &str, other: &str| {
        let output = signer.attempt(arguments);
        assert!(!output.status.success(), "{arguments:?}");
        let said = said(&output);
        assert!(
            said.contains(words) && !said.contains(other),
            "{arguments:?}: {said}"
        );
    };
    refused(
        &["pki", "client", "admin"],
        &format!("sigward pki renew {file}"),
        "revoked",
    );
    signer.run(&["pki", "renew", file]);
    refused(&["pki", "init"], "sigward pki init --dir DIR", "renew");
    let authority = home.path("s/pki/ca.crt");
    refused(
        &["pki", "renew", authority.to_str().unwrap()],
        "another authority, `sigward pki init --dir DIR`",
        "nothing called",
    );
    signer.run(&["pki", "init", "--dir", home.path("other").to_str().unwrap()]);
    // Once it is revoked, the way back is another folder, or the same one without the old files.
    signer.run(&["pki", "revoke", "admin"]);
    refused(&["pki", "client", "admin"], "it is revoked", "pki renew");
    refused(&["pki", "renew", file], "--out DIR", "PEM");
    let again = home.path("again");
    let second = signer.json(&[
        "pki",
        "client",
        "admin",
        "--out",
        again.to_str().unwrap(),
        "--json",
    ]);
    assert_eq!(second["names"], made["names"]);
    fs::rename(home.path("s/pki/clients"), home.path("s/pki/clients-gone")).unwrap();
    signer.run(&["pki", "client", "admin"]);
}

/// In an emergency a name is copied from wherever it stands.
#[test]
fn every_name_that_is_printed_revokes_and_one_of_unlike_certificates_says_which() {
    let home = Home::new();
    let signer = Signer::not_yet(&home);
    signer.run(&["pki", "init"]);
    let revoked = |name: &str| signer.json(&["pki", "revoke", name, "--json"])["names"].clone();
    signer.run(&[
        "pki",
        "server",
        "--name",
        "signer.example.org",
        "--ip",
        "192.0.2.7",
    ]);
    let names = serde_json::json!(["dns:signer.example.org", "ip:192.0.2.7"]);
    for name in [
        "signer.example.org",
        "dns:signer.example.org",
        "192.0.2.7",
        "server",
    ] {
        assert_eq!(revoked(name), names, "{name}");
    }
    let uri = "spiffe://example.org/pod/7";
    signer.run(&["pki", "client", "pod-7", "--uri", uri]);
    for name in ["pod-7", uri, &format!("uri:{uri}"), &format!("cert:uri:{uri}")] {
        assert_eq!(revoked(name), serde_json::json!([format!("uri:{uri}")]), "{name}");
    }
    signer.run(&["pki", "client", "admin"]);
    assert_eq!(revoked("cert:dns:admin"), serde_json::json!(["dns:admin"]));
    for nobody in ["dns:", "dns", "cert:admin", "example.org", ""] {
        let output = signer.attempt(&["pki", "revoke", nobody]);
        assert!(
            said(&output).contains("pki_not_issued: "),
            "{nobody}: {}",
            said(&output)
        );
    }
    // One file name, two names: whoever is meant has a number.
    let out = |name: &str| home.path(name).to_str().unwrap().to_owned();
    let first = signer.json(&["pki", "client", "ops", "--json"]);
    let second = signer.json(&["pki", "client", "ops", "--uri", uri, "--out", &out("b"), "--json"]);
    let output = signer.attempt(&["pki", "revoke", "ops"]);
    assert_eq!(output.status.code(), Some(3), "{}", said(&output));
    for (one, names) in [(&first, "(client dns:ops)"), (&second, "(client uri:spiffe:")] {
        let serial = one["serial"].as_str().unwrap();
        assert!(
            said(&output).contains(&format!("{serial} {names}")),
            "{}",
            said(&output)
        );
    }
    assert_eq!(
        revoked("dns:ops"),
        serde_json::json!(["dns:ops"]),
        "that means one"
    );
}
