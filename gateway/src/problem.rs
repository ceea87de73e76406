//! Statuses and problem documents (RFC 9457): the one place where what went wrong becomes an HTTP answer.
//!
//! `type` is `urn:cabildo:problem:` and a stable word; clients match on it, `detail` is for people.

use cabildo_events::Rejection;
use cabildo_events::limits::{BODY_BYTES_MAX, RETRY_AFTER_S};
use cabildo_storage::{AppendError, CommandError, CredentialsError, Denied, NoCaller, ReadError, SinkError};
use http::{HeaderValue, StatusCode, header};
use serde::Serialize;
use warp::reply::Response;

/// A kind of problem: its stable word, its status, its title.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Kind {
    pub(crate) code: &'static str,
    pub(crate) status: StatusCode,
    pub(crate) title: &'static str,
}

macro_rules! kinds {
    ($($name:ident = $status:ident, $code:literal, $title:literal;)*) => {
        $(pub(crate) static $name: Kind = Kind { code: $code, status: StatusCode::$status, title: $title };)*

        /// Every kind, in the order of their statuses.
        pub(crate) static ALL: &[&Kind] = &[$(&$name,)*];
    };
}

kinds! {
    MALFORMED_JSON = BAD_REQUEST, "malformed-json", "The body is not JSON";
    INVALID_UTF8 = BAD_REQUEST, "invalid-utf8", "The text is not UTF-8";
    WRONG_SHAPE = BAD_REQUEST, "wrong-shape", "The body has a field of the wrong type, an unknown one, or lacks one";
    BAD_PARAMETER = BAD_REQUEST, "bad-parameter", "The query has an unknown parameter, or one twice";
    BAD_REQUEST = BAD_REQUEST, "bad-request", "The request cannot be read";
    INVALID_TOKEN = UNAUTHORIZED, "invalid-token", "The token is not valid";
    SIGN_IN = UNAUTHORIZED, "sign-in", "This takes signing in";
    SIGN_IN_REFUSED = UNAUTHORIZED, "sign-in-refused", "The name or the password is wrong";
    REFRESH_REFUSED = UNAUTHORIZED, "refresh-refused", "The session is over";
    REFRESH_REUSED = UNAUTHORIZED, "refresh-reused", "The refresh token was used twice";
    FORBIDDEN = FORBIDDEN, "forbidden", "Your role may not do this";
    NOT_YOURS = FORBIDDEN, "not-yours", "It is somebody else's";
    GUEST_ONLY = FORBIDDEN, "guest-only", "Guests have no role and no password";
    WRONG_PASSWORD = FORBIDDEN, "wrong-password", "The password is another";
    FOREIGN_ORIGIN = FORBIDDEN, "foreign-origin", "Pages of other sites may not write here";
    NOT_FOUND = NOT_FOUND, "not-found", "There is no such thing";
    NO_SUCH_ROUTE = NOT_FOUND, "no-such-route", "There is nothing at this address";
    METHOD_NOT_ALLOWED = METHOD_NOT_ALLOWED, "method-not-allowed", "The address does not take this method";
    BODY_TIMEOUT = REQUEST_TIMEOUT, "body-timeout", "The body took too long to arrive";
    ALREADY_EXISTS = CONFLICT, "already-exists", "The id or name is taken";
    NAME_TAKEN = CONFLICT, "name-taken", "The name is somebody's";
    PASSWORD_CHANGED = CONFLICT, "password-changed", "The password was changed meanwhile";
    POLL_CLOSED = CONFLICT, "poll-closed", "The poll is closed";
    LIST_FULL = CONFLICT, "list-full", "The list is full";
    LAST_OWNER = CONFLICT, "last-owner", "The list would have no owner";
    MEMBERS_FULL = CONFLICT, "members-full", "The list has as many members as it may";
    CONFLICT = CONFLICT, "conflict", "Others keep changing it";
    CHANGED = PRECONDITION_FAILED, "changed", "It was changed meanwhile";
    BODY_TOO_LARGE = PAYLOAD_TOO_LARGE, "body-too-large", "The body is too large";
    UNSUPPORTED_MEDIA_TYPE = UNSUPPORTED_MEDIA_TYPE, "unsupported-media-type", "The body must be JSON";
    MISDIRECTED = MISDIRECTED_REQUEST, "misdirected", "This gateway does not go by that name";
    BAD_VALUE = UNPROCESSABLE_ENTITY, "bad-value", "A value breaks its bounds";
    UNKNOWN_OPTION = UNPROCESSABLE_ENTITY, "unknown-option", "The poll has no such option";
    CHOICE_COUNT = UNPROCESSABLE_ENTITY, "choice-count", "The ballot has too few or too many choices";
    OPTION_COUNT = UNPROCESSABLE_ENTITY, "option-count", "The poll has too few or too many options";
    OPTION_TWICE = UNPROCESSABLE_ENTITY, "option-twice", "The poll lists an option twice";
    FIELD_COUNT = UNPROCESSABLE_ENTITY, "field-count", "The ballot has too many fields";
    TOO_MANY_TRIES = TOO_MANY_REQUESTS, "too-many-tries", "Too many tries";
    NO_OWNER = UNPROCESSABLE_ENTITY, "no-owner", "The list has no owner";
    LABEL_COUNT = UNPROCESSABLE_ENTITY, "label-count", "The task has too many labels";
    INTERNAL = INTERNAL_SERVER_ERROR, "internal", "Something went wrong on our side";
    NOT_BUILT = NOT_IMPLEMENTED, "not-built", "This is not built yet";
    OVERLOADED = SERVICE_UNAVAILABLE, "overloaded", "Too much is waiting already";
    DISK_FULL = SERVICE_UNAVAILABLE, "disk-full", "The journal's disk is full";
    CREDENTIALS_UNAVAILABLE = SERVICE_UNAVAILABLE, "credentials-unavailable", "The credential store is not available";
    JOURNAL_UNAVAILABLE = SERVICE_UNAVAILABLE, "journal-unavailable", "The journal is not available";
    VIEW_UNAVAILABLE = SERVICE_UNAVAILABLE, "view-unavailable", "The view is not available";
    VIEW_BEHIND = SERVICE_UNAVAILABLE, "view-behind", "The view has not caught up";
    TOO_SLOW = SERVICE_UNAVAILABLE, "too-slow", "The listener took nothing for too long";
    TOO_MANY_LISTENERS = SERVICE_UNAVAILABLE, "too-many-listeners", "Too many live streams are open";
    STOPPING = SERVICE_UNAVAILABLE, "stopping", "The gateway is going down";
}

/// The media type of problem documents.
pub(crate) const MEDIA_TYPE: HeaderValue = HeaderValue::from_static("application/problem+json");

/// What went wrong with one request.
#[derive(Clone, Debug)]
pub(crate) struct Problem(Box<Parts>);

#[derive(Clone, Debug)]
struct Parts {
    kind: &'static Kind,
    detail: String,
    field: Option<String>,
    line_column: Option<(usize, usize)>,
    span: Option<Span>,
    allowed: Vec<String>,
    allow: Option<String>,
    may_have_happened: bool,
    retry_after_s: Option<u64>,
}

/// A place in a text, in characters.
#[derive(Clone, Copy, Debug, Serialize)]
struct Span {
    offset: usize,
    length: usize,
}

#[derive(Serialize)]
struct Document<'a> {
    r#type: String,
    title: &'static str,
    status: u16,
    detail: &'a str,
    instance: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    field: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    line: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    column: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    at: Option<Span>,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    allowed: &'a [String],
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    may_have_happened: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    request: Option<&'a str>,
}

impl Problem {
    pub(crate) fn new(kind: &'static Kind, detail: impl Into<String>) -> Self {
        let parts = Parts {
            kind,
            detail: detail.into(),
            field: None,
            line_column: None,
            span: None,
            allowed: Vec::new(),
            allow: None,
            may_have_happened: false,
            retry_after_s: None,
        };
        Self(Box::new(parts))
    }

    /// A value of a field, header or parameter breaks its bounds.
    pub(crate) fn bad_value(field: &str, detail: impl std::fmt::Display) -> Self {
        Self::new(&BAD_VALUE, detail.to_string()).field(field)
    }

    pub(crate) fn not_found(what: &str, id: impl std::fmt::Display) -> Self {
        Self::new(&NOT_FOUND, format!("there is no {what} `{id}`"))
    }

    /// The brakes on guessing hold; the next try is let through after the wait.
    pub(crate) fn too_many_tries(wait: std::time::Duration) -> Self {
        let seconds = wait.as_secs() + 1;
        let mut problem = Self::new(&TOO_MANY_TRIES, format!("too many tries: the next one in {seconds} s"));
        problem.0.retry_after_s = Some(seconds);
        problem
    }

    pub(crate) fn body_too_large() -> Self {
        Self::new(&BODY_TOO_LARGE, format!("a body holds at most {BODY_BYTES_MAX} bytes"))
    }

    pub(crate) fn body_timeout(read: std::time::Duration) -> Self {
        Self::new(&BODY_TIMEOUT, format!("a body must arrive within {} ms", read.as_millis()))
    }

    pub(crate) fn field(mut self, field: &str) -> Self {
        self.0.field = Some(field.to_owned());
        self
    }

    pub(crate) fn at(mut self, line: usize, column: usize) -> Self {
        self.0.line_column = Some((line, column));
        self
    }

    /// Where in the parameter it is, in characters.
    pub(crate) fn span(mut self, offset: usize, length: usize) -> Self {
        self.0.span = Some(Span { offset, length });
        self
    }

    pub(crate) fn allowed(mut self, allowed: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.0.allowed = allowed.into_iter().map(Into::into).collect();
        self
    }

    /// The methods that the address takes, for the `Allow` header.
    pub(crate) fn allow(mut self, methods: &[&str]) -> Self {
        self.0.allow = Some(methods.join(", "));
        self.allowed(methods.iter().copied())
    }

    pub(crate) fn kind(&self) -> &'static Kind {
        self.0.kind
    }

    /// What went wrong, for people.
    pub(crate) fn detail(&self) -> &str {
        &self.0.detail
    }

    /// Whether what was wished may have been recorded all the same.
    pub(crate) fn may_have_happened(&self) -> bool {
        self.0.may_have_happened
    }

    pub(crate) fn field_name(&self) -> Option<&str> {
        self.0.field.as_deref()
    }

    #[cfg(test)]
    pub(crate) fn place(&self) -> Option<(usize, usize)> {
        self.0.line_column
    }

    /// A response that carries the problem to the edge, where it is written out with the request's own address.
    pub(crate) fn into_response(self) -> Response {
        let mut response = Response::default();
        *response.status_mut() = self.0.kind.status;
        response.extensions_mut().insert(self);
        response
    }

    /// The status, headers and body that the client gets.
    pub(crate) fn write(&self, instance: &str, request: Option<&str>) -> http::Response<Vec<u8>> {
        let Parts { kind, detail, field, line_column, span, allowed, allow, may_have_happened, retry_after_s } =
            &*self.0;
        let document = Document {
            r#type: format!("urn:cabildo:problem:{}", kind.code),
            title: kind.title,
            status: kind.status.as_u16(),
            detail,
            instance,
            field: field.as_deref(),
            line: line_column.map(|(line, _)| line),
            column: line_column.map(|(_, column)| column),
            at: *span,
            allowed,
            may_have_happened: *may_have_happened,
            request,
        };
        let mut response = http::Response::new(serde_json::to_vec(&document).unwrap_or_default());
        *response.status_mut() = kind.status;
        response.headers_mut().insert(header::CONTENT_TYPE, MEDIA_TYPE);
        if let Some(allow) = allow.as_ref().and_then(|allow| HeaderValue::from_str(allow).ok()) {
            response.headers_mut().insert(header::ALLOW, allow);
        }
        if kind.status == StatusCode::UNAUTHORIZED {
            // RFC 6750, section 3: whoever shows no token is not told of an error.
            let bearer = if **kind == INVALID_TOKEN { "Bearer error=\"invalid_token\"" } else { "Bearer" };
            response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static(bearer));
        }
        let down = (kind.status == StatusCode::SERVICE_UNAVAILABLE).then_some(RETRY_AFTER_S);
        if let Some(seconds) = retry_after_s.or(down) {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}

impl From<Rejection> for Problem {
    fn from(rejection: Rejection) -> Self {
        let (kind, field) = match &rejection {
            Rejection::NotFound { .. } => (&NOT_FOUND, None),
            Rejection::AlreadyExists { .. } => (&ALREADY_EXISTS, None),
            Rejection::PollClosed(_) => (&POLL_CLOSED, None),
            Rejection::ListFull => (&LIST_FULL, None),
            Rejection::NotYours { .. } => (&NOT_YOURS, None),
            Rejection::PasswordChanged => (&PASSWORD_CHANGED, None),
            Rejection::GuestOnly(_) => (&GUEST_ONLY, None),
            Rejection::Forbidden => (&FORBIDDEN, None),
            Rejection::Changed(_) => (&CHANGED, None),
            Rejection::NoOwner => (&NO_OWNER, None),
            Rejection::LastOwner => (&LAST_OWNER, None),
            Rejection::MembersFull => (&MEMBERS_FULL, None),
            Rejection::LabelCount(_) => (&LABEL_COUNT, Some("labels")),
            Rejection::Operation(_) => (&ALREADY_EXISTS, None),
            Rejection::UnknownOption(_) => (&UNKNOWN_OPTION, Some("choice")),
            Rejection::ChoiceCount(_) => (&CHOICE_COUNT, Some("choice")),
            Rejection::OptionCount(_) => (&OPTION_COUNT, Some("options")),
            Rejection::OptionTwice(_) => (&OPTION_TWICE, Some("options")),
            Rejection::FieldCount(_) => (&FIELD_COUNT, Some("fields")),
        };
        let problem = Self::new(kind, rejection.to_string());
        match field {
            Some(field) => problem.field(field),
            None => problem,
        }
    }
}

impl From<CommandError> for Problem {
    fn from(error: CommandError) -> Self {
        match error {
            CommandError::Rejected(rejection) => rejection.into(),
            CommandError::Conflict => Self::new(&CONFLICT, "others keep changing it: try again"),
            CommandError::Append(error) => error.into(),
            CommandError::Read(error) => error.into(),
        }
    }
}

impl From<AppendError> for Problem {
    fn from(error: AppendError) -> Self {
        let kind = match &error {
            AppendError::Conflict => &CONFLICT,
            AppendError::TooLarge { .. } => &BODY_TOO_LARGE,
            AppendError::Overloaded { .. } => &OVERLOADED,
            AppendError::DiskFull => &DISK_FULL,
            AppendError::Unavailable(_) => &JOURNAL_UNAVAILABLE,
            AppendError::Stopping => &STOPPING,
        };
        let detail = match &error {
            // What a server says of itself (addresses, users) is for the log.
            AppendError::Unavailable(reason) => {
                tracing::warn!(reason, "an append was not acknowledged");
                "it may have been recorded all the same: send it again with the same Idempotency-Key".to_owned()
            }
            error => error.to_string(),
        };
        let mut problem = Self::new(kind, detail);
        problem.0.may_have_happened = error.may_have_happened();
        problem
    }
}

impl From<Denied> for Problem {
    fn from(denied: Denied) -> Self {
        let kind = match denied {
            Denied::SignIn(_) => &SIGN_IN,
            Denied::Role { .. } => &FORBIDDEN,
        };
        Self::new(kind, denied.to_string())
    }
}

impl From<NoCaller> for Problem {
    fn from(error: NoCaller) -> Self {
        let kind = match error {
            NoCaller::BadToken => &INVALID_TOKEN,
            NoCaller::Unavailable => &CREDENTIALS_UNAVAILABLE,
        };
        Self::new(kind, error.to_string())
    }
}

impl From<CredentialsError> for Problem {
    fn from(error: CredentialsError) -> Self {
        tracing::warn!(%error, "the credentials could not be read or written");
        Self::new(&CREDENTIALS_UNAVAILABLE, "the credential store does not answer: try again")
    }
}

impl From<ReadError> for Problem {
    fn from(error: ReadError) -> Self {
        tracing::warn!(%error, "the journal could not be read");
        Self::new(&JOURNAL_UNAVAILABLE, "the journal does not answer: try again")
    }
}

impl From<SinkError> for Problem {
    fn from(error: SinkError) -> Self {
        tracing::warn!(%error, "a view could not be read");
        let SinkError::Unavailable { sink, .. } = error;
        Self::new(&VIEW_UNAVAILABLE, format!("{sink} does not answer: try again"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn document(problem: &Problem) -> (http::Response<()>, serde_json::Value) {
        let (parts, body) = problem.write("/api/v1/polls/p", Some("r1")).into_parts();
        (http::Response::from_parts(parts, ()), serde_json::from_slice(&body).unwrap())
    }

    #[test]
    fn a_rejection_says_what_where_and_how_to_tell() {
        let (response, body) = document(&Rejection::PollClosed("p".into()).into());
        assert_eq!(response.status(), 409);
        assert_eq!(response.headers()["content-type"], "application/problem+json");
        assert_eq!(body["type"], "urn:cabildo:problem:poll-closed");
        assert_eq!((&body["instance"], &body["status"]), (&"/api/v1/polls/p".into(), &409.into()));
        let (_, body) = document(&Rejection::UnknownOption("x".into()).into());
        assert_eq!((&body["field"], &body["status"]), (&"choice".into(), &422.into()));
    }

    #[test]
    fn what_may_be_tried_again_says_when_and_nothing_of_the_inside() {
        let (response, body) = document(&AppendError::Unavailable("nats://10.0.0.1 refused".into()).into());
        assert_eq!((response.status().as_u16(), &response.headers()["retry-after"]), (503, &"1".parse().unwrap()));
        assert_eq!(body["may_have_happened"], true);
        assert!(!body.to_string().contains("10.0.0.1"), "{body}");
        let error = SinkError::Unavailable { sink: "redis", reason: "10.0.0.2: refused".into() };
        assert!(!document(&error.into()).1.to_string().contains("10.0.0.2"));
    }

    #[test]
    fn every_rule_of_the_domain_has_a_problem_of_its_own_name() {
        let rules = [
            Rejection::NotFound { what: "room", id: "r".into() },
            Rejection::AlreadyExists { what: "room", id: "r".into() },
            Rejection::PollClosed("p".into()),
            Rejection::UnknownOption("o".into()),
            Rejection::ChoiceCount(2),
            Rejection::OptionCount(1),
            Rejection::OptionTwice("o".into()),
            Rejection::FieldCount(99),
            Rejection::ListFull,
            Rejection::NotYours { what: "poll", id: "p".into() },
            Rejection::PasswordChanged,
            Rejection::GuestOnly("Ana".into()),
        ];
        for rule in rules {
            let code = rule.code();
            assert_eq!(Problem::from(rule).kind().code, code);
        }
    }

    #[test]
    fn no_two_kinds_share_a_word() {
        let codes: std::collections::BTreeSet<_> = ALL.iter().map(|kind| kind.code).collect();
        assert_eq!(codes.len(), ALL.len());
    }
}
