//! Backups as an operator makes, checks and restores them; and an imported key that moves out again.

mod age;
mod leave;
mod make;
mod restore;

use std::path::Path;

use crate::support::home::Home;
use crate::support::keys::KeyFile;
use crate::support::signer::Signer;

const PASSPHRASE: &str = "a passphrase of the tests";

/// A passphrase in a file of mode 0600; its path.
fn passphrase(home: &Home, name: &str, text: &str) -> String {
    use std::os::unix::fs::PermissionsExt as _;
    let path = home.path(name);
    std::fs::write(&path, text).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
    path.to_str().unwrap().to_owned()
}

/// A signer with an imported key on a chain, closed up to height 100, and a made key on none.
fn furnished(home: &Home) -> Signer {
    let signer = Signer::init(home);
    let file = KeyFile::of_seed([7; 32]).write(&home.path("key.json"));
    signer.run(&[
        "keys", "import", "val", "--file", &file, "--chain", "c-1", "--above", "100",
    ]);
    signer.create_key("made");
    signer
}

/// Backs everything up with [`PASSPHRASE`]; the path of the backup and of the passphrase.
fn backed_up(home: &Home, signer: &Signer) -> (String, String) {
    let secret = passphrase(home, "pw", PASSPHRASE);
    let file = home.path("all.backup").to_str().unwrap().to_owned();
    signer.run(&[
        "keys",
        "backup",
        "--all",
        "--file",
        &file,
        "--passphrase-file",
        &secret,
    ]);
    (file, secret)
}

fn files_of(folder: &Path) -> Vec<String> {
    let mut names: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}
