//! A token in every kind of trouble, played by the shim.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]
use std::{
    sync::{Mutex, mpsc::channel},
    time::Instant,
};

use cryptoki::object::{Attribute, ObjectClass};

use super::*;
use crate::{
    conformance,
    fixtures::{VoteFixture, arena, order},
    pkcs11::{
        place::Place,
        softhsm::{self, Shim},
    },
};

fn config(folder: &std::path::Path, shim: &Shim) -> TokenConfig {
    TokenConfig {
        module: shim.module.clone(),
        deadline: Duration::from_millis(400),
        ..softhsm::token(folder)
    }
}

fn sign(provider: &Pkcs11Provider, key: &KeyHandle, height: i64) -> Result<(), ProviderError> {
    let verifier = Verifier::new(key.public_key()).unwrap();
    let unreleased = provider.sign(key, order(key.public_key(), height, VoteFixture::Precommit))?;
    assert!(verifier.check(unreleased.to_verify().unwrap()).is_ok());
    Ok(())
}

/// An error that a person can do something with: it names the C function, and says what to do.
fn tells(error: &ProviderError, function: &str) {
    let source = std::error::Error::source(error).map(ToString::to_string);
    let text = format!("{error}: {}", source.unwrap_or_default());
    assert!(text.contains(function), "{text:?} does not name {function}");
    assert!(
        error.remedy().is_some() || text.contains("; "),
        "{text:?} does not say what to do"
    );
}

/// Until the keeper has found the token, or a few seconds.
fn signs_again(provider: &Pkcs11Provider, key: &KeyHandle, height: i64) -> bool {
    let up = provider.client.wait_until_up(Duration::from_secs(10));
    up && sign(provider, key, height).is_ok()
}

#[test]
fn a_session_that_is_lost_is_opened_anew_without_the_caller_noticing() {
    let (shim, folder) = (Shim::take(), tempfile::tempdir().unwrap());
    let provider = Pkcs11Provider::open(&config(folder.path(), &shim), &arena(8)).unwrap();
    let key = conformance::generate(&provider, "lost", Algorithm::Ed25519);
    sign(&provider, &key, 1).unwrap();
    shim.tell("lost");
    let error = sign(&provider, &key, 2).unwrap_err();
    assert_eq!(error.code(), "provider_unavailable");
    tells(&error, "CKR_SESSION_HANDLE_INVALID");
    assert!(matches!(provider.presence(), Presence::Down(_)));
    shim.tell("");
    assert!(
        signs_again(&provider, &key, 3),
        "after C_Finalize and C_Initialize"
    );
    // For a day's worth of logouts, one after the other, nobody notices.
    for height in 4..200 {
        shim.tell("logout");
        sign(&provider, &key, height).unwrap();
        shim.tell("");
    }
}

#[test]
fn a_token_that_is_away_fails_fast_and_signs_when_it_is_back() {
    let (shim, folder) = (Shim::take(), tempfile::tempdir().unwrap());
    let provider = Pkcs11Provider::open(&config(folder.path(), &shim), &arena(8)).unwrap();
    let key = conformance::generate(&provider, "away", Algorithm::Ed25519);
    shim.tell("away lost");
    let error = sign(&provider, &key, 1).unwrap_err();
    assert_eq!(error.code(), "provider_unavailable");
    for height in 2..5 {
        assert!(sign(&provider, &key, height).is_err());
    }
    shim.tell("");
    assert!(signs_again(&provider, &key, 5));
}

#[test]
fn a_token_that_hangs_is_answered_for_by_the_clock_and_nothing_it_says_later_is_let_out() {
    let (shim, folder) = (Shim::take(), tempfile::tempdir().unwrap());
    let provider = Pkcs11Provider::open(&config(folder.path(), &shim), &arena(8)).unwrap();
    let key = conformance::generate(&provider, "hangs", Algorithm::Ed25519);
    shim.tell("hang");
    let (tell, told) = channel();
    for height in 1..=12 {
        let tell = tell.clone();
        let done = move |outcome: Result<_, ProviderError>| tell.send(outcome.map(drop)).unwrap();
        provider.submit(
            &key,
            order(key.public_key(), height, VoteFixture::Prevote),
            Box::new(done),
        );
    }
    for _ in 1..=12 {
        let answer = told.recv_timeout(Duration::from_secs(5)).unwrap();
        let error = answer.unwrap_err();
        assert_eq!(error.code(), "provider_unavailable");
        let began = error.to_string().contains("C_Sign");
        tells(&error, if began { "C_Sign" } else { "no session was free" });
    }
    assert_eq!(provider.hanging(), 4, "every thread is inside C_Sign");
    let refused = sign(&provider, &key, 13).unwrap_err();
    assert!(refused.to_string().contains("hangs"), "{refused}");
    tells(&refused, "C_Sign");
    shim.tell("");
    while provider.hanging() > 0 {
        std::thread::sleep(Duration::from_millis(5));
    }
    assert!(told.try_recv().is_err(), "each order was answered once");
    sign(&provider, &key, 14).unwrap();
}

#[test]
fn a_wrong_pin_is_tried_once_and_never_again_even_after_a_restart() {
    let (shim, folder) = (Shim::take(), tempfile::tempdir().unwrap());
    let mut config = config(folder.path(), &shim);
    let right = config.pin.clone();
    let wrong = folder.path().join("wrong-pin");
    crate::private_file::write(&wrong, b"not the pin\n", crate::Existing::Keep).unwrap();
    config.pin = PinSource::File(wrong);
    let arena = arena(8);
    let first = Pkcs11Provider::open(&config, &arena).err().unwrap();
    assert_eq!(first.code(), "wrong_pin");
    tells(&first, "C_Login");
    for _restart in 0..3 {
        let again = Pkcs11Provider::open(&config, &arena).err().unwrap();
        assert!(again.to_string().contains("not tried again"), "{again}");
        assert!(!again.to_string().contains("not the pin"));
    }
    // SoftHSM2 says after a wrong PIN that few tries are left; an operator's word is needed, once.
    config.pin = right;
    assert_eq!(
        Pkcs11Provider::open(&config, &arena).err().unwrap().code(),
        "pin_unusable"
    );
    log_in_once(&config, &arena).unwrap();
    assert!(Pkcs11Provider::open(&config, &arena).is_ok());
}

#[test]
fn a_token_with_few_tries_left_or_none_is_not_tried() {
    let (shim, folder) = (Shim::take(), tempfile::tempdir().unwrap());
    let config = config(folder.path(), &shim);
    for (word, says) in [("locked", "locked"), ("low", "few tries")] {
        shim.tell(word);
        let error = Pkcs11Provider::open(&config, &arena(8)).err().unwrap();
        assert_eq!(error.code(), "pin_unusable");
        assert!(error.to_string().contains(says), "{error}");
        tells(&error, "C_GetTokenInfo");
    }
}

#[test]
fn a_token_without_room_or_mechanism_says_so_and_keeps_what_it_has() {
    let (shim, folder) = (Shim::take(), tempfile::tempdir().unwrap());
    let provider = Pkcs11Provider::open(&config(folder.path(), &shim), &arena(8)).unwrap();
    let key = conformance::generate(&provider, "kept", Algorithm::Ed25519);
    let spec = |name: &str| KeySpec {
        name: KeyName::new(name).unwrap(),
        algorithm: Algorithm::Ed25519,
        created_at: UnixSeconds(1),
    };
    shim.tell("full");
    let error = provider
        .generate_key_pair(&conformance::operator(), &spec("no-room"))
        .unwrap_err();
    assert_eq!(error.code(), "token_full");
    tells(&error, "C_GenerateKeyPair");
    shim.tell("no-eddsa");
    let error = provider
        .generate_key_pair(&conformance::operator(), &spec("no-mechanism"))
        .unwrap_err();
    assert_eq!(error.code(), "unsupported");
    tells(&error, "C_SignInit failed: CKR_MECHANISM_INVALID (CKM_EDDSA)");
    let error = sign(&provider, &key, 1).unwrap_err();
    tells(&error, "CKM_EDDSA");
    shim.tell("");
    sign(&provider, &key, 1).unwrap();
    assert_eq!(provider.list_keys().unwrap().len(), 1);
}

#[test]
fn an_object_that_vanished_is_an_alarm_and_its_record_stays() {
    let (shim, folder) = (Shim::take(), tempfile::tempdir().unwrap());
    let config = config(folder.path(), &shim);
    let provider = Pkcs11Provider::open(&config, &arena(8)).unwrap();
    let key = conformance::generate(&provider, "vanished", Algorithm::Ed25519);
    drop(provider);
    let provider = Pkcs11Provider::open(&config, &arena(8)).unwrap();
    shim.tell("vanish");
    let error = sign(&provider, &key, 1).unwrap_err();
    assert_eq!(error.code(), "provider_fault");
    tells(&error, "C_FindObjects");
    // The module was started anew, in vain; that is not done for each request.
    let generation = provider.client.generation();
    for height in 2..12 {
        assert!(sign(&provider, &key, height).is_err());
    }
    assert_eq!(provider.client.generation(), generation);
    assert_eq!(provider.list_keys().unwrap().len(), 1, "it is not forgotten");
    shim.tell("");
    sign(&provider, &key, 12).unwrap();
}

#[test]
fn an_object_that_somebody_deleted_is_an_alarm_and_other_keys_sign_on() {
    let (shim, folder) = (Shim::take(), tempfile::tempdir().unwrap());
    let provider = Pkcs11Provider::open(&config(folder.path(), &shim), &arena(8)).unwrap();
    let deleted = conformance::generate(&provider, "deleted", Algorithm::Ed25519);
    let other = conformance::generate(&provider, "other", Algorithm::Ed25519);
    // Each thread knows both handles.
    for height in 1..20 {
        sign(&provider, &deleted, height).unwrap();
        sign(&provider, &other, height).unwrap();
    }
    let id = provider.find(deleted.public_key()).unwrap().id.clone();
    let destroyed = provider.acts.run(Operation::Delete, move |session| {
        objects::destroy_made(session, &id)
    });
    destroyed.unwrap();
    for height in 20..30 {
        let error = sign(&provider, &deleted, height).unwrap_err();
        assert_eq!(error.code(), "provider_fault");
        tells(&error, "C_FindObjects");
        sign(&provider, &other, height).unwrap();
    }
    assert_eq!(
        provider.list_keys().unwrap().len(),
        2,
        "its record and its watermark stay"
    );
}

#[test]
fn a_wrong_module_path_says_what_to_set() {
    let folder = tempfile::tempdir().unwrap();
    let mut config = softhsm::token(folder.path());
    config.module = folder.path().join("no-such.so");
    let error = Pkcs11Provider::open(&config, &arena(8)).err().unwrap();
    assert_eq!(error.code(), "initialization_failed");
    tells(&error, "no PKCS#11 module at");
    config.module = "/usr/lib/x86_64-linux-gnu/libc.so.6".into();
    let error = Pkcs11Provider::open(&config, &arena(8)).err().unwrap();
    tells(&error, "C_GetFunctionList");
}

/// Two tokens of one module.
fn two(folder: &std::path::Path, shim: &Shim) -> (TokenConfig, TokenConfig) {
    let place = |name: &str| {
        let place = folder.join(name);
        std::fs::create_dir(&place).unwrap();
        place
    };
    (config(&place("x"), shim), config(&place("y"), shim))
}

fn label(config: &TokenConfig) -> &str {
    match &config.token {
        TokenSelector::Label(label) => label,
        other => panic!("{other}"),
    }
}

#[test]
fn a_token_that_hangs_and_goes_away_keeps_back_no_other_of_its_module() {
    let (shim, folder) = (Shim::take(), tempfile::tempdir().unwrap());
    let (at_x, at_y) = two(folder.path(), &shim);
    let (x, y) = (
        Pkcs11Provider::open(&at_x, &arena(8)).unwrap(),
        Pkcs11Provider::open(&at_y, &arena(8)).unwrap(),
    );
    let key_x = conformance::generate(&x, "x", Algorithm::Ed25519);
    let key_y = conformance::generate(&y, "y", Algorithm::Ed25519);
    sign(&y, &key_y, 1).unwrap();
    sign(&x, &key_x, 1).unwrap();
    let _pace = x.client.keep_pace();
    let initialisation = x.client.generation();
    shim.tell(&format!("hang={}", label(&at_y)));
    assert!(sign(&y, &key_y, 2).is_err());
    shim.tell(&format!("hang={0} away={0}", label(&at_y)));
    assert!(y.client.wait_while_up(Duration::from_secs(10)));
    // Longer than y's keeper needs to try again, several times over.
    let (begin, mut height) = (Instant::now(), 2);
    while begin.elapsed() < Duration::from_secs(4) {
        // The deadline is 400 ms: whoever is kept out for longer fails.
        sign(&x, &key_x, height).unwrap();
        height += 1;
    }
    assert_eq!(x.client.generation(), initialisation, "nothing was restarted");
    let Presence::Down(why) = y.presence() else {
        panic!("{:?}", y.presence())
    };
    assert!(
        why.contains("no token") && why.contains("has not returned"),
        "{why}"
    );
    shim.tell("");
    assert!(signs_again(&y, &key_y, 3));
}

#[test]
fn a_token_that_is_away_restarts_the_module_under_another_once_a_minute_at_most() {
    let (shim, folder) = (Shim::take(), tempfile::tempdir().unwrap());
    let (at_x, at_y) = two(folder.path(), &shim);
    let (x, y) = (
        Pkcs11Provider::open(&at_x, &arena(8)).unwrap(),
        Pkcs11Provider::open(&at_y, &arena(8)).unwrap(),
    );
    let key_x = conformance::generate(&x, "x", Algorithm::Ed25519);
    let _pace = x.client.keep_pace();
    let before = x.client.restarts();
    shim.tell(&format!("away={}", label(&at_y)));
    assert!(y.client.wait_while_up(Duration::from_secs(10)));
    let (begin, mut height) = (Instant::now(), 1);
    while begin.elapsed() < Duration::from_secs(4) {
        sign(&x, &key_x, height).unwrap();
        height += 1;
        // Whoever opens it anew does as the keeper does.
        assert!(height % 50 != 0 || Pkcs11Provider::open(&at_y, &arena(8)).is_err());
    }
    let restarts = x.client.restarts() - before;
    assert!(restarts <= 1, "{restarts} restarts under a token that works");
    // What a restart is not needed for is seen at once.
    shim.tell("");
    assert!(y.client.wait_until_up(Duration::from_secs(5)));
}

#[test]
fn a_token_that_is_alone_in_its_module_is_back_soon() {
    let (shim, folder) = (Shim::take(), tempfile::tempdir().unwrap());
    let provider = Pkcs11Provider::open(&config(folder.path(), &shim), &arena(8)).unwrap();
    let key = conformance::generate(&provider, "alone", Algorithm::Ed25519);
    let _pace = provider.client.keep_pace();
    for height in 1..4 {
        shim.tell("lost");
        assert!(sign(&provider, &key, 10 * height).is_err());
        std::thread::sleep(Duration::from_secs(1));
        shim.tell("");
        assert!(signs_again(&provider, &key, 10 * height + 1));
    }
}

#[test]
fn another_token_of_the_same_label_is_told_of_and_not_restarted_for() {
    let (shim, folder) = (Shim::take(), tempfile::tempdir().unwrap());
    let mut config = config(folder.path(), &shim);
    std::fs::create_dir(folder.path().join("other")).unwrap();
    let other = self::config(&folder.path().join("other"), &shim);
    let provider = Pkcs11Provider::open(&config, &arena(8)).unwrap();
    // Its serial binds from its first key on.
    let _key = conformance::generate(&provider, "first", Algorithm::Ed25519);
    let _pace = provider.client.keep_pace();
    let before = provider.client.restarts();
    config.token = other.token;
    for _retry in 0..10 {
        let error = Pkcs11Provider::open(&config, &arena(8)).err().unwrap();
        assert_eq!(error.code(), "provider_unavailable");
        tells(&error, "it is another token");
    }
    assert!(provider.client.restarts() - before <= 1);
}

#[test]
fn an_answer_that_cannot_be_is_an_error_and_ends_no_thread() {
    let (shim, folder) = (Shim::take(), tempfile::tempdir().unwrap());
    let config = config(folder.path(), &shim);
    let provider = Pkcs11Provider::open(&config, &arena(8)).unwrap();
    let key = conformance::generate(&provider, "sane", Algorithm::Ed25519);
    let fresh = Pkcs11Provider::open(&config, &arena(8)).unwrap();
    for (word, function, provider) in [("huge", "C_Sign", &provider), ("many", "C_FindObjects", &fresh)] {
        shim.tell(word);
        // More often than there are threads.
        for height in 1..20 {
            let error = sign(provider, &key, height).unwrap_err();
            assert_eq!(error.code(), "provider_fault");
            tells(&error, function);
        }
        assert_eq!(provider.hanging(), 0);
        shim.tell("");
        for height in 20..40 {
            sign(provider, &key, height).unwrap();
        }
    }
    shim.tell("many");
    let error = provider.missing_keys().unwrap_err();
    tells(&error, "cannot be");
    shim.tell("");
    assert!(provider.missing_keys().unwrap().is_empty());
    let open = provider
        .client
        .look(|context, slot| Ok(context.get_token_info(slot)?.session_count()))
        .unwrap()
        .unwrap();
    assert!(open <= 2 * (4 + 1), "sessions were left behind: {open}");
}

#[test]
fn a_waiter_that_panics_harms_nobody_else() {
    let (shim, folder) = (Shim::take(), tempfile::tempdir().unwrap());
    let config = TokenConfig {
        deadline: Duration::from_secs(20),
        ..config(folder.path(), &shim)
    };
    let provider = Pkcs11Provider::open(&config, &arena(8)).unwrap();
    let key = conformance::generate(&provider, "panics", Algorithm::Ed25519);
    for height in 1..20 {
        let order = order(key.public_key(), height, VoteFixture::Prevote);
        provider.submit(&key, order, Box::new(|_| panic!("a waiter panics")));
    }
    for height in 20..40 {
        sign(&provider, &key, height).unwrap();
    }
    assert_eq!(provider.hanging(), 0);
}

/// Whether `work` ends, hanging module or not; far longer than it may take.
fn ends(work: impl FnOnce() + Send + 'static) -> bool {
    let (tell, told) = channel();
    std::thread::spawn(move || {
        work();
        tell.send(())
    });
    told.recv_timeout(Duration::from_secs(20)).is_ok()
}

#[test]
fn a_token_whose_sessions_do_not_close_is_let_go_of_all_the_same() {
    let (shim, folder) = (Shim::take(), tempfile::tempdir().unwrap());
    let provider = Pkcs11Provider::open(&config(folder.path(), &shim), &arena(8)).unwrap();
    let key = conformance::generate(&provider, "close", Algorithm::Ed25519);
    sign(&provider, &key, 1).unwrap();
    shim.tell("no-close");
    assert!(
        ends(move || drop(provider)),
        "C_CloseSession hangs, and so does who closes the token"
    );
}

#[test]
fn an_act_that_was_given_up_makes_no_key_and_keeps_nobody_waiting() {
    let (shim, folder) = (Shim::take(), tempfile::tempdir().unwrap());
    let mut provider = Pkcs11Provider::open(&config(folder.path(), &shim), &arena(8)).unwrap();
    provider.acts = Acts::within(&provider.client, Duration::from_secs(1));
    let key = conformance::generate(&provider, "acts", Algorithm::Ed25519);
    let generate = |name: &str| {
        let spec = KeySpec {
            name: KeyName::new(name).unwrap(),
            algorithm: Algorithm::Ed25519,
            created_at: UnixSeconds(1),
        };
        provider
            .generate_key_pair(&conformance::operator(), &spec)
            .unwrap_err()
    };
    shim.tell("slow-key");
    // The second waits behind the first, and is given up before it begins.
    let (first, second) = std::thread::scope(|scope| {
        let first = scope.spawn(|| generate("first"));
        std::thread::sleep(Duration::from_millis(300));
        let second = generate("second");
        (first.join().unwrap(), second)
    });
    tells(
        &first,
        "generate a key has not come back within 1s; what it makes is removed",
    );
    tells(&second, "nothing was done to generate a key");
    // From then on nobody waits.
    for _ in 0..1000 {
        tells(
            &generate("more"),
            "the token hangs: a call of the module to generate a key",
        );
    }
    let act = provider.acts.run(Operation::List, |_| Ok(()));
    tells(&act.unwrap_err(), "the token hangs");
    sign(&provider, &key, 1).unwrap();
    shim.tell("");
    // What came late is removed: only the key that has a record is there.
    let mut left = usize::MAX;
    for _ in 0..100 {
        let template = [Attribute::Class(ObjectClass::PRIVATE_KEY)];
        let count = move |session: &Session| Ok(session.find_objects(&template)?.len());
        if let Ok(count) = provider.acts.run(Operation::List, count) {
            left = count;
            break;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    assert_eq!(left, 1, "private keys in the token");
    assert_eq!(provider.list_keys().unwrap().len(), 1);
    conformance::generate(&provider, "again", Algorithm::Ed25519);
}

#[test]
fn a_module_that_hangs_while_it_starts_anew_is_an_error_for_each_of_its_tokens() {
    let (shim, folder) = (Shim::take(), tempfile::tempdir().unwrap());
    let (at_x, at_y) = two(folder.path(), &shim);
    let (x, y) = (
        Pkcs11Provider::open(&at_x, &arena(8)).unwrap(),
        Pkcs11Provider::open(&at_y, &arena(8)).unwrap(),
    );
    let key_x = conformance::generate(&x, "x", Algorithm::Ed25519);
    let key_y = conformance::generate(&y, "y", Algorithm::Ed25519);
    sign(&y, &key_y, 1).unwrap();
    shim.tell("lost no-init");
    assert!(sign(&x, &key_x, 1).is_err());
    // Its deadline is over, or it has heard of it: each says what it is.
    let mut height = 2;
    let told = std::iter::repeat_with(|| {
        height += 1;
        sign(&y, &key_y, height).unwrap_err()
    });
    let named = told
        .take(50)
        .find(|error| error.to_string().contains("C_Initialize"));
    tells(&named.unwrap(), "C_Initialize has not come back");
    let again = Arc::new(Mutex::new(None));
    let result = Arc::clone(&again);
    assert!(ends(move || {
        *result.lock().unwrap() = Pkcs11Provider::open(&at_y, &arena(8)).err();
    }));
    let error = again.lock().unwrap().take().unwrap();
    tells(&error, "C_Initialize has not come back");
    shim.tell("");
    assert!(signs_again(&x, &key_x, 100));
    assert!(signs_again(&y, &key_y, 100));
}

#[test]
fn a_module_is_not_begun_again_before_its_end_is_over() {
    let shim = Shim::take();
    // Of the tests before this one.
    while !Place::of(&shim.module.canonicalize().unwrap()).is_empty() {
        std::thread::sleep(Duration::from_millis(20));
    }
    let module = Module::load(&shim.module).unwrap();
    shim.tell("no-end");
    assert!(
        ends(move || drop(module)),
        "C_Finalize hangs, and so does the last user"
    );
    let path = shim.module.clone();
    let next = std::thread::spawn(move || Module::load(&path));
    std::thread::sleep(Duration::from_millis(500));
    assert!(!next.is_finished(), "it is ending still");
    shim.tell("");
    let module = next.join().unwrap().unwrap();
    let entered = module.enter().unwrap();
    entered.context().get_slots_with_token().unwrap();
}

#[test]
fn a_slot_that_does_not_answer_is_nothing_to_the_token_in_another_one() {
    let (shim, folder) = (Shim::take(), tempfile::tempdir().unwrap());
    let (at_x, at_y) = two(folder.path(), &shim);
    let x = Pkcs11Provider::open(&at_x, &arena(8)).unwrap();
    let key = conformance::generate(&x, "x", Algorithm::Ed25519);
    shim.tell(&format!("stall={}", label(&at_y)));
    let client = Arc::clone(&x.client);
    assert!(
        ends(move || {
            for _ in 0..5 {
                client.look(|_, _| Ok(())).unwrap();
                let (live, _) = client.connect(Access::Read, Tries::Spare).unwrap();
                client.close(live);
            }
        }),
        "C_GetTokenInfo of another slot hangs, and so do looking and connecting"
    );
    sign(&x, &key, 1).unwrap();
    shim.tell("");
}
