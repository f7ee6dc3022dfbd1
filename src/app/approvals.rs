//! Twice a minute: requests for approval whose time is over end, and that is put on record whether or not anybody looks.

use std::sync::Arc;
use std::time::Duration;

use crate::admin::Admin;
use crate::shutdown::Shutdown;

const PERIOD: Duration = Duration::from_secs(30);

/// Ends what has expired, until the end of the daemon.
pub(super) async fn watch(admin: Arc<Admin>, shutdown: Shutdown) {
    while !shutdown.has_begun() {
        // A store that fails says so itself, loudly; what has expired is refused whether or not it is on record.
        if let Err(error) = admin.end_expired_approvals().await {
            tracing::debug!("requests for approval that have expired are not on record yet: {error}");
        }
        tokio::select! {
            () = shutdown.begun() => {}
            () = tokio::time::sleep(PERIOD) => {}
        }
    }
}
