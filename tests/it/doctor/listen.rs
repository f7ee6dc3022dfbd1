//! The port for other machines, looked at without a daemon.

use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;

use toml::{Table, Value};

use super::doctor;
use crate::support::home::Home;
use crate::support::signer::Signer;

#[test]
fn a_door_that_would_not_open_or_would_open_too_far_is_named() {
    let home = Home::new();
    let signer = Signer::init(&home);
    signer.run(&["pki", "init"]);
    signer.run(&["pki", "server", "--name", "localhost"]);
    signer.run(&["pki", "client", "admin"]);
    let socket = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = socket.local_addr().unwrap().port();
    let listen = |client_ca: &str, key: &str| {
        signer.configure(|config| {
            let mut listen = Table::new();
            for (name, value) in [
                ("address", format!("127.0.0.1:{port}")),
                ("certificate", "pki/server/server.crt".to_owned()),
                ("private_key", key.to_owned()),
                ("client_ca", client_ca.to_owned()),
                ("crl", "pki/crl.pem".to_owned()),
            ] {
                listen.insert(name.to_owned(), value.into());
            }
            config.insert("listen".to_owned(), Value::Table(listen));
        });
    };
    listen("pki/ca.crt", "pki/server/server.key");
    let seen = doctor(&signer, &["--offline"]);
    seen.assert("listen.files", "ok");
    seen.assert("listen.ends", "ok");
    seen.assert("listen.clients", "ok");
    seen.assert("listen.address", "failure");
    drop(socket);
    doctor(&signer, &["--offline"]).assert("listen.address", "ok");

    // The key of somebody else; a key that others may read; a client for an authority; authorities of everybody.
    listen("pki/ca.crt", "pki/clients/admin.key");
    doctor(&signer, &["--offline"]).assert("listen.files", "failure");
    listen("pki/clients/admin.crt", "pki/server/server.key");
    let seen = doctor(&signer, &["--offline"]);
    seen.assert("listen.clients", "warning");
    let fact = seen.of("listen.files").next().unwrap().to_string();
    assert!(
        fact.contains("tls_file_invalid") && fact.contains("no authority in it"),
        "{fact}"
    );
    listen("/etc/ssl/certs/ca-certificates.crt", "pki/server/server.key");
    let everybody = doctor(&signer, &["--offline"]);
    if std::path::Path::new("/etc/ssl/certs/ca-certificates.crt").exists() {
        everybody.assert("listen.clients", "failure");
    }
    listen("pki/ca.crt", "pki/server/server.key");
    // A second authority without its CRL: its clients would wonder, and nobody else.
    let other = home.path("other");
    signer.run(&["pki", "init", "--dir", other.to_str().unwrap()]);
    let ca = signer.home().join("pki/ca.crt");
    let both = [&ca, &other.join("ca.crt")].map(|file| std::fs::read_to_string(file).unwrap());
    std::fs::write(&ca, both.concat()).unwrap();
    let seen = doctor(&signer, &["--offline"]);
    seen.assert("listen.files", "ok");
    seen.assert("listen.clients", "warning");
    let checked = signer.run(&["config", "check"]);
    assert!(
        checked.contains("no CRL in crl of CN=") && checked.contains("none of its clients is let in"),
        "{checked}"
    );
    std::fs::write(&ca, &both[0]).unwrap();
    // What everybody may write, everybody decides.
    for file in ["pki/ca.crt", "pki/crl.pem", "pki/server/server.crt"] {
        let path = signer.home().join(file);
        let mode = |mode| std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        mode(0o666);
        let output = signer.attempt(&["config", "check"]);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(
            output.status.code() == Some(4) && said.contains("tls_file_permissions") && said.contains(file),
            "{file}: {said}"
        );
        assert!(said.contains("chmod o-w"), "{said}");
        mode(0o644);
    }
    // A client's certificate for the server's: every client would refuse it.
    signer.configure(|config| {
        let listen = config["listen"].as_table_mut().unwrap();
        listen.insert("certificate".to_owned(), "pki/clients/admin.crt".into());
        listen.insert("private_key".to_owned(), "pki/clients/admin.key".into());
    });
    let output = signer.attempt(&["config", "check"]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        output.status.code() == Some(4)
            && said.contains("tls_file_invalid")
            && said.contains("not for servers"),
        "{said}"
    );
    listen("pki/ca.crt", "pki/server/server.key");
    let key = signer.home().join("pki/server/server.key");
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o644)).unwrap();
    let seen = doctor(&signer, &["--offline"]);
    seen.assert("listen.files", "failure");
    let remedy = seen.of("listen.files").next().unwrap()["remedy"].to_string();
    assert!(remedy.contains("chmod 0600"), "{remedy}");
}
