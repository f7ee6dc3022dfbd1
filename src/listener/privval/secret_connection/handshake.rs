//! The handshake as states that consume each other: hello sent → challenge known → established.
//!
//! Pure: the caller moves the bytes. Order on the wire (secret_connection.go:101-192): both sides send
//! 35 bytes in the clear at once, then both send a signed challenge inside the encrypted stream.
//!
//! Invariant: a [`Sealer`] for messages exists only after the peer's signature verified.

use x25519_dalek::{PublicKey, StaticSecret};
use zeroize::Zeroizing;

use super::auth::{self, Identity, PeerAuth, PeerKey};
use super::error::ProtocolError;
use super::frame::{Opener, SEALED_LEN, Sealer};
use super::key_schedule::{self, Side};
use super::low_order::is_low_order;

/// Bytes of the hello, its length prefix included.
pub const HELLO_LEN: usize = 35;

/// Length 34; field 1, 32 bytes: a delimited `google.protobuf.BytesValue`.
const HELLO_HEAD: [u8; 3] = [0x22, 0x0a, 0x20];

/// First state: our ephemeral key exists, the peer's is awaited.
pub struct AwaitingHello {
    secret: StaticSecret,
    public: [u8; 32],
}

impl AwaitingHello {
    /// Makes an ephemeral key pair.
    ///
    /// # Errors
    /// [`ProtocolError::NoRandomness`].
    pub fn start() -> Result<Self, ProtocolError> {
        let mut secret = Zeroizing::new([0; 32]);
        getrandom::fill(secret.as_mut_slice()).map_err(|_| ProtocolError::NoRandomness)?;
        Ok(Self::with_secret(&secret))
    }

    /// For vectors: the ephemeral secret is given.
    pub(super) fn with_secret(secret: &[u8; 32]) -> Self {
        let secret = StaticSecret::from(*secret);
        let public = PublicKey::from(&secret).to_bytes();
        Self { secret, public }
    }

    /// Our hello, to be sent at once: neither side waits for the other's.
    #[must_use]
    pub fn hello(&self) -> [u8; HELLO_LEN] {
        let mut hello = [0; HELLO_LEN];
        let (head, key) = hello.split_at_mut(HELLO_HEAD.len());
        head.copy_from_slice(&HELLO_HEAD);
        key.copy_from_slice(&self.public);
        hello
    }

    /// Whether `bytes`, however few, can still become a hello; a peer that speaks something else is
    /// turned away at its first byte instead of being waited for.
    ///
    /// # Errors
    /// [`ProtocolError::HelloMalformed`].
    pub fn check_start(bytes: &[u8]) -> Result<(), ProtocolError> {
        if bytes.iter().zip(&HELLO_HEAD).all(|(byte, head)| byte == head) {
            Ok(())
        } else {
            Err(ProtocolError::HelloMalformed)
        }
    }

    /// Takes the peer's hello; derives keys and challenge.
    ///
    /// # Errors
    /// Malformed, low-order, reflected or non-contributory keys.
    pub fn receive(self, hello: &[u8; HELLO_LEN]) -> Result<AwaitingAuth, ProtocolError> {
        Self::check_start(hello)?;
        let (_, remote) = hello.split_last_chunk::<32>().ok_or(ProtocolError::Internal)?;
        if is_low_order(remote) {
            return Err(ProtocolError::LowOrderPoint);
        }
        let side = match self.public.cmp(remote) {
            std::cmp::Ordering::Less => Side::Lower,
            std::cmp::Ordering::Greater => Side::Upper,
            // Two honest keys are never equal; an echo must not get as far as a signature of ours.
            std::cmp::Ordering::Equal => return Err(ProtocolError::ReflectedKey),
        };
        let dh = self.secret.diffie_hellman(&PublicKey::from(*remote));
        if !dh.was_contributory() {
            return Err(ProtocolError::NotContributory);
        }
        let (sealer, opener) = key_schedule::directions(side, dh.as_bytes())?;
        let challenge = key_schedule::challenge(side, &self.public, remote, dh.as_bytes());
        Ok(AwaitingAuth {
            sealer,
            opener,
            challenge,
            peer: PeerAuth::new(),
        })
    }
}

/// Second state: the stream is encrypted, the peer has not proved its key yet.
pub struct AwaitingAuth {
    sealer: Sealer,
    opener: Opener,
    challenge: [u8; 32],
    peer: PeerAuth,
}

impl AwaitingAuth {
    /// Appends our authentication, sealed, to `out`. Call it once.
    ///
    /// # Errors
    /// As [`Sealer::seal`].
    pub fn authenticate(&mut self, identity: &impl Identity, out: &mut Vec<u8>) -> Result<(), ProtocolError> {
        self.sealer.seal(&auth::encode(identity, &self.challenge), out)
    }

    /// What both sides sign.
    #[cfg(test)]
    pub(super) fn challenge_for_tests(&self) -> [u8; 32] {
        self.challenge
    }

    /// The sending direction, for peers that cheat.
    #[cfg(test)]
    pub(super) fn sealer_for_tests(&mut self) -> &mut Sealer {
        &mut self.sealer
    }

    /// Takes one sealed frame of the peer's authentication.
    ///
    /// # Errors
    /// A bad frame, a malformed message, a key that is not Ed25519, a signature that does not verify.
    pub fn receive(mut self, frame: &mut [u8; SEALED_LEN]) -> Result<Step, ProtocolError> {
        let data = self.opener.open(frame)?;
        Ok(match self.peer.absorb(data, &self.challenge)? {
            None => Step::More(self),
            Some(peer) => Step::Done(Established {
                sealer: self.sealer,
                opener: self.opener,
                peer,
            }),
        })
    }
}

/// What a frame of the authentication led to.
pub enum Step {
    /// The message goes on in another frame.
    More(AwaitingAuth),
    /// The peer proved its key.
    Done(Established),
}

/// Last state: both directions, and whose stream it is.
pub struct Established {
    /// Seals what we send.
    pub sealer: Sealer,
    /// Opens what we receive.
    pub opener: Opener,
    /// The key that the peer proved to hold.
    pub peer: PeerKey,
}
