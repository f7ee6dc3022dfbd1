//! The brake has no conditions.

#![allow(clippy::unwrap_used, reason = "tests")]

use sigward_policies::model::bearer::TokenHolder;
use sigward_policies::model::caller::{Caller, SubjectName};

use super::*;
use crate::admin::testing::Desk;
use crate::store::Context;

#[tokio::test]
async fn who_has_the_longest_name_freezes_with_the_longest_reason() {
    let holder = TokenHolder::parse(&format!("{}/{}", "i".repeat(64), "s".repeat(255))).unwrap();
    let uri = format!("uri:spiffe://{}", "x".repeat(2048 - "spiffe://".len()));
    let name = SubjectName::parse(&uri).unwrap();
    for caller in [Caller::Token { holder }, Caller::Certificate { name }] {
        let desk = Desk::new();
        let context = Context::default();
        let who = Asker { caller, context };
        let reason = "\u{1b}é".repeat(2000);
        desk.admin.freeze(&who, &FreezeScope::All, &reason).await.unwrap();
        let holds = desk.admin.named_holds().await.unwrap();
        assert_eq!(holds.len(), 1);
        let by = holds.first().map(|hold| hold.hold.note.by.clone()).unwrap();
        assert!(by.starts_with(who.to_string().get(..150).unwrap()), "{by}");
    }
}
