//! The fields of the language, and what each takes for a value.

use cabildo_events::limits::{NAME_CHARS_MAX, SEARCH_CHARS_MAX};
use cabildo_events::{Aggregate, EventId, Lane, PersonName, Position, Timestamp};
use cabildo_storage::{Compare, Condition, KindPattern, words};

/// A field that can be asked. The first name is the one that is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Field {
    Type,
    Room,
    Poll,
    List,
    User,
    Projection,
    Aggregate,
    Context,
    Actor,
    Lane,
    Id,
    Correlation,
    Causation,
    Position,
    Time,
    Text,
}

const FIELDS: [(&str, Field); 16] = [
    ("type", Field::Type),
    ("room", Field::Room),
    ("poll", Field::Poll),
    ("list", Field::List),
    ("user", Field::User),
    ("projection", Field::Projection),
    ("aggregate", Field::Aggregate),
    ("context", Field::Context),
    ("actor", Field::Actor),
    ("lane", Field::Lane),
    ("id", Field::Id),
    ("correlation", Field::Correlation),
    ("causation", Field::Causation),
    ("position", Field::Position),
    ("time", Field::Time),
    ("text", Field::Text),
];

/// The contexts that events belong to.
const CONTEXTS: [&str; 5] = ["chat", "poll", "task", "identity", "operation"];

impl Field {
    pub(super) fn named(name: &str) -> Option<Self> {
        FIELDS.iter().find(|(known, _)| *known == name).map(|(_, field)| *field)
    }

    pub(super) fn names() -> impl Iterator<Item = &'static str> {
        FIELDS.iter().map(|(name, _)| *name)
    }

    /// Reads a value; the error says what would be right.
    pub(super) fn condition(self, value: &str, now: Timestamp) -> Result<Condition, String> {
        match self {
            Self::Type => kind(value).map(Condition::Kind),
            Self::Room => thing("chat", value),
            Self::Poll => thing("poll", value),
            Self::List => thing("task", value),
            Self::User => thing("identity", &user(value)),
            Self::Projection => thing("operation", value),
            Self::Aggregate => aggregate(value),
            Self::Context => context(value),
            Self::Actor => bounded("an actor", value, NAME_CHARS_MAX).map(Condition::Actor),
            Self::Lane => lane(value).map(Condition::Lane),
            Self::Id => id(value).map(Condition::Event),
            Self::Correlation => id(value).map(Condition::Correlation),
            Self::Causation => id(value).map(Condition::Causation),
            Self::Position => {
                let (compare, value) = compared(value);
                value.parse().map(|position: Position| Condition::Position(compare, position)).map_err(|error| error.to_string())
            }
            Self::Time => time(value, now),
            Self::Text => text(value),
        }
    }
}

pub(super) fn text(value: &str) -> Result<Condition, String> {
    if words(value).next().is_none() {
        return Err("there is no letter and no digit to search for".to_owned());
    }
    bounded("a text", value, SEARCH_CHARS_MAX).map(Condition::Text)
}

fn bounded(what: &str, value: &str, max: usize) -> Result<String, String> {
    match value.chars().count() {
        0 => Err(format!("{what} is missing")),
        count if count > max => Err(format!("{what} has at most {max} characters, this one {count}")),
        _ => Ok(value.to_owned()),
    }
}

/// Reads an event type: `poll.ballot.cast`, or `chat.*` for all that begin so.
pub(crate) fn kind(value: &str) -> Result<KindPattern, String> {
    let stem = value.strip_suffix('*').unwrap_or(value);
    let sound = !value.is_empty() && stem.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b));
    if !sound || value.len() > NAME_CHARS_MAX {
        return Err(format!("`{value}` is no event type: try poll.ballot.cast or chat.*"));
    }
    Ok(if stem.len() < value.len() { KindPattern::Prefix(stem.to_owned()) } else { KindPattern::Exactly(stem.to_owned()) })
}

fn thing(context: &str, value: &str) -> Result<Condition, String> {
    aggregate(&format!("{context}/{value}"))
}

/// A person goes by their name in lower case.
fn user(value: &str) -> String {
    PersonName::try_from(value.to_owned())
        .map_or_else(|_| value.to_lowercase(), |name| Aggregate::person(&name).id().to_owned())
}

fn aggregate(value: &str) -> Result<Condition, String> {
    let sound = value.split_once('/').is_some_and(|(context, id)| CONTEXTS.contains(&context) && !id.is_empty());
    if !sound {
        return Err("expected CONTEXT/ID, for example poll/bands-2026 or chat/lobby".to_owned());
    }
    bounded("an aggregate", value, NAME_CHARS_MAX).map(Condition::Aggregate)
}

fn context(value: &str) -> Result<Condition, String> {
    if CONTEXTS.contains(&value) {
        return Ok(Condition::Context(value.to_owned()));
    }
    Err(format!("`{value}` is no context: {}", CONTEXTS.join(", ")))
}

fn lane(value: &str) -> Result<Lane, String> {
    let number = (value.len() <= 2).then(|| value.parse().ok()).flatten();
    number.and_then(Lane::new).ok_or_else(|| format!("`{value}` is no lane: 00 to 63"))
}

fn id(value: &str) -> Result<EventId, String> {
    value.parse().map_err(|_| format!("`{value}` is no id: a UUID, for example 019a9f0e-5d5c-7c3a-9d3e-2f1b8c6a4e10"))
}

fn compared(value: &str) -> (Compare, &str) {
    let signs = [
        (">=", Compare::AtLeast),
        ("<=", Compare::AtMost),
        (">", Compare::Above),
        ("<", Compare::Below),
        ("=", Compare::Equal),
    ];
    signs.iter().find_map(|(sign, compare)| Some((*compare, value.strip_prefix(sign)?))).unwrap_or((Compare::Equal, value))
}

fn time(value: &str, now: Timestamp) -> Result<Condition, String> {
    let (compare, moment) = compared(value);
    if let Some(moment) = relative(moment, now) {
        // Without a sign, since then.
        let since = if moment_is_bare(value) { Compare::AtLeast } else { compare };
        return Ok(Condition::Time(since, moment));
    }
    let moment = moment.parse::<Timestamp>().or_else(|error| {
        // A day stands for its first moment.
        format!("{moment}T00:00:00Z").parse().map_err(|_| error)
    });
    match moment {
        Ok(moment) => Ok(Condition::Time(compare, moment)),
        Err(_) => Err(format!("`{value}` is no time: try >2026-11-21T10:00Z, <2026-11-21 or -15m")),
    }
}

fn moment_is_bare(value: &str) -> bool {
    value.starts_with('-')
}

/// A moment so long ago: `-15m`; seconds, minutes, hours, days and weeks by their first letter.
pub(crate) fn relative(text: &str, now: Timestamp) -> Option<Timestamp> {
    let rest = text.strip_prefix('-')?;
    let unit = rest.chars().next_back()?;
    let seconds = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3_600,
        'd' => 86_400,
        'w' => 7 * 86_400,
        _ => return None,
    };
    let digits = rest.strip_suffix(unit)?;
    let sound = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
    let count: i64 = sound.then(|| digits.parse().ok()).flatten()?;
    let micros = count.checked_mul(seconds)?.checked_mul(1_000_000)?;
    now.micros().checked_sub(micros).filter(|micros| *micros >= 0).map(Timestamp::from_micros)
}
