//! `kill -9` at random moments while several chains share their commits.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::sleep;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use crate::support::audit::assert_no_double_sign;
use crate::support::fake_node::{Answer, Ask, FakeNode};
use crate::support::home::Home;
use crate::support::journal::Journal;
use crate::support::random::Random;
use crate::support::signer::Signer;

const CHAINS: usize = 4;
const KILLS: usize = 30;

pub(super) struct Chain {
    pub(super) id: String,
    pub(super) node: FakeNode,
    pub(super) journal: Journal,
    height: i64,
}

#[test]
fn a_signer_that_is_killed_thirty_times_under_load_signs_nothing_twice() {
    let home = Home::new();
    let mut signer = Signer::init(&home);
    // So that the deaths also fall where the witness goes on in its other segment.
    signer.shrink_witness();
    let mut chains: Vec<Chain> = (0..CHAINS).map(|index| chain(&home, &signer, index)).collect();
    let mut random = Random::new();
    for _ in 0..KILLS {
        signer.start_at_once();
        let moment = random.moment(Duration::from_millis(60));
        kill_while_they_sign(&mut signer, &mut chains, moment);
    }

    all_sign_on(&mut signer, &mut chains);
    signer.terminate();
    let records = assert_no_double_sign(&signer);
    for chain in &chains {
        chain.journal.assert_recorded(&chain.id, &records);
        println!(
            "{}: {} signatures over {KILLS} kills",
            chain.id,
            chain.journal.signed()
        );
    }
}

/// Lets all chains ask, and kills the signer `moment` after its first signature of this life; before that, starting is all that could
/// be hit.
pub(super) fn kill_while_they_sign(signer: &mut Signer, chains: &mut [Chain], moment: Duration) {
    let pid = Pid::from_raw(i32::try_from(signer.pid()).unwrap()).unwrap();
    let signing = AtomicBool::new(false);
    let gone = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for chain in chains {
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

/// Started once more, it answers every chain: what it was asked last, and what is next.
pub(super) fn all_sign_on(signer: &mut Signer, chains: &mut [Chain]) {
    signer.start_at_once();
    for chain in chains {
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
}

pub(super) fn chain(home: &Home, signer: &Signer, index: usize) -> Chain {
    let id = format!("load-{index}");
    let node = FakeNode::listen(&home.socket(&format!("n{index}.sock")), &id);
    signer.create_key(&id);
    signer.add_chain_at(&id, &id, &[("a", node.address())]);
    Chain {
        id,
        node,
        journal: Journal::default(),
        height: 0,
    }
}

/// Asks for prevote after prevote until the signer is gone. What was lost on the way is asked for again in the next life: as it
/// was, or as another message.
pub(super) fn live(chain: &mut Chain, signing: &AtomicBool, gone: &AtomicBool) {
    if !chain
        .node
        .accept_unless(Duration::from_secs(20), || gone.load(Ordering::Relaxed))
    {
        return;
    }
    let mut lost = (chain.height > 0).then(|| Ask::prevote(chain.height, 1));
    loop {
        let ask = match lost.take() {
            Some(lost) if lost.height % 2 == 0 => lost.conflicting(),
            Some(lost) => lost,
            None => Ask::prevote(chain.height + 1, 1),
        };
        match chain.journal.ask(&mut chain.node, ask) {
            Answer::Lost => {
                chain.height = ask.height;
                return;
            }
            Answer::Signed(_) => signing.store(true, Ordering::Relaxed),
            // It was on disk already, as the other message.
            Answer::Refused { code, text } => assert_eq!(code, 2, "{text}"),
        }
        chain.height = ask.height;
    }
}
