//! What can be asked. An operation is typed: nothing signs "bytes", and a rule names acts, not routes.
//!
//! The names are those of the audit chain, so that a rule and the record of what it let happen speak one language.

use std::fmt;

use super::payload::Step;

/// One line an operation: everything that follows from the list is made here.
macro_rules! operations {
    ($($(#[$doc:meta])* $name:ident = $text:literal,)*) => {
        /// An operation, as rules, records and metrics name it.
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
        pub enum Operation {
            $($(#[$doc])* $name,)*
        }

        impl Operation {
            /// Every operation.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// The name in rules and records.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$name => $text,)*
                }
            }
        }
    };
}

operations! {
    /// Sign a proposal.
    SignProposal = "sign.cometbft.proposal",
    /// Sign a prevote.
    SignPrevote = "sign.cometbft.prevote",
    /// Sign a precommit, and its extension.
    SignPrecommit = "sign.cometbft.precommit",
    /// Multiply a BN254 point: a signature over whatever the point stands for.
    SignBn254 = "sign.bn254",
    /// Sign bytes that nobody here can read.
    SignRaw = "sign.raw",

    /// See which keys there are.
    KeyList = "key.list",
    /// See one key.
    KeyShow = "key.show",
    /// Make a key.
    KeyCreate = "key.create",
    /// Bring a key in.
    KeyImport = "key.import",
    /// Take over a sealed key of another store.
    KeyAdopt = "key.adopt",
    /// Give a key to a chain.
    KeyBind = "key.bind",
    /// Make the next version of a key.
    KeyRotate = "key.rotate",
    /// Have a version sign from now on.
    KeyActivate = "key.activate",
    /// Have a version sign no more; it can come back.
    KeyDisable = "key.disable",
    /// Destroy a version for ever.
    KeyDestroy = "key.destroy",
    /// Let a private key out.
    KeyExport = "key.export",
    /// Write keys into a bundle, under a passphrase or for a recipient that the caller chooses.
    KeyBackup = "key.backup",
    /// Bring keys back from a bundle.
    KeyRestore = "key.restore",

    /// See the tokens.
    ProviderList = "provider.list",
    /// Log in to a token once more.
    ProviderLogin = "provider.login",
    /// See what opens the sealed keys.
    SealShow = "seal.show",
    /// Have something else open them.
    SealMove = "seal.move",
    /// Seal them anew under the same.
    SealRewrap = "seal.rewrap",
    /// Destroy wrapping keys of a token that no file of the home names.
    SealPrune = "seal.prune",

    /// See watermarks.
    StateShow = "state.show",
    /// Begin a state for a key on a chain.
    StateInit = "state.init",
    /// Raise a state to what another signer knows.
    StateImport = "state.import",
    /// Take a state out; the key stops here.
    StateExport = "state.export",
    /// Let a height jump further than the guard would.
    StateAllow = "state.allow",
    /// Take that back.
    StateDisallow = "state.allow.withdraw",
    /// A chain has another id from now on.
    StateRebind = "state.rebind",

    /// See nodes and their connections.
    NodeList = "node.list",
    /// Leave a node alone.
    NodeDrain = "node.drain",
    /// Dial it again.
    NodeUndrain = "node.undrain",

    /// See what is held back.
    HoldList = "hold.list",
    /// Sign nothing any more, in some scope.
    Freeze = "freeze",
    /// Lift that.
    Unfreeze = "unfreeze",
    /// Sign nothing at or above a height.
    StopLineSet = "stop_line.set",
    /// Lift that.
    StopLineClear = "stop_line.clear",

    /// Take over the configuration and the policy as the files say now.
    ConfigReload = "config.reload",
    /// See how the signer is.
    StatusRead = "status.read",
    /// Hear who one is to this sigward. Everybody may.
    WhoAmI = "whoami",

    /// See which API keys there are.
    ApiKeyList = "api_key.list",
    /// Make one: something that signs by itself from then on.
    ApiKeyCreate = "api_key.create",
    /// Have one count no more.
    ApiKeyRevoke = "api_key.revoke",

    /// Read the audit chain.
    AuditRead = "audit.read",
    /// Verify it.
    AuditVerify = "audit.verify",
    /// Take it out.
    AuditExport = "audit.export",
    /// Sign a checkpoint and write a segment before they are due.
    AuditKeep = "audit.keep",

    /// Have a policy checked.
    PolicyCheck = "policy.check",
    /// Have it said what a policy would answer.
    PolicyExplain = "policy.explain",
    /// Put another policy in force.
    PolicyWrite = "policy.write",

    /// See what waits for approval.
    ApprovalList = "approval.list",
    /// Ask for approval.
    ApprovalRequest = "approval.request",
    /// Say yes to what somebody else asked.
    ApprovalApprove = "approval.approve",
    /// Say no to it.
    ApprovalReject = "approval.reject",

    /// See which pod holds which key.
    AllocationList = "allocation.list",
    /// Get keys.
    AllocationAllocate = "allocation.allocate",
    /// Keep them.
    AllocationRenew = "allocation.renew",
    /// Give them back.
    AllocationRelease = "allocation.release",
}

impl Operation {
    /// The operation called `name`.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|known| known.as_str() == name)
    }

    /// Whether it must be named in full: what is signed cannot be read here, so no `*` stands for it.
    pub const fn is_reserved(self) -> bool {
        matches!(self, Self::SignRaw | Self::SignBn254)
    }

    /// Whether it asks for a signature.
    pub const fn signs(self) -> bool {
        matches!(
            self,
            Self::SignProposal | Self::SignPrevote | Self::SignPrecommit | Self::SignBn254 | Self::SignRaw
        )
    }

    /// The step of consensus that it signs, where it is a consensus signature.
    pub const fn consensus_step(self) -> Option<Step> {
        match self {
            Self::SignProposal => Some(Step::Propose),
            Self::SignPrevote => Some(Step::Prevote),
            Self::SignPrecommit => Some(Step::Precommit),
            _ => None,
        }
    }

    /// Whether it is about no key and no chain, whatever is asked: a rule that names some never decides it.
    pub const fn is_about_nothing(self) -> bool {
        matches!(
            self,
            Self::ConfigReload
                | Self::AuditRead
                | Self::AuditVerify
                | Self::AuditExport
                | Self::AuditKeep
                | Self::PolicyCheck
                | Self::PolicyExplain
                | Self::PolicyWrite
        )
    }

    /// Whether it can wait for others: where a rule asks for approvals of anything else, nobody can give them.
    pub const fn can_wait(self) -> bool {
        matches!(
            self,
            Self::Unfreeze
                | Self::StopLineClear
                | Self::StateAllow
                | Self::StateRebind
                | Self::StateExport
                | Self::KeyExport
                | Self::KeyBackup
                | Self::PolicyWrite
        )
    }

    /// Whether there is a way yet to ask for it. A rule about any other is written ahead of its time, and is no mistake.
    pub const fn is_offered(self) -> bool {
        !matches!(
            self,
            Self::SignBn254
                | Self::SignRaw
                | Self::KeyBind
                | Self::KeyRotate
                | Self::KeyActivate
                | Self::KeyDisable
                | Self::KeyDestroy
                | Self::SealShow
                | Self::SealMove
                | Self::SealRewrap
                | Self::SealPrune
                | Self::PolicyCheck
                | Self::PolicyExplain
                | Self::ApprovalRequest
                | Self::AllocationList
                | Self::AllocationAllocate
                | Self::AllocationRenew
                | Self::AllocationRelease
        )
    }

    /// Whether private keys leave or end by it. Nobody who may do this may write the policy.
    pub const fn takes_keys(self) -> bool {
        matches!(self, Self::KeyExport | Self::KeyDestroy | Self::KeyBackup)
    }

    /// Whether one person alone should not do it: it cannot be undone, or it takes a guard away.
    pub const fn wants_second_person(self) -> bool {
        matches!(
            self,
            Self::KeyExport
                | Self::KeyDestroy
                | Self::Unfreeze
                | Self::StopLineClear
                | Self::StateAllow
                | Self::PolicyWrite
        )
    }
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_distinct_and_lead_back() {
        for operation in Operation::ALL {
            assert_eq!(Operation::parse(operation.as_str()), Some(*operation));
        }
        assert_eq!(Operation::parse("key"), None);
        assert_eq!(Operation::parse("*"), None);
    }

    #[test]
    fn what_signs_is_called_so() {
        for operation in Operation::ALL {
            assert_eq!(
                operation.signs(),
                operation.as_str().starts_with("sign."),
                "{operation}"
            );
        }
    }

    #[test]
    fn what_takes_a_guard_away_can_wait_and_what_stops_or_signs_cannot() {
        for operation in Operation::ALL {
            let stops = matches!(operation, Operation::Freeze | Operation::StopLineSet);
            assert!(
                !(operation.can_wait() && (stops || operation.signs())),
                "{operation}"
            );
            // Nothing destroys a key yet.
            let must = operation.wants_second_person() && *operation != Operation::KeyDestroy;
            assert!(!must || operation.can_wait(), "{operation}");
        }
    }

    #[test]
    fn the_set_of_all_fits_into_its_bits() {
        assert!(Operation::ALL.len() <= 128);
    }
}
