//! Keys as CometBFT writes them, made of a seed that the test chooses; and a signer whose key may not be usable.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::Duration;

use base64::prelude::{BASE64_STANDARD, Engine as _};
use ed25519_dalek::SigningKey;
use serde_json::json;
use sha2::{Digest, Sha256};

use super::scene::Scene;

/// A `priv_validator_key.json` (CometBFT `privval/file.go`, `FilePVKey`).
pub(crate) struct KeyFile {
    key: SigningKey,
}

impl KeyFile {
    pub(crate) fn of_seed(seed: [u8; 32]) -> Self {
        Self {
            key: SigningKey::from_bytes(&seed),
        }
    }

    /// Writes the file, closed to everybody else as CometBFT does; its path, for a command line.
    pub(crate) fn write(&self, path: &Path) -> String {
        let public = self.key.verifying_key().to_bytes();
        let private = [self.key.to_bytes(), public].concat();
        let file = json!({
            "address": self.address(),
            "pub_key": { "type": "tendermint/PubKeyEd25519", "value": BASE64_STANDARD.encode(public) },
            "priv_key": { "type": "tendermint/PrivKeyEd25519", "value": BASE64_STANDARD.encode(private) },
        });
        std::fs::write(path, serde_json::to_vec_pretty(&file).unwrap()).unwrap();
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).unwrap();
        path.to_str().unwrap().to_owned()
    }

    /// The public key, as JSON has it.
    pub(crate) fn public_base64(&self) -> String {
        BASE64_STANDARD.encode(self.key.verifying_key().to_bytes())
    }

    /// The first 20 bytes of the public key's SHA-256, in upper-case hex.
    pub(crate) fn address(&self) -> String {
        let digest = Sha256::digest(self.key.verifying_key().to_bytes());
        hex::encode_upper(&digest[..20])
    }
}

/// Starts the signer; an error says that it refused to, or that it runs and leaves the node alone, with what it said. It is
/// stopped then.
pub(crate) fn restart_dialling(scene: &mut Scene) -> Result<(), String> {
    // Where the key can be used the node is dialled at once.
    match scene.start_and_wait(Duration::from_secs(2)) {
        Ok(true) => Ok(()),
        Ok(false) => {
            scene.signer.stop();
            Err(scene.log())
        }
        Err(refused) => Err(refused.log),
    }
}
