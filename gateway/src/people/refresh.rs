//! Refresh tokens: a session's id, what all of its tokens have in common, and what only the next one has.

use std::fmt;
use std::str::FromStr;

use cabildo_events::SessionId;
use cabildo_storage::{CredentialsError, TokenHash};
use data_encoding::BASE64URL_NOPAD;
use sha2::{Digest, Sha256};
use uuid::Uuid;

/// Bytes of the parts. The secret alone has 256 random bits.
const ID: usize = 16;
const FAMILY: usize = 16;
const SECRET: usize = 32;

/// A refresh token as it is handed out. The store has its hashes. No `Debug` shows it.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Refresh {
    pub(super) session: SessionId,
    family: [u8; FAMILY],
    secret: [u8; SECRET],
}

impl fmt::Debug for Refresh {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Refresh").field("session", &self.session).finish_non_exhaustive()
    }
}

impl Refresh {
    /// The first of a new session.
    pub(super) fn first() -> Result<Self, CredentialsError> {
        Ok(Self { session: SessionId(Uuid::now_v7()), family: random()?, secret: random()? })
    }

    /// The next one of its session.
    pub(super) fn next(&self) -> Result<Self, CredentialsError> {
        Ok(Self { secret: random()?, ..self.clone() })
    }

    pub(super) fn family(&self) -> TokenHash {
        TokenHash(Sha256::digest(self.family).into())
    }

    pub(super) fn secret(&self) -> TokenHash {
        TokenHash(Sha256::digest(self.secret).into())
    }

    /// What the client gets.
    pub(super) fn expose(&self) -> String {
        BASE64URL_NOPAD.encode(&[self.session.0.as_bytes(), &self.family[..], &self.secret].concat())
    }
}

/// The text is no refresh token.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct NoRefresh;

impl FromStr for Refresh {
    type Err = NoRefresh;
    fn from_str(text: &str) -> Result<Self, NoRefresh> {
        let bytes = BASE64URL_NOPAD.decode(text.as_bytes()).map_err(|_| NoRefresh)?;
        let (session, rest) = bytes.split_first_chunk::<ID>().ok_or(NoRefresh)?;
        let (family, rest) = rest.split_first_chunk::<FAMILY>().ok_or(NoRefresh)?;
        let secret = rest.try_into().map_err(|_| NoRefresh)?;
        Ok(Self { session: SessionId(Uuid::from_bytes(*session)), family: *family, secret })
    }
}

fn random<const N: usize>() -> Result<[u8; N], CredentialsError> {
    let mut bytes = [0; N];
    let none = |_| CredentialsError::Unavailable("the machine gives no random numbers".to_owned());
    getrandom::fill(&mut bytes).map_err(none)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_reads_back_and_the_next_one_is_of_its_family() {
        let first = Refresh::first().unwrap();
        assert_eq!(first.expose().parse(), Ok(first.clone()));
        let next = first.next().unwrap();
        assert_eq!((next.session, next.family()), (first.session, first.family()));
        assert_ne!(next.secret(), first.secret());
        assert!(!format!("{first:?}").contains(&first.expose()[30..]));
        for bad in ["", "a", "ñ", &first.expose()[1..], &format!("{}A", first.expose())] {
            assert_eq!(bad.parse::<Refresh>(), Err(NoRefresh), "{bad}");
        }
    }
}
