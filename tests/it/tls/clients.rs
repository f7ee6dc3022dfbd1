//! Who gets in and who does not, with the clients that operators have.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use super::stage::{PATIENCE, Stage, said};
use crate::support::poll;

const CLIENT: &str = "extendedKeyUsage=clientAuth\n";

#[test]
fn a_client_with_a_certificate_gets_health_and_metrics_by_both_versions_of_http() {
    let stage = Stage::serving();
    let admin = stage.client("admin");
    for (version, shown) in [("--http2", "2"), ("--http1.1", "1.1")] {
        let livez = stage.url("/livez");
        let output = stage.curl(
            Some(&admin),
            &[version, "-w", "%{http_version} %{http_code}", &livez],
        );
        assert_eq!(said(&output), format!("ok\n{shown} 200"));
    }
    assert!(stage.get("/readyz").contains("\"ready\":true"));
    let metrics = stage.get("/metrics");
    for what in ["server", "client_ca", "crl"] {
        let series = format!("sigward_cert_expiry_timestamp_seconds{{what=\"{what}\"}} ");
        let (_, value) = metrics
            .split_once(&series)
            .unwrap_or_else(|| panic!("{what}: {metrics}"));
        assert!(
            value.split('\n').next().unwrap().parse::<u64>().unwrap() > 1_700_000_000,
            "{value}"
        );
    }
    // What this listener does not have, it says plainly; and it takes neither another method nor a body.
    assert!(stage.get("/keys").contains("not_found"));
    let output = stage.curl(
        Some(&admin),
        &["--http1.1", "-X", "POST", "-d", "x", &stage.url("/livez")],
    );
    assert!(said(&output).contains("method_not_allowed"), "{}", said(&output));
    // gRPC is spoken over HTTP/2 only.
    let kind = "content-type: application/grpc";
    let get = stage.url("/sigward.v1.StatusService/Get");
    let output = stage.curl(Some(&admin), &["--http1.1", "-H", kind, "-d", "", &get]);
    assert!(said(&output).contains("http_version"), "{}", said(&output));
    let closed = || (stage.metric("sigward_tls_connections", &[]) == 0.0).then_some(());
    assert!(poll(PATIENCE, closed).is_some(), "{}", stage.signer.log_tail());
    stage.assert_unharmed();
}

#[test]
fn whoever_is_not_known_comes_no_further_than_the_handshake() {
    let stage = Stage::serving();
    let signer = &stage.signer;
    signer.run(&["pki", "client", "gone"]);
    signer.run(&["pki", "revoke", "gone"]);
    signer.run(&["reload"]);
    let other = stage.home.path("other");
    let other = other.to_str().unwrap();
    signer.run(&["pki", "init", "--dir", other]);
    signer.run(&["pki", "client", "admin", "--dir", other]);
    let foreign = stage.home.path("other/clients/admin.crt");
    let expired = stage.odd_client("old", &format!("{CLIENT}subjectAltName=DNS:old\n"), "-1");
    let nameless = stage.odd_client("nameless", CLIENT, "1");
    let twofold = stage.odd_client("twofold", &format!("{CLIENT}subjectAltName=DNS:a,DNS:b\n"), "1");
    let wildcard = stage.odd_client("wild", &format!("{CLIENT}subjectAltName=DNS:*.example\n"), "1");
    let server = stage.pki("server/server.crt");
    // One that calls itself by the name of ours.
    let ours = signer.json(&["pki", "show", "--json"]);
    let (name, twin) = (
        ours["issued"][0]["name"].as_str().unwrap(),
        stage.home.path("twin"),
    );
    let twin = twin.to_str().unwrap();
    signer.run(&["pki", "init", "--dir", twin, "--name", name]);
    signer.run(&["pki", "client", "admin", "--dir", twin]);
    let forged = stage.home.path("twin/clients/admin.crt");
    let cases = [
        (None, "no_certificate", "certificate required"),
        (Some(&foreign), "unknown_authority", "unknown ca"),
        (Some(&forged), "unknown_authority", "alert"),
        (Some(&expired), "out_of_date", "certificate expired"),
        (Some(&stage.client("gone")), "revoked", "certificate revoked"),
        (Some(&nameless), "no_identity", "alert"),
        (Some(&twofold), "no_identity", "alert"),
        (Some(&wildcard), "no_identity", "alert"),
        // A server's certificate is not a client's.
        (Some(&server), "failed", "alert"),
    ];
    for (client, result, alert) in cases {
        let before = stage.handshakes(result);
        let output = stage.curl(client.map(|path| path.as_path()), &[&stage.url("/livez")]);
        assert!(
            !output.status.success() && output.stdout.is_empty(),
            "{result}: {}",
            said(&output)
        );
        assert!(said(&output).contains(alert), "{result}: {}", said(&output));
        stage.counted(result, before + 1.0);
    }
    // A second authority, without its CRL: nobody can tell its clients from the revoked.
    let ca = stage.pki("ca.crt");
    let both = [&ca, &stage.home.path("other/ca.crt")].map(|file| std::fs::read_to_string(file).unwrap());
    std::fs::write(&ca, both.concat()).unwrap();
    signer.run(&["reload"]);
    let before = stage.handshakes("no_crl");
    let output = stage.curl(Some(&foreign), &[&stage.url("/livez")]);
    assert!(!output.status.success(), "{}", said(&output));
    stage.counted("no_crl", before + 1.0);
    assert!(
        signer.log().contains("no CRL of this authority"),
        "{}",
        signer.log_tail()
    );
    std::fs::write(&ca, &both[0]).unwrap();
    signer.run(&["reload"]);
    // TLS 1.2 and plain HTTP.
    let output = stage.curl(
        Some(&stage.client("admin")),
        &["--tls-max", "1.2", &stage.url("/livez")],
    );
    assert!(said(&output).contains("protocol version"), "{}", said(&output));
    let mut plain = TcpStream::connect(("127.0.0.1", stage.port)).unwrap();
    plain
        .write_all(b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n")
        .unwrap();
    let mut answer = Vec::new();
    let _reset = plain.read_to_end(&mut answer);
    assert!(!String::from_utf8_lossy(&answer).contains("HTTP"), "{answer:?}");
    // A URI names somebody; of a SPIFFE certificate with DNS names beside it, the URI does.
    let spiffe = "subjectAltName=URI:spiffe://example.org/a,DNS:a,DNS:b\n";
    let spiffe = stage.odd_client("spiffe", &format!("{CLIENT}{spiffe}"), "1");
    let output = stage.grpcurl(Some(&spiffe), "sigward.v1.KeyService/List");
    assert!(
        said(&output).contains("cert:uri:spiffe://example.org/a may not"),
        "{}",
        said(&output)
    );
    assert!(!stage.get("/livez").is_empty());
    stage.assert_unharmed();
}

#[test]
fn grpcurl_reads_status_and_nothing_else_until_a_rule_says_so() {
    let stage = Stage::serving();
    let admin = stage.client("admin");
    let status = stage.grpcurl(Some(&admin), "sigward.v1.StatusService/Get");
    assert!(
        status.status.success() && said(&status).contains("\"serving\": true"),
        "{}",
        said(&status)
    );
    for method in ["List", "Create", "Import", "Show"] {
        let output = stage.grpcurl(Some(&admin), &format!("sigward.v1.KeyService/{method}"));
        let said = said(&output);
        if said.contains("does not include a method") {
            continue;
        }
        assert!(
            said.contains("PermissionDenied")
                && (said.contains("not_permitted: cert:dns:admin") || said.contains("carries private keys")),
            "{method}: {said}"
        );
    }
    let none = stage.grpcurl(None, "sigward.v1.StatusService/Get");
    assert!(!none.status.success(), "{}", said(&none));
    // The refusal is on record, under the name of the certificate.
    let tail = stage.signer.run(&["audit", "tail"]);
    assert!(
        tail.lines().any(|line| line.contains("denied")
            && line.contains("rpc.key")
            && line.contains("cert:dns:admin")),
        "{tail}"
    );
    // The administrator of this machine is not concerned.
    stage.signer.create_key("validator");
    stage.assert_unharmed();
}
