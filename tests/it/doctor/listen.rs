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
    doctor(&signer, &["--offline"]).assert("listen.clients", "warning");
    listen("/etc/ssl/certs/ca-certificates.crt", "pki/server/server.key");
    let everybody = doctor(&signer, &["--offline"]);
    if std::path::Path::new("/etc/ssl/certs/ca-certificates.crt").exists() {
        everybody.assert("listen.clients", "failure");
    }
    listen("pki/ca.crt", "pki/server/server.key");
    let key = signer.home().join("pki/server/server.key");
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o644)).unwrap();
    let seen = doctor(&signer, &["--offline"]);
    seen.assert("listen.files", "failure");
    let remedy = seen.of("listen.files").next().unwrap()["remedy"].to_string();
    assert!(remedy.contains("chmod 0600"), "{remedy}");
}
