//! Two commands at one home: what one of them read before it had the lock is no longer so.
#![allow(clippy::unwrap_used)]

use sigward_policies::model::algorithm::Algorithm;
use sigward_policies::model::id::KeyName;

use super::*;
use crate::app::{Durability, init};
use crate::audit::Asker;

/// A home with one key, and a move of its seal to another key file that was killed right after it switched the configuration.
/// What another command had read before that, and the twins that wait.
async fn killed_after_the_switch(home: &Path) -> (Config, Vec<PathBuf>) {
    init(home, Durability::Volatile).unwrap();
    let (config, text) = config::load_with_text(home).unwrap();
    let parts = parts::open(&config).unwrap();
    let name = KeyName::new("validator").unwrap();
    let who = Asker::of_this_process(authn::this_process());
    let made = parts
        .admin
        .create_key(&who, &name, Algorithm::Ed25519, config::SOFTWARE);
    made.await.unwrap();
    let to = SealSource::KeyFile(home.join("new.key"));
    let reseal = Reseal::of(&config.keys.dir);
    assert_eq!(stage(&config, &to, &parts, &reseal).unwrap(), 1);
    std::fs::write(
        home.join(config::FILE_NAME),
        config::with_seal(&text, home, &to).unwrap(),
    )
    .unwrap();
    parts.store.close();
    (config, reseal.twins().unwrap())
}

#[tokio::test]
async fn what_was_read_before_the_lock_takes_back_no_move_that_was_killed_since() {
    let folder = tempfile::tempdir().unwrap();
    let home = folder.path().join("home");
    let (read_before, twins) = killed_after_the_switch(&home).await;
    assert_eq!(twins.len(), 1);

    let refused = parts::open(&read_before).err().unwrap();
    assert!(refused.to_string().starts_with("config_changed: "), "{refused}");
    assert_eq!(
        Reseal::of(&read_before.keys.dir).twins().unwrap(),
        twins,
        "nothing was taken back"
    );
    // The former key file is destroyed, as the page on moving tells: the keys open with the new one.
    std::fs::remove_file(home.join("seal.key")).unwrap();
    let now = config::load(&home).unwrap();
    let parts = parts::open(&now).unwrap();
    assert_eq!(parts.admin.providers.software.faults().len(), 0);
    let keys = parts.admin.list_keys().await.unwrap();
    parts.admin.open_keys().await.unwrap();
    assert!(keys.iter().all(|key| key.fault.is_none()));
    assert!(
        parts
            .admin
            .open_key(&KeyName::new("validator").unwrap())
            .await
            .is_ok()
    );
    parts.store.close();
}
