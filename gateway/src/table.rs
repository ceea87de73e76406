//! Every operation of the gateway, once: who may call it, what the edge measures by, what `Allow` lists, what the OpenAPI
//! document says.

use cabildo_storage::Right;
use http::Method;

use crate::grpc;
use crate::problem::Problem;
use crate::problem::{METHOD_NOT_ALLOWED, NO_SUCH_ROUTE};

/// What an operation answers with when all is well.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Success {
    /// Its status.
    pub(crate) status: u16,
    /// Its media types, the default first, each with the name of its schema (or none: text).
    pub(crate) media: &'static [(&'static str, Option<&'static str>)],
}

/// One method at one address.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Operation {
    pub(crate) method: &'static str,
    /// The address, with `{…}` for what varies.
    pub(crate) route: &'static str,
    /// Its name in the OpenAPI document.
    pub(crate) id: &'static str,
    pub(crate) summary: &'static str,
    /// Who may call it. The edge sees to it before the body is read.
    pub(crate) right: Right,
    /// Names of its query parameters; `openapi` knows each of them.
    pub(crate) query: &'static [&'static str],
    /// Names of its request headers; `openapi` knows each of them.
    pub(crate) headers: &'static [&'static str],
    /// Name of the schema of its body.
    pub(crate) body: Option<&'static str>,
    pub(crate) success: Success,
    /// Statuses of its problems, beside those that any operation may have.
    pub(crate) problems: &'static [u16],
}

const fn answers(status: u16, media: &'static [(&'static str, Option<&'static str>)]) -> Success {
    Success { status, media }
}

const JSON: &str = "application/json";
const EVENT_STREAM: &str = "text/event-stream";
const NDJSON: &str = "application/x-ndjson";
const CSV: &str = "text/csv";
const WRITE: &[&str] = &["Idempotency-Key", "Cabildo-Correlation-Id", "Cabildo-Causation-Id", "traceparent"];
/// What is done once by its nature.
const ACT: &[&str] = &["Cabildo-Correlation-Id", "Cabildo-Causation-Id", "traceparent"];
const CONDITIONAL: &[&str] =
    &["If-Match", "Idempotency-Key", "Cabildo-Correlation-Id", "Cabildo-Causation-Id", "traceparent"];
const READ: &[&str] = &["Cabildo-Min-Position"];
const PAGE: &[&str] = &["before", "after", "limit", "at"];
const AT: &[&str] = &["at"];

macro_rules! operations {
    ($($method:literal $route:literal $id:ident $summary:literal
       right $right:ident; query $query:expr; headers $headers:expr; body $body:expr; $success:expr; problems $problems:expr;)*) => {
        /// Every operation.
        pub(crate) static OPERATIONS: &[Operation] = &[$(Operation {
            method: $method, route: $route, id: stringify!($id), summary: $summary, right: Right::$right,
            query: $query, headers: $headers, body: $body, success: $success, problems: $problems,
        },)*];
    };
}

operations! {
    "POST" "/api/v1/rooms" open_room "Open a room"
        right Guest; query &[]; headers WRITE; body Some("OpenRoom"); answers(201, &[(JSON, Some("RoomWritten"))]); problems &[409];
    "GET" "/api/v1/rooms" list_rooms "List rooms, in the order they were opened"
        right Guest; query PAGE; headers READ; body None; answers(200, &[(JSON, Some("Rooms"))]); problems &[];
    "GET" "/api/v1/rooms/{room}" get_room "Read a room"
        right Guest; query AT; headers READ; body None; answers(200, &[(JSON, Some("Room"))]); problems &[404];
    "POST" "/api/v1/rooms/{room}/messages" post_message "Say something"
        right Guest; query &[]; headers WRITE; body Some("PostMessage"); answers(201, &[(JSON, Some("MessageWritten"))]); problems &[404, 409];
    "GET" "/api/v1/rooms/{room}/messages" list_messages "Read messages, oldest first; without `before` and `after`, the newest page"
        right Guest; query PAGE; headers READ; body None; answers(200, &[(JSON, Some("Messages"))]); problems &[404];
    "PATCH" "/api/v1/rooms/{room}/messages/{message}" edit_message "Change what a message says"
        right Guest; query &[]; headers WRITE; body Some("EditMessage"); answers(200, &[(JSON, Some("MessageWritten"))]); problems &[404, 409];
    "DELETE" "/api/v1/rooms/{room}/messages/{message}" delete_message "Take a message back"
        right Guest; query &[]; headers WRITE; body None; answers(200, &[(JSON, Some("MessageWritten"))]); problems &[404, 409];
    "POST" "/api/v1/lists" open_list "Open a task list"
        right Guest; query &[]; headers WRITE; body Some("OpenList"); answers(201, &[(JSON, Some("ListWritten"))]); problems &[409];
    "GET" "/api/v1/lists" list_lists "List the task lists that one is a member of or that are nobody's, in the order they were opened"
        right Guest; query &["after", "limit"]; headers READ; body None; answers(200, &[(JSON, Some("Lists"))]); problems &[];
    "GET" "/api/v1/lists/{list}" get_list "Read a task list, without its tasks"
        right Guest; query AT; headers &[]; body None; answers(200, &[(JSON, Some("List"))]); problems &[404];
    "PATCH" "/api/v1/lists/{list}" change_list "Give a task list another title or visibility"
        right Guest; query &[]; headers CONDITIONAL; body Some("ChangeList"); answers(200, &[(JSON, Some("ListWritten"))]); problems &[403, 404, 409, 412];
    "PUT" "/api/v1/lists/{list}/members/{user}" share_list "Make somebody a member of a task list, or give a member another role"
        right Guest; query &[]; headers CONDITIONAL; body Some("ShareList"); answers(200, &[(JSON, Some("ListWritten"))]); problems &[403, 404, 409, 412];
    "DELETE" "/api/v1/lists/{list}/members/{user}" unshare_list "Have somebody be no member of a task list any more"
        right Guest; query &[]; headers CONDITIONAL; body None; answers(200, &[(JSON, Some("ListWritten"))]); problems &[403, 404, 409, 412];
    "POST" "/api/v1/lists/{list}/tasks" add_task "Put a task on a list; an open list that is not there yet is opened"
        right Guest; query &[]; headers CONDITIONAL; body Some("AddTask"); answers(201, &[(JSON, Some("TaskWritten"))]); problems &[403, 404, 409, 412];
    "GET" "/api/v1/lists/{list}/tasks" list_tasks "Read all tasks of a list, or watch it with `Accept: text/event-stream`: how it is, then every change; `after` or `Last-Event-ID` resumes without a gap"
        right Guest; query &["after", "at"]; headers &["Last-Event-ID"]; body None;
        answers(200, &[(JSON, Some("Tasks")), (EVENT_STREAM, None)]); problems &[404];
    "DELETE" "/api/v1/lists/{list}/tasks" empty_list "Take all tasks off a list"
        right Guest; query &[]; headers CONDITIONAL; body None; answers(200, &[(JSON, Some("ListEmptied"))]); problems &[403, 404, 409, 412];
    "GET" "/api/v1/lists/{list}/tasks/{task}" get_task "Read a task"
        right Guest; query AT; headers &[]; body None; answers(200, &[(JSON, Some("Task"))]); problems &[404];
    "PATCH" "/api/v1/lists/{list}/tasks/{task}" change_task "Change a task: what is not named stays, null takes away"
        right Guest; query &[]; headers CONDITIONAL; body Some("ChangeTask"); answers(200, &[(JSON, Some("TaskWritten"))]); problems &[403, 404, 409, 412];
    "DELETE" "/api/v1/lists/{list}/tasks/{task}" remove_task "Take a task off its list"
        right Guest; query &[]; headers CONDITIONAL; body None; answers(200, &[(JSON, Some("TaskRemoved"))]); problems &[403, 404, 409, 412];
    "GET" "/api/v1/lists/{list}/tasks/{task}/history" get_task_history "Read the changes of a task, oldest first; without `before` and `after`, the newest page"
        right Guest; query &["before", "after", "limit"]; headers &[]; body None; answers(200, &[(JSON, Some("TaskHistory"))]); problems &[404];
    "POST" "/api/v1/lists/{list}/tasks/{task}/undo" undo_task "Take back the last change of a task, also its removal; twice is once more"
        right Guest; query &[]; headers CONDITIONAL; body None; answers(200, &[(JSON, Some("TaskUndone"))]); problems &[403, 404, 409, 412];
    "POST" "/api/v1/polls" open_poll "Open a poll; without options, every ballot may bring its own"
        right Guest; query &[]; headers WRITE; body Some("OpenPoll"); answers(201, &[(JSON, Some("PollWritten"))]); problems &[409];
    "GET" "/api/v1/polls" list_polls "List polls, in the order of their ids"
        right Guest; query &["after", "limit"]; headers READ; body None; answers(200, &[(JSON, Some("Polls"))]); problems &[];
    "GET" "/api/v1/polls/{poll}" get_poll "Read a poll"
        right Guest; query AT; headers READ; body None; answers(200, &[(JSON, Some("Poll"))]); problems &[404];
    "PUT" "/api/v1/polls/{poll}/ballots/{voter}" cast_ballot "Cast a ballot; a voter's last one counts"
        right Guest; query &[]; headers WRITE; body Some("CastBallot"); answers(200, &[(JSON, Some("BallotWritten"))]); problems &[404, 409];
    "POST" "/api/v1/polls/{poll}/close" close_poll "Close a poll: later ballots do not count"
        right Guest; query &[]; headers WRITE; body None; answers(200, &[(JSON, Some("PollWritten"))]); problems &[404, 409];
    "GET" "/api/v1/polls/{poll}/tally" get_tally "Read the tally, or watch it with `Accept: text/event-stream`"
        right Guest; query AT; headers READ; body None;
        answers(200, &[(JSON, Some("Tally")), (EVENT_STREAM, None)]); problems &[404];
    "GET" "/api/v1/events" search_events "Search the record; as NDJSON or CSV, one event a line, and without `limit` all of them"
        right Operator; query &["query", "since", "until", "after", "before", "type", "aggregate", "actor", "q", "filter", "order", "limit", "format", "download"];
        headers READ; body None;
        answers(200, &[(JSON, Some("Events")), (NDJSON, None), (CSV, None)]); problems &[];
    "GET" "/api/v1/events/tail" tail_events "Watch events as they come; `after` or `Last-Event-ID` resumes without a gap"
        right Operator; query &["query", "since", "until", "after", "before", "type", "aggregate", "actor", "q", "filter", "rate"];
        headers &["Last-Event-ID"]; body None; answers(200, &[(EVENT_STREAM, None)]); problems &[];
    "GET" "/api/v1/events/hits" count_events "Count events by time and one field"
        right Operator; query &["query", "since", "until", "after", "before", "type", "aggregate", "actor", "q", "step", "field"];
        headers READ; body None; answers(200, &[(JSON, Some("Hits"))]); problems &[];
    "GET" "/api/v1/events/facets" list_facets "Count events by the values of each field"
        right Operator; query &["query", "since", "until", "after", "before", "type", "aggregate", "actor", "q", "limit"];
        headers READ; body None; answers(200, &[(JSON, Some("Facets"))]); problems &[];
    "GET" "/api/v1/events/field_values" list_field_values "List the values of one field, the most frequent first"
        right Operator; query &["query", "since", "until", "after", "before", "type", "aggregate", "actor", "q", "field", "prefix", "limit"];
        headers READ; body None; answers(200, &[(JSON, Some("FieldValues"))]); problems &[];
    "GET" "/api/v1/events/{position}" get_event "Read one event"
        right Operator; query &[]; headers &[]; body None; answers(200, &[(JSON, Some("Event"))]); problems &[404];
    "GET" "/api/v1/projections" list_projections "Read how far each view has got"
        right Operator; query &[]; headers &[]; body None; answers(200, &[(JSON, Some("Projections"))]); problems &[];
    "GET" "/api/v1/pulse" get_pulse "Read how the journal moves, or watch it with `Accept: text/event-stream`: at most five pulses a second"
        right Operator; query &[]; headers &[]; body None; answers(200, &[(JSON, Some("Pulse")), (EVENT_STREAM, None)]); problems &[];
    "GET" "/api/v1/events/{position}/state" get_event_state "Read an event's aggregate right before and right after it"
        right Operator; query &[]; headers &[]; body None; answers(200, &[(JSON, Some("EventState"))]); problems &[404];
    "GET" "/api/v1/events/{position}/context" get_context "Read what stands around one event"
        right Operator; query &["before", "after", "within"]; headers READ; body None; answers(200, &[(JSON, Some("Around"))]); problems &[404];
    "GET" "/api/v1/events/{position}/graph" get_graph "Read what led to one event and what followed from it, by `causationid`"
        right Operator; query &[]; headers READ; body None; answers(200, &[(JSON, Some("Graph"))]); problems &[404];
    "POST" "/api/v1/users" register "Take a name for good, and sign in"
        right Anyone; query &[]; headers ACT; body Some("NameAndPassword"); answers(201, &[(JSON, Some("Registered"))]); problems &[409, 429];
    "POST" "/api/v1/sessions" sign_in "Sign in"
        right Anyone; query &[]; headers &[]; body Some("NameAndPassword"); answers(201, &[(JSON, Some("Session"))]); problems &[429];
    "DELETE" "/api/v1/sessions" sign_out_everywhere "End all of one's sessions; access tokens are good for their ten minutes"
        right Oneself; query &[]; headers ACT; body None; answers(200, &[(JSON, Some("SignedOut"))]); problems &[];
    "POST" "/api/v1/sessions/guest" enter_as_guest "Come in as a guest, under a name that nobody has, or without one"
        right Anyone; query &[]; headers ACT; body Some("AsGuest"); answers(201, &[(JSON, Some("Session"))]); problems &[409, 429];
    "POST" "/api/v1/sessions/refresh" refresh_session "Get new tokens for a refresh token, which is good once; a second use ends the session"
        right Anyone; query &[]; headers &[]; body Some("RefreshSession"); answers(200, &[(JSON, Some("Session"))]); problems &[];
    "DELETE" "/api/v1/sessions/current" sign_out "End the session"
        right Oneself; query &[]; headers &[]; body None; answers(200, &[(JSON, Some("SignedOut"))]); problems &[];
    "GET" "/api/v1/me" get_me "Read who one is"
        right Oneself; query &[]; headers &[]; body None; answers(200, &[(JSON, Some("Me"))]); problems &[];
    "PUT" "/api/v1/me/password" change_password "Take another password: all sessions end, and a new one begins"
        right Member; query &[]; headers ACT; body Some("ChangePassword"); answers(200, &[(JSON, Some("Registered"))]); problems &[409, 429];
    "GET" "/.well-known/jwks.json" get_keys "Read the public keys that tokens are signed with"
        right Anyone; query &[]; headers &[]; body None; answers(200, &[(JSON, Some("Keys"))]); problems &[503];
    "GET" "/api/v1/time" get_time "Read the gateway's clock"
        right Anyone; query &[]; headers &[]; body None; answers(200, &[(JSON, Some("Time"))]); problems &[];
    "GET" "/api/v1/openapi.json" get_openapi "Read this document"
        right Anyone; query &[]; headers &[]; body None; answers(200, &[(JSON, None)]); problems &[];
    "GET" "/livez" get_livez "Is the process alive?"
        right Anyone; query &[]; headers &[]; body None; answers(200, &[(JSON, Some("Live"))]); problems &[];
    "GET" "/readyz" get_readyz "Can it serve? Which adapters, what is an acknowledgement worth?"
        right Anyone; query &[]; headers &[]; body None; answers(200, &[(JSON, Some("Ready"))]); problems &[];
    "GET" "/metrics" get_metrics "Metrics of the process"
        right Anyone; query &[]; headers &[]; body None; answers(200, &[(OPEN_METRICS, None)]); problems &[];
}

/// The media type of `/metrics`.
pub(crate) const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Addresses of the predecessors' contracts, by method. Their clients know them; the OpenAPI document does not list them.
static CONTRACTS: &[(&str, &str)] = &[("POST", "/grpc/insert"), ("POST", "/rust/insert"), ("GET", "/data")];

/// Where balancers ask whether the gateway can serve.
pub(crate) const READYZ: &str = "/readyz";

/// Whether an address is for those who run the gateway: it answers there also while it goes down.
pub(crate) fn is_operation(path: &str) -> bool {
    ["/livez", READYZ, "/metrics"].contains(&path) || path.starts_with(grpc::HEALTH)
}

/// Which route an address belongs to, for a label: `other` if none.
pub(crate) fn route_of(path: &str) -> &'static str {
    at(path).unwrap_or("other")
}

/// What it takes to call what is at an address; nothing if there is no such operation, which says so itself.
pub(crate) fn right_to(method: &Method, path: &str) -> Option<Right> {
    let route = at(path)?;
    let operation = OPERATIONS.iter().find(|operation| operation.route == route && operation.method == method.as_str());
    operation.map(|operation| operation.right)
}

/// Every operation with who may call it: method, address, right.
pub fn rights() -> impl Iterator<Item = (&'static str, &'static str, Right)> {
    OPERATIONS.iter().map(|operation| (operation.method, operation.route, operation.right))
}

/// Whether there is anything at an address.
pub(crate) fn is_known(path: &str) -> bool {
    at(path).is_some()
}

/// Why an address and method lead nowhere.
pub(crate) fn nowhere(method: &Method, path: &str) -> Problem {
    let Some(found) = at(path) else {
        let detail = format!("there is nothing at {path}: see /api/v1/openapi.json");
        return Problem::new(&NO_SUCH_ROUTE, detail);
    };
    let mut methods: Vec<&str> = every().filter(|(_, route)| *route == found).map(|(method, _)| method).collect();
    if methods.contains(&"GET") {
        methods.push("HEAD");
    }
    methods.push("OPTIONS");
    Problem::new(&METHOD_NOT_ALLOWED, format!("{path} does not take {method}")).allow(&methods)
}

/// The route of an address.
fn at(path: &str) -> Option<&'static str> {
    every().map(|(_, route)| route).find(|route| matches(route, path))
}

/// Every method at every route.
fn every() -> impl Iterator<Item = (&'static str, &'static str)> {
    OPERATIONS.iter().map(|operation| (operation.method, operation.route)).chain(CONTRACTS.iter().copied())
}

fn matches(route: &str, path: &str) -> bool {
    let (mut wanted, mut found) = (route.split('/'), path.split('/'));
    loop {
        match (wanted.next(), found.next()) {
            (None, None) => return true,
            (Some(wanted), Some(found)) if wanted == found || (wanted.starts_with('{') && !found.is_empty()) => {}
            _ => return false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_the_label_of_its_route() {
        assert_eq!(route_of("/api/v1/rooms/lobby/messages"), "/api/v1/rooms/{room}/messages");
        assert_eq!(route_of("/api/v1/events/tail"), "/api/v1/events/tail");
        assert_eq!(route_of("/api/v1/events/0-7"), "/api/v1/events/{position}");
        for other in ["/", "/api/v1/rooms/", "/api/v1/rooms//messages", "/wp-login.php"] {
            assert_eq!(route_of(other), "other", "{other}");
        }
    }

    #[test]
    fn what_is_other_peoples_takes_an_operator() {
        let right = |method: Method, path: &str| right_to(&method, path);
        assert_eq!(right(Method::GET, "/api/v1/events/tail"), Some(Right::Operator));
        assert_eq!(right(Method::GET, "/api/v1/events/0-7/graph"), Some(Right::Operator));
        assert_eq!(right(Method::POST, "/api/v1/rooms/lobby/messages"), Some(Right::Guest));
        assert_eq!(right(Method::DELETE, "/api/v1/sessions/current"), Some(Right::Oneself));
        assert_eq!(right(Method::PATCH, "/api/v1/rooms"), None);
        for (_, route, right) in rights() {
            let others = ["/api/v1/events", "/api/v1/projections", "/api/v1/pulse"];
            assert_eq!(others.iter().any(|other| route.starts_with(other)), right == Right::Operator, "{route}");
        }
    }

    /// The page is made from the table: after a change, write what this prints into it.
    #[test]
    fn the_page_of_rights_is_the_table() {
        let mut table = "| operation | who may call it |\n|---|---|\n".to_owned();
        for (method, route, right) in rights() {
            table.push_str(&format!("| `{method} {route}` | {} |\n", right.name()));
        }
        let page = include_str!("../../docs/operations/rights.md");
        assert!(page.contains(&table), "docs/operations/rights.md should hold:\n{table}");
    }

    #[test]
    fn no_operation_has_the_name_of_another() {
        let ids: std::collections::BTreeSet<_> = OPERATIONS.iter().map(|operation| operation.id).collect();
        assert_eq!(ids.len(), OPERATIONS.len());
    }
}
