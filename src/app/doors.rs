//! Where clients of other machines are served: a runtime of its own, on threads that give way to those that sign.
//!
//! On the runtime of the nodes, a vote would wait behind whatever handshake or request is being worked at, and a flood of them would be
//! given as much of the processors as the votes are.
//!
//! *Invariant:* no link to a node is ever started here, whoever asks for a reload (`Supervisor` starts them on its own runtime), and
//! nothing here holds the store's writer (`store/sqlite/shared`).

use tokio::runtime::{Builder, Runtime};

use crate::backstage;

/// Makes it.
pub(super) fn runtime() -> std::io::Result<Runtime> {
    Builder::new_multi_thread()
        .worker_threads(std::thread::available_parallelism().map_or(1, |cores| cores.get().clamp(1, 4)))
        .max_blocking_threads(64)
        .thread_name("doors")
        .on_thread_start(backstage::give_way)
        .enable_all()
        .build()
}
