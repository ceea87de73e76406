//! A request, as far as every operation looks at it the same way.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use cabildo_events::limits::{ID_BYTES_MAX, IDEMPOTENCY_KEY_CHARS_MAX};
use cabildo_events::task::Matching;
use cabildo_events::{Actor, EventId, PersonName, Position, Timestamp};
use cabildo_storage::{Caller, Circumstances, trace};
use http::{HeaderMap, header};
use uuid::Uuid;
use warp::Filter;

use crate::Gateway;
use crate::params::Params;
use crate::problem::{self, Problem};

/// The request's id, as logs and problem documents name it.
pub(crate) const REQUEST_ID: &str = "x-request-id";

/// What every operation gets.
#[derive(Clone)]
pub(crate) struct Call {
    pub(crate) gateway: Arc<Gateway>,
    pub(crate) headers: HeaderMap,
    /// Where the connection comes from.
    pub(crate) peer: Option<IpAddr>,
    caller: Caller,
    query: String,
}

/// Takes the parts of a request that every operation may look at.
pub(crate) fn call(
    gateway: Arc<Gateway>,
) -> impl Filter<Extract = (Call,), Error = std::convert::Infallible> + Clone + Send + Sync + 'static {
    let query = warp::query::raw().or(warp::any().map(String::new)).unify();
    let caller = warp::ext::optional::<Caller>().and(warp::ext::optional::<SocketAddr>());
    warp::header::headers_cloned().and(query).and(caller).map(
        move |headers, query, caller: Option<Caller>, peer: Option<SocketAddr>| Call {
            gateway: gateway.clone(),
            headers,
            peer: peer.map(|peer| peer.ip()),
            caller: caller.unwrap_or_default(),
            query,
        },
    )
}

impl Call {
    /// A call that came without an address of its own: what its headers say is all there is.
    pub(crate) fn of(gateway: Arc<Gateway>, headers: HeaderMap, caller: Caller) -> Self {
        Self { gateway, headers, peer: None, caller, query: String::new() }
    }

    pub(crate) fn params(&self) -> Result<Params, Problem> {
        Params::parse(&self.query)
    }

    /// Who calls. The edge has looked at their token, and whether they may call this.
    pub(crate) const fn caller(&self) -> &Caller {
        &self.caller
    }

    /// The name that something is said or done under: the caller's own, and only that, if they have one; otherwise the one
    /// that is given, unless it is somebody's.
    pub(crate) async fn goes_by(&self, given: Option<&str>, field: &'static str) -> Result<PersonName, Problem> {
        let named =
            |name: &str| PersonName::try_from(name.to_owned()).map_err(|error| Problem::bad_value(field, error));
        match (&self.caller.name, given) {
            (Some(own), None) => Ok(own.clone()),
            (Some(own), Some(given)) if own.as_str().to_lowercase() == given.to_lowercase() => Ok(own.clone()),
            (Some(own), Some(_)) => {
                Err(Problem::bad_value(field, format_args!("you are signed in as `{own}`, and go by that name")))
            }
            (None, Some(given)) => {
                let name = named(given)?;
                match self.gateway.ports.people.has(&name).await? {
                    true => Err(Problem::new(&problem::NAME_TAKEN, format!("`{name}` is somebody's name: sign in"))
                        .field(field)),
                    false => Ok(name),
                }
            }
            (None, None) => Err(Problem::new(&problem::WRONG_SHAPE, format!("missing field `{field}`")).field(field)),
        }
    }

    fn text(&self, name: &'static str) -> Result<Option<&str>, Problem> {
        let Some(value) = self.headers.get(name) else { return Ok(None) };
        let text = std::str::from_utf8(value.as_bytes());
        text.map(Some).map_err(|_| Problem::new(&problem::INVALID_UTF8, "a header is not UTF-8").field(name))
    }

    /// Whether the client asked for this media type by name.
    pub(crate) fn asks_for(&self, media: &str) -> bool {
        let ranges = self.headers.get_all(header::ACCEPT).into_iter().filter_map(|value| value.to_str().ok());
        ranges
            .flat_map(|value| value.split(','))
            .any(|range| range.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case(media))
    }

    /// The position that a view must have reached for this client to see its own writes.
    pub(crate) fn min_position(&self) -> Result<Option<Position>, Problem> {
        self.position("cabildo-min-position")
    }

    /// Where a live stream was left.
    pub(crate) fn last_event_id(&self) -> Result<Option<Position>, Problem> {
        self.position("last-event-id")
    }

    /// As of which of its changes the client knows what it wishes to change (RFC 9110, section 13.1.1). A tag that is none of
    /// ours, or a weak one, matches nothing.
    pub(crate) fn if_match(&self) -> Result<Option<Matching>, Problem> {
        if !self.headers.contains_key(header::IF_MATCH) {
            return Ok(None);
        }
        let values = self.headers.get_all(header::IF_MATCH).into_iter().filter_map(|value| value.to_str().ok());
        let tags: Vec<&str> = values.flat_map(|value| value.split(',')).map(str::trim).collect();
        if tags.contains(&"*") {
            return Ok(Some(Matching::Anything));
        }
        let position = |tag: &&str| tag.strip_prefix('"')?.strip_suffix('"')?.parse().ok();
        Ok(Some(Matching::OneOf(tags.iter().filter_map(position).collect())))
    }

    /// A path of this gateway as an absolute address, by the name that the client used. Whether a proxy in front of it speaks
    /// TLS, nobody can tell whose word is to be trusted.
    pub(crate) fn absolute(&self, path: &str) -> String {
        let host = self.headers.get(header::HOST).and_then(|host| host.to_str().ok());
        host.map_or_else(|| path.to_owned(), |host| format!("http://{host}{path}"))
    }

    fn position(&self, name: &'static str) -> Result<Option<Position>, Problem> {
        let text = self.text(name)?.filter(|text| !text.is_empty());
        text.map(|text| text.trim().parse().map_err(|error| Problem::bad_value(name, error))).transpose()
    }

    /// The client's key for this very wish.
    pub(crate) fn idempotency_key(&self) -> Result<Option<String>, Problem> {
        self.text("idempotency-key")?.map(|key| check_key("idempotency-key", key)).transpose()
    }

    /// Under which circumstances the client wishes something. Who goes by a name of their own is the actor; else whom the
    /// request names, if it does.
    pub(crate) fn circumstances(&self, actor: Option<&str>) -> Result<Circumstances, Problem> {
        Ok(Circumstances {
            idempotency_key: self.idempotency_key()?,
            time: now(),
            actor: self.caller.name.as_ref().map(PersonName::as_str).or(actor).and_then(to_actor),
            correlation: self.event_id("cabildo-correlation-id")?.or_else(|| self.request_id()),
            causation: self.event_id("cabildo-causation-id")?,
            traceparent: trace::current().map(|context| context.to_string()),
        })
    }

    fn event_id(&self, name: &'static str) -> Result<Option<EventId>, Problem> {
        let Some(text) = self.text(name)? else { return Ok(None) };
        let id = text.trim().parse().map_err(|_| Problem::bad_value(name, "expected the id of an event, a UUID"))?;
        Ok(Some(id))
    }

    fn request_id(&self) -> Option<EventId> {
        let id = self.headers.get(REQUEST_ID)?.to_str().ok()?;
        Uuid::parse_str(id).ok().map(EventId)
    }
}

/// A client's key, held to its bounds.
pub(crate) fn check_key(field: &str, key: &str) -> Result<String, Problem> {
    let length = key.chars().count();
    if !(1..=IDEMPOTENCY_KEY_CHARS_MAX).contains(&length) {
        let detail = format!("a key has 1 to {IDEMPOTENCY_KEY_CHARS_MAX} characters, this one {length}");
        return Err(Problem::bad_value(field, detail));
    }
    Ok(key.to_owned())
}

/// The gateway's clock, to the microsecond.
pub(crate) fn now() -> Timestamp {
    jiff::Timestamp::now().into()
}

/// A name may be longer than an actor may: the record keeps what fits.
fn to_actor(name: &str) -> Option<Actor> {
    name.chars().take(ID_BYTES_MAX).collect::<String>().try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_name_is_still_somebody() {
        assert_eq!(to_actor(&"ñ".repeat(200)).unwrap().as_str().chars().count(), 128);
        assert_eq!(to_actor("Ana").unwrap().as_str(), "Ana");
    }
}
