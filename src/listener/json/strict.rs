//! JSON, read more closely than RFC 8259 and proto3 ask for: no field twice in an object, in either of its two spellings, so that
//! whoever looked at a request before us saw what we see. Nesting is bounded by serde_json (128 levels).

use std::collections::HashSet;
use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};

/// What is said of a field that is there twice.
pub(super) const TWICE: &str = "a field that is there twice";

/// Reads all of `json`, and keeps nothing of it.
pub(super) fn look(json: &[u8]) -> Result<(), serde_json::Error> {
    let mut reader = serde_json::Deserializer::from_slice(json);
    reader.deserialize_map(Object)?;
    reader.end()
}

/// A message: an object, whatever is in it.
struct Object;

impl<'de> Visitor<'de> for Object {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<(), A::Error> {
        fields(map)
    }
}

/// Any value.
struct Looked;

impl<'de> Deserialize<'de> for Looked {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Anything)
    }
}

struct Anything;

impl<'de> Visitor<'de> for Anything {
    type Value = Looked;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E>(self) -> Result<Looked, E> {
        Ok(Looked)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Looked, E> {
        Ok(Looked)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Looked, E> {
        Ok(Looked)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Looked, E> {
        Ok(Looked)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Looked, E> {
        Ok(Looked)
    }

    fn visit_str<E>(self, _: &str) -> Result<Looked, E> {
        Ok(Looked)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Looked, A::Error> {
        while list.next_element::<Looked>()?.is_some() {}
        Ok(Looked)
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Looked, A::Error> {
        fields(map).map(|()| Looked)
    }
}

fn fields<'de, A: MapAccess<'de>>(mut map: A) -> Result<(), A::Error> {
    let mut seen = HashSet::new();
    while let Some(name) = map.next_key::<String>()? {
        if !seen.insert(one_spelling(name)) {
            return Err(A::Error::custom(TWICE));
        }
        let _value: Looked = map.next_value()?;
    }
    Ok(())
}

/// `chain_id` and `chainId` are one field.
fn one_spelling(mut name: String) -> String {
    name.retain(|c| c != '_');
    name.make_ascii_lowercase();
    name
}
