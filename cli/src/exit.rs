//! Exit codes, in one place.

use std::io;
use std::process::ExitCode;

use cabildo_storage::{OpenError, ReadError, SinkError};

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    /// As it should.
    Ok,
    /// It failed; the reason is on stderr.
    Failed,
    /// It was not understood: a flag, the environment or the file is wrong.
    Usage,
    /// It worked, and found a difference.
    Difference,
    /// It worked, and something is parked.
    Parked,
    /// A server does not answer.
    Unreachable,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(match exit {
            Exit::Ok => 0,
            Exit::Failed => 1,
            Exit::Usage => 2,
            Exit::Difference => 3,
            Exit::Parked => 4,
            Exit::Unreachable => 5,
        })
    }
}

/// The command cannot be carried out as it was given.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Usage(pub(crate) String);

/// A server does not answer.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Unreachable(pub(crate) String);

impl Exit {
    /// The code that an error ends with. A reader that has seen enough (`| head`) is no failure.
    pub(crate) fn of(error: &anyhow::Error) -> Self {
        for cause in error.chain() {
            if cause.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe) {
                return Self::Ok;
            }
            if cause.is::<Usage>() || matches!(cause.downcast_ref(), Some(OpenError::Url { .. })) {
                return Self::Usage;
            }
            if cause.is::<Unreachable>()
                || cause.is::<ReadError>()
                || cause.is::<SinkError>()
                || matches!(cause.downcast_ref(), Some(OpenError::Unavailable { .. }))
            {
                return Self::Unreachable;
            }
        }
        Self::Failed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_ends_with_the_code_of_its_cause() {
        let pipe = io::Error::from(io::ErrorKind::BrokenPipe);
        assert_eq!(Exit::of(&anyhow::Error::new(pipe).context("writing")), Exit::Ok);
        let down = OpenError::Unavailable { what: "nats".into(), reason: "refused".into() };
        assert_eq!(Exit::of(&anyhow::Error::new(down).context("the journal")), Exit::Unreachable);
        assert_eq!(Exit::of(&anyhow::Error::new(Usage("no".into()))), Exit::Usage);
        assert_eq!(Exit::of(&anyhow::anyhow!("else")), Exit::Failed);
    }
}
