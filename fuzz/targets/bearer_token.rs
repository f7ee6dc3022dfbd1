//! A bearer token as it comes in a header: a token of bounded parts, or a refusal of one line; and whatever it is, nobody without a key.
#![no_main]

use sigward::authn::bearer::{Bearer, Began, Head, Issuers, MAX_TOKEN, Token, the_one};
use sigward_policies::decision::RefusalCode;
use sigward_policies::model::bearer::TokenHolder;
use sigward_policies::model::id::UnixSeconds;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    // A header is whatever bytes; a token is read out of one that has it.
    let _header = the_one([bytes].into_iter());
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    match Token::parse(text) {
        Ok(token) => {
            assert!(text.len() <= MAX_TOKEN && text.split('.').count() == 3);
            let claims = token.claims();
            let holder = claims.holder.to_string();
            assert_eq!(TokenHolder::parse(&holder).unwrap(), claims.holder);
            assert!(claims.id.len() >= 22 && claims.path.len() <= 1024 && !claims.method.is_empty());
        }
        Err(refusal) => {
            assert_eq!(refusal.code, RefusalCode::TokenRefused);
            assert!(refusal.message.len() < 512 && !refusal.message.contains(|c: char| c.is_control()));
        }
    }
    let nobody = Bearer::new("a", Issuers::default(), Began::now(UnixSeconds(0), None));
    let head = Head {
        method: "POST",
        path: "/",
        now: UnixSeconds(1_772_618_400),
    };
    assert!(nobody.of_head(text, head).is_err());
});
