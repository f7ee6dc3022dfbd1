//! Ctrl-C and its like: noted, so that the demo can end in order.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::signal::unix::{SignalKind, signal};

/// Whether somebody asked the demo to end.
#[derive(Clone, Debug)]
pub(super) struct Interrupt(Arc<AtomicBool>);

impl Interrupt {
    /// From here on SIGINT, SIGTERM and SIGHUP are noted instead of ending the process.
    pub(super) fn listen() -> std::io::Result<Self> {
        let noted = Self(Arc::new(AtomicBool::new(false)));
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_io()
            .build()?;
        let streams = {
            let _inside = runtime.enter();
            (
                signal(SignalKind::interrupt())?,
                signal(SignalKind::terminate())?,
                signal(SignalKind::hangup())?,
            )
        };
        let flag = noted.clone();
        std::thread::Builder::new().name("interrupt".to_owned()).spawn(move || {
            let (mut interrupt, mut terminate, mut hangup) = streams;
            runtime.block_on(async {
                tokio::select! { _ = interrupt.recv() => {}, _ = terminate.recv() => {}, _ = hangup.recv() => {} }
            });
            flag.0.store(true, Ordering::Relaxed);
        })?;
        Ok(noted)
    }

    /// Whether one came.
    pub(super) fn came(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    /// An error if one came.
    pub(super) fn check(&self) -> anyhow::Result<()> {
        anyhow::ensure!(!self.came(), "interrupted");
        Ok(())
    }
}
