//! The audit chain of a running signer: kept in segments, signed, told outside, read and recorded; and what happens when it cannot be.

mod reading;

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value;

use crate::crashes::keep_little;
use crate::support::audit::{assert_no_double_sign, records};
use crate::support::http;
use crate::support::poll;
use crate::support::scene::{CHAIN, Scene};
use crate::support::signer::Signer;

const PATIENCE: Duration = Duration::from_secs(20);

fn set(signer: &Signer, name: &str, value: &str) {
    signer.configure(|config| {
        let audit = config["audit"].as_table_mut().unwrap();
        audit.insert(name.to_owned(), value.into());
    });
}

fn kept(signer: &Signer) -> Value {
    signer.json(&["audit", "checkpoint", "--json"])
}

fn scene() -> Scene {
    let scene = Scene::new();
    keep_little(&scene.signer);
    scene
}

/// Reads requests one by one and answers each; their bodies go to `heard`.
fn webhook(listener: TcpListener, heard: std::sync::mpsc::Sender<String>) {
    std::thread::spawn(move || {
        for (index, stream) in listener.incoming().enumerate() {
            let mut stream = stream.unwrap();
            let mut request = Vec::new();
            let mut buffer = [0; 4096];
            while !request.ends_with(b"\n") || !String::from_utf8_lossy(&request).contains("\r\n\r\nsigward")
            {
                match stream.read(&mut buffer).unwrap() {
                    0 => break,
                    count => request.extend(&buffer[..count]),
                }
            }
            // The first is turned away, and comes again.
            let status = if index == 0 {
                "503 Service Unavailable"
            } else {
                "200 OK"
            };
            stream
                .write_all(format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\n\r\n").as_bytes())
                .unwrap();
            let text = String::from_utf8(request).unwrap();
            if index > 0 && heard.send(text).is_err() {
                return;
            }
        }
    });
}

#[test]
fn every_anchor_is_told_and_an_older_state_does_not_start_against_one() {
    let mut scene = scene();
    let anchor = scene.home.path("anchor");
    let log = scene.home.socket("log.sock");
    let socket = UnixDatagram::bind(&log).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/hook", listener.local_addr().unwrap());
    let (tell, told) = std::sync::mpsc::channel();
    webhook(listener, tell);
    set(&scene.signer, "anchor_file", anchor.to_str().unwrap());
    set(&scene.signer, "anchor_syslog", log.to_str().unwrap());
    set(&scene.signer, "anchor_webhook", &url);
    scene.start();
    scene.sign(1..=10);
    let posted = told.recv_timeout(PATIENCE).unwrap();
    assert!(posted.starts_with("POST /hook HTTP/1.1\r\n"), "{posted}");
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut buffer = [0; 2048];
    let count = socket.recv(&mut buffer).unwrap();
    assert!(String::from_utf8_lossy(&buffer[..count]).contains(" checkpoint - sigward-checkpoint-1 store="));
    let anchored = || std::fs::read_to_string(&anchor).unwrap_or_default();
    poll(PATIENCE, || anchored().ends_with('\n').then_some(())).expect("the anchor is told");
    let metrics = http::get(scene.signer.http_port(), "/metrics").unwrap().body;
    for sink in ["checkpoint", "segment", "file", "syslog", "webhook"] {
        assert!(
            metrics.contains(&format!("sigward_audit_lag_seconds{{sink=\"{sink}\"}}")),
            "{sink}"
        );
    }
    scene.signer.terminate();

    // A copy of the state from now, and more signatures in the original.
    let state = scene.signer.home().join("state");
    let copy = scene.home.path("older");
    copy_folder(&state, &copy);
    let older = kept(&scene.signer)["records"].as_u64().unwrap();
    scene.start();
    let before = anchored();
    scene.sign(11..=30);
    poll(PATIENCE, || (anchored() != before).then_some(())).expect("the anchor is told again");
    let last = anchored();
    scene.signer.terminate();
    let key = kept(&scene.signer)["public_key"].as_str().unwrap().to_owned();
    let path = anchor.to_str().unwrap();
    let found = scene.signer.json(&[
        "audit",
        "verify",
        "--anchor",
        path,
        "--public-key",
        &key,
        "--json",
    ]);
    assert!(found["anchored"].as_u64().unwrap() > older, "{found}");
    let wrong = scene
        .signer
        .attempt(&["audit", "verify", "--public-key", &"11".repeat(32)]);
    assert_eq!(wrong.status.code(), Some(4), "another key");

    // The older state, witness and all, without the folder of checkpoints: the anchor alone knows.
    std::fs::rename(&state, scene.home.path("newer")).unwrap();
    std::fs::rename(&copy, &state).unwrap();
    std::fs::rename(scene.signer.home().join("audit"), scene.home.path("audit-aside")).unwrap();
    let refused = scene.try_start().unwrap_err();
    assert!(refused.log.contains("audit_behind_anchor"), "{}", refused.log);
    assert!(
        refused.log.contains("state adopt"),
        "says what to do: {}",
        refused.log
    );
    assert_eq!(anchored(), last, "an anchor is never rewritten");
}

#[test]
fn whoever_reads_the_chain_is_in_it_once_a_reading() {
    let mut scene = scene();
    scene.start();
    scene.sign(1..=12);
    let count = |operation: &str| {
        records(&scene.signer)
            .iter()
            .filter(|record| record.operation == operation)
            .count()
    };
    let tails = count("audit.tail");
    scene.signer.run(&["audit", "tail"]);
    assert_eq!(
        count("audit.tail"),
        tails + 2,
        "this one, and the one that counted first"
    );
    scene.signer.run(&["audit", "verify"]);
    assert_eq!(count("audit.verify"), 1);
    let lines = |arguments: &[&str]| -> Vec<Value> {
        let text = scene
            .signer
            .run(&[&["audit", "query", "--json"], arguments].concat());
        text.lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    };
    // Every prevote that was signed, from segments and the database, by each filter alone and by all of them.
    poll(PATIENCE, || {
        (kept(&scene.signer)["base"].as_u64().unwrap() > 10).then_some(())
    })
    .expect("records leave");
    let signed = lines(&["--operation", "sign.*", "--decision", "allowed"]);
    assert!(signed.len() >= 12, "{}", signed.len());
    let key = signed[0]["key"].as_str().unwrap();
    assert_eq!(
        lines(&[
            "--key",
            &key[..10],
            "--operation",
            "sign.*",
            "--decision",
            "allowed"
        ])
        .len(),
        signed.len()
    );
    assert_eq!(
        lines(&["--chain", CHAIN, "--decision", "allowed", "--height", "1.."]).len(),
        signed.len()
    );
    let some = lines(&["--height", "3..5"]);
    assert!(!some.is_empty() && some.len() < signed.len());
    assert!(lines(&["--height", "5", "--chain", "other"]).is_empty());
    let time = signed[5]["time"].as_str().unwrap();
    let (before, after) = (lines(&["--to-time", time]), lines(&["--from", time]));
    assert_eq!(
        before.last().unwrap()["sequence"].as_u64().unwrap() + 1,
        after[0]["sequence"].as_u64().unwrap()
    );
    assert!(lines(&["--subject", "nobody"]).is_empty());
    assert_eq!(lines(&["--subject", "node:*", "--limit", "3"]).len(), 3);
    assert_eq!(count("audit.query"), 9);

    let file = scene.home.path("all.jsonl");
    scene
        .signer
        .run(&["audit", "export", "--to", file.to_str().unwrap()]);
    let exported = std::fs::read_to_string(&file).unwrap();
    for (index, line) in exported.lines().enumerate() {
        let record: Value = serde_json::from_str(line).unwrap();
        assert_eq!(record["sequence"].as_u64().unwrap(), index as u64 + 1);
    }
    assert_eq!(count("audit.export"), 1);
    let again = scene
        .signer
        .attempt(&["audit", "export", "--to", file.to_str().unwrap()]);
    assert!(!again.status.success(), "nothing is overwritten");

    scene.signer.run(&["audit", "export"]);
    let now = kept(&scene.signer);
    let (records, exported) = (
        now["records"].as_u64().unwrap(),
        now["exported"].as_u64().unwrap(),
    );
    assert!(exported + 3 >= records, "{now}");
    scene.signer.terminate();
    assert_no_double_sign(&scene.signer);
}

#[test]
fn a_folder_that_takes_nothing_is_unready_signing_goes_on_and_nothing_is_lost() {
    let mut scene = scene();
    let folder = scene.signer.home().join("audit");
    scene.start();
    scene.sign(1..=10);
    // A file where the folder was.
    let aside = scene.home.path("audit-aside");
    poll(PATIENCE, || folder.exists().then_some(())).expect("a folder");
    std::fs::rename(&folder, &aside).unwrap();
    std::fs::write(&folder, "").unwrap();
    scene.sign(11..=20);
    let ready = || http::get(scene.signer.http_port(), "/readyz").unwrap().status;
    poll(PATIENCE, || (ready() == 503).then_some(())).expect("not ready");
    scene.sign(21..=30);
    std::fs::remove_file(&folder).unwrap();
    std::fs::rename(&aside, &folder).unwrap();
    let ready = || http::get(scene.signer.http_port(), "/readyz").unwrap().status;
    poll(PATIENCE, || (ready() == 200).then_some(())).expect("ready again");
    scene.signer.terminate();
    let records = assert_no_double_sign(&scene.signer);
    scene.journal.assert_recorded(CHAIN, &records);
}

#[test]
fn a_segment_that_was_altered_is_named_with_exit_code_4() {
    let mut scene = scene();
    scene.start();
    scene.sign(1..=20);
    poll(PATIENCE, || {
        (kept(&scene.signer)["base"].as_u64().unwrap() > 14).then_some(())
    })
    .expect("records leave");
    scene.signer.terminate();
    let store = std::fs::read_dir(scene.signer.home().join("audit"))
        .unwrap()
        .next()
        .unwrap()
        .unwrap()
        .path();
    let mut segments: Vec<_> = std::fs::read_dir(store)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    segments.retain(|path| path.extension().is_some_and(|suffix| suffix == "sgwa"));
    segments.sort();
    let good = std::fs::read(&segments[1]).unwrap();
    let mut bad = good.clone();
    bad[100] ^= 4;
    std::fs::write(&segments[1], bad).unwrap();
    let found = scene.signer.attempt(&["audit", "verify", "--json"]);
    assert_eq!(found.status.code(), Some(4));
    let said: Value = serde_json::from_slice(&found.stdout).unwrap();
    let first = said["first_broken"].as_u64().unwrap();
    let name = segments[1].file_name().unwrap().to_str().unwrap();
    let last: u64 = name[29..49].parse().unwrap();
    assert!(first <= last, "{said} {name}");
    std::fs::write(&segments[1], good).unwrap();
    assert_no_double_sign(&scene.signer);
}

/// The one folder in the audit folder.
fn store_folder(scene: &Scene) -> PathBuf {
    let mut entries = std::fs::read_dir(scene.signer.home().join("audit")).unwrap();
    entries.next().unwrap().unwrap().path()
}

#[test]
fn checkpoints_that_begin_anew_are_told_of_by_an_anchor_and_none_at_all_is_exit_code_4() {
    let mut scene = scene();
    let anchor = scene.home.path("anchor");
    set(&scene.signer, "anchor_file", anchor.to_str().unwrap());
    scene.start();
    scene.sign(1..=10);
    let anchored = || std::fs::read_to_string(&anchor).unwrap_or_default();
    poll(PATIENCE, || anchored().ends_with('\n').then_some(())).expect("the anchor is told");
    scene.signer.terminate();
    let key = kept(&scene.signer)["public_key"].as_str().unwrap().to_owned();
    let verify = ["audit", "verify", "--public-key", &key];
    scene.signer.run(&verify);
    let before = anchored();
    std::fs::remove_file(store_folder(&scene).join("checkpoints")).unwrap();
    let found = scene.signer.attempt(&verify);
    assert_eq!(found.status.code(), Some(4));
    let said = String::from_utf8_lossy(&found.stdout).into_owned();
    assert!(said.contains("there must be one"), "{said}");

    scene.start();
    let check = |scene: &Scene| scene.signer.check_report("audit anchor file");
    let report = poll(PATIENCE, || {
        let report = check(&scene).to_string();
        report.contains("audit_checkpoint_missing").then_some(())
    });
    report.expect("the anchor knows more");
    assert!(
        scene.log().contains("audit_checkpoint_missing"),
        "{}",
        scene.log()
    );
    scene.sign(11..=20);
    assert!(scene.signer.comes_ready(), "signing goes on");
    assert_eq!(anchored(), before, "nothing is taken for what it has");
    // Lost for good: aside with it, and a new one is told of all that there is.
    std::fs::rename(&anchor, scene.home.path("anchor-aside")).unwrap();
    poll(PATIENCE, || (check(&scene)["status"] == "ok").then_some(())).expect("a new anchor is told");
    assert!(anchored().contains(" number=1 "));
    scene.signer.terminate();
}

#[test]
fn a_folder_that_is_away_at_a_start_is_missed_before_anything_left_the_database() {
    let mut scene = scene();
    scene.signer.configure(|config| {
        let audit = config["audit"].as_table_mut().unwrap();
        audit.insert("retention_s".to_owned(), 86_400.into());
    });
    scene.start();
    scene.sign(1..=10);
    let number = || kept(&scene.signer)["number"].as_u64().unwrap();
    poll(PATIENCE, || (number() > 0).then_some(())).expect("a checkpoint");
    scene.signer.terminate();
    assert_eq!(kept(&scene.signer)["base"], 0);
    let (folder, aside) = (scene.signer.home().join("audit"), scene.home.path("unmounted"));
    std::fs::rename(&folder, &aside).unwrap();
    scene.start();
    scene.sign(11..=20);
    poll(PATIENCE, || {
        (scene.signer.check("audit") == "failing").then_some(())
    })
    .expect("it is missed");
    assert!(!folder.exists());
    std::fs::rename(&aside, &folder).unwrap();
    poll(PATIENCE, || (scene.signer.check("audit") == "ok").then_some(())).expect("it goes on");
    scene.signer.terminate();
    assert_no_double_sign(&scene.signer);
}

fn copy_folder(from: &Path, to: &Path) {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::create_dir(to).unwrap();
    std::fs::set_permissions(to, std::fs::Permissions::from_mode(0o700)).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        std::fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
    }
}
