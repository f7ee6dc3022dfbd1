//! The door for clients on other machines, met by real clients: curl, grpcurl, openssl and `sigward --server`; by clients without a
//! certificate and with a bad one; by certificates that change under load; and by floods.

pub(crate) mod approvals;
mod calls;
mod clients;
mod floods;
mod frames;
mod held_open;
mod matrix;
mod pki;
mod reload;
mod remote;
mod rules;
mod stage;
mod telling;
mod traces;
mod untaken;
