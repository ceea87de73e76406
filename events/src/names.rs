//! What people write, as types that cannot hold a bad value.

use serde::{Deserialize, Serialize};

use crate::limits::{
    FIELD_VALUE_CHARS_MAX, ID_BYTES_MAX, LABEL_CHARS_MAX, MESSAGE_CHARS_MAX, NAME_CHARS_MAX, QUESTION_CHARS_MAX,
    TASK_DESCRIPTION_CHARS_MAX, TASK_ORDER_MAX,
};

/// Why a text was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadText {
    /// Nothing in it, or only white space.
    #[error("the {what} is empty")]
    Empty {
        /// Which text, in the domain's words.
        what: &'static str,
    },
    /// Past its bound.
    #[error("the {what} is longer than {max} {unit}")]
    TooLong {
        /// Which text, in the domain's words.
        what: &'static str,
        /// The bound.
        max: usize,
        /// What the bound counts: bytes or characters.
        unit: &'static str,
    },
    /// A control character in it.
    #[error("the {what} contains a control character")]
    Control {
        /// Which text, in the domain's words.
        what: &'static str,
    },
    /// No day of the calendar.
    #[error("the {what} is no day: expected YEAR-MONTH-DAY, for example 2026-12-24")]
    NoDay {
        /// Which text, in the domain's words.
        what: &'static str,
    },
    /// White space before or after it.
    #[error("the {what} begins or ends with white space")]
    Padded {
        /// Which text, in the domain's words.
        what: &'static str,
    },
}

/// A text newtype: `try_from(String)` checks, serde checks, and nothing else makes one.
macro_rules! text_newtype {
    ($(#[$doc:meta])* $name:ident, $what:literal, $check:path) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(Box<str>);

        impl $name {
            /// The text as it was given.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl TryFrom<String> for $name {
            type Error = $crate::names::BadText;
            fn try_from(text: String) -> Result<Self, $crate::names::BadText> {
                $check($what, &text)?;
                Ok(Self(text.into_boxed_str()))
            }
        }

        impl std::str::FromStr for $name {
            type Err = $crate::names::BadText;
            fn from_str(text: &str) -> Result<Self, $crate::names::BadText> {
                Self::try_from(text.to_owned())
            }
        }

        impl From<$name> for String {
            fn from(value: $name) -> Self {
                value.0.into()
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}
pub(crate) use text_newtype;

fn check_line(what: &'static str, text: &str, max: usize) -> Result<(), BadText> {
    if text.trim().is_empty() {
        return Err(BadText::Empty { what });
    }
    if text.chars().count() > max {
        return Err(BadText::TooLong { what, max, unit: "characters" });
    }
    if text.chars().any(char::is_control) {
        return Err(BadText::Control { what });
    }
    Ok(())
}

fn check_name(what: &'static str, text: &str) -> Result<(), BadText> {
    check_line(what, text, NAME_CHARS_MAX)
}

fn check_question(what: &'static str, text: &str) -> Result<(), BadText> {
    check_line(what, text, QUESTION_CHARS_MAX)
}

fn check_message(what: &'static str, text: &str) -> Result<(), BadText> {
    check_lines(what, text, MESSAGE_CHARS_MAX)
}

fn check_description(what: &'static str, text: &str) -> Result<(), BadText> {
    check_lines(what, text, TASK_DESCRIPTION_CHARS_MAX)
}

fn check_label(what: &'static str, text: &str) -> Result<(), BadText> {
    if text.trim() != text {
        return Err(BadText::Padded { what });
    }
    check_line(what, text, LABEL_CHARS_MAX)
}

fn check_day(what: &'static str, text: &str) -> Result<(), BadText> {
    // One day is written in one way, so that days are in the order of their texts.
    let day = text.parse::<jiff::civil::Date>().ok().filter(|day| day.to_string() == text && day.year() >= 0);
    if day.is_some() { Ok(()) } else { Err(BadText::NoDay { what }) }
}

fn check_lines(what: &'static str, text: &str, max: usize) -> Result<(), BadText> {
    if text.trim().is_empty() {
        return Err(BadText::Empty { what });
    }
    if text.chars().count() > max {
        return Err(BadText::TooLong { what, max, unit: "characters" });
    }
    if text.chars().any(|c| c.is_control() && !matches!(c, '\n' | '\r' | '\t')) {
        return Err(BadText::Control { what });
    }
    Ok(())
}

fn check_value(what: &'static str, text: &str) -> Result<(), BadText> {
    if text.is_empty() { Ok(()) } else { check_line(what, text, FIELD_VALUE_CHARS_MAX) }
}

fn check_actor(what: &'static str, text: &str) -> Result<(), BadText> {
    // Travels as a header, which keeps no outer spaces.
    if text.trim() != text {
        return Err(BadText::Padded { what });
    }
    check_line(what, text, ID_BYTES_MAX)
}

text_newtype!(
    /// What a room is called: one line of 1 to 200 characters.
    RoomName, "room name", check_name
);
text_newtype!(
    /// What a room is about: one line of 1 to 500 characters.
    Topic, "topic", check_question
);
text_newtype!(
    /// What a message says: 1 to 8,000 characters, line breaks and tabs allowed.
    MessageText, "message text", check_message
);
text_newtype!(
    /// What a poll asks: one line of 1 to 500 characters.
    Question, "question", check_question
);
text_newtype!(
    /// What can be voted for: one line of 1 to 200 characters.
    OptionLabel, "option", check_name
);
text_newtype!(
    /// Name of a ballot's free field: one line of 1 to 200 characters.
    FieldName, "field name", check_name
);
text_newtype!(
    /// Value of a ballot's free field: one line of at most 200 characters, or nothing.
    FieldValue, "field value", check_value
);
text_newtype!(
    /// What a task list is called: one line of 1 to 200 characters.
    ListTitle, "list title", check_name
);
text_newtype!(
    /// What there is to do: one line of 1 to 200 characters.
    TaskTitle, "task title", check_name
);
text_newtype!(
    /// What else there is to say about a task: 1 to 4,000 characters, line breaks and tabs allowed.
    Description, "description", check_description
);
text_newtype!(
    /// What a task is filed under: one line of 1 to 50 characters without outer spaces.
    Label, "label", check_label
);
text_newtype!(
    /// A day by which something is to be done, wherever one is: `2026-12-24`.
    DueDate, "due date", check_day
);
text_newtype!(
    /// What a person is called: one line of 1 to 200 characters.
    PersonName, "name", check_name
);
text_newtype!(
    /// Why an operator did something: one line of 1 to 500 characters.
    Reason, "reason", check_question
);
text_newtype!(
    /// Who caused an event, as far as the gateway knows: `ce-actor`, one line of at most 128 characters.
    Actor, "actor", check_actor
);

/// A task's place among the others of its list, the smallest first: a whole number of at most [`TASK_ORDER_MAX`] to either side.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "i64", into = "i64")]
pub struct TaskOrder(i64);

/// The number is no place on a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a task's order is a whole number from -{TASK_ORDER_MAX} to {TASK_ORDER_MAX}, not {0}")]
pub struct BadOrder(i64);

impl TaskOrder {
    /// The place with this number, or the furthest one in its direction.
    #[must_use]
    pub fn nearest(number: i64) -> Self {
        Self(number.clamp(-TASK_ORDER_MAX, TASK_ORDER_MAX))
    }

    /// Its number.
    #[must_use]
    pub const fn number(self) -> i64 {
        self.0
    }
}

impl TryFrom<i64> for TaskOrder {
    type Error = BadOrder;
    fn try_from(number: i64) -> Result<Self, BadOrder> {
        if Self::nearest(number).0 == number { Ok(Self(number)) } else { Err(BadOrder(number)) }
    }
}

impl From<TaskOrder> for i64 {
    fn from(order: TaskOrder) -> Self {
        order.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_may_have_lines_and_nothing_worse() {
        assert!("hola\n\tmundo".parse::<MessageText>().is_ok());
        assert_eq!("a\u{7}".parse::<MessageText>(), Err(BadText::Control { what: "message text" }));
        assert_eq!(" \n ".parse::<MessageText>(), Err(BadText::Empty { what: "message text" }));
    }

    #[test]
    fn length_counts_characters_not_bytes() {
        assert!("ñ".repeat(NAME_CHARS_MAX).parse::<RoomName>().is_ok());
        assert!("ñ".repeat(NAME_CHARS_MAX + 1).parse::<RoomName>().is_err());
    }

    #[test]
    fn a_day_is_written_in_one_way() {
        assert!("2028-02-29".parse::<DueDate>().is_ok());
        for bad in ["", "2026-02-29", "2026-1-1", "20261224", "2026-12-24T10:00:00", " 2026-12-24", "-000001-01-01"] {
            assert!(bad.parse::<DueDate>().is_err(), "{bad}");
        }
    }

    #[test]
    fn an_order_is_a_number_that_every_reader_keeps() {
        assert_eq!(serde_json::from_str::<TaskOrder>("-7").unwrap().number(), -7);
        for bad in ["9007199254740992", "1.5", "\"1\""] {
            assert!(serde_json::from_str::<TaskOrder>(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn serde_checks_what_it_reads() {
        assert!(serde_json::from_str::<OptionLabel>(r#""""#).is_err());
        let label: OptionLabel = serde_json::from_str(r#""Bohemia Suburbana""#).unwrap();
        assert_eq!(serde_json::to_string(&label).unwrap(), r#""Bohemia Suburbana""#);
    }
}
