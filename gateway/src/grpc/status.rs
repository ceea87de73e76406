//! Statuses with details (google.rpc): the one place where what went wrong becomes a gRPC answer.
//!
//! A status follows from the problem's kind, as its HTTP status does, and carries the same stable word in `ErrorInfo.reason`.

use std::collections::HashMap;
use std::time::Duration;

use cabildo_events::limits::RETRY_AFTER_S;
use http::{HeaderMap, StatusCode};
use prost::Message;
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt};

use crate::Gateway;
use crate::problem::{self, Kind, Problem};
use crate::proto::v1::StreamSummary;

/// The domain of every reason.
const DOMAIN: &str = "cabildo";
/// What names a summary among the details.
const SUMMARY: &str = "type.googleapis.com/cabildo.v1.StreamSummary";
/// Says in the details that what was wished may have been recorded all the same.
const MAY_HAVE_HAPPENED: &str = "may_have_happened";

/// The status of a problem, which is counted.
pub(crate) fn refuse(gateway: &Gateway, problem: &Problem) -> Status {
    gateway.metrics.refused(problem.kind().code);
    of(problem)
}

/// The status that says what a problem document would say.
fn of(problem: &Problem) -> Status {
    let kind = problem.kind();
    let mut metadata = HashMap::new();
    if problem.may_have_happened() {
        metadata.insert(MAY_HAVE_HAPPENED.to_owned(), true.to_string());
    }
    let mut details = ErrorDetails::new();
    details.set_error_info(kind.code, DOMAIN, metadata);
    if let Some(field) = problem.field_name() {
        details.add_bad_request_violation(field, problem.detail());
    }
    if kind.status == StatusCode::SERVICE_UNAVAILABLE {
        details.set_retry_info(Some(Duration::from_secs(RETRY_AFTER_S)));
    }
    Status::with_error_details(code(kind), problem.detail(), details)
}

/// The problem that a status of ours says.
pub(crate) fn problem(status: &Status) -> Problem {
    let details = status.get_error_details();
    let reason = details.error_info().filter(|info| info.domain == DOMAIN).map(|info| info.reason.as_str());
    let kind = reason.and_then(|reason| problem::ALL.iter().find(|kind| kind.code == reason));
    let problem = Problem::new(kind.unwrap_or(&&problem::INTERNAL), status.message());
    let field = details.bad_request().and_then(|bad| bad.field_violations.first());
    match field {
        Some(violation) => problem.field(&violation.field),
        None => problem,
    }
}

/// A status with a summary among its details.
pub(super) fn with_summary(status: &Status, summary: &StreamSummary) -> Status {
    let mut told = tonic_types::pb::Status::decode(status.details()).unwrap_or_default();
    // A status that is not ours has none to add to.
    (told.code, told.message) = (status.code().into(), status.message().to_owned());
    told.details.push(prost_types::Any { type_url: SUMMARY.to_owned(), value: summary.encode_to_vec() });
    Status::with_details(status.code(), status.message(), told.encode_to_vec().into())
}

/// The code of a kind: what its HTTP status means, in gRPC's words.
fn code(kind: &Kind) -> Code {
    match (kind.status, kind.code) {
        (StatusCode::CONFLICT, "already-exists") => Code::AlreadyExists,
        // The same again may succeed.
        (StatusCode::CONFLICT, "conflict") => Code::Aborted,
        (StatusCode::CONFLICT | StatusCode::PRECONDITION_FAILED, _) => Code::FailedPrecondition,
        (StatusCode::NOT_FOUND, "no-such-route") => Code::Unimplemented,
        (StatusCode::NOT_FOUND | StatusCode::GONE, _) => Code::NotFound,
        (StatusCode::METHOD_NOT_ALLOWED | StatusCode::NOT_IMPLEMENTED, _) => Code::Unimplemented,
        (StatusCode::UNAUTHORIZED, _) => Code::Unauthenticated,
        (StatusCode::FORBIDDEN | StatusCode::MISDIRECTED_REQUEST, _) => Code::PermissionDenied,
        (StatusCode::REQUEST_TIMEOUT, _) => Code::DeadlineExceeded,
        (StatusCode::PAYLOAD_TOO_LARGE | StatusCode::TOO_MANY_REQUESTS, _) => Code::ResourceExhausted,
        (StatusCode::SERVICE_UNAVAILABLE, "overloaded" | "too-many-listeners") => Code::ResourceExhausted,
        (StatusCode::SERVICE_UNAVAILABLE, _) => Code::Unavailable,
        (status, _) if status.is_client_error() => Code::InvalidArgument,
        _ => Code::Internal,
    }
}

/// The code that an answer's head tells; one that is to be told behind the body counts as well.
pub(super) fn told_by(headers: &HeaderMap) -> Code {
    headers.get("grpc-status").map_or(Code::Ok, |code| Code::from_bytes(code.as_bytes()))
}

/// The HTTP status whose class a code belongs to, for a label.
pub(super) const fn as_http(code: Code) -> u16 {
    match code {
        Code::Ok => 200,
        Code::Unknown | Code::Internal | Code::Unavailable | Code::DataLoss => 500,
        _ => 400,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cabildo_events::Rejection;
    use cabildo_storage::AppendError;

    #[test]
    fn a_problem_is_the_same_as_a_status_and_back() {
        for kind in problem::ALL {
            let status = of(&Problem::new(kind, "why").field("choice"));
            let back = problem(&status);
            assert_eq!((back.kind().code, back.detail(), back.field_name()), (kind.code, "why", Some("choice")));
            let waits = status.get_details_retry_info().is_some();
            assert_eq!(waits, kind.status == 503, "{}", kind.code);
        }
    }

    #[test]
    fn each_rule_has_the_code_that_clients_expect() {
        let found = |rejection: Rejection| of(&rejection.into()).code();
        assert_eq!(found(Rejection::NotFound { what: "poll", id: "p".into() }), Code::NotFound);
        assert_eq!(found(Rejection::AlreadyExists { what: "poll", id: "p".into() }), Code::AlreadyExists);
        assert_eq!(found(Rejection::PollClosed("p".into())), Code::FailedPrecondition);
        assert_eq!(found(Rejection::UnknownOption("p".into())), Code::InvalidArgument);
        let found = |error: AppendError| of(&error.into()).code();
        assert_eq!(found(AppendError::Conflict), Code::Aborted);
        assert_eq!(found(AppendError::Overloaded { waiting: 1 }), Code::ResourceExhausted);
        assert_eq!(found(AppendError::Stopping), Code::Unavailable);
        assert_eq!(of(&Problem::body_too_large()).code(), Code::ResourceExhausted);
        let status = of(&AppendError::Unavailable("10.0.0.1".into()).into());
        let info = status.get_details_error_info().unwrap();
        assert_eq!((status.code(), info.metadata[MAY_HAVE_HAPPENED].as_str()), (Code::Unavailable, "true"));
        assert!(!status.message().contains("10.0.0.1"));
    }
}
