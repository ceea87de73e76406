//! The port to credentials: hashes of passwords, sessions, and the keys that tokens are signed with.

use std::fmt;

use async_trait::async_trait;
use cabildo_events::{CredentialId, PersonName, SessionId, Timestamp, UserId};

/// What a password was made into. No `Debug` shows it.
#[derive(Clone, PartialEq, Eq)]
pub struct PasswordHash(String);

impl PasswordHash {
    /// Takes the text of a hash.
    #[must_use]
    pub const fn new(text: String) -> Self {
        Self(text)
    }

    /// The text, for checking a password against it.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for PasswordHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PasswordHash(…)")
    }
}

/// The SHA-256 of one half of a refresh token. No `Debug` shows it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct TokenHash(pub [u8; 32]);

impl fmt::Debug for TokenHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TokenHash(…)")
    }
}

/// A signing-in and what followed from it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    /// Its id.
    pub id: SessionId,
    /// Who signed in.
    pub user: UserId,
    /// Under which name; `None`: a guest without one.
    pub name: Option<PersonName>,
    /// What all refresh tokens of the session have in common.
    pub family: TokenHash,
    /// What only the next one has.
    pub secret: TokenHash,
    /// When it ends, unless it is refreshed.
    pub expires: Timestamp,
}

/// What came of a refresh token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rotated {
    /// It was the session's, and another one is in its place.
    Done(Session),
    /// It was the session's and had been used before: two have it, and nobody knows which of them is the thief. The session
    /// has ended.
    Reused,
    /// There is no such session, or it is over.
    Unknown,
}

/// A key that tokens are signed with (Ed25519). No `Debug` shows its private half.
#[derive(Clone, PartialEq, Eq)]
pub struct SigningKey {
    /// Its name in tokens.
    pub kid: String,
    /// The private half.
    pub seed: [u8; 32],
    /// When it was made. The newest one signs.
    pub created: Timestamp,
    /// From when on it signs no more.
    pub retires: Timestamp,
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { kid, created, retires, seed: _ } = self;
        f.debug_struct("SigningKey").field("kid", kid).field("created", created).field("retires", retires).finish()
    }
}

/// Why the credentials could not be read or written. All of it may succeed later; what was to be written may have been.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CredentialsError {
    /// The store did not answer, or said no for a reason of its own.
    #[error("the credential store is not available: {0}")]
    Unavailable(String),
}

/// What must stay secret, and is on no record: kept beside the documents, shared by all gateways.
///
/// *Durability.* What was answered is on disk (of a majority of servers).
///
/// *Atomicity.* Each call is done as a whole or not at all; of several [`rotate`](Self::rotate) with the same token at once,
/// one is [`Rotated::Done`] and the others end the session.
///
/// *Silence.* Calls are neither traced nor logged, and no error tells what was to be written.
#[async_trait]
pub trait Credentials: Send + Sync + 'static {
    /// Keeps the hash of a password under a new id.
    async fn put_password(&self, id: CredentialId, hash: &PasswordHash) -> Result<(), CredentialsError>;

    /// The hash of a password.
    async fn password(&self, id: CredentialId) -> Result<Option<PasswordHash>, CredentialsError>;

    /// Forgets the hash of a password; one that is not there is forgotten.
    async fn remove_password(&self, id: CredentialId) -> Result<(), CredentialsError>;

    /// Begins a session.
    async fn begin(&self, session: &Session) -> Result<(), CredentialsError>;

    /// Puts another secret in the place of the one that is shown, if that is the session's present one; the session then
    /// ends at `expires`. One that shows the family but another secret shows a used token: the session ends at once.
    async fn rotate(
        &self,
        id: SessionId,
        family: TokenHash,
        shown: TokenHash,
        next: TokenHash,
        now: Timestamp,
        expires: Timestamp,
    ) -> Result<Rotated, CredentialsError>;

    /// Ends a session; whether there was one.
    async fn end(&self, id: SessionId) -> Result<bool, CredentialsError>;

    /// Ends all sessions of a person; how many.
    async fn end_all(&self, user: UserId) -> Result<u64, CredentialsError>;

    /// Removes the sessions that ended before, and the keys that retired before.
    async fn sweep(&self, ended: Timestamp, retired: Timestamp) -> Result<(), CredentialsError>;

    /// All keys, the oldest first.
    async fn keys(&self) -> Result<Vec<SigningKey>, CredentialsError>;

    /// Adds a key.
    async fn add_key(&self, key: &SigningKey) -> Result<(), CredentialsError>;
}
