//! Listeners [7]: bytes from outside become calls of the layers below, and answers become bytes again.

pub mod http;
