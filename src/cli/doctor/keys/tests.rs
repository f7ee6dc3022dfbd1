//! What is said of keys and sign states, row by row.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use super::super::finding::Status::{self, Failure, Ok as Good, Warning};
use super::*;
use crate::app::SealedFile;

fn config() -> Config {
    crate::config::parse(
        "[[chain]]\nid = \"c-1\"\nkey = \"k\"\n",
        std::path::Path::new("/h"),
    )
    .unwrap()
}

fn key(origin: KeyOrigin, state: KeyState, exported: bool) -> Key {
    Key {
        name: "k".into(),
        provider: crate::config::SOFTWARE.to_owned(),
        public_key: vec![7; 32],
        origin: origin.into(),
        state: state.into(),
        exported,
        ..Key::default()
    }
}

fn state(chain: &str, kind: SignStateKind, shared: bool) -> SignState {
    SignState {
        public_key: vec![7; 32],
        chain_id: chain.into(),
        kind: kind.into(),
        height: 9,
        shared,
        ..SignState::default()
    }
}

fn file() -> SealedFile {
    SealedFile {
        path: "/h/keys/x.sealed".into(),
        name: Some("k".into()),
        public_key: Some("07".repeat(32)),
        store: Some("s".into()),
        opened: Ok(true),
    }
}

fn inspection() -> Inspection {
    Inspection {
        seal: Ok(()),
        identity: Ok(()),
        sealed: vec![file()],
    }
}

fn verdict(inspection: Option<Inspection>, services: Asked, check: Check) -> Option<Status> {
    let found = judge(&Facts { inspection, services }, &config());
    found.iter().filter(|f| f.check == check).map(|f| f.status).max()
}

#[test]
fn a_key_in_a_token_needs_no_sealed_file_and_says_what_its_token_lacks() {
    let in_token = |fault: &str| Key {
        provider: "hsm-a".to_owned(),
        fault: fault.to_owned(),
        ..key(KeyOrigin::Generated, KeyState::Active, false)
    };
    let nothing_sealed = || Inspection {
        sealed: Vec::new(),
        ..inspection()
    };
    for (key, expected) in [
        (in_token(""), Good),
        (in_token("token_key_missing: it is not shown"), Failure),
        (key(KeyOrigin::Generated, KeyState::Active, false), Failure),
    ] {
        let services = Services {
            keys: vec![key],
            states: Vec::new(),
        };
        let asked = Asked::Answered(services);
        assert_eq!(
            verdict(Some(nothing_sealed()), asked, Check::KeysKnown),
            Some(expected)
        );
    }
}

#[test]
fn each_row_has_its_verdict() {
    let made = || key(KeyOrigin::Generated, KeyState::Active, false);
    let brought = || key(KeyOrigin::Imported, KeyState::Active, false);
    let left = || key(KeyOrigin::Generated, KeyState::Active, true);
    for (key, states, verdict_) in [
        (made(), vec![], Good),
        (brought(), vec![], Failure),
        (left(), vec![], Failure),
        (made(), vec![state("c-1", SignStateKind::Fresh, false)], Good),
        (made(), vec![state("c-1", SignStateKind::Closed, false)], Good),
        (made(), vec![state("c-1", SignStateKind::Signed, false)], Good),
        (
            made(),
            vec![state("c-1", SignStateKind::Exported, false)],
            Failure,
        ),
        (
            made(),
            vec![state("c-1", SignStateKind::Unspecified, false)],
            Failure,
        ),
        (made(), vec![state("c-2", SignStateKind::Signed, false)], Failure),
        (made(), vec![state("c-2", SignStateKind::Signed, true)], Good),
    ] {
        let services = Services {
            keys: vec![key],
            states,
        };
        let asked = Asked::Answered(services.clone());
        assert_eq!(
            verdict(Some(inspection()), asked, Check::StateRow),
            Some(verdict_),
            "{services:?}"
        );
    }
}

#[test]
fn a_chain_that_is_not_named_any_more_may_be_the_same_one() {
    let remedy = |other: &str, kind, text: &str| {
        let services = Services {
            keys: vec![key(KeyOrigin::Generated, KeyState::Active, false)],
            states: vec![state(other, kind, false)],
        };
        let config = crate::config::parse(text, std::path::Path::new("/h")).unwrap();
        let facts = Facts {
            inspection: None,
            services: Asked::Answered(services),
        };
        let found = judge(&facts, &config);
        let row = found
            .into_iter()
            .find(|f| f.check == Check::StateRow && f.status == Failure);
        row.unwrap().remedy.unwrap()
    };
    let one = "[[chain]]\nid = \"c-1\"\nkey = \"k\"\n";
    let said = remedy("c-typo", SignStateKind::Fresh, one);
    assert!(
        said.contains("state rebind --key k --chain c-typo --to c-1")
            && said.contains("signed nothing there"),
        "{said}"
    );
    let said = remedy("c-old", SignStateKind::Signed, one);
    assert!(
        said.contains("state rebind --key k --chain c-old --to c-1") && !said.contains("signed nothing"),
        "{said}"
    );
    let two = format!("{one}[[chain]]\nid = \"c-2\"\nkey = \"other\"\n");
    let said = remedy("c-2", SignStateKind::Signed, &two);
    assert!(!said.contains("rebind"), "{said}");
}

#[test]
fn each_key_has_its_verdict() {
    let of = |state| {
        Asked::Answered(Services {
            keys: vec![key(KeyOrigin::Generated, state, false)],
            states: vec![],
        })
    };
    let bare = || {
        Some(Inspection {
            sealed: vec![],
            ..inspection()
        })
    };
    for (inspection_, services, verdict_) in [
        (Some(inspection()), of(KeyState::Active), Some(Good)),
        (None, of(KeyState::Active), Some(Good)),
        (bare(), of(KeyState::Active), Some(Failure)),
        (Some(inspection()), of(KeyState::Disabled), Some(Failure)),
        (Some(inspection()), of(KeyState::Compromised), Some(Failure)),
        (
            Some(inspection()),
            Asked::Answered(Services::default()),
            Some(Failure),
        ),
        (
            Some(inspection()),
            Asked::Failed("store_missing: x\n  do y".into()),
            None,
        ),
        (bare(), Asked::Failed("x".into()), Some(Failure)),
        (bare(), Asked::Skipped, Some(Failure)),
    ] {
        assert_eq!(
            verdict(inspection_, services.clone(), Check::KeysKnown),
            verdict_,
            "{services:?}"
        );
    }
}

#[test]
fn what_does_not_open_is_named_with_its_remedy() {
    let trouble = Trouble {
        what: "code: what".into(),
        remedy: Some("do".into()),
    };
    let bad = |inspection, check| verdict(Some(inspection), Asked::Skipped, check);
    assert_eq!(
        bad(
            Inspection {
                seal: Err(trouble.clone()),
                ..inspection()
            },
            Check::KeysSeal
        ),
        Some(Failure)
    );
    assert_eq!(
        bad(
            Inspection {
                identity: Err(trouble.clone()),
                ..inspection()
            },
            Check::KeysIdentity
        ),
        Some(Failure)
    );
    let broken = SealedFile {
        opened: Err(trouble),
        ..file()
    };
    assert_eq!(
        bad(
            Inspection {
                sealed: vec![broken],
                ..inspection()
            },
            Check::KeysSealed
        ),
        Some(Failure)
    );
    let foreign = SealedFile {
        store: Some("t".into()),
        ..file()
    };
    assert_eq!(
        bad(
            Inspection {
                sealed: vec![file(), foreign],
                ..inspection()
            },
            Check::KeysSealed
        ),
        Some(Warning)
    );
    let found = judge(
        &Facts {
            inspection: None,
            services: Asked::Failed("store_missing: x\n  do y".into()),
        },
        &config(),
    );
    assert_eq!(
        (found[0].fact.as_str(), found[0].remedy.as_deref()),
        ("store_missing: x", Some("do y"))
    );
}
