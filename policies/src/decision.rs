//! Denied, failed and allowed are three different things, and the first two refuse.
//!
//! The codes are a promise to callers: they never change their meaning, and docs/errors.md lists them.

use std::fmt;

/// The outcome of a check.
#[derive(Debug)]
#[must_use = "a decision that nobody reads is a check that was skipped"]
pub enum Decision<T> {
    /// Yes, and the proof of it.
    Allow(T),
    /// No, by a rule.
    Deny(Refusal),
    /// The check itself could not be made. Never a yes.
    Fail(Failure),
}

impl<T> Decision<T> {
    /// The proof, or why there is none.
    pub fn into_result(self) -> Result<T, Refused> {
        match self {
            Self::Allow(proof) => Ok(proof),
            Self::Deny(refusal) => Err(Refused::Denied(refusal)),
            Self::Fail(failure) => Err(Refused::Failed(failure)),
        }
    }
}

/// Why a request gets no signature: a rule said no, or sigward could not do its work.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Refused {
    /// A rule said no.
    #[error("{0}")]
    Denied(Refusal),
    /// sigward, not the caller, is at fault.
    #[error("{0}")]
    Failed(Failure),
}

impl Refused {
    /// The stable code, `snake_case`.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Denied(refusal) => refusal.code.as_str(),
            Self::Failed(failure) => failure.code.as_str(),
        }
    }

    /// Whether it was a conflict with what the key has signed before (`RemoteSignerError.code` 2).
    pub const fn is_conflict(&self) -> bool {
        match self {
            Self::Denied(refusal) => refusal.code.is_conflict(),
            Self::Failed(_) => false,
        }
    }
}

impl From<Refusal> for Refused {
    fn from(refusal: Refusal) -> Self {
        Self::Denied(refusal)
    }
}

impl From<Failure> for Refused {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

/// A rule's no: a stable code and a sentence for people.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Refusal {
    /// Which rule.
    pub code: RefusalCode,
    /// What was wrong and, where there is one, the next step.
    pub message: String,
}

impl Refusal {
    /// A refusal by rule `code`.
    pub fn new(code: RefusalCode, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code.as_str(), self.message)
    }
}

impl std::error::Error for Refusal {}

/// sigward's own failure: a stable code and a sentence for people.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Failure {
    /// Which part failed.
    pub code: FailureCode,
    /// What happened.
    pub message: String,
}

impl Failure {
    /// A failure of kind `code`.
    pub fn new(code: FailureCode, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code.as_str(), self.message)
    }
}

impl std::error::Error for Failure {}

macro_rules! codes {
    ($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident = $text:literal,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
        pub enum $name { $($(#[$vdoc])* $variant,)* }

        impl $name {
            /// Every code, for documentation and metrics.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The code on the wire.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text,)* }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }
    };
}

codes! {
    /// Why a rule said no.
    RefusalCode {
        /// A chain id that no chain can have.
        InvalidChainId = "invalid_chain_id",
        /// A name with characters that names do not have.
        InvalidName = "invalid_name",
        /// Height outside 1 ≤ height < 2^62.
        InvalidHeight = "invalid_height",
        /// Negative round.
        InvalidRound = "invalid_round",
        /// Proof-of-lock round outside −1 ≤ POL round < round.
        InvalidPolRound = "invalid_pol_round",
        /// A block id that is neither complete nor empty, or empty in a proposal.
        InvalidBlockId = "invalid_block_id",
        /// No timestamp.
        MissingTimestamp = "missing_timestamp",
        /// A timestamp outside the years 1 to 9999, or nanoseconds outside 0 to 999,999,999.
        InvalidTimestamp = "invalid_timestamp",
        /// A message type that is not what the request carries.
        UnknownMessageType = "unknown_message_type",
        /// A vote in the name of another validator.
        WrongValidatorAddress = "wrong_validator_address",
        /// A vote extension on something other than a precommit for a block.
        UnexpectedExtension = "unexpected_extension",
        /// Extension fields without replay protection (v2).
        UnsupportedExtension = "unsupported_extension",
        /// A request that lacks its vote or proposal, or whose bytes are no message.
        MalformedRequest = "malformed_request",
        /// A request that sigward does not serve.
        UnsupportedRequest = "unsupported_request",
        /// Signing of raw bytes, which could be anything.
        RawBytesRefused = "raw_bytes_refused",
        /// The request is for another chain than this connection serves.
        ChainIdMismatch = "chain_id_mismatch",
        /// A public key of the wrong size or not on the curve.
        InvalidPublicKey = "invalid_public_key",
        /// An algorithm that sigward does not have.
        UnsupportedAlgorithm = "unsupported_algorithm",
        /// No rule allows this caller this operation with this key.
        NotPermitted = "not_permitted",
        /// A rule allows it, and not so often.
        RateLimited = "rate_limited",
        /// A rule allows it once others have approved it.
        ApprovalRequired = "approval_required",
        /// An approval that expired, was rejected, or is for something else.
        ApprovalVoid = "approval_void",
        /// An approval that this caller cannot give.
        ApprovalNotYours = "approval_not_yours",
        /// No request for approval has this id, or it is forgotten.
        ApprovalNotFound = "approval_not_found",
        /// Too many requests wait for approval.
        ApprovalLimit = "approval_limit",
        /// An API key of this name is, or was, there.
        ApiKeyExists = "api_key_exists",
        /// No API key has this name.
        ApiKeyNotFound = "api_key_not_found",
        /// As many API keys as there may be.
        ApiKeyLimit = "api_key_limit",
        /// An act that changes more than one commit can hold.
        ActTooLarge = "act_too_large",
        /// The certificate of the caller's connection does not stand any more.
        CertificateRefused = "certificate_refused",
        /// A token that does not prove who asks for this very request.
        TokenRefused = "token_refused",
        /// A token that was shown before.
        TokenReplayed = "token_replayed",
        /// A file of an issuer's public keys that is of no use.
        IssuerKeyInvalid = "issuer_key_invalid",
        /// More tokens than can be remembered until they expire.
        TooManyTokens = "too_many_tokens",
        /// No such key, or none that this caller may know of.
        KeyNotFound = "key_not_found",
        /// The key has no guard row for this chain.
        NoSignState = "no_sign_state",
        /// The key was exported or stopped and signs no more here.
        KeyStopped = "key_stopped",
        /// An operator froze the key, the chain, or everything.
        Frozen = "frozen",
        /// A height at or above an operator's stop line.
        StopLine = "stop_line",
        /// The chain got another id; the key never signs for this one again.
        ChainRebound = "chain_rebound",
        /// The node that asks is drained.
        NodeDrained = "node_drained",
        /// Nothing of the kind is in force there.
        HoldNotFound = "hold_not_found",
        /// Another message was signed for this position.
        DoubleSignConflict = "double_sign_conflict",
        /// A height below the watermark.
        HeightRegression = "height_regression",
        /// A round below the watermark in the same height.
        RoundRegression = "round_regression",
        /// A step below the watermark in the same round.
        StepRegression = "step_regression",
        /// The height was closed by an import without sign bytes.
        HeightClosed = "height_closed",
        /// A height too far above the watermark.
        HeightJump = "height_jump",
        /// A round too far above the watermark.
        RoundJump = "round_jump",
        /// Another extension was signed for this precommit and the chain is strict.
        ExtensionConflict = "extension_conflict",
        /// The name is taken.
        KeyExists = "key_exists",
        /// The public key is in the keyring already.
        PublicKeyExists = "public_key_exists",
        /// The chain has this key already.
        AlreadyBound = "already_bound",
        /// One key on several chains without `shared = true` on each.
        SharingRefused = "sharing_refused",
        /// A key that was not made here must say what it has signed.
        BeginningRequired = "beginning_required",
        /// A state file that does not parse.
        InvalidStateFile = "invalid_state_file",
        /// A state file that another key signed, or of another chain.
        ForeignStateFile = "foreign_state_file",
        /// A file of another signer that is not what it should be.
        InvalidForeignFile = "invalid_foreign_file",
        /// A key of another signer that cannot be taken out of where it is.
        NotMovable = "not_movable",
        /// The other signer still runs on this machine.
        OldSignerRuns = "old_signer_runs",
        /// Whether the other signer still runs cannot be seen from here, and nothing else proves that it does not.
        OldSignerUnseen = "old_signer_unseen",
        /// The chain has seen signatures above the state that was to be imported.
        WatermarkBehindChain = "watermark_behind_chain",
        /// The chain could not be looked through down to the state that was to be imported.
        ChainNotCompared = "chain_not_compared",
        /// Somebody else signs with the key right now.
        AnotherSignerIsSigning = "another_signer_is_signing",
        /// The chain made no block while it was watched, and that has other explanations than that nobody signs with the key.
        ChainStandsStill = "chain_stands_still",
        /// A state file behind, or in conflict with, what is known here.
        StateConflict = "state_conflict",
        /// A key file that does not parse or whose halves do not belong together.
        InvalidKeyFile = "invalid_key_file",
        /// A sealed key that belongs to another guard store.
        ForeignStore = "foreign_store",
        /// A key that was made by a sigward does not leave.
        KeyNotExportable = "key_not_exportable",
        /// The key signs on other chains too, and would be lost to them.
        KeyInUse = "key_in_use",
        /// A backup bundle that does not parse, or is of a later format.
        InvalidBundle = "invalid_bundle",
        /// A backup bundle that another passphrase or identity opens, or that was damaged.
        BundleDoesNotOpen = "bundle_does_not_open",
        /// A height below what the key had signed when its backup was made.
        BelowBackup = "below_backup",
        /// A parameter that is missing or out of bounds.
        InvalidParameters = "invalid_parameters",
        /// An anchor that is not read: its path came from another machine, or it is no regular file that may be read.
        AnchorRefused = "anchor_refused",
        /// A reload would have the guard refuse less.
        ReloadLoosensGuard = "reload_loosens_guard",
        /// A reload would leave no chain where there was one: a file that is being written looks like that.
        ReloadRemovesAll = "reload_removes_all",
        /// No daemon runs that could do this.
        NotServing = "not_serving",
        /// No such key pair in the token, or more than one.
        TokenKeyNotFound = "token_key_not_found",
        /// The key pair's bytes can leave its token, or could once, or it signs without a PIN, and nobody said that this is known.
        TokenKeyMayHaveLeft = "token_key_may_have_left",
        /// The token refused the PIN, now or before.
        WrongPin = "wrong_pin",
        /// The token takes no PIN now, or there is none to give it.
        PinUnusable = "pin_unusable",
        /// The token has no session or no room left.
        TokenFull = "token_full",
        /// The provider cannot do that.
        Unsupported = "unsupported",
        /// The configuration in force has no such provider.
        ProviderNotFound = "provider_not_found",
        /// The configuration has no such node.
        NodeNotFound = "node_not_found",
        /// The last node of its chain that is not drained.
        LastNode = "last_node",
    }
}

impl RefusalCode {
    /// Whether the request collides with what was signed before.
    pub const fn is_conflict(self) -> bool {
        matches!(
            self,
            Self::DoubleSignConflict
                | Self::HeightRegression
                | Self::RoundRegression
                | Self::StepRegression
                | Self::HeightClosed
                | Self::ExtensionConflict
        )
    }
}

codes! {
    /// What of sigward failed.
    FailureCode {
        /// The store cannot commit; nothing signs until a restart has compared it with its witness.
        StoreUnavailable = "store_unavailable",
        /// Too little free space to record a signature; nothing was tried, and the store is sound.
        DiskFull = "disk_full",
        /// Too much waits already; signatures come first.
        Busy = "busy",
        /// The store contradicted what memory held.
        StoreDisagrees = "store_disagrees",
        /// A segment or a checkpoint of the audit chain could not be written or read; the records are in the store.
        AuditNotKept = "audit_not_kept",
        /// The provider of the key is not there.
        ProviderUnavailable = "provider_unavailable",
        /// The provider failed while signing.
        ProviderFault = "provider_fault",
        /// The provider returned a signature that its public key does not verify.
        VerificationFailed = "verification_failed",
        /// Proof tokens of different requests were brought together.
        TokenMismatch = "token_mismatch",
        /// The request was judged by rules that are no longer in force.
        RulesChanged = "rules_changed",
        /// The request took longer than its deadline.
        DeadlineExceeded = "deadline_exceeded",
        /// sigward is stopping.
        ShuttingDown = "shutting_down",
    }
}
