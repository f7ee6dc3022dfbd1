//! grpcurl that knows our services: what is left to say is who asks, whom, and what.

use std::path::Path;
use std::process::Command;

use super::node::peers;

/// grpcurl that trusts the authority `ca` and gives up after 20 s.
pub(crate) fn grpcurl(ca: &Path) -> Command {
    let program = peers().join("grpcurl");
    assert!(program.exists(), "{} is missing: `make peers`", program.display());
    let protos = Path::new(env!("CARGO_MANIFEST_DIR")).join("proto");
    let mut grpcurl = Command::new(program);
    grpcurl.args(["-max-time", "20", "-cacert"]).arg(ca);
    grpcurl.arg("-import-path").arg(&protos);
    for entry in std::fs::read_dir(protos.join("sigward/v1")).unwrap() {
        grpcurl
            .arg("-proto")
            .arg(Path::new("sigward/v1").join(entry.unwrap().file_name()));
    }
    grpcurl
}

/// Who asks: the holder of `certificate`, whose key lies beside it.
pub(crate) fn shows(grpcurl: &mut Command, certificate: &Path) {
    grpcurl.arg("-cert").arg(certificate);
    grpcurl.arg("-key").arg(certificate.with_extension("key"));
}
