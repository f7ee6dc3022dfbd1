//! A body in JSON, for each procedure: a message that comes back as the same JSON and the same message, or a sentence of why not.
#![no_main]

use std::sync::LazyLock;

use sigward::listener::json::Methods;

static METHODS: LazyLock<Methods> = LazyLock::new(Methods::new);

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    // The first byte says which; all of them together would be slow.
    let Some((which, json)) = bytes.split_first() else {
        return;
    };
    let paths: Vec<_> = METHODS.paths().collect();
    let method = METHODS.of_path(paths[usize::from(*which) % paths.len()]).unwrap();
    match method.request(json) {
        Ok(message) => {
            let back = method.request_in_json(&message).unwrap();
            assert_eq!(method.request(&back).unwrap(), message);
            // Small things stay small: the most is a negative number, of ten bytes.
            assert!(message.len() <= 4 * json.len() + 16);
        }
        Err(why) => {
            assert!(why.len() < 2048 && !why.contains(|c: char| c.is_control()), "{why}");
            // No word of a body stands in an answer, but those that stand there of every body.
            let always = method.request(b"{\"?\":0}").unwrap_err();
            for word in json.split(|byte| !byte.is_ascii_alphanumeric()).filter(|word| word.len() > 24) {
                let word = std::str::from_utf8(word).unwrap();
                assert!(always.contains(word) || !why.contains(word), "{word} in {why}");
            }
        }
    }
    // What is no message is no answer either.
    if let Ok(answer) = method.answer(json) {
        assert!(serde_json::from_slice::<serde_json::Value>(&answer).is_ok());
    }
    let _message = method.request_in_json(json);
});
