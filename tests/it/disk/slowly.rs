//! Somebody else's file grows: readiness fails while votes are still signed, then votes are refused with a code of their own, then
//! somebody makes room and signing goes on in the same process.

use super::small_disk::{Kind, SmallDisk};
use crate::support::audit::assert_no_double_sign;
use crate::support::fake_node::{Answer, Ask};
use crate::support::standstill::replayed;

const STEP: u64 = 128 * 1024;

#[test]
fn a_tmpfs_fills_up_and_signing_goes_on_when_there_is_room() {
    replayed(|| fills_up(Kind::Tmpfs));
}

#[test]
fn an_ext4_disk_fills_up_and_signing_goes_on_when_there_is_room() {
    replayed(|| fills_up(Kind::Ext4));
}

fn fills_up(kind: Kind) {
    let Some(mut disk) = SmallDisk::new(kind) else {
        return;
    };
    disk.scene().start();
    disk.wait_for("space", "ok");
    assert!(disk.has_reserve(), "room was kept while there was some");
    // More votes than the disk could hold if the log were left to grow.
    let mut height = 0;
    for _ in 0..700 {
        height += 1;
        disk.sign(height).unwrap();
    }
    disk.wait_for("space", "ok");

    // Readiness first, and votes are still signed.
    while disk.scene().signer.check("space") == "ok" {
        disk.fill(STEP);
        height += 1;
        disk.sign(height).unwrap();
        std::thread::sleep(std::time::Duration::from_millis(150));
    }
    let (ready, _) = disk.scene().signer.ready();
    assert!(!ready, "/readyz says 503");
    height += 1;
    disk.sign(height).unwrap();

    // Then refusals, with votes in between that find the last room.
    let refused = loop {
        disk.fill(STEP);
        height += 1;
        if let Err(code) = disk.sign(height) {
            break code;
        }
        assert!(disk.free() > STEP, "refused before the disk is full");
    };
    assert_eq!(refused, "disk_full");
    let log = disk.scene().log();
    assert_eq!(
        log.matches("low, and still signing. make room").count(),
        1,
        "{log}"
    );

    // As full as can be: still refusals, on the same connection, nothing worse.
    disk.fill_up();
    for _ in 0..20 {
        assert_eq!(disk.sign(height), Err("disk_full".to_owned()));
    }
    assert_eq!(disk.scene().signer.check("store"), "ok");

    // The documented step: the reserve is given back, and the very vote that was refused is signed.
    disk.delete_reserve();
    disk.sign(height).unwrap();
    let other = disk.scene().ask(Ask::prevote(height, 1).conflicting());
    assert!(matches!(other, Answer::Refused { code: 2, .. }), "{other:?}");
    height += 1;
    disk.sign(height).unwrap();
    assert!(!disk.scene().signer.ready().0, "and it still asks for room");

    // Room: ready again, and the reserve is made anew.
    disk.make_room();
    disk.wait_for("space", "ok");
    height += 1;
    disk.sign(height).unwrap();
    assert!(disk.has_reserve());

    let scene = disk.scene();
    scene.signer.terminate();
    let records = assert_no_double_sign(&scene.signer);
    scene
        .journal
        .assert_recorded(crate::support::scene::CHAIN, &records);
    scene.start();
    disk.sign(height + 1).unwrap();
}
