//! Where a home is made: in an empty folder that is there, beside one that is not; by one import at a time; and over nothing that
//! is somebody's.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use super::{import, imported, nothing_is_there, refused, staging, tmkms_files, write_private};
use crate::support::home::Home;
use crate::support::signer::Signer;

fn mode(path: &Path, mode: u32) {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}

/// As a user who may write only where it is allowed: root without the capability to write everywhere.
fn confined(signer: &Signer, arguments: &[&str]) -> Output {
    let sigward = signer.command(&[&["import", "--allow-volatile"], arguments].concat());
    Command::new("setpriv")
        .arg("--bounding-set=-dac_override")
        .arg(sigward.get_program())
        .args(sigward.get_args())
        .envs(
            sigward
                .get_envs()
                .filter_map(|(name, value)| Some((name, value?))),
        )
        .output()
        .unwrap()
}

#[test]
fn a_home_that_a_package_made_is_filled() {
    let home = Home::new();
    let files = tmkms_files(&home, 100);
    std::fs::create_dir(home.path("lib")).unwrap();
    let signer = Signer::named(&home, "lib/s");
    let base = ["--from", "tmkms", files.folder(), "--ignore-running", "--apply"];
    // Nothing there, and no right to make it.
    mode(&home.path("lib"), 0o555);
    let output = confined(&signer, &base);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("Make the folder yourself"), "{said}");
    mode(&home.path("lib"), 0o755);
    std::fs::create_dir(signer.home()).unwrap();
    mode(signer.home(), 0o700);
    // As an ext4 file system of its own has it.
    std::fs::create_dir(signer.home().join("lost+found")).unwrap();
    mode(&home.path("lib"), 0o555);
    let output = confined(&signer, &base);
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    mode(&home.path("lib"), 0o755);
    signer.run(&["config", "check"]);
    let mut names: Vec<_> = std::fs::read_dir(signer.home())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.starts_with('.'))
        .collect();
    names.sort();
    assert!(names.is_empty(), "nothing of the making is left: {names:?}");
}

#[test]
fn a_home_that_is_a_link_is_filled_where_it_points() {
    let home = Home::new();
    let files = tmkms_files(&home, 100);
    let signer = Signer::not_yet(&home);
    let base = ["--from", "tmkms", files.folder(), "--ignore-running", "--apply"];
    std::os::unix::fs::symlink(home.path("disk"), signer.home()).unwrap();
    refused(&signer, 1, "link to nothing", &base);
    let stranger = home.path("stranger");
    std::fs::create_dir(&stranger).unwrap();
    std::os::unix::fs::chown(&stranger, Some(12_345), None).unwrap();
    let other = Signer::named(&home, "stranger");
    let said = imported(&other, &base);
    assert!(said.contains("chown -R --reference="), "{said}");
    std::fs::create_dir(home.path("disk")).unwrap();
    imported(&signer, &base);
    assert!(signer.home().is_symlink());
    assert!(home.path("disk/sigward.toml").is_file());
    signer.run(&["config", "check"]);
}

#[test]
fn what_an_operator_keeps_under_the_name_of_the_making_stays() {
    let home = Home::new();
    let files = tmkms_files(&home, 100);
    let signer = Signer::not_yet(&home);
    let base = ["--from", "tmkms", files.folder(), "--ignore-running", "--apply"];
    let mine = staging(&signer).join("mine");
    write_private(&mine, "x");
    refused(&signer, 1, "no import made it", &base);
    assert!(mine.is_file());
    std::fs::remove_dir_all(staging(&signer)).unwrap();
    // Neither within a home.
    let inside = signer.home().join(".importing.d/mine");
    write_private(&inside, "x");
    refused(&signer, 1, "has files and no sigward.toml", &base);
    assert!(inside.is_file());
}

#[test]
fn of_two_imports_at_once_one_makes_the_home() {
    let home = Home::new();
    let files = tmkms_files(&home, 100);
    for there in [false, true] {
        let signer = Signer::named(&home, if there { "there" } else { "not-there" });
        if there {
            std::fs::create_dir(signer.home()).unwrap();
        }
        let start = || {
            signer
                .command(&[
                    "import",
                    "--allow-volatile",
                    "--from",
                    "tmkms",
                    files.folder(),
                    "--ignore-running",
                    "--apply",
                ])
                .stdout(Stdio::null())
                .stderr(Stdio::piped())
                .spawn()
                .unwrap()
        };
        let outputs: Vec<_> = [start(), start(), start()]
            .into_iter()
            .map(|child| child.wait_with_output().unwrap())
            .collect();
        let done = outputs.iter().filter(|output| output.status.success()).count();
        assert_eq!(done, 1, "{outputs:?}");
        signer.run(&["config", "check"]);
        let keys = signer.json(&["keys", "list", "--json"]);
        assert_eq!(keys.as_array().unwrap().len(), 1, "{keys}");
        signer.run(&["audit", "verify"]);
        assert!(!staging(&signer).exists());
    }
}

#[test]
fn a_configuration_that_is_a_link_stays_one() {
    let home = Home::new();
    let files = tmkms_files(&home, 100);
    let signer = Signer::init(&home);
    let (link, target) = (
        signer.home().join("sigward.toml"),
        home.path("managed/sigward.toml"),
    );
    std::fs::create_dir(home.path("managed")).unwrap();
    std::fs::rename(&link, &target).unwrap();
    std::os::unix::fs::symlink(&target, &link).unwrap();
    let base = ["--from", "tmkms", files.folder(), "--ignore-running", "--apply"];
    imported(&signer, &base);
    assert!(link.is_symlink());
    let text = std::fs::read_to_string(target).unwrap();
    assert!(text.contains("id = \"c-1\""), "{text}");
}

#[test]
fn beside_a_daemon_it_says_to_stop_the_daemon() {
    let home = Home::new();
    let files = tmkms_files(&home, 100);
    let mut signer = Signer::init(&home);
    signer.create_key("made");
    signer.add_chain_at("m-1", "made", &[("a", "unix:///nowhere")]);
    signer.start();
    let base = ["--from", "tmkms", files.folder(), "--ignore-running"];
    let output = import(&signer, &[&base[..], &["--apply"]].concat());
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(
        said.contains("store_locked: a sigward serves") && said.contains("nothing was written"),
        "{said}"
    );
    assert!(!said.contains("written so far"), "{said}");
    let said = imported(&signer, &base);
    assert!(said.contains("stop it before --apply"), "{said}");
    signer.terminate();
    imported(&signer, &[&base[..], &["--apply"]].concat());
}

#[test]
fn a_key_for_several_chains_does_not_move_for_one_of_them() {
    let home = Home::new();
    let files = tmkms_files(&home, 100);
    let config = home.path("tmkms/tmkms.toml");
    let text = std::fs::read_to_string(&config).unwrap();
    let second = "[[chain]]\nid = \"d-1\"\nkey_format = { type = \"hex\" }\nstate_file = \"d.json\"\n";
    write_private(
        &config,
        &format!("{second}{}", text.replace("[\"c-1\"]", "[\"c-1\", \"d-1\"]")),
    );
    let signer = Signer::not_yet(&home);
    let said = refused(
        &signer,
        3,
        "not_movable",
        &[
            "--from",
            "tmkms",
            files.folder(),
            "--ignore-running",
            "--chain",
            "c-1",
            "--apply",
        ],
    );
    assert!(said.contains("c-1, d-1") || said.contains("d-1, c-1"), "{said}");
    assert!(nothing_is_there(&signer));
}

#[test]
fn a_pipe_in_the_place_of_a_genesis_is_refused_at_once_and_a_path_is_named_once() {
    let home = Home::new();
    let node = home.path("node");
    write_private(&node.join("config/config.toml"), "");
    let fifo = Command::new("mkfifo")
        .arg(node.join("config/genesis.json"))
        .status()
        .unwrap();
    assert!(fifo.success());
    let signer = Signer::not_yet(&home);
    let folder = node.to_str().unwrap();
    let said = refused(
        &signer,
        3,
        "invalid_foreign_file",
        &["--from", "cometbft", folder],
    );
    assert!(said.contains("genesis.json: this is not a file"), "{said}");

    let files = tmkms_files(&home, 100);
    mode(&home.path("tmkms/k"), 0o644);
    let said = refused(
        &signer,
        3,
        "invalid_key_file",
        &["--from", "tmkms", files.folder(), "--ignore-running"],
    );
    let path = home.path("tmkms/k");
    let named = said.matches(&format!("{} has mode", path.display())).count();
    assert_eq!(named, 1, "{said}");
    assert!(!said.contains(&format!("{}: ", path.display())), "{said}");
}
