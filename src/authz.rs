//! Which rules are in force. A request takes a snapshot when it is received; a reload replaces the whole edition at once.

mod admitted;
mod calls;
mod judge;
mod policies;

pub use admitted::{About, Admitted, Denial, Judged, MayAct, MayOnce, Sight};
pub use calls::{Call, tick};
pub use policies::{InForce, Mode, Policies};

use std::sync::{Arc, PoisonError, RwLock};

use sigward_policies::authz::{NodeGrant, Rules};
use sigward_policies::decision::{Refusal, RefusalCode};
use sigward_policies::model::caller::Caller;
use sigward_policies::model::id::Generation;

/// The rules in force.
#[derive(Debug)]
pub struct Authorizer {
    rules: RwLock<Arc<Rules>>,
}

impl Authorizer {
    /// The first edition.
    pub fn new(grants: impl IntoIterator<Item = NodeGrant>) -> Self {
        Self {
            rules: RwLock::new(Arc::new(Rules::new(Generation(1), grants))),
        }
    }

    /// The edition in force now.
    pub fn snapshot(&self) -> Arc<Rules> {
        self.rules.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Puts the next edition in force for every request received from now on.
    pub fn replace(&self, grants: impl IntoIterator<Item = NodeGrant>) {
        let mut rules = self.rules.write().unwrap_or_else(PoisonError::into_inner);
        let next = Generation(rules.generation().0.saturating_add(1));
        *rules = Arc::new(Rules::new(next, grants));
    }
}

/// What every holder of a client certificate, and everybody an issuer of tokens vouches for, may ask for: whether sigward is well.
const OF_EVERYBODY: [&str; 4] = [
    "/grpc.health.v1.Health/Check",
    "/grpc.health.v1.Health/List",
    "/grpc.health.v1.Health/Watch",
    "/sigward.v1.StatusService/Get",
];

/// What may be called without a policy document: the administrator of this machine may everything, and a certificate says who somebody
/// is, and nothing more; nor does a token.
pub(crate) fn built_in(caller: &Caller, path: &str) -> Result<(), Refusal> {
    let allowed = match caller {
        Caller::LocalUser { .. } | Caller::Service => true,
        Caller::Certificate { .. } | Caller::Token { .. } => OF_EVERYBODY.contains(&path),
        Caller::Node { .. } => false,
    };
    if allowed {
        Ok(())
    } else {
        Err(not_permitted(caller))
    }
}

fn not_permitted(caller: &Caller) -> Refusal {
    Refusal::new(
        RefusalCode::NotPermitted,
        format!("{caller} may not call this; no rule allows it"),
    )
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use sigward_policies::model::caller::SubjectName;

    use super::*;

    #[test]
    fn a_certificate_alone_lets_nobody_do_anything() {
        let name = SubjectName::dns("admin").unwrap();
        let somebody = Caller::Certificate { name };
        for path in OF_EVERYBODY {
            assert!(built_in(&somebody, path).is_ok(), "{path}");
            assert!(built_in(&somebody, &format!("{path}/")).is_err(), "{path}");
            assert!(built_in(&somebody, &path.to_uppercase()).is_err(), "{path}");
        }
        for path in [
            "",
            "/",
            "/sigward.v1.KeyService/List",
            "/sigward.v1.StatusService/Put",
            "sigward.v1.StatusService/Get",
        ] {
            assert!(built_in(&somebody, path).is_err(), "{path}");
            assert!(built_in(&Caller::LocalUser { uid: 0 }, path).is_ok(), "{path}");
        }
    }
}
