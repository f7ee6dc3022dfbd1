//! An API key as it comes in a header: whatever is taken is written back the same, is as long as it says, and counts for nothing where
//! nobody made it; what is refused is refused in one line that holds nothing of it.
#![no_main]

use sigward::authn::api_key::{ApiKey, ApiKeys, LENGTH, PREFIX, is_one};
use sigward_policies::decision::RefusalCode;
use sigward_policies::model::id::UnixSeconds;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    if let Some(key) = ApiKey::parse(text) {
        assert!(text.len() == LENGTH && text.starts_with(PREFIX) && is_one(text));
        assert_eq!(key.text().as_str(), text);
        let again = ApiKey::parse(text).map(|again| again.digest());
        assert_eq!(again, Some(key.digest()));
    }
    let refusal = ApiKeys::default().who(text, UnixSeconds(0)).unwrap_err();
    assert_eq!(refusal.code, RefusalCode::TokenRefused);
    assert!(!refusal.message.contains(|c: char| c.is_control()));
});
