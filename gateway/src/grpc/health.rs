//! The standard health service (`grpc.health.v1`): what `/readyz` says, for those who ask by gRPC.

use std::sync::Arc;
use std::time::Duration;

use cabildo_events::limits::{BODY_BYTES_MAX, PROBE_MS};
use futures::StreamExt;
use futures::stream::BoxStream;
use tonic::{Request, Response, Status};
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_server::{Health, HealthServer};
use tonic_health::pb::{HealthCheckRequest, HealthCheckResponse};

use super::Answer;
use super::status::refuse;
use crate::problem::Problem;
use crate::routes::operation::down;
use crate::{Gateway, sse};

/// Tells the health of some services, which is that of the gateway.
pub(super) struct Told {
    gateway: Arc<Gateway>,
    services: Vec<&'static str>,
}

pub(super) fn service(gateway: &Arc<Gateway>, services: &[&'static str]) -> HealthServer<Told> {
    let told = Told { gateway: gateway.clone(), services: services.to_vec() };
    HealthServer::new(told).max_decoding_message_size(BODY_BYTES_MAX)
}

impl Told {
    /// The empty name is the gateway as a whole.
    fn knows(&self, service: &str) -> bool {
        service.is_empty() || self.services.contains(&service)
    }
}

async fn look(gateway: &Gateway) -> ServingStatus {
    match gateway.stopping.is_cancelled() {
        false if down(gateway).await.is_ok_and(|down| down.is_empty()) => ServingStatus::Serving,
        _ => ServingStatus::NotServing,
    }
}

fn response(status: ServingStatus) -> HealthCheckResponse {
    HealthCheckResponse { status: status.into() }
}

#[tonic::async_trait]
impl Health for Told {
    type WatchStream = BoxStream<'static, Result<HealthCheckResponse, Status>>;

    async fn check(&self, request: Request<HealthCheckRequest>) -> Answer<HealthCheckResponse> {
        let service = request.into_inner().service;
        if !self.knows(&service) {
            return Err(refuse(&self.gateway, &Problem::not_found("service", service)));
        }
        Ok(Response::new(response(look(&self.gateway).await)))
    }

    /// Tells each change, looking every [`PROBE_MS`]; ends when the gateway does. A service that is not there may yet come.
    async fn watch(&self, request: Request<HealthCheckRequest>) -> Answer<Self::WatchStream> {
        let known = self.knows(&request.get_ref().service);
        let place = sse::take_place(&self.gateway).map_err(|problem| refuse(&self.gateway, &problem))?;
        let gateway = self.gateway.clone();
        let begin = Some((gateway, place, None));
        let changes = futures::stream::unfold(begin, move |state| async move {
            let (gateway, place, told) = state?;
            loop {
                let stopping = gateway.stopping.is_cancelled();
                let status = if known { look(&gateway).await } else { ServingStatus::ServiceUnknown };
                if told != Some(status) {
                    let next = (!stopping).then_some((gateway, place, Some(status)));
                    return Some((Ok(response(status)), next));
                }
                if stopping {
                    return None;
                }
                let pause = tokio::time::sleep(Duration::from_millis(PROBE_MS));
                let _ = gateway.stopping.run_until_cancelled(pause).await;
            }
        });
        Ok(Response::new(changes.boxed()))
    }
}
