//! The guard's settings of a chain, as they are now. A reload may tighten them; no connection ends for it.
//!
//! *Invariant:* they never become laxer while sigward runs (`Limits` in `policies/double_sign`): whatever asks for that is met half-way,
//! at the stricter of the two.

use std::sync::{Arc, PoisonError, RwLock};

use sigward_policies::double_sign::Limits;

/// One chain's settings, shared by its connections. A request takes a snapshot when it is received.
#[derive(Clone, Debug)]
pub struct LiveLimits(Arc<RwLock<Limits>>);

impl LiveLimits {
    /// Those that the chain begins with.
    pub fn new(limits: Limits) -> Self {
        Self(Arc::new(RwLock::new(limits)))
    }

    /// Those in force now.
    pub fn now(&self) -> Limits {
        *self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts `limits` in force for every request from now on, where they are stricter.
    pub fn tighten(&self, limits: Limits) {
        let mut now = self.0.write().unwrap_or_else(PoisonError::into_inner);
        *now = Limits {
            height_jump: now.height_jump.min(limits.height_jump),
            heights_per_second: now.heights_per_second.min(limits.heights_per_second),
            round_jump: now.round_jump.min(limits.round_jump),
            strict_extensions: now.strict_extensions || limits.strict_extensions,
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_becomes_laxer() {
        let begun = Limits {
            height_jump: 10,
            heights_per_second: 20,
            round_jump: 30,
            strict_extensions: true,
        };
        let asked = Limits {
            height_jump: 9,
            heights_per_second: 21,
            round_jump: 29,
            strict_extensions: false,
        };
        let limits = LiveLimits::new(begun);
        limits.clone().tighten(asked);
        let met = Limits {
            heights_per_second: 20,
            strict_extensions: true,
            ..asked
        };
        assert_eq!(limits.now(), met);
    }
}
