//! What each kind of act is about, as questions; and what is told of what may not be used.

use sigward_policies::model::algorithm::Algorithm;

use super::*;

fn name(text: &str) -> KeyName {
    KeyName::new(text).unwrap()
}

fn chain(text: &str) -> ChainId {
    ChainId::new(text).unwrap()
}

fn public_key(byte: u8) -> PublicKey {
    PublicKey::new(Algorithm::Ed25519, &[byte; 32]).unwrap()
}

/// `a` signs on `one` and `two`, `b` on `two`; both are in a token. The configuration gives `two` to `b`, and `three` to a key that is
/// not there.
fn register() -> Register {
    let known = |key: &str, byte, chains: &[&str]| Known {
        facts: KeyFacts {
            name: name(key),
            public_key: Some(public_key(byte)),
            provider: Some("hsm".into()),
        },
        chains: chains.iter().map(|id| chain(id)).collect(),
    };
    Register::of(
        [known("a", 1, &["one", "two"]), known("b", 2, &["two"])],
        vec![(chain("two"), name("b")), (chain("three"), name("c"))],
    )
}

/// `key@chain`, `-` for none; a key that is only named in parentheses.
fn shown(target: &Target<'_>) -> Vec<String> {
    let abouts = target.about(&register()).map_err(|refusal| refusal.code.as_str());
    let key = |about: &About| match &about.key {
        None => "-".to_owned(),
        Some(key) if key.public_key.is_none() => format!("({})", key.name),
        Some(key) => key.name.to_string(),
    };
    let on = |about: &About| about.chain.as_ref().map_or("-".to_owned(), ToString::to_string);
    match abouts {
        Ok(abouts) => abouts
            .iter()
            .map(|about| format!("{}@{}", key(about), on(about)))
            .collect(),
        Err(code) => vec![code.to_owned()],
    }
}

#[test]
fn an_act_is_about_every_key_and_chain_that_it_touches() {
    let names = |texts: &[&str]| -> Vec<KeyName> { texts.iter().map(|text| name(text)).collect() };
    let (a, b, c, z) = (name("a"), name("b"), name("c"), name("z"));
    let returning = |key: &str, byte, chains: &[&str]| Returning {
        facts: to_be(&name(key), "software", Some(public_key(byte))),
        chains: chains.iter().map(|id| chain(id)).collect(),
    };
    let (one, two, nine) = (chain("one"), chain("two"), chain("nine"));
    let three = chain("three");
    for (target, wanted) in [
        (Target::Nothing, "-@-"),
        (Target::Everything, "-@- a@- a@one a@two b@- b@two"),
        (Target::Keys(&names(&["a", "b"])), "a@- a@one a@two b@- b@two"),
        (Target::Keys(&names(&["a", "z"])), "key_not_found"),
        (Target::PublicKeys(&[public_key(2)]), "b@- b@two"),
        (
            Target::PublicKeys(&[public_key(2), public_key(9)]),
            "key_not_found",
        ),
        // A chain that it has nothing on yet is where it may get something.
        (Target::KeyOn(&a, &[&one, &nine]), "a@one a@nine"),
        (Target::KeyOn(&z, &[&one]), "key_not_found"),
        (Target::NewKey(to_be(&z, "hsm", None), &[]), "(z)@-"),
        (Target::NewKey(to_be(&z, "hsm", None), &[&one]), "(z)@one"),
        (Target::NewKey(to_be(&a, "hsm", None), &[]), "(a)@-"),
        // It will be asked to sign there as soon as it is here.
        (Target::NewKey(to_be(&c, "hsm", None), &[]), "(c)@three"),
        (
            Target::NewKey(to_be(&c, "hsm", Some(public_key(7))), &[&one]),
            "c@one c@three",
        ),
        (
            Target::Restored(&[returning("z", 7, &["one"]), returning("c", 8, &["nine"])]),
            "z@one z@- c@nine c@three c@-",
        ),
        (Target::KeyOrNew(to_be(&z, "software", None)), "(z)@-"),
        (Target::KeyOrNew(to_be(&c, "software", None)), "(c)@three (c)@-"),
        // A key of ours that comes back under another name is still that key.
        (
            Target::KeyOrNew(to_be(&z, "software", Some(public_key(2)))),
            "b@- b@two z@-",
        ),
        (Target::KeyOrNew(to_be(&b, "software", None)), "b@- b@two"),
        (Target::Chain(&two), "-@two a@two b@two"),
        (Target::Chain(&three), "-@three"),
        (Target::Chain(&nine), "no_sign_state"),
        (Target::NodesOf(&two), "b@two"),
        (Target::NodesOf(&three), "(c)@three"),
        (Target::NodesOf(&nine), "-@nine"),
        (Target::Provider("hsm"), "a@- a@one a@two b@- b@two"),
        (Target::Provider("software"), "-@-"),
    ] {
        assert_eq!(shown(&target).join(" "), wanted, "{target:?}");
    }
}

#[test]
fn what_is_not_there_and_what_may_not_be_used_are_told_alike() {
    let denied = || Refusal::new(RefusalCode::NotPermitted, "rule secret denies it");
    let (z, nine) = (name("z"), chain("nine"));
    let (one, several) = ([name("z")], [name("a"), name("z")]);
    for target in [
        Target::Keys(&one),
        Target::Keys(&several),
        Target::PublicKeys(&[public_key(9)]),
        Target::KeyOn(&z, &[&nine]),
        Target::Chain(&nine),
    ] {
        assert_eq!(
            target.about(&register()).unwrap_err(),
            target.told(denied()),
            "{target:?}"
        );
    }
    for target in [
        Target::KeyOrNew(to_be(&z, "software", None)),
        Target::NodesOf(&nine),
    ] {
        assert!(!target.told(denied()).message.contains("secret"), "{target:?}");
    }
    // Which of them it is would tell that the others are there.
    let there = Target::Keys(&several).told(denied());
    assert!(!there.message.contains('z'), "{there}");
    // What a caller can do something about is told as it is.
    let often = Refusal::new(RefusalCode::RateLimited, "ask again");
    assert_eq!(Target::Keys(&one).told(often.clone()), often);
}
