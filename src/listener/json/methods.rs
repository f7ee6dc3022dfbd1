//! What can be called, by its path, and its messages in both spellings. Pure: bytes in, bytes out.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use prost::Message as _;
use prost_reflect::{
    DescriptorPool, DeserializeOptions, DynamicMessage, MessageDescriptor, SerializeOptions,
};
use serde_json::error::Category;

use super::strict;

/// Every procedure of `sigward.v1`, and health.
#[derive(Debug)]
pub struct Methods(BTreeMap<String, Method>);

/// One procedure.
#[derive(Clone, Debug)]
pub struct Method {
    input: MessageDescriptor,
    output: MessageDescriptor,
    /// Whether it answers, or is asked, by more than one message.
    pub(super) streams: bool,
}

impl Methods {
    /// Reads the descriptors that were compiled in.
    pub fn new() -> Self {
        let mut methods = BTreeMap::new();
        for set in [
            sigward_proto::FILE_DESCRIPTOR_SET,
            tonic_health::pb::FILE_DESCRIPTOR_SET,
        ] {
            match DescriptorPool::decode(set) {
                Ok(pool) => methods.extend(of_pool(&pool)),
                // A test reads both: this is for a build that nobody tested.
                Err(error) => tracing::error!(alarm = true, %error, "json: the descriptors do not read"),
            }
        }
        Self(methods)
    }

    /// The procedure of a path.
    pub fn of_path(&self, path: &str) -> Option<&Method> {
        self.0.get(path)
    }

    /// The paths of all of them, in order.
    pub fn paths(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }
}

impl Default for Methods {
    fn default() -> Self {
        Self::new()
    }
}

fn of_pool(pool: &DescriptorPool) -> Vec<(String, Method)> {
    let methods = pool.services().flat_map(|service| {
        let of = service.full_name().to_owned();
        let methods: Vec<_> = service.methods().collect();
        methods.into_iter().map(move |method| {
            let path = format!("/{of}/{}", method.name());
            let method = Method {
                input: method.input(),
                output: method.output(),
                streams: method.is_server_streaming() || method.is_client_streaming(),
            };
            (path, method)
        })
    });
    methods.collect()
}

impl Method {
    /// A request in JSON, as the message that gRPC would carry.
    ///
    /// # Errors
    /// What is wrong, and where; nothing of what stands there.
    pub fn request(&self, json: &[u8]) -> Result<Vec<u8>, String> {
        message(&self.input, json)
    }

    /// An answer's message, in JSON. Fields that hold their default are there too: scripts need not know what that is.
    ///
    /// # Errors
    /// The message is none of this procedure's.
    pub fn answer(&self, message: &[u8]) -> Result<Vec<u8>, String> {
        json(&self.output, message)
    }

    /// The JSON of a request's message: the way back, for those who try both.
    ///
    /// # Errors
    /// The message is none of this procedure's.
    pub fn request_in_json(&self, message: &[u8]) -> Result<Vec<u8>, String> {
        json(&self.input, message)
    }
}

fn json(descriptor: &MessageDescriptor, message: &[u8]) -> Result<Vec<u8>, String> {
    let message = DynamicMessage::decode(descriptor.clone(), message).map_err(|error| error.to_string())?;
    let mut json = Vec::new();
    let options = SerializeOptions::new().skip_default_fields(false);
    message
        .serialize_with_options(&mut serde_json::Serializer::new(&mut json), &options)
        .map_err(|error| error.to_string())?;
    json.push(b'\n');
    Ok(json)
}

fn message(descriptor: &MessageDescriptor, json: &[u8]) -> Result<Vec<u8>, String> {
    if json.trim_ascii().is_empty() {
        return Err("there is no body: a message without fields is {}".to_owned());
    }
    strict::look(json).map_err(|error| told(&error, descriptor))?;
    let mut reader = serde_json::Deserializer::from_slice(json);
    let options = DeserializeOptions::new().deny_unknown_fields(true);
    let message = DynamicMessage::deserialize_with_options(descriptor.clone(), &mut reader, &options)
        .and_then(|message| reader.end().map(|()| message))
        .map_err(|error| told(&error, descriptor))?;
    Ok(message.encode_to_vec())
}

/// What is wrong with a body, without a word of it: it may hold what nobody else should read, and answers end up in logs.
fn told(error: &serde_json::Error, descriptor: &MessageDescriptor) -> String {
    let said = error.to_string();
    let place = format!(" at line {} column {}", error.line(), error.column());
    let why = said.strip_suffix(place.as_str()).unwrap_or(&said);
    let mut told = match error.classify() {
        // These sentences are serde_json's own, and quote nothing.
        Category::Syntax | Category::Eof => why.to_owned(),
        Category::Io => "it cannot be read".to_owned(),
        Category::Data if why == strict::TWICE => why.to_owned(),
        Category::Data if why.starts_with("unrecognized field name") => {
            let names: Vec<_> = descriptor
                .fields()
                .map(|field| field.json_name().to_owned())
                .collect();
            match names.as_slice() {
                [] => format!("a field that is not there; {} has none", descriptor.full_name()),
                names => format!(
                    "a field that is not there; {} has {}",
                    descriptor.full_name(),
                    names.join(", ")
                ),
            }
        }
        Category::Data if why.starts_with("unrecognized enum value") => {
            "a word that the enum does not have".to_owned()
        }
        Category::Data if why.starts_with("invalid base64") => "a value that is no base64".to_owned(),
        Category::Data if why.starts_with("multiple fields provided for oneof") => {
            "a second field where only one of several may be".to_owned()
        }
        // "invalid type: WHAT STANDS THERE, expected WHAT SHOULD": the last word of it is the reader's own.
        Category::Data if why.starts_with("invalid type: ") || why.starts_with("invalid value: ") => {
            match why.rsplit_once(", expected ") {
                Some((_, expected)) => format!("another value than {expected}"),
                None => "a value that does not fit".to_owned(),
            }
        }
        Category::Data => "a value that does not fit".to_owned(),
    };
    if error.line() > 0 {
        let _written = write!(told, ", at line {} column {}", error.line(), error.column());
    }
    told
}
