//! Passwords: taken in, hashed with argon2id, compared. None is shown, logged or told back.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use argon2::{Algorithm, Argon2, Params, Version};
use cabildo_events::limits::{
    PASSWORD_CHARS_MAX, PASSWORD_CHARS_MIN, PASSWORD_HASHES_MAX, PASSWORD_MEMORY_KIB, PASSWORD_PASSES, PASSWORD_WAIT_MS,
};
use cabildo_storage::PasswordHash;
use data_encoding::BASE64_NOPAD;
use serde::{Deserialize, Deserializer};
use tokio::sync::Semaphore;

use crate::problem::{self, Problem};

/// What somebody typed as a password. No `Debug` shows it.
#[derive(Clone)]
pub(crate) struct Password(Box<str>);

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password(…)")
    }
}

impl<'de> Deserialize<'de> for Password {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // What else it may be is not told back: it might be the password all the same, written as a number.
        match String::deserialize(deserializer) {
            Ok(text) => Ok(Self(text.into_boxed_str())),
            Err(_) => Err(serde::de::Error::custom("a password is a text")),
        }
    }
}

impl Password {
    /// Whether it may be somebody's new one.
    pub(crate) fn check(&self, field: &str) -> Result<(), Problem> {
        let chars = self.0.chars().count();
        if (PASSWORD_CHARS_MIN..=PASSWORD_CHARS_MAX).contains(&chars) {
            return Ok(());
        }
        let detail = format!("a password has {PASSWORD_CHARS_MIN} to {PASSWORD_CHARS_MAX} characters");
        Err(Problem::bad_value(field, detail))
    }

    /// What was typed, for a token that came in its place.
    pub(crate) fn expose(&self) -> &str {
        &self.0
    }

    /// Whether it is so long that it is nobody's, and nothing need be computed of it.
    fn is_nobodys(&self) -> bool {
        self.0.chars().count() > PASSWORD_CHARS_MAX
    }
}

/// Hashes passwords on threads of their own, so many at once.
#[derive(Clone)]
pub(super) struct Hasher {
    places: Arc<Semaphore>,
}

impl Hasher {
    pub(super) fn new() -> Self {
        Self { places: Arc::new(Semaphore::new(PASSWORD_HASHES_MAX)) }
    }

    /// The hash of a new password.
    pub(super) async fn hash(&self, password: Password) -> Result<PasswordHash, Problem> {
        let mut salt = [0; SALT];
        getrandom::fill(&mut salt).map_err(|_| failed("the machine gives no random numbers"))?;
        self.run(move || {
            let cost = Cost::PRESENT;
            let hash = cost.hash(&password, &salt)?;
            let (salt, hash) = (BASE64_NOPAD.encode(&salt), BASE64_NOPAD.encode(&hash));
            let Cost { memory, passes, lanes } = cost;
            Some(PasswordHash::new(format!("$argon2id$v=19$m={memory},t={passes},p={lanes}${salt}${hash}")))
        })
        .await
    }

    /// Whether a password is the one that a hash was made of. Without a hash it takes as long, and is not.
    pub(super) async fn matches(&self, password: Password, hash: Option<PasswordHash>) -> Result<bool, Problem> {
        if password.is_nobodys() {
            return Ok(false);
        }
        self.run(move || {
            let known = hash.as_ref().and_then(|hash| parse(hash.expose()));
            let (cost, salt, wanted) = known.clone().unwrap_or((Cost::PRESENT, vec![0; SALT], [0; HASH]));
            let found = cost.hash(&password, &salt)?;
            let differs = found.iter().zip(&wanted).fold(0, |differs, (found, wanted)| differs | (found ^ wanted));
            Some(differs == 0 && known.is_some())
        })
        .await
    }

    /// The place is held by the thread, not by the request: one that is given up does not let a further one begin.
    async fn run<T: Send + 'static>(&self, work: impl FnOnce() -> Option<T> + Send + 'static) -> Result<T, Problem> {
        let wait = tokio::time::timeout(Duration::from_millis(PASSWORD_WAIT_MS), self.places.clone().acquire_owned());
        let Ok(Ok(place)) = wait.await else {
            return Err(Problem::new(&problem::OVERLOADED, "too many are signing in: try again"));
        };
        let task = tokio::task::spawn_blocking(move || {
            let done = work();
            drop(place);
            done
        });
        task.await.ok().flatten().ok_or_else(|| failed("a password could not be hashed"))
    }
}

fn failed(reason: &str) -> Problem {
    tracing::error!(reason, "nobody can sign in");
    Problem::new(&problem::INTERNAL, "the password could not be looked at")
}

/// Bytes of a salt and of a hash.
const SALT: usize = 16;
const HASH: usize = 32;

/// What a hash costs.
#[derive(Clone, Copy)]
struct Cost {
    memory: u32,
    passes: u32,
    lanes: u32,
}

impl Cost {
    const PRESENT: Self = Self { memory: PASSWORD_MEMORY_KIB, passes: PASSWORD_PASSES, lanes: 1 };

    fn hash(self, password: &Password, salt: &[u8]) -> Option<[u8; HASH]> {
        let params = Params::new(self.memory, self.passes, self.lanes, Some(HASH)).ok()?;
        let mut hash = [0; HASH];
        let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
        argon2.hash_password_into(password.0.as_bytes(), salt, &mut hash).ok()?;
        Some(hash)
    }
}

/// Reads `$argon2id$v=19$m=…,t=…,p=…$salt$hash`, the usual form of such a hash.
fn parse(text: &str) -> Option<(Cost, Vec<u8>, [u8; HASH])> {
    let mut parts = text.strip_prefix("$argon2id$v=19$")?.split('$');
    let (costs, salt, hash) = (parts.next()?, parts.next()?, parts.next()?);
    let mut costs = costs.split(',');
    let mut cost = |name: &str| costs.next()?.strip_prefix(name)?.parse().ok();
    let cost = Cost { memory: cost("m=")?, passes: cost("t=")?, lanes: cost("p=")? };
    let hash = BASE64_NOPAD.decode(hash.as_bytes()).ok()?.try_into().ok()?;
    Some((cost, BASE64_NOPAD.decode(salt.as_bytes()).ok()?, hash))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn password(text: &str) -> Password {
        Password(text.into())
    }

    #[tokio::test]
    async fn a_hash_knows_its_password_and_no_other() {
        let hasher = Hasher::new();
        let hash = hasher.hash(password("correcto caballo")).await.unwrap();
        assert!(hash.expose().starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{}", hash.expose());
        assert!(hasher.matches(password("correcto caballo"), Some(hash.clone())).await.unwrap());
        assert!(!hasher.matches(password("correcto caballa"), Some(hash.clone())).await.unwrap());
        assert!(!hasher.matches(password("correcto caballo"), None).await.unwrap());
        assert!(!hasher.matches(password(&"a".repeat(PASSWORD_CHARS_MAX + 1)), Some(hash)).await.unwrap());
    }

    #[test]
    fn a_password_is_not_told_back() {
        let error = serde_json::from_str::<Password>("12345678").unwrap_err().to_string();
        assert!(error.contains("a password is a text") && !error.contains("12345678"), "{error}");
        assert_eq!(format!("{:?}", password("secret")), "Password(…)");
        assert!(password("short").check("password").is_err());
        assert!(password("ñandú 123").check("password").is_ok());
    }
}
