//! Whoever asked goes away between a commit and what follows it: memory follows all the same.

#![allow(clippy::unwrap_used, reason = "tests")]

use sigward_policies::decision::RefusalCode;
use sigward_policies::double_sign::Beginning;
use sigward_policies::model::algorithm::Algorithm;
use sigward_policies::model::id::{ApiKeyName, KeyName, UnixSeconds};

use super::*;
use crate::admin::testing::{Desk, WHO, until};
use crate::config::SOFTWARE;
use crate::store::{Change, Sharing};

#[tokio::test]
async fn an_api_key_whose_revoker_goes_away_counts_no_more() {
    let desk = Desk::new();
    let admin = &desk.admin;
    let name = ApiKeyName::new("leaked").unwrap();
    let made = admin.create_api_key(&WHO, &name, 1).await.unwrap();
    let shown = || {
        admin
            .api_keys
            .who(&made.secret, UnixSeconds(made.kept.created_at.0))
    };
    assert_eq!(shown().unwrap().0.to_string(), "apikey:leaked");

    desk.gone_before_the_end_of(admin.revoke_api_key(&WHO, &name, "leaked"))
        .await;
    until("the store has it revoked", || {
        admin
            .store
            .api_keys()
            .unwrap()
            .iter()
            .all(|kept| kept.revoked.is_some())
    })
    .await;
    until("a revoked key still counts", || shown().is_err()).await;
    assert_eq!(shown().unwrap_err().code, RefusalCode::TokenRefused);
}

#[tokio::test]
async fn an_api_key_whose_maker_goes_away_is_no_other_key() {
    let desk = Desk::new();
    let admin = &desk.admin;
    let name = ApiKeyName::new("ci").unwrap();
    desk.gone_before_the_end_of(admin.create_api_key(&WHO, &name, 1))
        .await;
    until("it is made", || admin.store.api_keys().unwrap().len() == 1).await;
    // Nobody has its secret; it is there to be revoked.
    let revoked = admin.revoke_api_key(&WHO, &name, "nobody has it").await.unwrap();
    assert!(revoked.revoked.is_some());
}

#[tokio::test]
async fn a_key_whose_maker_goes_away_signs_without_a_restart() {
    let desk = Desk::new();
    let admin = &desk.admin;
    let name = KeyName::new("validator").unwrap();
    desk.gone_before_the_end_of(admin.create_key(&WHO, &name, Algorithm::Ed25519, SOFTWARE))
        .await;
    until("it is in the store", || admin.store.keys().unwrap().len() == 1).await;
    until("it is in the store and does not sign", || {
        admin.keyring.find(&name).is_ok()
    })
    .await;
}

#[tokio::test]
async fn a_key_that_comes_in_has_its_rows_though_nobody_waits() {
    let desk = Desk::new();
    let admin = &desk.admin;
    let made = admin
        .create_key(
            &WHO,
            &KeyName::new("first").unwrap(),
            Algorithm::Ed25519,
            SOFTWARE,
        )
        .await
        .unwrap();
    let (key, chain) = (made.key, ChainId::new("one-1").unwrap());
    let public_key = key.version.public_key;
    let begin = Change::Begin {
        public_key,
        chain: chain.clone(),
        beginning: Beginning::NeverSigned,
        sharing: Sharing::OneChain,
    };
    let entry = admin.entry(&WHO, crate::admin::act::Act::KeyRestore, &public_key, None, "");
    let coming = vec![(key, vec![chain.clone()])];
    desk.gone_before_the_end_of(admin.memory().take_in(Batch::act(vec![begin], entry), coming))
        .await;
    until("it has a row in the store and none in memory", || {
        admin.guard.slot(&public_key, &chain).is_some()
    })
    .await;
}
