//! The process dies while records move from the database into segments, and while checkpoints are signed: the chain verifies, and
//! every signature that was released is in it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::sleep;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use toml::Table;

use super::dying::{armed, assert_aborted};
use super::load::{Chain, chain, live};
use crate::support::audit::assert_no_double_sign;
use crate::support::fake_node::{Answer, Ask};
use crate::support::home::Home;
use crate::support::poll;
use crate::support::random::Random;
use crate::support::scene::{CHAIN, Scene};
use crate::support::signer::Signer;

/// The steps of a record's way, and of a checkpoint's.
pub(super) const KEEP_POINTS: &[&str] = &[
    "audit_segment_written",
    "audit_segment_renamed",
    "store_forgetting",
    "store_forgot",
    "audit_checkpoint_written",
    "audit_checkpoint_signed",
];

const KILLS: usize = 16;
const CHAINS: usize = 3;

/// Segments of seven records, and nothing that is older than a second stays in the database.
pub(crate) fn keep_little(signer: &Signer) {
    signer.configure(|config| {
        let mut audit = Table::new();
        for (name, value) in [
            ("segment_records", 7),
            ("segment_age_s", 1),
            ("retention_s", 1),
            ("checkpoint_records", 5),
            ("checkpoint_age_s", 1),
        ] {
            audit.insert(name.to_owned(), value.into());
        }
        audit.insert("folder".to_owned(), "audit".into());
        config.insert("audit".to_owned(), audit.into());
    });
}

/// Old enough for the retention.
fn grow_old() {
    sleep(Duration::from_millis(1_200));
}

#[test]
fn a_signer_that_dies_at_any_step_of_keeping_its_records_loses_none() {
    let mut scene = Scene::new();
    keep_little(&scene.signer);
    for point in KEEP_POINTS {
        scene.start();
        let from = scene.journal.highest() + 1;
        scene.sign(from..=from + 20);
        scene.signer.kill();
        grow_old();
        let command = armed(scene.signer.command(&["serve"]), point, 0);
        let refused = scene.try_start_command(command);
        let status = match refused {
            Err(refused) => refused.status,
            Ok(()) => poll(Duration::from_secs(20), || scene.signer.ended()).expect("the signer has died"),
        };
        assert_aborted(status, point, &scene.log());
        let records = assert_no_double_sign(&scene.signer);
        scene.journal.assert_recorded(CHAIN, &records);
    }
    scene.start();
    let base = || {
        scene.signer.json(&["audit", "checkpoint", "--json"])["base"]
            .as_u64()
            .unwrap()
    };
    poll(Duration::from_secs(20), || (base() > 100).then_some(())).expect("records leave the database");
    scene.signer.terminate();
    let records = assert_no_double_sign(&scene.signer);
    scene.journal.assert_recorded(CHAIN, &records);
}

#[test]
fn a_signer_that_is_killed_while_it_signs_and_keeps_its_records_misses_no_signature() {
    let home = Home::new();
    let mut signer = Signer::init(&home);
    signer.shrink_witness();
    keep_little(&signer);
    let mut chains: Vec<Chain> = (0..CHAINS).map(|index| chain(&home, &signer, index)).collect();
    let mut random = Random::new();
    for _ in 0..KILLS {
        signer.start_at_once();
        let moment = random.moment(Duration::from_millis(900));
        let pid = Pid::from_raw(i32::try_from(signer.pid()).unwrap()).unwrap();
        let signing = AtomicBool::new(false);
        let gone = AtomicBool::new(false);
        std::thread::scope(|scope| {
            for chain in &mut chains {
                scope.spawn(|| live(chain, &signing, &gone));
            }
            while !signing.load(Ordering::Relaxed) {
                let dead = signer.ended();
                assert!(
                    dead.is_none(),
                    "ended by itself with {dead:?}\n{}",
                    signer.log_tail()
                );
                sleep(Duration::from_millis(1));
            }
            sleep(moment);
            let _ = kill_process(pid, Signal::KILL);
            gone.store(true, Ordering::Relaxed);
        });
        signer.stop();
    }
    signer.start_at_once();
    for chain in &mut chains {
        assert!(
            chain.node.accept_unless(Duration::from_secs(20), || false),
            "{}",
            signer.log_tail()
        );
        chain.journal.ask_again(&mut chain.node);
        let next = Ask::prevote(chain.journal.highest() + 1, 1);
        assert!(matches!(
            chain.journal.ask(&mut chain.node, next),
            Answer::Signed(_)
        ));
    }
    signer.terminate();
    let records = assert_no_double_sign(&signer);
    for chain in &chains {
        chain.journal.assert_recorded(&chain.id, &records);
    }
    let kept = signer.json(&["audit", "checkpoint", "--json"]);
    let number = |name: &str| kept[name].as_u64().unwrap();
    assert!(number("base") > 0, "records left the database: {kept}");
    assert!(number("number") > 1, "checkpoints were signed: {kept}");
    println!(
        "{KILLS} kills: {} records, {} in segments, {} left the database",
        number("records"),
        number("exported"),
        number("base")
    );
}
