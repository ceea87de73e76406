//! Commands, and the one place where they are decided.

use uuid::Uuid;

use crate::{
    Aggregate, Context, Event, ListId, PersonName, PollId, Position, ProjectionName, Rejection, RoomId, UserId, chat,
    identity, operation, poll, task,
};

/// A wish, addressed to an aggregate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// To a room.
    Chat(RoomId, chat::Command),
    /// To a poll.
    Poll(PollId, poll::Command),
    /// To a task list.
    Task(ListId, task::Command),
    /// To a person, by name.
    Identity(PersonName, identity::Command),
    /// To a projection.
    Operation(ProjectionName, operation::Command),
}

impl Command {
    /// The aggregate whose rules decide it.
    #[must_use]
    pub fn aggregate(&self) -> Aggregate {
        match self {
            Self::Chat(room, _) => Aggregate::room(room),
            Self::Poll(poll, _) => Aggregate::poll(poll),
            Self::Task(list, _) => Aggregate::list(list),
            Self::Identity(name, _) => Aggregate::person(name),
            Self::Operation(..) => Aggregate::projections(),
        }
    }

    /// A word for what is wished, unique within its aggregate's kind.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Chat(_, command) => match command {
                chat::Command::Open(_) => "open",
                chat::Command::Post(_) => "post",
                chat::Command::Edit(_) => "edit",
                chat::Command::Delete(_) => "delete",
            },
            Self::Poll(_, command) => match command {
                poll::Command::Open(_) => "open",
                poll::Command::Cast(_) => "cast",
                poll::Command::Close => "close",
            },
            Self::Task(_, command) => command.wish.name(),
            Self::Identity(_, command) => match command {
                identity::Command::Register(..) => "register",
                identity::Command::Admit(_) => "admit",
                identity::Command::Grant(_) => "grant",
                identity::Command::ChangePassword { .. } => "change-password",
                identity::Command::SignOutEverywhere => "sign-out-everywhere",
            },
            Self::Operation(_, command) => match command {
                operation::Command::Begin { .. } => "begin",
                operation::Command::Promote(_) => "promote",
                operation::Command::Rollback => "rollback",
                operation::Command::Collect(_) => "collect",
                operation::Command::Discard(..) => "discard",
                operation::Command::Mend(_) => "mend",
                operation::Command::Pause(_) => "pause",
                operation::Command::Resume => "resume",
            },
        }
    }

    /// Which of the many things of its aggregate the wish is about, if it is about one: whose ballot, whose message, which
    /// message, which task. A client's key for a wish holds for that one.
    #[must_use]
    pub fn thing(&self) -> Option<String> {
        match self {
            Self::Chat(_, command) => match command {
                chat::Command::Open(_) => None,
                chat::Command::Post(posted) => Some(posted.author.to_string()),
                chat::Command::Edit(edited) => Some(edited.message.to_string()),
                chat::Command::Delete(deleted) => Some(deleted.message.to_string()),
            },
            Self::Poll(_, command) => match command {
                poll::Command::Cast(ballot) => Some(ballot.voter.to_string()),
                poll::Command::Open(_) | poll::Command::Close => None,
            },
            Self::Task(_, command) => command.wish.thing(),
            Self::Identity(..) => None,
            Self::Operation(projection, _) => Some(projection.to_string()),
        }
    }

    /// The id that the client chose for what is to be made, where one wish makes one thing: the same id again is the same wish.
    #[must_use]
    pub const fn client_id(&self) -> Option<Uuid> {
        match self {
            Self::Chat(_, chat::Command::Post(posted)) => Some(posted.message.0),
            Self::Task(_, task::Command { wish: task::Wish::Add(added), .. }) => Some(added.task.0),
            Self::Identity(_, identity::Command::Register(user, _) | identity::Command::Admit(user)) => Some(user.0),
            _ => None,
        }
    }
}

/// What an aggregate's ruled events add up to: all that a rule may look at, beside the [`Facts`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct State {
    room: chat::Room,
    poll: poll::Poll,
    list: task::List,
    person: identity::Person,
    projections: operation::Projections,
}

impl State {
    /// Applies one event of the aggregate, where its place in the journal does not matter: see [`evolve_at`](Self::evolve_at).
    pub fn evolve(&mut self, event: &Event) {
        self.evolve_at(event, Position::START);
    }

    /// Applies one event of the aggregate, which stands at a position: rules that are asked whether something has changed
    /// since then go by it. Free events change nothing.
    pub fn evolve_at(&mut self, event: &Event, at: Position) {
        match event {
            Event::RoomOpened(_) => self.room.evolve(event),
            Event::PollOpened(_) | Event::PollClosed(_) => self.poll.evolve(event),
            Event::ListOpened(_)
            | Event::ListChanged(_)
            | Event::ListShared(_)
            | Event::ListUnshared(_)
            | Event::ListEmptied(_)
            | Event::TaskAdded(_)
            | Event::TaskChanged(_)
            | Event::TaskMoved(_)
            | Event::TaskCompleted(_)
            | Event::TaskReopened(_)
            | Event::TaskRemoved(_)
            | Event::TaskRestored(_) => self.list.evolve(event, at),
            Event::UserRegistered(_)
            | Event::GuestAdmitted(_)
            | Event::RoleGranted(_)
            | Event::PasswordChanged(_)
            | Event::SignedOutEverywhere(_) => self.person.evolve(event),
            Event::ViewBegun(_)
            | Event::ViewPromoted(_)
            | Event::ViewRestored(_)
            | Event::ViewCollected(_)
            | Event::EventDiscarded(_)
            | Event::AggregateMended(_)
            | Event::ProjectionPaused(_)
            | Event::ProjectionResumed(_) => self.projections.evolve(event),
            Event::MessagePosted(_) | Event::MessageEdited(_) | Event::MessageDeleted(_) | Event::BallotCast(_) => {}
        }
    }

    /// What it says of the aggregate of a context, as JSON; null if there is no such thing yet.
    #[must_use]
    pub fn shown(&self, context: Context) -> serde_json::Value {
        let shown = match context {
            Context::Chat => self.room.opened().map(serde_json::to_value),
            Context::Poll => self.poll.opened().map(|_| serde_json::to_value(&self.poll)),
            Context::Task => self.list.title().map(|_| serde_json::to_value(&self.list)),
            Context::Identity => self.person.holder().map(|_| serde_json::to_value(&self.person)),
            Context::Operation => self.projections.is_decided().then(|| serde_json::to_value(&self.projections)),
        };
        // Structs of texts and numbers: nothing in them can fail to serialize.
        shown.and_then(Result::ok).unwrap_or_default()
    }

    /// The list, as its events left it.
    #[must_use]
    pub const fn list(&self) -> &task::List {
        &self.list
    }

    /// The poll, as its ruled events left it.
    #[must_use]
    pub const fn poll(&self) -> &poll::Poll {
        &self.poll
    }

    /// The projections, as their ruled events left them.
    #[must_use]
    pub const fn projections(&self) -> &operation::Projections {
        &self.projections
    }

    /// The person, as their ruled events left them.
    #[must_use]
    pub const fn person(&self) -> &identity::Person {
        &self.person
    }

    /// The room, as its ruled events left it.
    #[must_use]
    pub const fn room(&self) -> &chat::Room {
        &self.room
    }
}

/// What a rule needs to know that is not in the aggregate's ruled events; the caller looks it up in a view.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    /// The message that an edit or deletion is about.
    pub message: chat::MessageStatus,
    /// Who wrote that message, if somebody in particular did.
    pub writer: Option<UserId>,
    /// On whose behalf it is wished.
    pub asker: identity::Asker,
}

/// Decides a command: the events that follow from it, or why it may not be. Pure: the same input gives the same output.
///
/// # Errors
/// The rule that the command breaks.
pub fn decide(state: &State, command: &Command, facts: &Facts) -> Result<Vec<Event>, Rejection> {
    match command {
        Command::Chat(room, command) => chat::decide(&state.room, room, command, facts),
        Command::Poll(poll, command) => poll::decide(&state.poll, poll, command, facts.asker),
        Command::Task(list, command) => task::decide(&state.list, list, command),
        Command::Identity(name, command) => identity::decide(&state.person, name, command),
        Command::Operation(name, command) => operation::decide(&state.projections, name, command),
    }
}
