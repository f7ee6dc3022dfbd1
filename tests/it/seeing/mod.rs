//! What operators see: metrics, the dashboard and the alerts that are shipped, `status` and `top`.

mod document;
mod prometheus;
mod queries;
mod shipped;
mod stage;
mod status;
mod top;
