//! A signer with a door, an authority of its own, and clients that know what to show.

use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Output, Stdio};
use std::time::Duration;

use serde_json::Value;
use toml::Table;

use crate::support::grpcurl::{grpcurl, shows};
use crate::support::home::Home;
use crate::support::metrics::Metrics;
use crate::support::poll;
use crate::support::ports::free_port;
pub(super) use crate::support::process::said;
use crate::support::signer::Signer;

/// A debug build on a loaded machine.
pub(super) const PATIENCE: Duration = Duration::from_secs(30);

pub(super) struct Stage {
    pub(super) signer: Signer,
    pub(super) port: u16,
    pub(super) home: Home,
}

impl Stage {
    /// A home with an authority, a server's certificate and a client `admin`; nothing runs yet.
    pub(super) fn new() -> Self {
        let home = Home::new();
        let signer = Signer::init(&home);
        signer.run(&["pki", "init"]);
        signer.run(&["pki", "server", "--name", "localhost", "--ip", "127.0.0.1"]);
        signer.run(&["pki", "client", "admin"]);
        let port = free_port();
        signer.configure(|config| {
            let mut listen = Table::new();
            for (name, value) in [
                ("address", format!("127.0.0.1:{port}")),
                ("certificate", "pki/server/server.crt".to_owned()),
                ("private_key", "pki/server/server.key".to_owned()),
                ("client_ca", "pki/ca.crt".to_owned()),
                ("crl", "pki/crl.pem".to_owned()),
            ] {
                listen.insert(name.to_owned(), value.into());
            }
            config.insert("listen".to_owned(), listen.into());
        });
        Self { signer, port, home }
    }

    /// The same, serving.
    pub(super) fn serving() -> Self {
        let mut stage = Self::new();
        stage.signer.start();
        stage
    }

    /// A file of the authority.
    pub(super) fn pki(&self, name: &str) -> PathBuf {
        self.signer.home().join("pki").join(name)
    }

    pub(super) fn url(&self, path: &str) -> String {
        format!("https://localhost:{}{path}", self.port)
    }

    /// curl, which believes our authority and shows this client's certificate.
    pub(super) fn curl(&self, client: Option<&Path>, more: &[&str]) -> Output {
        let mut curl = Command::new("curl");
        curl.args(["-sS", "--max-time", "20", "--cacert"])
            .arg(self.pki("ca.crt"));
        if let Some(certificate) = client {
            curl.arg("--cert").arg(certificate);
            curl.arg("--key").arg(certificate.with_extension("key"));
        }
        curl.args(more).output().unwrap()
    }

    /// The certificate of the client `name`, as `pki client` made it.
    pub(super) fn client(&self, name: &str) -> PathBuf {
        self.pki(&format!("clients/{name}.crt"))
    }

    /// What a good client gets; panics when it gets nothing.
    pub(super) fn get(&self, path: &str) -> String {
        let output = self.curl(Some(&self.client("admin")), &[&self.url(path)]);
        assert!(
            output.status.success(),
            "{}\n{}",
            said(&output),
            self.signer.log_tail()
        );
        String::from_utf8(output.stdout).unwrap()
    }

    /// grpcurl with our protos.
    pub(super) fn grpcurl(&self, client: Option<&Path>, method: &str) -> Output {
        let mut grpcurl = grpcurl(&self.pki("ca.crt"));
        if let Some(certificate) = client {
            shows(&mut grpcurl, certificate);
        }
        grpcurl
            .arg(format!("localhost:{}", self.port))
            .arg(method)
            .output()
            .unwrap()
    }

    /// A TLS connection of `admin` whose bytes are ours.
    pub(super) fn raw(&self, alpn: &str) -> Raw {
        let mut command = Command::new("openssl");
        command
            .args([
                "s_client",
                "-quiet",
                "-verify_return_error",
                "-servername",
                "localhost",
            ])
            .args([
                "-connect",
                &format!("127.0.0.1:{}", self.port),
                "-alpn",
                alpn,
                "-CAfile",
            ])
            .arg(self.pki("ca.crt"))
            .arg("-cert")
            .arg(self.client("admin"))
            .arg("-key")
            .arg(self.client("admin").with_extension("key"));
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let (stdin, stdout) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        Raw { stdin, stdout, child }
    }

    pub(super) fn metric(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        let metrics = Metrics::read(self.signer.http_port()).unwrap();
        metrics.sum(name, labels).unwrap_or(0.0)
    }

    /// How many handshakes ended so.
    pub(super) fn handshakes(&self, result: &str) -> f64 {
        self.metric("sigward_tls_handshakes_total", &[("result", result)])
    }

    /// Waits until so many ended so: they are counted after the client has heard.
    pub(super) fn counted(&self, result: &str, handshakes: f64) {
        let counted = || (self.handshakes(result) >= handshakes).then_some(());
        assert!(
            poll(PATIENCE, counted).is_some(),
            "{result}: {}, not {handshakes}",
            self.handshakes(result)
        );
    }

    /// The admin socket answers and sigward is alive: whatever happens at the door takes nothing from it.
    pub(super) fn assert_unharmed(&self) {
        assert!(self.signer.lives(), "{}", self.signer.log_tail());
        self.signer.run(&["keys", "list"]);
        assert!(
            !self.signer.log().contains("panicked"),
            "{}",
            self.signer.log_tail()
        );
    }

    /// Waits until the readiness check `tls` says this.
    pub(super) fn until_check(&self, status: &str) -> Value {
        poll(PATIENCE, || {
            let report = self.signer.check_report("tls");
            (report["status"] == status).then_some(report)
        })
        .unwrap_or_else(|| panic!("tls is not {status}: {}", self.signer.log_tail()))
    }

    /// openssl, which must succeed.
    pub(super) fn openssl(&self, arguments: &[&str]) -> String {
        let output = Command::new("openssl")
            .current_dir(self.home.path(""))
            .args(arguments)
            .output()
            .unwrap();
        assert!(
            output.status.success(),
            "openssl {arguments:?}: {}",
            said(&output)
        );
        said(&output)
    }

    /// A client's certificate that `pki` would not make: with these lines of an extension file, for so many days.
    pub(super) fn odd_client(&self, name: &str, extensions: &str, days: &str) -> PathBuf {
        let (ca, key) = (self.pki("ca.crt"), self.pki("ca.key"));
        let at = |kind: &str| self.home.path(&format!("{name}.{kind}")).display().to_string();
        std::fs::write(at("ext"), extensions).unwrap();
        self.openssl(&[
            "req",
            "-new",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:P-256",
            "-nodes",
            "-subj",
            &format!("/CN={name}"),
            "-keyout",
            &at("key"),
            "-out",
            &at("csr"),
        ]);
        self.openssl(&[
            "x509",
            "-req",
            "-in",
            &at("csr"),
            "-CA",
            ca.to_str().unwrap(),
            "-CAkey",
            key.to_str().unwrap(),
            "-CAcreateserial",
            "-CAserial",
            &at("srl"),
            "-days",
            days,
            "-extfile",
            &at("ext"),
            "-out",
            &at("crt"),
        ]);
        PathBuf::from(at("crt"))
    }
}

/// A connection whose bytes a test writes.
pub(super) struct Raw {
    pub(super) stdin: ChildStdin,
    pub(super) stdout: ChildStdout,
    child: Child,
}

impl Raw {
    pub(super) fn send(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.stdin.write_all(bytes)?;
        self.stdin.flush()
    }

    /// Reads until `wanted` was seen, or the end; what was read.
    pub(super) fn read_until(&mut self, wanted: &str) -> String {
        let mut seen = Vec::new();
        let mut some = [0_u8; 4096];
        while !String::from_utf8_lossy(&seen).contains(wanted) {
            match self.stdout.read(&mut some) {
                Ok(count @ 1..) => seen.extend_from_slice(&some[..count]),
                _ => break,
            }
        }
        String::from_utf8_lossy(&seen).into_owned()
    }

    /// Waits until the server ends the connection.
    pub(super) fn read_to_end(&mut self) -> Vec<u8> {
        let mut all = Vec::new();
        let _reset = self.stdout.read_to_end(&mut all);
        all
    }

    /// The same for a flood. The GOAWAY is often lost: what was sent after the end is answered by a reset, which takes it away.
    pub(super) fn until_it_ends(&mut self) {
        let _lost_or_not = self.read_to_end();
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        let _ended = self.child.kill();
        let _gone = self.child.wait();
    }
}
