//! Who calls, and what they may. Every door (HTTP, a socket, gRPC) asks the same port and goes by the same rights.

use async_trait::async_trait;
use cabildo_events::identity::{Asker, Role};
use cabildo_events::{PersonName, SessionId, UserId};

/// Who calls. By default: nobody in particular, a guest.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Caller {
    /// The person, if they showed a token.
    pub user: Option<UserId>,
    /// The name that is theirs, if they have one.
    pub name: Option<PersonName>,
    /// What they may do.
    pub role: Role,
    /// The session that the token belongs to, if it is of one.
    pub session: Option<SessionId>,
}

impl Caller {
    /// Whether they showed a token.
    #[must_use]
    pub const fn is_signed_in(&self) -> bool {
        self.user.is_some()
    }

    /// As the rules of the domain see them.
    #[must_use]
    pub const fn asker(&self) -> Asker {
        Asker { user: self.user, role: self.role }
    }
}

/// Who may do something: who has the role, or a higher one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Right {
    /// Everybody: nothing can be told from it, or it is the way to sign in.
    Anyone,
    /// Guests, also those who show no token.
    Guest,
    /// Who shows a token, also a guest: it is about themselves.
    Oneself,
    /// Members.
    Member,
    /// Moderators.
    Moderator,
    /// Operators: it shows or changes what is other people's.
    Operator,
}

/// Why somebody may not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Denied {
    /// They showed no token: signing in may help.
    #[error("this takes the role `{0}`: sign in")]
    SignIn(Role),
    /// They are signed in, and their role is too low.
    #[error("this takes the role `{needed}`, and yours is `{role}`")]
    Role {
        /// What it takes.
        needed: Role,
        /// What they have.
        role: Role,
    },
}

impl Right {
    /// The role that it takes.
    #[must_use]
    pub const fn role(self) -> Role {
        match self {
            Self::Anyone | Self::Guest | Self::Oneself => Role::Guest,
            Self::Member => Role::Member,
            Self::Moderator => Role::Moderator,
            Self::Operator => Role::Operator,
        }
    }

    /// Its word in the documentation: `anyone`, `guest`, `oneself`, `member`, `moderator` or `operator`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Anyone => "anyone",
            Self::Oneself => "oneself",
            other => other.role().name(),
        }
    }

    /// Whether a caller has it.
    ///
    /// # Errors
    /// Why not.
    pub fn check(self, caller: &Caller) -> Result<(), Denied> {
        let needed = self.role();
        match caller.is_signed_in() {
            false if self == Self::Oneself || needed > caller.role => Err(Denied::SignIn(needed)),
            true if needed > caller.role => Err(Denied::Role { needed, role: caller.role }),
            _ => Ok(()),
        }
    }
}

/// Why a bearer's text makes nobody a caller.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoCaller {
    /// It is no token of this Cabildo, or not any more. What is wrong with it is not told.
    #[error("the token is not valid, or not any more: sign in again, or refresh it")]
    BadToken,
    /// The keys cannot be read: nothing is known of the token.
    #[error("tokens cannot be checked now: try again")]
    Unavailable,
}

/// Turns what a bearer shows into who they are. The gateway implements it; other doors hold it.
#[async_trait]
pub trait Callers: Send + Sync + 'static {
    /// Who shows this token (what stands after `Bearer `).
    async fn caller(&self, bearer: &str) -> Result<Caller, NoCaller>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_role_may_all_that_a_lower_one_may() {
        let caller = |role| Caller { user: Some(UserId(uuid::Uuid::nil())), role, ..Caller::default() };
        for right in [Right::Anyone, Right::Guest, Right::Oneself, Right::Member, Right::Moderator, Right::Operator] {
            for role in Role::ALL {
                assert_eq!(right.check(&caller(role)).is_ok(), role >= right.role(), "{right:?} {role}");
            }
        }
    }

    #[test]
    fn who_shows_nothing_is_told_to_sign_in_and_who_is_signed_in_is_not() {
        let nobody = Caller::default();
        assert!(Right::Guest.check(&nobody).is_ok());
        assert_eq!(Right::Operator.check(&nobody), Err(Denied::SignIn(Role::Operator)));
        assert_eq!(Right::Oneself.check(&nobody), Err(Denied::SignIn(Role::Guest)));
        let ana = Caller { user: Some(UserId(uuid::Uuid::nil())), role: Role::Member, ..nobody };
        let denied = Denied::Role { needed: Role::Operator, role: Role::Member };
        assert_eq!(Right::Operator.check(&ana), Err(denied));
    }
}
