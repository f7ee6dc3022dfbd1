//! The vocabulary: identifiers, algorithms, what is asked to be signed, and who asks. Values of these types are valid by
//! construction; parsing happens once, at the edge.

pub mod algorithm;
pub mod authentication;
pub mod bearer;
pub mod caller;
pub mod id;
pub mod key;
pub mod operation;
pub mod parse;
pub mod payload;
pub mod sign_bytes;
pub mod suggest;
pub mod text;
pub mod trace;
