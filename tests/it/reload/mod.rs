//! Reloads: a changed configuration is taken over while every connection that it does not concern signs on, or refused whole.

mod limits;
mod load;
mod nodes;
mod ready;
mod rebind;
mod refused;
mod stage;
mod storm;
