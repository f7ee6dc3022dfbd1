//! Everything that is free goes at once, under votes, and sigward is killed on top of it: the store may stop or refuse, and whatever
//! it does it opens again when there is room, and has forgotten nothing.

use super::small_disk::{Kind, SmallDisk};
use crate::support::audit::assert_no_double_sign;
use crate::support::fake_node::{Answer, Ask};
use crate::support::scene::CHAIN;
use crate::support::standstill::replayed;

const ROUNDS: i64 = 4;

/// The look before each commit is there, and may come too early: what it saw is taken before the write.
#[test]
fn a_tmpfs_that_is_full_at_once_costs_no_signature_and_no_state() {
    replayed(|| full_at_once(Kind::Tmpfs, true));
}

#[test]
fn an_ext4_disk_that_is_full_at_once_costs_no_signature_and_no_state() {
    replayed(|| full_at_once(Kind::Ext4, true));
}

/// Without a reserve nothing is refused beforehand: the disk itself says no, in the middle of a commit.
#[test]
fn a_tmpfs_that_refuses_in_the_middle_of_a_commit_stops_the_store_until_a_restart() {
    replayed(|| full_at_once(Kind::Tmpfs, false));
}

#[test]
fn an_ext4_disk_that_refuses_in_the_middle_of_a_commit_stops_the_store_until_a_restart() {
    replayed(|| full_at_once(Kind::Ext4, false));
}

fn full_at_once(kind: Kind, reserve: bool) {
    let Some(mut disk) = SmallDisk::new(kind) else {
        return;
    };
    if !reserve {
        disk.scene().signer.configure(|config| {
            let store = config.entry("store").or_insert_with(|| toml::Table::new().into());
            let store = store.as_table_mut().unwrap();
            store.insert("reserve_mib".to_owned(), 0.into());
        });
    }
    let mut height = 0;
    for round in 0..ROUNDS {
        disk.scene().start();
        for _ in 0..10 {
            height += 1;
            disk.sign(height).unwrap();
        }
        let filler = disk.filler();
        let filling = std::thread::spawn(move || super::small_disk::take_all(&filler));
        let mut refusals = 0;
        // Votes for as long as there is a page left somewhere, and some more.
        for _ in 0..5000 {
            height += 1;
            match disk.scene().ask(Ask::prevote(height, 1)) {
                Answer::Signed(_) => {}
                Answer::Lost => panic!("the connection stays\n{}", disk.scene().signer.log_tail()),
                refused => {
                    let expected = if reserve {
                        &["disk_full", "store_unavailable"][..]
                    } else {
                        &["store_unavailable"]
                    };
                    assert!(expected.contains(&refused.refusal()), "{refused:?}");
                    refusals += 1;
                }
            }
            if refusals == 20 {
                break;
            }
        }
        assert_eq!(refusals, 20, "round {round}: the disk never was full");
        filling.join().unwrap();
        if !reserve {
            disk.wait_for("store", "failing");
            assert!(!disk.scene().signer.ready().0);
        }
        let scene = disk.scene();
        if round % 2 == 0 {
            scene.signer.kill();
        } else {
            scene.signer.terminate();
        }
        disk.make_room();
        let scene = disk.scene();
        let records = assert_no_double_sign(&scene.signer);
        scene.journal.assert_recorded(CHAIN, &records);
        scene.start();
        scene.journal.ask_again(&mut scene.node);
        height = scene.journal.highest().max(height) + 1;
        scene.signer.terminate();
    }
}
