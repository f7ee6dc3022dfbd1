//! Certificates, authorities and CRLs that change while clients are there.

use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use super::stage::{PATIENCE, Stage, said};
use crate::support::poll;

const REQUEST: &[u8] = b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n";

#[test]
fn a_certificate_that_is_revoked_while_connected_is_refused_at_the_very_next_request() {
    let stage = Stage::serving();
    stage.signer.run(&["pki", "client", "other"]);
    let mut connected = stage.raw("http/1.1");
    connected.send(REQUEST).unwrap();
    assert!(connected.read_until("ok\n").contains("200 OK"));
    stage.signer.run(&["pki", "revoke", "admin"]);
    let said = stage.signer.run(&["reload"]);
    assert!(!said.contains("tls_"), "{said}");
    connected.send(REQUEST).unwrap();
    let answer = String::from_utf8_lossy(&connected.read_to_end()).into_owned();
    assert!(
        answer.starts_with("HTTP/1.1 403 ") && answer.contains("certificate_refused: "),
        "{answer:?}\n{}",
        stage.signer.log_tail()
    );
    assert_eq!(
        stage.metric(
            "sigward_tls_refused_requests_total",
            &[("reason", "certificate_refused")]
        ),
        1.0
    );
    // Whoever else is there stays.
    let output = stage.curl(Some(&stage.client("other")), &[&stage.url("/livez")]);
    assert!(output.status.success());
    stage.assert_unharmed();
}

#[test]
fn an_authority_that_is_taken_away_takes_its_clients_with_it() {
    let stage = Stage::serving();
    let mut connected = stage.raw("http/1.1");
    connected.send(REQUEST).unwrap();
    assert!(connected.read_until("ok\n").contains("200 OK"));
    let other = stage.home.path("other");
    stage
        .signer
        .run(&["pki", "init", "--dir", other.to_str().unwrap()]);
    // The CRL first: alone it is of an authority that nobody knows, which does no harm.
    put(&other.join("crl.pem"), &stage.pki("crl.pem"));
    put(&other.join("ca.crt"), &stage.pki("ca.crt"));
    stage.signer.run(&["reload"]);
    connected.send(REQUEST).unwrap();
    let answer = String::from_utf8_lossy(&connected.read_to_end()).into_owned();
    assert!(answer.contains("certificate_refused: "), "{answer:?}");
}

/// The certificate alone, made anew with its key; then another key, whose two files change one after the other.
#[test]
fn certificates_are_swapped_under_load_and_not_one_request_fails() {
    let stage = Stage::serving();
    let server = stage.pki("server/server.crt");
    let (stop, asked) = (AtomicBool::new(false), AtomicUsize::new(0));
    let edition = || stage.signer.log().matches("certificates were taken over").count();
    std::thread::scope(|scope| {
        let clients: Vec<_> = (0..3)
            .map(|_| {
                scope.spawn(|| {
                    while !stop.load(Ordering::Relaxed) {
                        stage.get("/livez");
                        asked.fetch_add(1, Ordering::Relaxed);
                        // One address may shake hands 100 times a second.
                        std::thread::sleep(Duration::from_millis(30));
                    }
                })
            })
            .collect();
        for swap in 1..=4 {
            let before = (edition(), asked.load(Ordering::Relaxed));
            if swap % 2 == 1 {
                stage.signer.run(&["pki", "renew", server.to_str().unwrap()]);
            } else {
                let name = format!("s{swap}");
                stage.signer.run(&["pki", "server", &name, "--name", "localhost"]);
                let made = stage.pki(&format!("server/{name}.crt"));
                put(&made.with_extension("key"), &server.with_extension("key"));
                std::thread::sleep(Duration::from_millis(300));
                put(&made, &server);
            }
            let taken = poll(PATIENCE, || {
                let some_more = asked.load(Ordering::Relaxed) > before.1 + 5;
                (edition() > before.0 && some_more || clients.iter().any(|client| client.is_finished()))
                    .then_some(())
            });
            assert!(taken.is_some(), "swap {swap}: {}", stage.signer.log_tail());
        }
        stop.store(true, Ordering::Relaxed);
    });
    assert!(asked.load(Ordering::Relaxed) > 20);
    // Two files on their way are no alarm.
    assert!(
        !stage.signer.log().contains("certificates: "),
        "{}",
        stage.signer.log_tail()
    );
    stage.assert_unharmed();
}

#[test]
fn bad_files_keep_what_was_in_force_and_say_so_until_they_are_good() {
    let stage = Stage::serving();
    let server = stage.pki("server/server.crt");
    let good = fs::read(&server).unwrap();
    for (bad, code) in [
        (b"".as_slice(), "tls_file_invalid"),
        (
            b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
            "tls_file_invalid",
        ),
        (&fs::read(stage.client("admin")).unwrap(), "tls_key_mismatch"),
    ] {
        fs::write(&server, bad).unwrap();
        let report = stage.until_check("failing");
        assert!(report["reason"].as_str().unwrap().starts_with(code), "{report}");
        assert!(!stage.signer.ready().0);
        assert_eq!(stage.get("/livez"), "ok\n");
        let said = stage.signer.run(&["reload"]);
        assert!(said.contains(code), "{said}");
        fs::write(&server, &good).unwrap();
        stage.until_check("ok");
    }
    let key = server.with_extension("key");
    open_to_all(&key);
    let report = stage.until_check("failing");
    assert!(
        report["reason"]
            .as_str()
            .unwrap()
            .starts_with("tls_file_permissions"),
        "{report}"
    );
    assert!(
        stage.signer.log().contains("alarm=true"),
        "{}",
        stage.signer.log_tail()
    );
    stage.assert_unharmed();
}

#[test]
fn a_start_with_bad_files_is_refused() {
    let mut stage = Stage::new();
    put(&stage.client("admin"), &stage.pki("server/server.crt"));
    for (what, code) in [("key", "tls_key_mismatch"), ("gone", "tls_file_unreadable")] {
        if what == "gone" {
            fs::remove_file(stage.pki("crl.pem")).unwrap();
        }
        let output = stage.signer.attempt(&["config", "check"]);
        assert_eq!(output.status.code(), Some(4), "{}", said(&output));
        assert!(said(&output).contains(code), "{}", said(&output));
        stage.signer.start_at_once();
        let status = poll(PATIENCE, || stage.signer.ended()).expect("it ends by itself");
        assert_eq!(status.code(), Some(1));
        assert!(stage.signer.log().contains(code), "{}", stage.signer.log_tail());
    }
}

/// A CRL of the past says nothing of anybody: nobody comes in, until there is another one.
#[test]
fn a_crl_that_has_ended_lets_nobody_in() {
    let stage = Stage::serving();
    let folder = stage.home.path("openssl");
    fs::create_dir(&folder).unwrap();
    let at = |name: &str| folder.join(name).display().to_string();
    fs::write(at("index.txt"), "").unwrap();
    fs::write(at("crlnumber"), "10\n").unwrap();
    let config = format!(
        "[ca]\ndefault_ca=own\n[own]\ndatabase={}\ncrlnumber={}\ndefault_md=sha256\ncrl_extensions=ext\n[ext]\nauthorityKeyIdentifier=keyid\n",
        at("index.txt"),
        at("crlnumber")
    );
    fs::write(at("ca.cnf"), config).unwrap();
    let (ca, key) = (stage.pki("ca.crt"), stage.pki("ca.key"));
    stage.openssl(&[
        "ca",
        "-config",
        &at("ca.cnf"),
        "-gencrl",
        "-crlsec",
        "6",
        "-cert",
        ca.to_str().unwrap(),
        "-keyfile",
        key.to_str().unwrap(),
        "-out",
        &at("short.pem"),
    ]);
    let ours = fs::read(stage.pki("crl.pem")).unwrap();
    put(Path::new(&at("short.pem")), &stage.pki("crl.pem"));
    stage.signer.run(&["reload"]);
    stage.until_check("failing");
    let output = stage.curl(Some(&stage.client("admin")), &[&stage.url("/livez")]);
    assert!(!output.status.success(), "{}", said(&output));
    stage.counted("out_of_date", 1.0);
    stage.assert_unharmed();
    fs::write(stage.pki("crl.pem"), ours).unwrap();
    stage.until_check("ok");
    assert_eq!(stage.get("/livez"), "ok\n");
}

/// As configuration management does it: whole, by a rename.
fn put(from: &Path, to: &Path) {
    let fresh = to.with_extension("fresh");
    fs::copy(from, &fresh).unwrap();
    fs::rename(fresh, to).unwrap();
}

fn open_to_all(path: &Path) {
    use std::os::unix::fs::PermissionsExt as _;
    fs::set_permissions(path, fs::Permissions::from_mode(0o644)).unwrap();
    // What changes in its bytes makes sure that it is looked at.
    let mut bytes = fs::read(path).unwrap();
    bytes.push(b'\n');
    fs::write(path, bytes).unwrap();
}
