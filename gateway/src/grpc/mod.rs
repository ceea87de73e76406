//! gRPC, on the gateway's own port: the same commands, rules and errors as over HTTP, for programs.
//!
//! A call passes the accept loop and the edge like any request, and ends at a service made from `gateway/proto`. What went
//! wrong is a [`Problem`] until the very last, and becomes a status in [`status`] alone.

mod caller;
mod health;
mod patient;
mod polls;
mod record;
mod rooms;
pub(crate) mod status;
mod stream;

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Instant;

use cabildo_events::limits::BODY_BYTES_MAX;
use cabildo_storage::Right;
use futures::FutureExt;
use http::request::Parts;
use http::{HeaderMap, Method, Request, Response, Version, header};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use tonic::server::NamedService;
use tonic::{Code, Status};
use tower::util::BoxCloneSyncService;
use tower::{Service, ServiceExt};

use crate::Gateway;
use crate::edge::{Body, admit, thrown};
use crate::predecessors::band_contest::{self, Contest};
use crate::problem::{self, Problem};
use crate::proto::confproto::get_info_server::GetInfoServer;
use crate::proto::v1::polls_server::PollsServer;
use crate::proto::v1::record_server::RecordServer;
use crate::proto::v1::rooms_server::RoomsServer;
use patient::Patient;

/// What the addresses of the health service begin with: it answers also while the gateway goes down.
pub(crate) const HEALTH: &str = "/grpc.health.v1.Health/";

/// Every method, who may call it, and whether its request is one message (which must be here in the time of a body) or a stream
/// of them.
static METHODS: &[(&str, Right, Comes)] = &[
    ("/cabildo.v1.Polls/CastBallot", Right::Guest, Comes::Once),
    ("/cabildo.v1.Polls/CastBallots", Right::Guest, Comes::Streaming),
    ("/cabildo.v1.Rooms/PostMessage", Right::Guest, Comes::Once),
    ("/cabildo.v1.Rooms/PostMessages", Right::Guest, Comes::Streaming),
    ("/cabildo.v1.Record/Events", Right::Operator, Comes::Once),
    ("/confproto.getInfo/returnInfo", Right::Guest, Comes::Once),
    ("/grpc.health.v1.Health/Check", Right::Anyone, Comes::Once),
    ("/grpc.health.v1.Health/Watch", Right::Anyone, Comes::Once),
    ("/grpc.reflection.v1.ServerReflection/ServerReflectionInfo", Right::Anyone, Comes::Streaming),
    ("/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo", Right::Anyone, Comes::Streaming),
];

#[derive(Clone, Copy)]
enum Comes {
    Once,
    Streaming,
}

/// Whether a request is a call: gRPC is spoken over HTTP/2 alone.
pub(crate) fn is_call<B>(request: &Request<B>) -> bool {
    let media = request.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let rest = media.strip_prefix("application/grpc");
    request.version() == Version::HTTP_2 && rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(['+', ';']))
}

/// What an address counts as, for a label.
pub(crate) fn route_of(path: &str) -> &'static str {
    METHODS.iter().find(|(method, ..)| *method == path).map_or("other", |(method, ..)| method)
}

type One = BoxCloneSyncService<Request<tonic::body::Body>, Response<tonic::body::Body>, Infallible>;

/// All services, by name.
#[derive(Clone)]
pub(crate) struct Calls(Arc<BTreeMap<&'static str, One>>);

impl Calls {
    pub(crate) fn new(gateway: &Arc<Gateway>) -> Self {
        let polls = PollsServer::new(polls::Ballots(gateway.clone())).max_decoding_message_size(BODY_BYTES_MAX);
        let rooms = RoomsServer::new(rooms::Messages(gateway.clone())).max_decoding_message_size(BODY_BYTES_MAX);
        let record = RecordServer::new(record::Log(gateway.clone())).max_decoding_message_size(BODY_BYTES_MAX);
        let contest = band_contest::service(gateway);
        let mut services = BTreeMap::new();
        let names = [
            put(&mut services, polls),
            put(&mut services, rooms),
            put(&mut services, record),
            put::<GetInfoServer<Contest>>(&mut services, contest),
        ];
        put(&mut services, health::service(gateway, &names));
        let reflection = || {
            tonic_reflection::server::Builder::configure()
                .register_encoded_file_descriptor_set(crate::proto::DESCRIPTORS)
                .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
        };
        // The descriptors are made by the build: if they did not read, the tests of the build would say so.
        match (reflection().build_v1(), reflection().build_v1alpha()) {
            (Ok(current), Ok(older)) => {
                put(&mut services, current.max_decoding_message_size(BODY_BYTES_MAX));
                put(&mut services, older.max_decoding_message_size(BODY_BYTES_MAX));
            }
            (Err(error), _) | (_, Err(error)) => tracing::error!(%error, "there is no reflection"),
        }
        Self(Arc::new(services))
    }

    /// Answers a call, whatever comes of it, with a status.
    pub(crate) async fn answer(&self, gateway: Arc<Gateway>, request: Request<Incoming>) -> Response<Body> {
        let begun = Instant::now();
        let (mut parts, body) = request.into_parts();
        let path = parts.uri.path().to_owned();
        let admitted = match admit(&parts, gateway.loopback) {
            Ok(()) => authorize(&gateway, &mut parts).await,
            refused => refused,
        };
        let response = match admitted {
            Ok(()) => self.call(&gateway, &path, Request::from_parts(parts, body)).await,
            Err(problem) => status::refuse(&gateway, &problem).into_http(),
        };
        let (code, took) = (status::told_by(response.headers()), begun.elapsed());
        gateway.metrics.answered(route_of(&path), &Method::POST, status::as_http(code), took);
        tracing::debug!(path, ?code, ms = took.as_secs_f64() * 1e3, "answered");
        response.map(|body| body.map_err(Into::into).boxed_unsync())
    }

    async fn call(
        &self,
        gateway: &Arc<Gateway>,
        path: &str,
        request: Request<Incoming>,
    ) -> Response<tonic::body::Body> {
        let name = path.strip_prefix('/').and_then(|path| path.split_once('/')).map(|(service, _)| service);
        let Some(service) = name.and_then(|name| self.0.get(name)).cloned() else {
            let problem = Problem::new(&problem::NO_SUCH_ROUTE, format!("there is no service at {path}"));
            return status::refuse(gateway, &problem).into_http();
        };
        let patience = gateway.config.patience;
        let comes = METHODS.iter().find(|(method, ..)| *method == path).map_or(Comes::Once, |(.., comes)| *comes);
        let request = request.map(|body| {
            tonic::body::Body::new(match comes {
                Comes::Once => Patient::whole(body, patience.body_read),
                Comes::Streaming => Patient::each(body, patience.silence),
            })
        });
        match AssertUnwindSafe(service.oneshot(request)).catch_unwind().await {
            Ok(Ok(response)) => match unread(response.headers(), gateway) {
                Some(problem) => status::refuse(gateway, &problem).into_http(),
                None => response,
            },
            Ok(Err(never)) => match never {},
            Err(panic) => status::refuse(gateway, &thrown(&*panic)).into_http(),
        }
    }
}

/// Lets who calls pass if they have the right to the method, and says who they are.
async fn authorize(gateway: &Gateway, parts: &mut Parts) -> Result<(), Problem> {
    let caller = gateway.ports.people.of(&parts.headers).await?;
    if let Some((_, right, _)) = METHODS.iter().find(|(method, ..)| *method == parts.uri.path()) {
        right.check(&caller)?;
    }
    parts.extensions.insert(caller);
    Ok(())
}

/// Why a request could not be read, if that is what an answer tells. It is then no status of ours: it has no details.
fn unread(answer: &HeaderMap, gateway: &Gateway) -> Option<Problem> {
    if answer.contains_key("grpc-status-details-bin") {
        return None;
    }
    match status::told_by(answer) {
        Code::OutOfRange => Some(Problem::body_too_large()),
        Code::DeadlineExceeded => Some(Problem::body_timeout(gateway.config.patience.body_read)),
        Code::Internal => Some(Problem::new(&problem::BAD_REQUEST, "the message cannot be read")),
        _ => None,
    }
}

/// Puts a service under its name, and tells it.
fn put<S>(services: &mut BTreeMap<&'static str, One>, service: S) -> &'static str
where
    S: NamedService + Clone + Send + Sync + 'static,
    S: Service<Request<tonic::body::Body>, Response = Response<tonic::body::Body>, Error = Infallible>,
    S::Future: Send + 'static,
{
    services.insert(S::NAME, BoxCloneSyncService::new(service));
    S::NAME
}

/// What an operation answers with.
type Answer<T> = Result<tonic::Response<T>, Status>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_is_told_by_its_media_type_over_http_2() {
        let call = |version, media: &str| {
            let request = Request::builder().version(version).header("content-type", media).body(()).unwrap();
            is_call(&request)
        };
        for media in ["application/grpc", "application/grpc+proto", "application/grpc; x=y"] {
            assert!(call(Version::HTTP_2, media), "{media}");
            assert!(!call(Version::HTTP_11, media), "{media}");
        }
        for media in ["application/grpc-web", "application/json", "", "text/application/grpc"] {
            assert!(!call(Version::HTTP_2, media), "{media}");
        }
    }
}
