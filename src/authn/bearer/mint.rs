//! Makes tokens for one's own requests: the command line's side, for people who have no issuer.

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde_json::json;
use sha2::{Digest as _, Sha256};
use sigward_hsm::token_key::{TokenKey, TokenKeyError};
use sigward_policies::model::bearer::TokenHolder;
use sigward_policies::model::id::UnixSeconds;

use super::{ALGORITHM, TYPE, key_id};

/// Who signs, for which server.
pub struct Mint {
    key: TokenKey,
    holder: TokenHolder,
    audience: String,
    life: u32,
}

impl std::fmt::Debug for Mint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Mint")
            .field("holder", &self.holder)
            .finish_non_exhaustive()
    }
}

/// Why there is no token.
#[derive(Debug, thiserror::Error)]
pub enum MintError {
    /// The key does not sign.
    #[error(transparent)]
    Key(#[from] TokenKeyError),
    /// The operating system gave no randomness.
    #[error("the operating system gave no random bytes: {0}")]
    Random(getrandom::Error),
}

impl Mint {
    /// Signs in the name of `holder` for `audience` by `key`; tokens are good for `life` seconds.
    pub fn new(key: TokenKey, holder: TokenHolder, audience: impl Into<String>, life: u32) -> Self {
        Self {
            key,
            holder,
            audience: audience.into(),
            life,
        }
    }

    /// A token for one request, made at `now`.
    ///
    /// # Errors
    /// [`MintError`].
    pub fn token(
        &self,
        method: &str,
        path: &str,
        body: &[u8],
        now: UnixSeconds,
    ) -> Result<String, MintError> {
        let mut id = [0_u8; 16];
        getrandom::fill(&mut id).map_err(MintError::Random)?;
        let encode = |bytes: &[u8]| BASE64_URL_SAFE_NO_PAD.encode(bytes);
        let header = json!({ "alg": ALGORITHM, "typ": TYPE, "kid": key_id(self.key.public_key()) });
        let claims = json!({
            "iss": self.holder.issuer().as_str(), "sub": self.holder.subject(), "aud": self.audience,
            "iat": now.0, "exp": now.0.saturating_add(i64::from(self.life)), "jti": encode(&id),
            "htm": method, "path": path, "body_sha256": encode(&Sha256::digest(body)),
        });
        let signed = format!(
            "{}.{}",
            encode(header.to_string().as_bytes()),
            encode(claims.to_string().as_bytes())
        );
        let signature = self.key.sign(&signed)?;
        Ok(format!("{signed}.{}", encode(&signature.0)))
    }
}
