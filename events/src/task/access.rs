//! Who may do what with a list.

use serde::{Deserialize, Serialize};

use super::List;
use crate::UserId;

/// Who finds a list.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Visibility {
    /// Whoever has its address.
    #[default]
    Open,
    /// Its members alone: for everybody else there is no such list.
    Private,
}

impl Visibility {
    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands over a reference")]
    pub(super) const fn is_open(&self) -> bool {
        matches!(self, Self::Open)
    }
}

/// What a member may do, each with what the one before may.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Read.
    Reader,
    /// Change tasks.
    Editor,
    /// Change the list itself and who its members are.
    Owner,
}

/// What somebody wants with a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Access {
    /// Read it, its tasks and their history.
    See,
    /// Add, change, move, remove and restore tasks.
    Work,
    /// Change its title, its visibility, its members.
    Govern,
}

/// Why not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Denied {
    /// For this person there is no such list.
    Unseen,
    /// They see it, and may not do that.
    Forbidden,
}

/// Whether somebody (`None`: nobody that is known) may do something with a list. A list without an owner is everybody's; an
/// open one may be read and worked on by whoever has its address; a private one is its members', by their roles.
///
/// # Errors
/// Why they may not.
pub fn may(list: &List, who: Option<UserId>, wish: Access) -> Result<(), Denied> {
    let role = who.and_then(|who| list.members().get(&who)).copied();
    if !list.has_owner() {
        return Ok(());
    }
    let most = match (role, list.visibility()) {
        (Some(Role::Owner), _) => Access::Govern,
        (_, Visibility::Open) | (Some(Role::Editor), _) => Access::Work,
        (Some(Role::Reader), Visibility::Private) => Access::See,
        (None, Visibility::Private) => return Err(Denied::Unseen),
    };
    if wish <= most { Ok(()) } else { Err(Denied::Forbidden) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::task::{ListChanged, ListOpened, ListShared, ListUnshared};
    use crate::{Event, Position};
    use uuid::Uuid;

    const ANA: UserId = UserId(Uuid::from_u128(1));
    const LUIS: UserId = UserId(Uuid::from_u128(2));

    fn opened(owner: Option<UserId>, visibility: Visibility) -> Event {
        Event::ListOpened(ListOpened { title: "Casa".parse().unwrap(), owner, visibility })
    }
    fn shared(user: UserId, role: Role) -> Event {
        Event::ListShared(ListShared { user, role })
    }
    /// What somebody may do after these events: to see, to work, to govern.
    fn answers(given: &[Event], who: Option<UserId>) -> [Result<(), Denied>; 3] {
        let mut list = List::default();
        (1..).zip(given).for_each(|(seq, event)| list.evolve(event, Position::at(seq)));
        [Access::See, Access::Work, Access::Govern].map(|wish| may(&list, who, wish))
    }
    const YES: Result<(), Denied> = Ok(());
    const NO: Result<(), Denied> = Err(Denied::Forbidden);
    const NOWHERE: [Result<(), Denied>; 3] = [Err(Denied::Unseen); 3];

    #[test]
    fn a_list_that_nobody_owns_is_everybodys() {
        let given = [opened(None, Visibility::Open)];
        assert_eq!(answers(&given, None), [YES; 3]);
        assert_eq!(answers(&given, Some(ANA)), [YES; 3]);
    }

    #[test]
    fn an_open_list_may_be_worked_on_by_all_and_is_governed_by_its_owner() {
        let given = [opened(Some(ANA), Visibility::Open), shared(LUIS, Role::Reader)];
        assert_eq!(answers(&given, Some(ANA)), [YES; 3]);
        assert_eq!(answers(&given, Some(LUIS)), [YES, YES, NO]);
        assert_eq!(answers(&given, None), [YES, YES, NO]);
    }

    #[test]
    fn a_private_list_is_not_there_for_others() {
        let given = [opened(Some(ANA), Visibility::Private)];
        assert_eq!(answers(&given, Some(ANA)), [YES; 3]);
        assert_eq!(answers(&given, Some(LUIS)), NOWHERE);
        assert_eq!(answers(&given, None), NOWHERE);
    }

    #[test]
    fn members_of_a_private_list_may_what_their_role_says() {
        let with = |role| [opened(Some(ANA), Visibility::Private), shared(LUIS, role)];
        assert_eq!(answers(&with(Role::Reader), Some(LUIS)), [YES, NO, NO]);
        assert_eq!(answers(&with(Role::Editor), Some(LUIS)), [YES, YES, NO]);
        assert_eq!(answers(&with(Role::Owner), Some(LUIS)), [YES; 3]);
        let gone = [with(Role::Owner).to_vec(), vec![Event::ListUnshared(ListUnshared { user: LUIS })]].concat();
        assert_eq!(answers(&gone, Some(LUIS)), NOWHERE);
    }

    #[test]
    fn a_list_that_is_made_private_is_lost_from_sight() {
        let private = ListChanged { visibility: Some(Visibility::Private), ..Default::default() };
        let given = [opened(Some(ANA), Visibility::Open), Event::ListChanged(private)];
        assert_eq!(answers(&given, None), NOWHERE);
        assert_eq!(answers(&given, Some(ANA)), [YES; 3]);
    }
}
