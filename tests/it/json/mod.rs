//! Procedures by HTTP/JSON, with what such clients use: curl with a certificate, with a token, and on loopback without TLS; the same
//! call by grpcurl says the same; and those who try to come in by the plain door, or to break what reads their JSON.

mod attacks;
mod calls;
mod stage;
mod unknown;
