//! The edge: what every request passes before an operation and every answer on its way back.

use std::any::Any;
use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::Bytes;
use cabildo_events::limits::BODY_BYTES_MAX;
use cabildo_storage::trace::{self, TraceContext};
use http::request::Parts;
use http::uri::Authority;
use http::{HeaderValue, Method, Request, Response, header};
use http_body_util::{BodyExt, Full, Limited, combinators::UnsyncBoxBody};
use hyper::body::Incoming;
use tower::{Service, ServiceBuilder, service_fn, util::BoxCloneSyncService};
use tower_http::BoxError;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::cors::{AllowHeaders, AllowOrigin, CorsLayer};
use tower_http::request_id::{MakeRequestId, PropagateRequestIdLayer, RequestId, SetRequestIdLayer};
use tracing::{Instrument, Span};
use uuid::Uuid;
use warp::Reply;

use crate::Gateway;
use crate::call::REQUEST_ID;
use crate::people::People;
use crate::problem::{self, Problem};
use crate::{grpc, routes, table, web};

/// The body of every answer.
pub(crate) type Body = UnsyncBoxBody<Bytes, BoxError>;
/// All of the gateway as one service.
pub(crate) type Edge = BoxCloneSyncService<Request<Incoming>, Response<Body>, Infallible>;

/// Where a client says which trace a request is part of (W3C).
const TRACEPARENT: &str = "traceparent";

/// How long a browser may remember what a preflight was told.
const PREFLIGHT_AGE: Duration = Duration::from_secs(600);

/// Says that no route took the request.
#[derive(Clone)]
pub(crate) struct Unrouted;

/// Says that a request came on a connection made after the gateway had begun to stop.
#[derive(Clone, Copy)]
pub(crate) struct Late;

#[derive(Clone, Copy)]
struct RequestIds;

impl MakeRequestId for RequestIds {
    fn make_request_id<B>(&mut self, _: &Request<B>) -> Option<RequestId> {
        HeaderValue::from_str(&Uuid::now_v7().to_string()).ok().map(RequestId::new)
    }
}

/// Builds the service: request id, CORS, the trace, the checks and the measuring, the panic guard, the operations.
pub(crate) fn edge(gateway: &Arc<Gateway>) -> Edge {
    let operations = warp::service(routes::all(gateway));
    let guarded = ServiceBuilder::new().layer(CatchPanicLayer::custom(panicked)).service(operations);
    let passage = Passage { inner: guarded, calls: grpc::Calls::new(gateway), gateway: gateway.clone() };
    let service = ServiceBuilder::new()
        .layer(SetRequestIdLayer::x_request_id(RequestIds))
        .layer(PropagateRequestIdLayer::x_request_id())
        .layer(cors(gateway.loopback))
        .service(passage);
    BoxCloneSyncService::new(service_fn(move |request| {
        let mut service = service.clone();
        async move {
            let response: Response<_> = service.call(request).await?;
            Ok(response.map(|body| BodyExt::boxed_unsync(body.map_err(Into::into))))
        }
    }))
}

fn cors(loopback: bool) -> CorsLayer {
    let origins = move |origin: &HeaderValue, _: &Parts| !loopback || is_local_origin(origin);
    CorsLayer::new()
        .allow_origin(AllowOrigin::predicate(origins))
        .allow_methods([Method::GET, Method::HEAD, Method::POST, Method::PUT, Method::PATCH, Method::DELETE])
        .allow_headers(AllowHeaders::mirror_request())
        .expose_headers([
            crate::answer::POSITION,
            crate::answer::STALE,
            crate::answer::AS_OF,
            header::ETAG,
            header::RETRY_AFTER,
            header::LINK,
            header::LOCATION,
            header::HeaderName::from_static(REQUEST_ID),
        ])
        .max_age(PREFLIGHT_AGE)
}

#[expect(clippy::needless_pass_by_value, reason = "the guard hands over what was thrown")]
fn panicked(panic: Box<dyn Any + Send + 'static>) -> warp::reply::Response {
    thrown(&*panic).into_response()
}

/// What a panic said is for the log.
pub(crate) fn thrown(panic: &(dyn Any + Send)) -> Problem {
    let said = panic.downcast_ref::<&str>().copied().or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    tracing::error!(panic = said.unwrap_or("no text"), "an operation panicked");
    Problem::new(&problem::INTERNAL, "this is a fault of ours; the log has more under the request's id")
}

#[derive(Clone)]
struct Passage<S> {
    inner: S,
    calls: grpc::Calls,
    gateway: Arc<Gateway>,
}

impl<S> Service<Request<Incoming>> for Passage<S>
where
    S: Service<Request<Limited<Incoming>>, Response = Response<tower_http::body::UnsyncBoxBody<Bytes, BoxError>>>,
    S: Clone + Send + 'static,
    S::Future: Send,
    S::Error: Into<Infallible>,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Incoming>) -> Self::Future {
        let inner = self.inner.clone();
        let gateway = self.gateway.clone();
        let calls = grpc::is_call(&request).then(|| self.calls.clone());
        Box::pin(async move {
            let (method, path) = (request.method(), request.uri().path());
            let route = if calls.is_some() { grpc::route_of(path) } else { table::route_of(path) };
            let parent = request.headers().get(TRACEPARENT).and_then(|value| value.to_str().ok()?.parse().ok());
            let span = match table::is_operation(path) {
                // Who asks every few seconds whether all is well is no request to be traced.
                true => Span::none(),
                false => trace::request(parent, method.as_str(), route, path),
            };
            let context = TraceContext::of(&span).or(parent);
            let response = match calls {
                Some(calls) => {
                    Ok(trace::within(context, calls.answer(gateway, request).instrument(span.clone())).await)
                }
                None => trace::within(context, pass(inner, gateway, request).instrument(span.clone())).await,
            }?;
            trace::answered(&span, response.status().as_u16());
            Ok(response)
        })
    }
}

/// The way of a request to its operation and back.
async fn pass<S>(mut inner: S, gateway: Arc<Gateway>, request: Request<Incoming>) -> Result<Response<Body>, Infallible>
where
    S: Service<Request<Limited<Incoming>>, Response = Response<tower_http::body::UnsyncBoxBody<Bytes, BoxError>>>,
    S::Error: Into<Infallible>,
{
    let begun = Instant::now();
    let (mut parts, body) = request.into_parts();
    let (method, path) = (parts.method.clone(), parts.uri.path().to_owned());
    let id = parts.headers.get(REQUEST_ID).and_then(|id| id.to_str().ok()).map(str::to_owned);
    if parts.method == Method::HEAD {
        // hyper knows what was asked and sends no body.
        parts.method = Method::GET;
    }
    // HTTP/2 names the host elsewhere.
    if let (None, Some(authority)) = (parts.headers.get(header::HOST), parts.uri.authority())
        && let Ok(host) = HeaderValue::from_str(authority.as_str())
    {
        parts.headers.insert(header::HOST, host);
    }
    let admitted = match admit(&parts, gateway.loopback) {
        // warp would take an address with a slash too many for the one without.
        Ok(()) if table::is_known(&path) => authorize(&gateway.ports.people, &mut parts).await.map(|()| None),
        Ok(()) => elsewhere(&parts).map(Some),
        Err(problem) => Err(problem),
    };
    let mut response = match admitted {
        Ok(Some(page)) => page.map(|body| Full::from(body).map_err(|never| match never {}).boxed_unsync()),
        Ok(None) => {
            let request = Request::from_parts(parts, Limited::new(body, BODY_BYTES_MAX));
            let response = inner.call(request).await.map_err(Into::into)?;
            response.map(BodyExt::boxed_unsync)
        }
        Err(problem) => problem.into_response().map(|body| body.map_err(Into::into).boxed_unsync()),
    };
    if response.extensions().get::<Unrouted>().is_some() {
        let nowhere = table::nowhere(&method, &path);
        response = nowhere.into_response().map(|body| body.map_err(Into::into).boxed_unsync());
    }
    if let Some(problem) = response.extensions_mut().remove::<Problem>() {
        gateway.metrics.refused(problem.kind().code);
        let written = problem.write(&path, id.as_deref());
        response = written.map(|body| Full::from(body).map_err(|never| match never {}).boxed_unsync());
    }
    let headers = response.headers_mut();
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    let (status, took) = (response.status().as_u16(), begun.elapsed());
    gateway.metrics.answered(route_of(&path), &method, status, took);
    tracing::debug!(%method, path, status, ms = took.as_secs_f64() * 1e3, request_id = id, "answered");
    Ok(response)
}

/// Lets who calls pass to the operation if they have the right to it, and says who they are. A bad token is refused also
/// where none is needed: who shows one means to be somebody.
async fn authorize(people: &People, parts: &mut Parts) -> Result<(), Problem> {
    let caller = people.of(&parts.headers).await?;
    if let Some(right) = table::right_to(&parts.method, parts.uri.path()) {
        right.check(&caller)?;
    }
    parts.extensions.insert(caller);
    Ok(())
}

/// What there is where no operation is: a page of the web front end or one of its files.
fn elsewhere(request: &Parts) -> Result<Response<Bytes>, Problem> {
    web::answer(request).unwrap_or_else(|| Err(table::nowhere(&request.method, request.uri.path())))
}

/// What an address counts as, for a label.
fn route_of(path: &str) -> &'static str {
    match table::route_of(path) {
        "other" if web::is_known(path) => web::ROUTE,
        route => route,
    }
}

/// On a loopback address, keeps out what a browser would carry here from the pages of other sites: a foreign `Host`
/// (DNS rebinding), and writes with a foreign `Origin` (some need no preflight). Who is not a browser sends neither.
pub(crate) fn admit(parts: &Parts, loopback: bool) -> Result<(), Problem> {
    if parts.extensions.get::<Late>().is_some() && !table::is_operation(parts.uri.path()) {
        let detail = "this gateway is going down and takes nothing new: try again, and you reach its successor";
        return Err(Problem::new(&problem::STOPPING, detail));
    }
    if !loopback {
        return Ok(());
    }
    let host = parts.headers.get(header::HOST).map(HeaderValue::as_bytes);
    let host = host.or_else(|| parts.uri.authority().map(|authority| authority.as_str().as_bytes()));
    if let Some(host) = host
        && !Authority::try_from(host).is_ok_and(|authority| is_local_name(authority.host()))
    {
        let detail = "on a loopback address the gateway answers to localhost and loopback addresses only";
        return Err(Problem::new(&problem::MISDIRECTED, detail));
    }
    let reads = matches!(parts.method, Method::GET | Method::HEAD | Method::OPTIONS);
    match parts.headers.get(header::ORIGIN) {
        Some(origin) if !reads && !is_local_origin(origin) => {
            Err(Problem::new(&problem::FOREIGN_ORIGIN, "only pages served from this machine may write here"))
        }
        _ => Ok(()),
    }
}

fn is_local_origin(origin: &HeaderValue) -> bool {
    let uri = http::Uri::try_from(origin.as_bytes());
    uri.is_ok_and(|uri| uri.scheme().is_some() && uri.host().is_some_and(is_local_name))
}

fn is_local_name(host: &str) -> bool {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    let name = host.trim_end_matches('.').to_ascii_lowercase();
    name == "localhost"
        || name.ends_with(".localhost")
        || bare.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// What remains of warp's rejections: no route took the request, or a header could not be read.
pub(crate) async fn recover(rejection: warp::Rejection) -> Result<warp::reply::Response, Infallible> {
    if rejection.is_not_found() || rejection.find::<warp::reject::MethodNotAllowed>().is_some() {
        let mut response = warp::reply().into_response();
        response.extensions_mut().insert(Unrouted);
        return Ok(response);
    }
    tracing::debug!(?rejection, "a request was rejected");
    Ok(Problem::new(&problem::BAD_REQUEST, "the request cannot be read").into_response())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(method: &str, headers: &[(&str, &str)]) -> Option<&'static str> {
        let mut request = Request::builder().method(method).uri("/api/v1/rooms");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let (parts, ()) = request.body(()).unwrap().into_parts();
        admit(&parts, true).err().map(|problem| problem.kind().code)
    }

    #[test]
    fn a_loopback_gateway_answers_to_loopback_names() {
        for host in ["localhost", "LOCALHOST:8080", "127.0.0.1:8080", "127.9.9.9", "[::1]:8080", "web.localhost"] {
            assert_eq!(code("GET", &[("host", host)]), None, "{host}");
        }
        for host in ["evil.example", "localhost.evil.example", "192.168.1.7:8080", "", "127.0.0.1.evil.example"] {
            assert_eq!(code("GET", &[("host", host)]), Some("misdirected"), "{host}");
        }
        assert_eq!(code("GET", &[]), None);
    }

    #[test]
    fn a_page_of_another_site_may_not_write() {
        for origin in ["https://evil.example", "null", "http://127.0.0.1.evil.example"] {
            assert_eq!(code("POST", &[("origin", origin)]), Some("foreign-origin"), "{origin}");
        }
        for origin in ["http://localhost:5173", "http://127.0.0.1:8080", "http://[::1]"] {
            assert_eq!(code("DELETE", &[("origin", origin)]), None, "{origin}");
        }
        assert_eq!(code("GET", &[("origin", "https://evil.example")]), None);
    }
}
