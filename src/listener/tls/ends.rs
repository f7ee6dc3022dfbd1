//! How long what is held open by a token may stay open.

use axum::http::{HeaderMap, HeaderValue, header};
use sigward_policies::model::id::UnixSeconds;

use crate::authn::bearer::{MAX_LIFE, SKEW, Token, the_one};

/// When the token of a request ends, whatever becomes of it: believed only once the gate has let it through. None lasts longer than the
/// longest; without one it is of no use to anybody.
pub(super) fn token_ends(headers: &HeaderMap, now: UnixSeconds) -> UnixSeconds {
    let latest = now.0.saturating_add(MAX_LIFE);
    let shown = headers.get_all(header::AUTHORIZATION);
    let token = the_one(shown.iter().map(HeaderValue::as_bytes)).and_then(Token::parse);
    let claimed = token.map(|token| token.claims().expires);
    UnixSeconds(
        claimed
            .map_or(latest, |claimed| claimed.min(latest))
            .saturating_add(SKEW),
    )
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use base64::Engine as _;
    use base64::prelude::BASE64_URL_SAFE_NO_PAD;

    use super::*;
    use crate::authn::bearer::TYPE;

    #[test]
    fn what_is_held_open_by_a_token_ends_with_it_and_never_later_than_any_token() {
        let word = |text: &[u8]| BASE64_URL_SAFE_NO_PAD.encode(text);
        let header = format!(r#"{{"alg":"EdDSA","typ":"{TYPE}","kid":"k"}}"#);
        let until = |expires: i64| {
            let claims = format!(
                r#"{{"iss":"ci","sub":"a","aud":"s","iat":0,"exp":{expires},"jti":"{}","htm":"POST","path":"/","body_sha256":"{}"}}"#,
                "j".repeat(22),
                word(&[0; 32])
            );
            let token = [word(header.as_bytes()), word(claims.as_bytes()), word(&[0; 64])].join(".");
            let mut headers = HeaderMap::new();
            let value = HeaderValue::from_str(&format!("Bearer {token}")).unwrap();
            headers.insert(header::AUTHORIZATION, value);
            token_ends(&headers, UnixSeconds(1000)).0
        };
        assert_eq!(until(1060), 1060 + SKEW);
        assert_eq!(until(i64::MAX), 1000 + MAX_LIFE + SKEW);
        assert_eq!(
            token_ends(&HeaderMap::new(), UnixSeconds(1000)).0,
            1000 + MAX_LIFE + SKEW
        );
    }
}
