//! API keys: durable with their record or not at all, each name and secret once, none that lives longer than it should.

use sigward_policies::model::id::ApiKeyName;

use super::super::super::api_key::{MAX_API_KEY_LIFE, MAX_LIVE};
use super::super::super::{ApiKeyChange, StoredApiKey};
use super::failure::above;
use super::*;

pub(super) fn key(name: &str, number: u32) -> StoredApiKey {
    let mut digest = [7; 32];
    digest[..4].copy_from_slice(&number.to_be_bytes());
    StoredApiKey {
        name: ApiKeyName::new(name).unwrap(),
        digest,
        created_by: "uid:1".to_owned(),
        created_at: NOW,
        expires_at: UnixSeconds(NOW.0 + 3600),
        revoked: None,
    }
}

fn done(store: &dyn Store, change: ApiKeyChange) -> Result<Receipts, Refused> {
    commit(store, Batch::act(vec![Change::ApiKey(Box::new(change))], act()))
}

pub(super) fn create(store: &dyn Store, made: &StoredApiKey) -> Result<Receipts, Refused> {
    done(store, ApiKeyChange::Create(made.clone()))
}

fn revoke(store: &dyn Store, name: &str, by: &str) -> Result<Receipts, Refused> {
    let name = ApiKeyName::new(name).unwrap();
    let by = by.to_owned();
    done(store, ApiKeyChange::Revoke { name, by })
}

#[test]
fn a_key_outlives_the_store_and_its_name_is_never_anothers() {
    let (home, store) = Home::open();
    create(&*store, &key("ci", 1)).unwrap();
    assert_eq!(code(create(&*store, &key("ci", 2))), "api_key_exists");
    assert_eq!(code(create(&*store, &key("other", 1))), "api_key_exists");
    assert_eq!(code(revoke(&*store, "nobody", "uid:1")), "api_key_not_found");
    revoke(&*store, "ci", "uid:2").unwrap();
    revoke(&*store, "ci", "uid:3").unwrap();
    assert_eq!(code(create(&*store, &key("ci", 3))), "api_key_exists");
    let kept = StoredApiKey {
        revoked: Some((NOW, "uid:2".to_owned())),
        ..key("ci", 1)
    };
    assert_eq!(store.api_keys().unwrap(), std::slice::from_ref(&kept));
    store.close();
    let store = SqliteStore::open(&home.options).unwrap();
    assert_eq!(store.api_keys().unwrap(), [kept]);
    assert_eq!(code(create(&*store, &key("ci", 4))), "api_key_exists");
}

#[test]
fn no_key_lives_too_long_and_only_so_many_count() {
    let (_home, store) = Home::open();
    let until = |created: i64, expires: i64| StoredApiKey {
        created_at: UnixSeconds(created),
        expires_at: UnixSeconds(expires),
        ..key("k", 1)
    };
    for bad in [
        until(NOW.0, NOW.0),
        until(NOW.0, NOW.0 - 1),
        until(NOW.0, NOW.0 + MAX_API_KEY_LIFE + 1),
        until(NOW.0 + 1, NOW.0 + 2),
        until(i64::MIN, i64::MAX),
        StoredApiKey {
            revoked: Some((NOW, String::new())),
            ..key("k", 1)
        },
    ] {
        assert_eq!(code(create(&*store, &bad)), "invalid_parameters", "{bad:?}");
    }
    for number in 0..MAX_LIVE as u32 {
        create(&*store, &key(&format!("k{number}"), number)).unwrap();
    }
    let more = key("more", 9_999);
    assert_eq!(code(create(&*store, &more)), "api_key_limit");
    revoke(&*store, "k0", "uid:1").unwrap();
    create(&*store, &more).unwrap();
    // In one batch, too.
    let both = [key("a", 10_001), key("a", 10_002)];
    let changes = both.map(|made| Change::ApiKey(Box::new(ApiKeyChange::Create(made))));
    revoke(&*store, "k1", "uid:1").unwrap();
    revoke(&*store, "k2", "uid:1").unwrap();
    assert_eq!(
        code(commit(&*store, Batch::act(changes.into(), act()))),
        "api_key_exists"
    );
    assert!(
        !store
            .api_keys()
            .unwrap()
            .iter()
            .any(|made| made.name.as_str() == "a")
    );
}

#[test]
fn a_store_that_is_taken_over_as_an_older_one_has_no_key_that_counts() {
    let (home, store) = Home::open();
    create(&*store, &key("ci", 1)).unwrap();
    store.close();
    SqliteStore::adopt(&home.options, &above(99), "uid:7").unwrap();
    let store = SqliteStore::open(&home.options).unwrap();
    let kept = store.api_keys().unwrap();
    assert_eq!(kept[0].revoked, Some((NOW, "uid:7".to_owned())));
}
