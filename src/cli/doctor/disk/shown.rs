//! Measures with a bar, as syncs of a slow disk take seconds.

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::Facts;
use crate::cli::output::Output;
use crate::config::Config;

/// Gathers, and shows how far it is.
pub(in crate::cli::doctor) fn show_and_gather(config: &Config, daemon: bool, output: &Output) -> Facts {
    let target = if output.is_json() {
        ProgressDrawTarget::hidden()
    } else {
        ProgressDrawTarget::stderr()
    };
    let bar = ProgressBar::with_draw_target(Some(100), target);
    if let Ok(style) = ProgressStyle::with_template("  syncing the disk {bar:30} {percent}%") {
        bar.set_style(style);
    }
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a percentage"
    )]
    let facts = super::gather(&config.store, daemon, &|part| {
        bar.set_position((part * 100.0) as u64)
    });
    bar.finish_and_clear();
    facts
}
