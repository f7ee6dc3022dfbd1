//! Moving in from other signers: real tmkms, a node's own signer, and files written after the formats of cosmos/kms and horcrux.

mod again;
mod alive;
mod compared;
mod filepv;
mod files;
mod hostile;
mod place;
mod rpc;
mod tmkms;

use std::path::{Path, PathBuf};
use std::process::Output;

use base64::prelude::{BASE64_STANDARD, Engine as _};
use toml::Table;

use crate::support::home::Home;
use crate::support::signer::Signer;

/// `sigward import`, also on disks that may forget: what these tests prove does not depend on a power cut.
pub(crate) fn import(signer: &Signer, arguments: &[&str]) -> Output {
    let mut all = vec!["import"];
    all.extend(arguments);
    let fresh = !signer.home().join("sigward.toml").exists();
    if fresh {
        all.push("--allow-volatile");
    }
    signer.attempt(&all)
}

/// The same; it must succeed. Returns what it printed.
pub(crate) fn imported(signer: &Signer, arguments: &[&str]) -> String {
    let output = import(signer, arguments);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments:?}: {errors}");
    String::from_utf8(output.stdout).unwrap()
}

/// The same; it must be refused with this exit code and this error code. Returns the error.
pub(crate) fn refused(signer: &Signer, exit: i32, code: &str, arguments: &[&str]) -> String {
    let output = import(signer, arguments);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(exit), "{arguments:?}: {said}");
    assert!(said.contains(code), "{arguments:?}: {code} is not in {said}");
    said
}

/// Gives a home that an import made a port that is free.
pub(crate) fn free_port_for(signer: &Signer) {
    let listen = format!("127.0.0.1:{}", signer.http_port());
    signer.configure(|config| {
        let http = config.entry("http").or_insert_with(|| Table::new().into());
        http.as_table_mut()
            .unwrap()
            .insert("listen".to_owned(), listen.into());
    });
}

/// Whether nothing of an import is there: no home, and no folder that it was made in.
pub(crate) fn nothing_is_there(signer: &Signer) -> bool {
    !signer.home().exists() && !staging(signer).exists()
}

/// Where a home is made.
pub(crate) fn staging(signer: &Signer) -> PathBuf {
    let name = signer.home().file_name().unwrap().to_str().unwrap();
    signer.home().with_file_name(format!(".{name}.importing"))
}

/// Writes a file that only its owner can read.
pub(crate) fn write_private(path: &Path, text: &str) {
    use std::os::unix::fs::PermissionsExt as _;
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).unwrap();
    }
    std::fs::write(path, text).unwrap();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).unwrap();
}

/// tmkms's files of one softsign key on the chain `c-1`.
pub(crate) struct TmkmsFiles {
    folder: PathBuf,
}

/// Writes them, with a state at this height.
pub(crate) fn tmkms_files(home: &Home, height: u64) -> TmkmsFiles {
    let files = TmkmsFiles {
        folder: home.path("tmkms"),
    };
    write_private(
        &files.folder.join("tmkms.toml"),
        "[[chain]]\nid = \"c-1\"\nkey_format = { type = \"hex\" }\nstate_file = \"s.json\"\n\
         [[providers.softsign]]\nchain_ids = [\"c-1\"]\npath = \"k\"\n",
    );
    write_private(&files.folder.join("k"), &BASE64_STANDARD.encode([5; 32]));
    files.state(height);
    files
}

impl TmkmsFiles {
    /// Where they are.
    pub(crate) fn folder(&self) -> &str {
        self.folder.to_str().unwrap()
    }

    /// The state file.
    pub(crate) fn state_file(&self) -> PathBuf {
        self.folder.join("s.json")
    }

    /// Writes another state.
    pub(crate) fn state(&self, height: u64) {
        write_private(
            &self.state_file(),
            &format!(r#"{{"height":"{height}","round":"0","step":2,"block_id":null}}"#),
        );
    }
}
