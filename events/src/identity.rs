//! People: who took which name. Credentials are not events and live elsewhere.

use serde::{Deserialize, Serialize};

use crate::{Event, PersonName, Rejection, UserId};

/// A person took a name. Names are unique without regard to case, because the name in lower case is the aggregate.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UserRegistered {
    /// The person.
    pub user: UserId,
    /// The name as they write it.
    pub name: PersonName,
}

/// A guest was let in under a name that nobody had.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GuestAdmitted {
    /// The guest.
    pub user: UserId,
    /// The name as they write it.
    pub name: PersonName,
}

/// A wish for a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Take it for good.
    Register(UserId),
    /// Take it as a guest.
    Admit(UserId),
}

/// Who has a name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Person {
    holder: Option<UserId>,
}

impl Person {
    pub(crate) const fn holder(&self) -> Option<UserId> {
        self.holder
    }

    pub(crate) fn evolve(&mut self, event: &Event) {
        match event {
            Event::UserRegistered(UserRegistered { user, .. }) | Event::GuestAdmitted(GuestAdmitted { user, .. }) => {
                self.holder.get_or_insert(*user);
            }
            _ => {}
        }
    }
}

pub(crate) fn decide(person: &Person, name: &PersonName, command: &Command) -> Result<Vec<Event>, Rejection> {
    if person.holder.is_some() {
        return Err(Rejection::AlreadyExists { what: "person", id: name.to_string() });
    }
    Ok(vec![match command {
        Command::Register(user) => Event::UserRegistered(UserRegistered { user: *user, name: name.clone() }),
        Command::Admit(user) => Event::GuestAdmitted(GuestAdmitted { user: *user, name: name.clone() }),
    }])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Facts, State, decide};
    use uuid::Uuid;

    #[test]
    fn a_name_is_taken_once_by_whomever() {
        let user = UserId(Uuid::from_u128(1));
        let ana: PersonName = "Ana".parse().unwrap();
        let mut state = State::default();
        let register = crate::Command::Identity(ana.clone(), Command::Register(user));
        let events = decide(&state, &register, &Facts::default()).unwrap();
        assert_eq!(events, [Event::UserRegistered(UserRegistered { user, name: ana.clone() })]);
        state.evolve(&events[0]);
        let admit = crate::Command::Identity(ana, Command::Admit(UserId(Uuid::from_u128(2))));
        assert_eq!(decide(&state, &admit, &Facts::default()).map_err(|r| r.code()), Err("already-exists"));
    }

    #[test]
    fn case_makes_no_other_name() {
        let command =
            |name: &str| crate::Command::Identity(name.parse().unwrap(), Command::Register(UserId(Uuid::from_u128(1))));
        assert_eq!(command("ÁNA").aggregate(), command("ána").aggregate());
    }
}
