//! People: who took which name, and what they may do. Credentials are not events and live elsewhere: an event names a
//! credential by its id, and nothing can be told from that.

use serde::{Deserialize, Serialize};

use crate::limits::{ACCOUNT_NAME_CHARS_MAX, ID_BYTES_MAX};
use crate::{BadText, CredentialId, Event, PersonName, Rejection, UserId};

/// What somebody may do, each role all that the one before it may.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Talk, vote and read.
    #[default]
    Guest,
    /// The same, under a name of their own.
    Member,
    /// Change what others said and opened.
    Moderator,
    /// See and manage everything.
    Operator,
}

impl Role {
    /// All of them, the least first.
    pub const ALL: [Self; 4] = [Self::Guest, Self::Member, Self::Moderator, Self::Operator];

    /// Its word: `guest`, `member`, `moderator` or `operator`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Guest => "guest",
            Self::Member => "member",
            Self::Moderator => "moderator",
            Self::Operator => "operator",
        }
    }
}

impl std::fmt::Display for Role {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

/// The text is no role.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no role: guest, member, moderator or operator")]
pub struct BadRole(String);

impl std::str::FromStr for Role {
    type Err = BadRole;
    fn from_str(text: &str) -> Result<Self, BadRole> {
        Self::ALL.into_iter().find(|role| role.name() == text).ok_or_else(|| BadRole(text.chars().take(40).collect()))
    }
}

/// On whose behalf something is wished, as far as a rule looks at it. By default: of nobody in particular.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Asker {
    /// The person, if it is one.
    pub user: Option<UserId>,
    /// What they may do.
    pub role: Role,
}

impl Asker {
    /// Whether they may change what this person made: their own, what nobody in particular made, and for moderators all.
    #[must_use]
    pub fn may_change(self, maker: Option<UserId>) -> bool {
        maker.is_none() || self.user == maker || self.role >= Role::Moderator
    }
}

/// A person took a name. Names are unique without regard to case, because the name in lower case is the aggregate.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UserRegistered {
    /// The person.
    pub user: UserId,
    /// The name as they write it.
    pub name: PersonName,
    /// The credential that they sign in with. It was written before this event; of two who race for one name, the loser's is
    /// never looked at. `None`: they cannot sign in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credential: Option<CredentialId>,
}

/// A guest was let in under a name that nobody had.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GuestAdmitted {
    /// The guest.
    pub user: UserId,
    /// The name as they write it.
    pub name: PersonName,
}

/// A person got a role in place of the one they had.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RoleGranted {
    /// The person.
    pub user: UserId,
    /// What they may do from now on.
    pub role: Role,
}

/// A person took another password.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PasswordChanged {
    /// The person.
    pub user: UserId,
    /// The credential that they sign in with from now on, written before this event.
    pub credential: CredentialId,
}

/// A person ended all of their sessions.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignedOutEverywhere {
    /// The person.
    pub user: UserId,
}

/// A wish of or for a person.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Take the name for good, and sign in with this credential.
    Register(UserId, CredentialId),
    /// Take it as a guest.
    Admit(UserId),
    /// Give who has it a role.
    Grant(Role),
    /// Sign in with another credential.
    ChangePassword {
        /// The one that was checked.
        from: CredentialId,
        /// The one in its place.
        to: CredentialId,
    },
    /// End all sessions.
    SignOutEverywhere,
}

/// Who has a name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Person {
    holder: Option<UserId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<PersonName>,
    role: Role,
    #[serde(skip)]
    credential: Option<CredentialId>,
    #[serde(skip)]
    registered: bool,
}

impl Person {
    /// Whose name it is; `None` if nobody has it.
    #[must_use]
    pub const fn holder(&self) -> Option<UserId> {
        self.holder
    }

    /// The name as they write it.
    #[must_use]
    pub const fn name(&self) -> Option<&PersonName> {
        self.name.as_ref()
    }

    /// What they may do.
    #[must_use]
    pub const fn role(&self) -> Role {
        self.role
    }

    /// What they sign in with.
    #[must_use]
    pub const fn credential(&self) -> Option<CredentialId> {
        self.credential
    }

    /// Applies one event of the name.
    pub fn evolve(&mut self, event: &Event) {
        match event {
            Event::UserRegistered(UserRegistered { user, name, credential }) if self.holder.is_none() => {
                *self = Self {
                    holder: Some(*user),
                    name: Some(name.clone()),
                    role: Role::Member,
                    credential: *credential,
                    registered: true,
                };
            }
            Event::GuestAdmitted(GuestAdmitted { user, name }) if self.holder.is_none() => {
                *self = Self { holder: Some(*user), name: Some(name.clone()), ..Self::default() };
            }
            Event::RoleGranted(granted) => self.role = granted.role,
            Event::PasswordChanged(changed) => self.credential = Some(changed.credential),
            _ => {}
        }
    }
}

/// Reads the name that somebody wishes to have for themselves: a name, of at most [`ACCOUNT_NAME_CHARS_MAX`] characters (and
/// short enough to vote under), that shows what it is: without outer spaces, and without characters that are not seen or that turn the direction of writing.
///
/// # Errors
/// What is wrong with it.
pub fn account_name(text: &str) -> Result<PersonName, BadText> {
    const WHAT: &str = "name";
    let name: PersonName = text.parse()?;
    if text.trim() != text {
        return Err(BadText::Padded { what: WHAT });
    }
    if text.chars().count() > ACCOUNT_NAME_CHARS_MAX {
        return Err(BadText::TooLong { what: WHAT, max: ACCOUNT_NAME_CHARS_MAX, unit: "characters" });
    }
    if text.len() > ID_BYTES_MAX {
        return Err(BadText::TooLong { what: WHAT, max: ID_BYTES_MAX, unit: "bytes" });
    }
    let unseen = |c: char| matches!(c, '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}');
    if text.chars().any(unseen) {
        return Err(BadText::Control { what: WHAT });
    }
    Ok(name)
}

pub(crate) fn decide(person: &Person, name: &PersonName, command: &Command) -> Result<Vec<Event>, Rejection> {
    let name = name.clone();
    let event = match (command, person.holder) {
        (Command::Register(..) | Command::Admit(_), Some(_)) => {
            return Err(Rejection::AlreadyExists { what: "person", id: name.to_string() });
        }
        (Command::Register(user, credential), None) => {
            Event::UserRegistered(UserRegistered { user: *user, name, credential: Some(*credential) })
        }
        (Command::Admit(user), None) => Event::GuestAdmitted(GuestAdmitted { user: *user, name }),
        (_, None) => return Err(Rejection::NotFound { what: "person", id: name.to_string() }),
        (Command::Grant(_) | Command::ChangePassword { .. }, Some(_)) if !person.registered => {
            return Err(Rejection::GuestOnly(name.to_string()));
        }
        // It is so already; there is nothing to record.
        (Command::Grant(role), Some(_)) if person.role == *role => return Ok(vec![]),
        (Command::Grant(role), Some(user)) => Event::RoleGranted(RoleGranted { user, role: *role }),
        (Command::ChangePassword { from, .. }, Some(_)) if person.credential != Some(*from) => {
            return Err(Rejection::PasswordChanged);
        }
        (Command::ChangePassword { to, .. }, Some(user)) => {
            Event::PasswordChanged(PasswordChanged { user, credential: *to })
        }
        (Command::SignOutEverywhere, Some(user)) => Event::SignedOutEverywhere(SignedOutEverywhere { user }),
    };
    Ok(vec![event])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Facts, State, decide};
    use uuid::Uuid;

    const ANA: UserId = UserId(Uuid::from_u128(1));
    const FIRST: CredentialId = CredentialId(Uuid::from_u128(11));
    const SECOND: CredentialId = CredentialId(Uuid::from_u128(12));

    fn wish(state: &mut State, command: Command) -> Result<Vec<Event>, &'static str> {
        let command = crate::Command::Identity("Ana".parse().unwrap(), command);
        let events = decide(state, &command, &Facts::default()).map_err(|rejection| rejection.code())?;
        events.iter().for_each(|event| state.evolve(event));
        Ok(events)
    }

    #[test]
    fn a_name_is_taken_once_by_whomever() {
        let mut state = State::default();
        let events = wish(&mut state, Command::Register(ANA, FIRST)).unwrap();
        let name = "Ana".parse().unwrap();
        assert_eq!(events, [Event::UserRegistered(UserRegistered { user: ANA, name, credential: Some(FIRST) })]);
        assert_eq!(wish(&mut state, Command::Admit(UserId(Uuid::from_u128(2)))), Err("already-exists"));
        assert_eq!(wish(&mut state, Command::Register(UserId(Uuid::from_u128(2)), SECOND)), Err("already-exists"));
        assert_eq!((state.person().holder(), state.person().credential()), (Some(ANA), Some(FIRST)));
    }

    #[test]
    fn case_makes_no_other_name() {
        let command = |name: &str| crate::Command::Identity(name.parse().unwrap(), Command::Register(ANA, FIRST));
        assert_eq!(command("ÁNA").aggregate(), command("ána").aggregate());
    }

    #[test]
    fn a_member_may_be_raised_and_a_guest_may_not() {
        let mut state = State::default();
        assert_eq!(wish(&mut state, Command::Grant(Role::Operator)), Err("not-found"));
        wish(&mut state, Command::Register(ANA, FIRST)).unwrap();
        assert_eq!(state.person().role(), Role::Member);
        assert_eq!(wish(&mut state, Command::Grant(Role::Operator)).unwrap().len(), 1);
        assert_eq!(state.person().role(), Role::Operator);
        assert_eq!(wish(&mut state, Command::Grant(Role::Operator)), Ok(vec![]));
        let mut guest = State::default();
        wish(&mut guest, Command::Admit(ANA)).unwrap();
        assert_eq!(wish(&mut guest, Command::Grant(Role::Operator)), Err("guest-only"));
        assert_eq!(guest.person().role(), Role::Guest);
    }

    #[test]
    fn of_two_new_passwords_over_the_same_old_one_the_second_is_refused() {
        let mut state = State::default();
        wish(&mut state, Command::Register(ANA, FIRST)).unwrap();
        let change = Command::ChangePassword { from: FIRST, to: SECOND };
        assert_eq!(wish(&mut state, change.clone()).unwrap().len(), 1);
        assert_eq!(wish(&mut state, change), Err("password-changed"));
        assert_eq!(state.person().credential(), Some(SECOND));
    }

    #[test]
    fn what_is_recorded_of_a_person_names_the_credential_and_the_state_does_not_show_it() {
        let mut state = State::default();
        let events = wish(&mut state, Command::Register(ANA, FIRST)).unwrap();
        let (_, _, data) = events[0].encode();
        let credential = FIRST.to_string();
        assert!(std::str::from_utf8(&data).unwrap().contains(&credential));
        assert!(!state.shown(crate::Context::Identity).to_string().contains(&credential));
    }

    #[test]
    fn a_name_shows_what_it_is() {
        for good in ["Ana", "José Luis", "ñandú", "李雷"] {
            assert_eq!(account_name(good).unwrap().as_str(), good);
        }
        for bad in ["", " Ana", "Ana ", "A\u{200b}na", "\u{202e}anA", "A\nna", &"a".repeat(65), &"李".repeat(64)] {
            assert!(account_name(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn what_somebody_made_is_theirs_and_the_moderators() {
        let asker = |user, role| Asker { user, role };
        let ben = Some(UserId(Uuid::from_u128(2)));
        assert!(asker(Some(ANA), Role::Guest).may_change(Some(ANA)));
        assert!(asker(ben, Role::Moderator).may_change(Some(ANA)));
        assert!(!asker(ben, Role::Member).may_change(Some(ANA)));
        assert!(!asker(None, Role::Guest).may_change(Some(ANA)));
        assert!(Asker::default().may_change(None));
    }
}
