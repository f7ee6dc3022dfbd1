//! sigward.toml.
#![no_main]

use std::path::Path;

libfuzzer_sys::fuzz_target!(|text: &str| {
    if let Err(error) = sigward::config::parse(text, Path::new("/srv/sigward")) {
        assert!(!error.to_string().is_empty());
    }
});
