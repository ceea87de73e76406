//! What every gRPC client expects of a server: health, reflection, unknown methods, and how it goes down.

use http_body_util::BodyExt;
use tokio_stream::StreamExt;
use tonic::Code;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;
use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient;
use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;
use tonic_reflection::pb::v1::server_reflection_response::MessageResponse;
use tonic_reflection::pb::v1::{ServerReflectionRequest, ServerReflectionResponse};

use super::super::{Gateway, in_time};
use super::{ballot, refused};

#[tokio::test]
async fn health_is_told_once_and_as_it_changes() {
    let gateway = Gateway::start().await;
    let mut health = HealthClient::new(gateway.channel().await);
    let of = |service: &str| HealthCheckRequest { service: service.to_owned() };
    for service in ["", "cabildo.v1.Polls", "cabildo.v1.Rooms", "cabildo.v1.Record", "confproto.getInfo"] {
        let told = health.check(of(service)).await.unwrap().into_inner();
        assert_eq!(told.status(), ServingStatus::Serving, "{service}");
    }
    refused(health.check(of("cabildo.v1.Nothing")).await, Code::NotFound, "not-found");
    let mut watched = health.watch(of("cabildo.v1.Polls")).await.unwrap().into_inner();
    assert_eq!(in_time("it is told", watched.message()).await.unwrap().unwrap().status(), ServingStatus::Serving);
    gateway.front.stop.cancel();
    assert_eq!(in_time("it is told", watched.message()).await.unwrap().unwrap().status(), ServingStatus::NotServing);
    assert_eq!(in_time("it ends", watched.message()).await.unwrap(), None);
}

async fn ask(gateway: &Gateway, question: MessageRequest) -> MessageResponse {
    let mut client = ServerReflectionClient::new(gateway.channel().await);
    let request = ServerReflectionRequest { host: String::new(), message_request: Some(question) };
    let mut answers = client.server_reflection_info(tokio_stream::iter([request])).await.unwrap().into_inner();
    let answer: ServerReflectionResponse = in_time("an answer", answers.next()).await.unwrap().unwrap();
    answer.message_response.unwrap()
}

#[tokio::test]
async fn reflection_lists_every_service_and_shows_the_protocol() {
    let gateway = Gateway::start().await;
    let MessageResponse::ListServicesResponse(list) = ask(&gateway, MessageRequest::ListServices(String::new())).await
    else {
        panic!("no list")
    };
    let mut names: Vec<_> = list.service.into_iter().map(|service| service.name).collect();
    names.sort_unstable();
    let expected = [
        "cabildo.v1.Polls",
        "cabildo.v1.Record",
        "cabildo.v1.Rooms",
        "confproto.getInfo",
        "grpc.health.v1.Health",
        "grpc.reflection.v1.ServerReflection",
    ];
    assert_eq!(names, expected);
    for symbol in ["cabildo.v1.CastBallotRequest", "confproto.getInfo.returnInfo"] {
        let question = MessageRequest::FileContainingSymbol(symbol.to_owned());
        let MessageResponse::FileDescriptorResponse(files) = ask(&gateway, question).await else { panic!("{symbol}") };
        assert!(!files.file_descriptor_proto.is_empty(), "{symbol}");
    }
}

#[tokio::test]
async fn what_is_not_there_is_unimplemented_and_http_1_is_no_grpc() {
    let gateway = Gateway::start().await;
    let mut grpc = tonic::client::Grpc::new(gateway.channel().await);
    for path in ["/cabildo.v1.Polls/Nothing", "/cabildo.v2.Polls/CastBallot"] {
        grpc.ready().await.unwrap();
        let codec = tonic_prost_codec();
        let path = http_path(path);
        let answer = grpc.unary(tonic::Request::new(ballot("a", "b", "c")), path, codec).await;
        assert_eq!(answer.map(drop).unwrap_err().code(), Code::Unimplemented);
    }
    let request = "POST /cabildo.v1.Polls/CastBallot HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/grpc\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
    gateway.raw(request).await.problem(404, "no-such-route", "/cabildo.v1.Polls/CastBallot");
}

fn http_path(path: &'static str) -> tonic::codegen::http::uri::PathAndQuery {
    tonic::codegen::http::uri::PathAndQuery::from_static(path)
}

fn tonic_prost_codec() -> tonic_prost::ProstCodec<
    cabildo_producers::proto::v1::CastBallotRequest,
    cabildo_producers::proto::v1::CastBallotResponse,
> {
    tonic_prost::ProstCodec::default()
}

#[tokio::test]
async fn one_connection_carries_http_2_and_grpc() {
    let gateway = Gateway::start().await;
    let opened = gateway.open_poll().await.position();
    gateway.get_from("/api/v1/polls/bands", &opened).await.expect(200);
    let stream = gateway.connect().await;
    let (mut sender, connection) = hyper::client::conn::http2::handshake(
        hyper_util::rt::TokioExecutor::new(),
        hyper_util::rt::TokioIo::new(stream),
    )
    .await
    .unwrap();
    tokio::spawn(connection);
    let body = http_body_util::Full::new(bytes::Bytes::new());
    let uri = gateway.url("/api/v1/polls/bands");
    let request = hyper::Request::get(uri).body(body).unwrap();
    let answer = in_time("an answer", sender.send_request(request)).await.unwrap();
    assert_eq!((answer.status().as_u16(), answer.version()), (200, hyper::Version::HTTP_2));
    // An empty message by hand: five bytes of frame, and trailers that tell what is wrong with it.
    let body = http_body_util::Full::new(bytes::Bytes::from_static(&[0; 5]));
    let uri = gateway.url("/cabildo.v1.Polls/CastBallot");
    let request =
        hyper::Request::post(uri).header("content-type", "application/grpc").header("te", "trailers").body(body);
    let answer = in_time("an answer", sender.send_request(request.unwrap())).await.unwrap();
    assert_eq!(answer.headers()["content-type"], "application/grpc");
    assert_eq!(answer.headers()["grpc-status"], "3");
    assert!(answer.headers().contains_key("x-request-id"));
    assert!(answer.into_body().collect().await.unwrap().to_bytes().is_empty());
}

#[tokio::test]
async fn a_message_that_does_not_arrive_or_is_none_is_the_callers_fault() {
    let patience = cabildo_gateway::Patience { body_read: std::time::Duration::from_millis(300), ..Default::default() };
    let gateway = Gateway::with(super::super::Stores::embedded().await, patience).await;
    let stream = gateway.connect().await;
    let io = hyper_util::rt::TokioIo::new(stream);
    let executor = hyper_util::rt::TokioExecutor::new();
    let (mut sender, connection) = hyper::client::conn::http2::handshake(executor, io).await.unwrap();
    tokio::spawn(connection);
    // A frame that announces ten bytes, and then: bytes that are no message, or nothing at all.
    let cases = [(&b"\0\0\0\0\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"[..], "3"), (b"\0\0\0\0\x0a", "4")];
    for (sent, code) in cases {
        let frame = hyper::body::Frame::data(bytes::Bytes::from_static(sent));
        let body = tokio_stream::iter([Ok::<_, std::convert::Infallible>(frame)]).chain(tokio_stream::pending());
        let request = hyper::Request::post(gateway.url("/cabildo.v1.Polls/CastBallot"))
            .header("content-type", "application/grpc")
            .body(http_body_util::StreamBody::new(body))
            .unwrap();
        let answer = in_time("an answer", sender.send_request(request)).await.unwrap();
        assert_eq!(answer.headers()["grpc-status"], code);
        assert!(answer.headers().contains_key("grpc-status-details-bin"));
    }
}

#[tokio::test]
async fn who_comes_while_it_goes_down_is_told_and_a_probe_is_answered() {
    let gateway = Gateway::start().await;
    gateway.open_poll().await;
    // A reader of the record that has not read its end yet keeps the gateway from its own.
    let mut held = gateway.connect().await;
    let head = "POST /api/v1/rooms HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 9\r\nExpect: 100-continue\r\n\r\n";
    tokio::io::AsyncWriteExt::write_all(&mut held, head.as_bytes()).await.unwrap();
    let mut asked = [0; 25];
    in_time("the gateway asks for the body", tokio::io::AsyncReadExt::read_exact(&mut held, &mut asked)).await.unwrap();
    gateway.front.stop.cancel();
    let mut polls = gateway.polls().await;
    refused(polls.cast_ballot(ballot("bands", "ana", "Malacates")).await, Code::Unavailable, "stopping");
    let mut health = HealthClient::new(gateway.channel().await);
    let told = health.check(HealthCheckRequest::default()).await.unwrap().into_inner();
    assert_eq!(told.status(), ServingStatus::NotServing);
}
