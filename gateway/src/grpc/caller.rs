//! Who calls.

use http::HeaderMap;

use crate::problem::Problem;

/// Who calls, as far as the gateway knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Caller {
    /// Somebody who has not said who they are: acts under the name that they give.
    Guest,
}

impl Caller {
    /// Who the record says it was.
    pub(super) const fn actor<'a>(&self, given: &'a str) -> Option<&'a str> {
        match self {
            Self::Guest => Some(given),
        }
    }
}

/// Tells from a call's metadata who calls.
///
/// # Errors
/// When they may not.
pub(super) const fn caller(_metadata: &HeaderMap) -> Result<Caller, Problem> {
    Ok(Caller::Guest)
}
