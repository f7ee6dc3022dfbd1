//! Plays a page: what its scene says is there first, then its blocks in order, each in the shell of the machine it is for.

use super::blocks::{Block, blocks, scene};
use super::stage::Stage;
use super::{expect, name, pages, root};
use crate::support::turn;

/// Every page with blocks that run has a test of its own here, so that they run side by side.
macro_rules! played {
    ($($test:ident: $page:literal,)*) => {
        $(#[test]
        fn $test() {
            play($page);
        })*

        #[test]
        fn every_page_with_commands_is_played() {
            let played = [$($page),*];
            for page in pages() {
                let runs = blocks(&page).iter().any(|block| block.exit().is_some());
                let page = name(&page);
                assert_eq!(runs, played.contains(&&*page), "{page}: is it in tests/it/docs/play.rs?");
            }
        }
    };
}

played! {
    the_readme: "README.md",
    operating: "docs/operating.md",
    audit: "docs/audit.md",
    doctor: "docs/doctor.md",
    backup: "docs/backup.md",
    holding: "docs/holding.md",
    seal: "docs/seal.md",
    reload: "docs/reload.md",
    policy: "docs/policy.md",
    approvals: "docs/approvals.md",
    tls: "docs/tls.md",
    bearer: "docs/bearer.md",
    http: "docs/http.md",
    api_keys: "docs/api-keys.md",
    install: "docs/install.md",
    moving_in: "docs/moving-in.md",
    first_setup: "docs/runbooks/first-setup.md",
    from_tmkms: "docs/runbooks/from-tmkms.md",
    from_cosmos_kms: "docs/runbooks/from-cosmos-kms.md",
    several_sentries: "docs/runbooks/several-sentries.md",
    mtls_tunnel: "docs/runbooks/mtls-tunnel.md",
    wireguard: "docs/runbooks/wireguard.md",
    chain_halt: "docs/runbooks/chain-halt.md",
    hard_fork: "docs/runbooks/hard-fork.md",
    state_sync: "docs/runbooks/state-sync.md",
    return_after_weeks: "docs/runbooks/return-after-weeks.md",
    moving_hosts: "docs/runbooks/moving-hosts.md",
    failover: "docs/runbooks/failover.md",
    restore_from_backup: "docs/runbooks/restore-from-backup.md",
    full_disk: "docs/runbooks/full-disk.md",
    compromised_node: "docs/runbooks/compromised-node.md",
    upgrade: "docs/runbooks/upgrade.md",
    token_lost: "docs/runbooks/token-lost.md",
    softhsm2: "docs/tokens/softhsm2.md",
}

fn play(page: &str) {
    let path = root().join(page);
    let _turn = turn::take();
    let mut stage = Stage::new();
    if let Some(scene) = scene(&path) {
        stage.set(&scene);
    }
    let blocks = blocks(&path);
    let mut last: Option<(&Block, String)> = None;
    for block in &blocks {
        let place = format!("{page}:{}", block.line);
        // What befalls the reader of the page here, and no command of theirs does.
        if let Some(event) = block.comment("meanwhile") {
            stage.set(event);
        }
        if let Some(exit) = block.exit() {
            let machine = block.comment("on").unwrap_or("signer");
            let (status, said) = stage.run(machine, &block.text, exit, &place);
            assert_eq!(
                status,
                Some(exit),
                "{place}, on {machine}:\n{}\n--- printed\n{said}\n{}",
                block.text,
                stage.logs()
            );
            last = Some((block, said));
        } else if block.is("text", Some("output")) {
            let (of, said) = last.as_ref().unwrap();
            assert!(
                expect::matches(&block.text, said),
                "{place}: the block at line {} printed something else\n--- shown\n{}--- printed\n{said}\n{}",
                of.line,
                block.text,
                stage.logs()
            );
        }
    }
}
