//! What can go wrong between here and a Grafana, and what to do about it.

/// Why a Grafana did not do what was asked. None of them tells the token or the password.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GrafanaError {
    /// The address or the credentials cannot be used at all.
    #[error("{0}")]
    Usage(String),
    /// Nobody answers.
    #[error("Grafana at {address} does not answer: {reason}. Is it running, and is this its address?")]
    Unreachable {
        /// Where it was looked for.
        address: String,
        /// What came instead of an answer.
        reason: String,
    },
    /// Somebody else answers.
    #[error(
        "{address} is not Grafana's address: {said}. Give the address that the browser shows before `/dashboards`, with the \
         sub-path if Grafana is served under one (`root_url`)"
    )]
    NotGrafana {
        /// Where it was looked for.
        address: String,
        /// What came instead of Grafana's answer.
        said: String,
    },
    /// Grafana does not know the credentials.
    #[error(
        "Grafana does not accept the credentials ({said}): make a token under Administration, Users and access, Service accounts, \
         with the role Admin, and put it alone into the file of --token-file"
    )]
    Credentials {
        /// In Grafana's words.
        said: String,
    },
    /// The credentials do not permit it.
    #[error(
        "Grafana does not permit to {doing} ({said}): it needs the permission {permission}. Give the service account the role Admin, \
         or this permission"
    )]
    Forbidden {
        /// What was tried.
        doing: String,
        /// What it takes.
        permission: &'static str,
        /// In Grafana's words.
        said: String,
    },
    /// It comes from a file of Grafana's own.
    #[error(
        "Grafana refuses to {doing} ({said}), because it comes from one of Grafana's provisioning files: either change that file (`cabildo \
         dashboards export`), or remove it from Grafana's provisioning folder and run this again"
    )]
    Provisioned {
        /// What was tried.
        doing: String,
        /// In Grafana's words.
        said: String,
    },
    /// Somebody else changes the same thing, or something else has its name.
    #[error(
        "Grafana refuses to {doing} because something stands against it ({said}): if somebody is editing it, run this again; if \
         something else has that name, rename or remove it"
    )]
    Conflict {
        /// What was tried.
        doing: String,
        /// In Grafana's words.
        said: String,
    },
    /// There is no such thing where there should be one.
    #[error(
        "Grafana has nothing to {doing} with ({said}): is {address} its full address, with the sub-path if it has one?"
    )]
    Missing {
        /// What was tried.
        doing: String,
        /// Where it was looked for.
        address: String,
        /// In Grafana's words.
        said: String,
    },
    /// It answers with something else.
    #[error("Grafana did not {doing}: it answered with {status} ({said})")]
    Refused {
        /// What was tried.
        doing: String,
        /// The status of its answer.
        status: u16,
        /// In Grafana's words.
        said: String,
    },
}
