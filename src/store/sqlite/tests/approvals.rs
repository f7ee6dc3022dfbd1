//! Requests for approval: durable, bounded, and used up with the act or not at all.

use sigward_policies::authz::{ApprovalRequest, Person, PolicyVersion, RequestDigest, Vote};
use sigward_policies::holding::{Fact, Hold, Note, Place, Scope};
use sigward_policies::model::id::{BundleId, Height};
use sigward_policies::model::key::BackupMark;
use sigward_policies::model::operation::Operation;

use super::super::super::approval::{MAX_KEPT, MAX_OPEN, MAX_OPEN_EACH};
use super::super::super::{About, ApprovalChange, ApprovalId, End, StoredApproval, Use};
use super::*;

const POLICY: PolicyVersion = PolicyVersion([3; 32]);
const PARAMETERS: [u8; 32] = [5; 32];

fn everything() -> Place {
    Place::Freeze(Scope::All)
}

fn person(name: &str) -> Person {
    Person::named(name).unwrap()
}

fn id(n: u32) -> ApprovalId {
    let mut id = [0; 16];
    id[..4].copy_from_slice(&n.to_be_bytes());
    ApprovalId(id)
}

/// To unfreeze everything, as the store is now.
pub(super) fn request(store: &dyn Store, n: u32, requester: &str) -> StoredApproval {
    let before = store.state_of(&About::Hold(everything())).unwrap();
    let digest = StoredApproval::digest(&store.id(), &id(n), Operation::Unfreeze, &PARAMETERS, &before);
    StoredApproval {
        id: id(n),
        request: ApprovalRequest::new(
            person(requester),
            Operation::Unfreeze,
            digest,
            POLICY,
            2,
            UnixSeconds(NOW.0 + 3600),
        ),
        what: "lift the freeze".to_owned(),
        parameters: PARAMETERS,
        before,
        key: None,
        chain: None,
        to: None,
        created_at: UnixSeconds(NOW.0 + i64::from(n)),
        ended: None,
    }
}

fn change(asked: ApprovalChange) -> Change {
    Change::Approval(Box::new(asked))
}

fn done(store: &dyn Store, asked: ApprovalChange) -> Result<Receipts, Refused> {
    commit(store, Batch::act(vec![change(asked)], act()))
}

pub(super) fn open(store: &dyn Store, asked: &StoredApproval) -> Result<Receipts, Refused> {
    done(store, ApprovalChange::Open(asked.clone()))
}

fn say(store: &dyn Store, n: u32, who: &str, vote: Vote) -> Result<Receipts, Refused> {
    let known = store
        .approvals()
        .unwrap()
        .into_iter()
        .find(|known| known.id == id(n));
    let digest = known.map_or(RequestDigest([0; 32]), |known| known.request.digest);
    let said = ApprovalChange::Say {
        id: id(n),
        who: person(who),
        vote,
        digest,
        in_force: Some(POLICY),
    };
    done(store, said)
}

fn used(n: u32) -> Use {
    Use {
        id: id(n),
        who: person("cert:dns:p1"),
        operation: Operation::Unfreeze,
        parameters: PARAMETERS,
        about: About::Hold(everything()),
        in_force: POLICY,
        others: 1,
    }
}

fn note(reason: &str) -> Note {
    Note {
        reason: reason.to_owned(),
        by: "uid:1".to_owned(),
        at: NOW,
    }
}

fn freeze(store: &dyn Store, reason: &str) {
    let hold = Hold {
        fact: Fact::Freeze(Scope::All),
        note: note(reason),
    };
    commit(store, Batch::act(vec![Change::Hold(hold)], act())).unwrap();
}

fn unfreeze(store: &dyn Store, by: Use) -> Result<Receipts, Refused> {
    let lift = Change::Lift {
        place: everything(),
        note: note("over"),
    };
    let changes = vec![change(ApprovalChange::Use(by)), lift];
    commit(store, Batch::act(changes, act()))
}

/// Frozen, with a request that two others have approved.
fn approved() -> (Home, Arc<SqliteStore>) {
    let (home, store) = Home::open();
    freeze(&*store, "drill");
    open(&*store, &request(&*store, 1, "cert:dns:p1")).unwrap();
    say(&*store, 1, "cert:dns:p2", Vote::Approve).unwrap();
    say(&*store, 1, "cert:dns:p3", Vote::Approve).unwrap();
    (home, store)
}

fn frozen(store: &dyn Store) -> bool {
    store.holds().unwrap().all_frozen()
}

#[test]
fn an_approval_is_used_once_with_its_act_and_a_restart_remembers_it() {
    let (home, store) = approved();
    store.close();
    let store = SqliteStore::open(&home.options).unwrap();
    unfreeze(&*store, used(1)).unwrap();
    assert!(!frozen(&*store));
    freeze(&*store, "drill");
    assert_eq!(code(unfreeze(&*store, used(1))), "approval_void");
    store.close();
    let store = SqliteStore::open(&home.options).unwrap();
    assert_eq!(code(unfreeze(&*store, used(1))), "approval_void");
    let kept = store.approvals().unwrap();
    assert_eq!(kept[0].ended, Some((End::Used, NOW)));
    assert_eq!(kept[0].request.said().len(), 2);
    assert!(frozen(&*store));
}

#[test]
fn nothing_but_the_very_act_of_the_very_person_uses_it() {
    let (_home, store) = approved();
    let about_another = About::Hold(Place::Freeze(Scope::Chain(chain("one"))));
    for (by, refused) in [
        (
            Use {
                parameters: [6; 32],
                ..used(1)
            },
            "approval_void",
        ),
        (
            Use {
                operation: Operation::StopLineClear,
                ..used(1)
            },
            "approval_void",
        ),
        (
            Use {
                about: about_another,
                ..used(1)
            },
            "approval_void",
        ),
        (
            Use {
                in_force: PolicyVersion([4; 32]),
                ..used(1)
            },
            "approval_void",
        ),
        (
            Use {
                others: 16,
                ..used(1)
            },
            "approval_void",
        ),
        (
            Use {
                who: person("cert:dns:p2"),
                ..used(1)
            },
            "approval_not_yours",
        ),
        (Use { id: id(2), ..used(1) }, "approval_not_found"),
    ] {
        assert_eq!(code(unfreeze(&*store, by.clone())), refused, "{by:?}");
        assert!(frozen(&*store));
    }
    // It comes first in its act, or the state before would be what the act has made of it.
    let lift = Change::Lift {
        place: everything(),
        note: note("over"),
    };
    let late = Batch::act(vec![lift, change(ApprovalChange::Use(used(1)))], act());
    assert_eq!(code(commit(&*store, late)), "store_disagrees");
    // An act that is refused uses nothing up.
    let mut refused = Batch::act(vec![change(ApprovalChange::Use(used(1)))], act());
    refused.changes.push(Change::AddKey(key(1)));
    refused.changes.push(Change::AddKey(key(1)));
    assert_eq!(code(commit(&*store, refused)), "public_key_exists");
    unfreeze(&*store, used(1)).unwrap();
}

#[test]
fn a_state_that_has_changed_since_voids_it_even_when_it_looks_alike() {
    let (_home, store) = approved();
    let lift = Change::Lift {
        place: everything(),
        note: note("somebody else"),
    };
    commit(&*store, Batch::act(vec![lift], act())).unwrap();
    freeze(&*store, "another drill");
    assert_eq!(code(unfreeze(&*store, used(1))), "approval_void");
    assert!(frozen(&*store));
}

#[test]
fn the_state_of_a_row_is_all_but_its_watermark() {
    let (_home, store) = Home::open();
    let on = chain("one");
    commit(&*store, begin(1, &on)).unwrap();
    let abouts = [
        About::Row(public_key(1), on.clone()),
        About::Keys(vec![public_key(1)]),
    ];
    let state = || abouts.each_ref().map(|about| store.state_of(about).unwrap());
    let begun = state();
    sign(&*store, 1, &on, &message(1, 0, 2, 1, 10)).unwrap();
    assert_eq!(state(), begun);
    // Nor that somebody says of it that it has a backup.
    let backup = Change::MarkBackedUp {
        public_key: public_key(1),
        backup: BackupMark {
            bundle: BundleId([1; 16]),
            at: UnixSeconds(1),
        },
    };
    commit(&*store, Batch::act(vec![backup], act())).unwrap();
    assert_eq!(state(), begun);
    let allow = Change::Allow {
        public_key: public_key(1),
        chain: on.clone(),
        until: Height::new(9).unwrap(),
    };
    commit(&*store, Batch::act(vec![allow], act())).unwrap();
    let allowed = state();
    let exported = Change::MarkExported {
        public_key: public_key(1),
    };
    commit(&*store, Batch::act(vec![exported], act())).unwrap();
    let left = state();
    for at in 0..2 {
        assert!(begun[at] != allowed[at] && allowed[at] != left[at]);
    }
    // In whatever order the keys are named, and not another key's.
    commit(&*store, begin(2, &chain("two"))).unwrap();
    let keys = |keys: &[u32]| {
        let keys = keys.iter().map(|n| public_key(*n)).collect();
        store.state_of(&About::Keys(keys)).unwrap()
    };
    assert_eq!(keys(&[1, 2]), keys(&[2, 1]));
    assert_ne!(keys(&[1]), keys(&[2]));
}

#[test]
fn what_waits_is_bounded_for_each_person_and_for_everybody_and_so_is_the_table() {
    let (home, store) = Home::open();
    for n in 0..MAX_OPEN_EACH {
        open(&*store, &request(&*store, n as u32, "cert:dns:p1")).unwrap();
    }
    let more = request(&*store, 1000, "cert:dns:p1");
    assert_eq!(code(open(&*store, &more)), "approval_limit");
    for n in MAX_OPEN_EACH..MAX_OPEN {
        let who = format!("cert:dns:p{}", 1 + n / MAX_OPEN_EACH);
        open(&*store, &request(&*store, n as u32, &who)).unwrap();
    }
    let other = request(&*store, 1000, "cert:dns:p999");
    assert_eq!(code(open(&*store, &other)), "approval_limit");
    for n in 0..MAX_OPEN {
        say(&*store, n as u32, "cert:dns:p1", Vote::Reject).unwrap();
    }
    // Twice around the table, one at a time: its rows are those that it had.
    for n in 0..2 * MAX_KEPT as u32 {
        open(&*store, &request(&*store, 2000 + n, "cert:dns:p1")).unwrap();
        say(&*store, 2000 + n, "cert:dns:p1", Vote::Reject).unwrap();
    }
    let kept = store.approvals().unwrap();
    assert_eq!(kept.len(), MAX_KEPT);
    assert_eq!(kept[0].id, id(2000 + MAX_KEPT as u32));
    store.close();
    let store = SqliteStore::open(&home.options).unwrap();
    assert_eq!(store.approvals().unwrap(), kept);
}

#[test]
fn a_request_is_opened_once_whole_and_for_a_day_at_most() {
    let (_home, store) = Home::open();
    let good = request(&*store, 1, "cert:dns:p1");
    let altered = |alter: fn(&mut StoredApproval)| {
        let mut bad = good.clone();
        alter(&mut bad);
        bad
    };
    for bad in [
        altered(|bad| bad.ended = Some((End::Used, NOW))),
        altered(|bad| bad.what = "w".repeat(1025)),
        altered(|bad| bad.request.expires_at = NOW),
        altered(|bad| bad.request.expires_at = UnixSeconds(NOW.0 + 86_401)),
        altered(|bad| bad.request.needed = 0),
    ] {
        assert_eq!(code(open(&*store, &bad)), "invalid_parameters", "{bad:?}");
    }
    open(&*store, &good).unwrap();
    assert_eq!(code(open(&*store, &good)), "invalid_parameters");
    // It has not expired, and nobody says that it has.
    assert_eq!(
        code(done(&*store, ApprovalChange::Expire(id(1)))),
        "invalid_parameters"
    );
    assert_eq!(
        code(say(&*store, 1, "cert:dns:p1", Vote::Approve)),
        "approval_not_yours"
    );
    say(&*store, 1, "cert:dns:p2", Vote::Reject).unwrap();
    for who in ["cert:dns:p1", "cert:dns:p2", "cert:dns:p3"] {
        assert_eq!(code(say(&*store, 1, who, Vote::Approve)), "approval_void");
    }
    assert_eq!(
        code(say(&*store, 2, "cert:dns:p2", Vote::Approve)),
        "approval_not_found"
    );
}

/// The store went back to before the use: what was approved then is not approved any more.
#[test]
fn an_older_store_that_is_adopted_forgets_every_approval() {
    let (home, store) = approved();
    store.close();
    let before = std::fs::read(home.options.database()).unwrap();
    let store = SqliteStore::open(&home.options).unwrap();
    unfreeze(&*store, used(1)).unwrap();
    freeze(&*store, "drill");
    store.close();
    std::fs::write(home.options.database(), before).unwrap();
    std::fs::remove_file(&home.options.witness).unwrap();
    SqliteStore::adopt(&home.options, &super::failure::above(99), "uid:0").unwrap();
    let store = SqliteStore::open(&home.options).unwrap();
    assert!(frozen(&*store));
    assert_eq!(code(unfreeze(&*store, used(1))), "approval_void");
}

/// A clock that a test sets.
struct Hands(std::sync::atomic::AtomicI64);

impl Clock for Hands {
    fn unix_micros(&self) -> i64 {
        self.0.load(std::sync::atomic::Ordering::SeqCst) * 1_000_000
    }
}

#[test]
fn what_has_expired_is_neither_approved_nor_used_and_counts_for_nothing() {
    let mut home = Home::new();
    let hands = Arc::new(Hands(NOW.0.into()));
    home.options.clock = hands.clone();
    SqliteStore::create(&home.options).unwrap();
    let store = SqliteStore::open(&home.options).unwrap();
    freeze(&*store, "drill");
    for n in 1..=MAX_OPEN_EACH as u32 {
        open(&*store, &request(&*store, n, "cert:dns:p1")).unwrap();
    }
    say(&*store, 1, "cert:dns:p2", Vote::Approve).unwrap();
    say(&*store, 1, "cert:dns:p3", Vote::Approve).unwrap();
    say(&*store, 2, "cert:dns:p2", Vote::Approve).unwrap();
    hands.0.store(NOW.0 + 3600, std::sync::atomic::Ordering::SeqCst);
    assert_eq!(code(unfreeze(&*store, used(1))), "approval_void");
    assert_eq!(
        code(say(&*store, 2, "cert:dns:p3", Vote::Approve)),
        "approval_void"
    );
    assert!(frozen(&*store));
    done(&*store, ApprovalChange::Expire(id(1))).unwrap();
    assert_eq!(
        code(done(&*store, ApprovalChange::Expire(id(1)))),
        "approval_void"
    );
    // Nobody has ended the others yet: they take no place of a new one all the same.
    let mut fresh = request(&*store, 100, "cert:dns:p1");
    fresh.request.expires_at = UnixSeconds(NOW.0 + 7200);
    open(&*store, &fresh).unwrap();
}
