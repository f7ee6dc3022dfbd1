//! What of the state of affairs a caller is shown: chains that it may see, their checks, and of all others that something is wrong.

use sigward_policies::model::id::{ChainId, KeyName};
use sigward_proto::v1::{ChainStatus, CheckStatus};

use crate::admin::Register;
use crate::authz::{About, Sight};

/// Takes away what is not to be seen.
pub(super) fn retain(
    sight: &Sight,
    register: &Register,
    chains: &mut Vec<ChainStatus>,
    checks: &mut Vec<CheckStatus>,
) {
    chains.retain(|chain| is_seen(sight, register, chain));
    only_of(chains, checks);
    if !sight.sees(&About::default()) {
        checks.iter_mut().for_each(without_names);
    }
}

/// Whether a chain with its key may be shown.
fn is_seen(sight: &Sight, register: &Register, status: &ChainStatus) -> bool {
    let (Ok(chain), Ok(key)) = (ChainId::new(&status.chain_id), KeyName::new(&status.key)) else {
        return false;
    };
    sight.sees(&About::key_on(register.facts_of(&key), chain))
}

/// Checks of chains that are not shown are not shown.
fn only_of(chains: &[ChainStatus], checks: &mut Vec<CheckStatus>) {
    let shown = |id: &str| chains.iter().any(|chain| chain.chain_id == id);
    checks.retain(|check| match check.name.split_once('/') {
        Some(("chain" | "nodes", chain)) => shown(chain),
        // A chain id may hold a slash; a node's name holds none.
        Some(("node", rest)) => rest.rsplit_once('/').is_some_and(|(chain, _)| shown(chain)),
        _ => true,
    });
}

/// That something is wrong is told to everybody who may ask; what it is may name keys.
fn without_names(check: &mut CheckStatus) {
    if check.name.contains('/') && !check.name.starts_with("provider/") || check.failing.is_empty() {
        return;
    }
    check.failing = "those who see every chain are told why".to_owned();
    check.remedy.clear();
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(name: &str) -> CheckStatus {
        CheckStatus {
            name: name.to_owned(),
            failing: "validator-9 is gone".to_owned(),
            remedy: "look for validator-9".to_owned(),
            required: true,
        }
    }

    #[test]
    fn checks_of_other_chains_are_not_shown() {
        let chains = ["a", "a/b-1"].map(|id| ChainStatus {
            chain_id: id.to_owned(),
            ..ChainStatus::default()
        });
        let kept = |chains: &[ChainStatus]| {
            let names = [
                "chain/a",
                "chain/a/b-1",
                "node/a/n",
                "node/a/b-1/n",
                "nodes/a/b-1",
                "nodes/c",
                "store",
            ];
            let mut checks: Vec<_> = names.map(check).into();
            only_of(chains, &mut checks);
            checks.into_iter().map(|check| check.name).collect::<Vec<_>>()
        };
        assert_eq!(kept(&chains[..1]), ["chain/a", "node/a/n", "store"]);
        assert_eq!(
            kept(&chains[1..]),
            ["chain/a/b-1", "node/a/b-1/n", "nodes/a/b-1", "store"]
        );
        assert_eq!(kept(&[]), ["store"]);
    }

    #[test]
    fn what_is_wrong_elsewhere_is_told_without_names() {
        for (name, told) in [
            ("store", false),
            ("provider/hsm", false),
            ("chain/a", true),
            ("node/a/n", true),
        ] {
            let mut one = check(name);
            without_names(&mut one);
            assert_eq!(one.failing.contains("validator-9"), told, "{name}");
            assert!(!one.failing.is_empty(), "{name} still fails");
        }
    }
}
