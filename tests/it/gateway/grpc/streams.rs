//! Client streams: exact counts, order, what breaks a rule, what ends them early.

use std::time::Duration;

use cabildo_gateway::Patience;
use cabildo_producers::proto::v1::{CastBallotRequest, StreamSummary};
use prost::Message;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Request, Status};

use super::super::{Gateway, Stores, in_time, until, votes};
use super::{ballot, message, refused};

/// The summary in the details of a stream that ended early.
fn summary(status: &Status) -> StreamSummary {
    let told = tonic_types::pb::Status::decode(status.details()).unwrap();
    let any = told.details.iter().find(|any| any.type_url.ends_with("/cabildo.v1.StreamSummary"));
    StreamSummary::decode(any.unwrap_or_else(|| panic!("no summary in {told:?}")).value.as_slice()).unwrap()
}

fn stream(
    ballots: impl IntoIterator<Item = CastBallotRequest>,
) -> tokio_stream::Iter<std::vec::IntoIter<CastBallotRequest>> {
    tokio_stream::iter(ballots.into_iter().collect::<Vec<_>>())
}

#[tokio::test]
async fn thousands_of_ballots_in_one_stream_are_counted_exactly() {
    let gateway = Gateway::start().await;
    gateway.open_poll().await;
    let mut polls = gateway.polls().await;
    let choice = |number: usize| ["Alux Nahual", "Malacates"][usize::from(number.is_multiple_of(3))];
    let ballots = || stream((0..6_000).map(|number| ballot("bands", format!("voter-{number}"), choice(number))));
    let call = || {
        let mut request = Request::new(ballots());
        request.metadata_mut().insert("idempotency-key", "the stream".parse().unwrap());
        request
    };
    let first = polls.cast_ballots(call()).await.unwrap().into_inner();
    assert_eq!((first.received, first.acknowledged, first.repeated), (6_000, 6_000, 0), "{first:?}");
    assert_eq!((first.refused, first.failed, first.last_position.as_str()), (0, 0, "0-6001"));
    // All of it again, under the same key: nothing is new.
    let again = polls.cast_ballots(call()).await.unwrap().into_inner();
    assert_eq!((again.acknowledged, again.repeated, again.last_position.as_str()), (6_000, 6_000, "0-6001"));
    let tally = gateway.get_from("/api/v1/polls/bands/tally", "0-6001").await.expect(200).json();
    let (votes, voters) = votes(&tally);
    assert_eq!((votes["Alux Nahual"], votes["Malacates"], voters), (4_000, 2_000, 6_000));
}

#[tokio::test]
async fn the_last_ballot_of_a_voter_in_a_stream_is_the_one_that_counts() {
    let gateway = Gateway::start().await;
    gateway.open_poll().await;
    let mut polls = gateway.polls().await;
    let ballots = (0..900).map(|number| {
        let choice = if number < 870 { "Alux Nahual" } else { "Malacates" };
        ballot("bands", format!("voter-{}", number % 30), choice)
    });
    let told = polls.cast_ballots(stream(ballots)).await.unwrap().into_inner();
    assert_eq!(told.acknowledged, 900);
    let tally = gateway.get_from("/api/v1/polls/bands/tally", &told.last_position).await.expect(200).json();
    let (votes, voters) = votes(&tally);
    assert_eq!((votes["Alux Nahual"], votes["Malacates"], voters), (0, 30, 30));
}

#[tokio::test]
async fn ballots_that_break_a_rule_are_told_and_the_others_count() {
    let gateway = Gateway::start().await;
    gateway.open_poll().await;
    let mut polls = gateway.polls().await;
    let ballots = (0..200).map(|number| match number % 10 {
        3 => ballot("bands", number, "Viernes Verde"),
        7 => ballot("none", number, "Malacates"),
        9 => ballot("bands", number, ""),
        _ => ballot("bands", number, "Malacates"),
    });
    let told = polls.cast_ballots(stream(ballots)).await.unwrap().into_inner();
    assert_eq!((told.received, told.acknowledged, told.refused, told.failed), (200, 140, 60, 0), "{told:?}");
    assert_eq!(told.refusals.len(), 16);
    let of = |refusal: &cabildo_producers::proto::v1::Refusal| {
        (refusal.index, refusal.reason.clone(), refusal.field.clone())
    };
    let first: Vec<_> = told.refusals.iter().take(4).map(of).collect();
    let expected = [
        (3, "unknown-option", "choice"),
        (7, "not-found", ""),
        (9, "bad-value", "choice"),
        (13, "unknown-option", "choice"),
    ];
    assert_eq!(first, expected.map(|(index, reason, field)| (index, reason.to_owned(), field.to_owned())));
}

#[tokio::test]
async fn a_conversation_in_a_stream_keeps_its_order() {
    let gateway = Gateway::start().await;
    gateway.open_room().await;
    let mut rooms = gateway.rooms().await;
    let authors = ["Ana", "Ben", "Eva"];
    let said = (0..60).map(|number| message("lobby", authors[number % 3], number)).collect::<Vec<_>>();
    let told = rooms.post_messages(tokio_stream::iter(said)).await.unwrap().into_inner();
    assert_eq!((told.received, told.acknowledged), (60, 60));
    let path = "/api/v1/rooms/lobby/messages?limit=100";
    let listed = gateway.get_from(path, &told.last_position).await.expect(200).json();
    let texts: Vec<_> =
        listed["messages"].as_array().unwrap().iter().map(|one| one["text"].as_str().unwrap().to_owned()).collect();
    assert_eq!(texts, (0..60).map(|number| number.to_string()).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_message_past_the_bound_ends_a_stream_with_what_was_done() {
    let gateway = Gateway::start().await;
    gateway.open_poll().await;
    let mut polls = gateway.polls().await;
    let mut large = ballot("bands", "ben", "Malacates");
    large.fields.insert("album".to_owned(), "x".repeat(70_000));
    let ballots = stream([ballot("bands", "ana", "Malacates"), large]);
    let (status, _) = refused(polls.cast_ballots(ballots).await, Code::ResourceExhausted, "body-too-large");
    let told = summary(&status);
    assert_eq!((told.received, told.acknowledged, told.last_position.as_str()), (1, 1, "0-2"));
}

#[tokio::test]
async fn a_silent_stream_ends_and_one_that_goes_on_does_not() {
    let silence = Duration::from_millis(1_500);
    let patience = Patience { silence, ..Patience::default() };
    let gateway = Gateway::with(Stores::embedded().await, patience).await;
    gateway.open_poll().await;
    let mut polls = gateway.polls().await;
    let (sender, ballots) = mpsc::channel(1);
    let call = tokio::spawn(async move { polls.cast_ballots(ReceiverStream::new(ballots)).await });
    for voter in 0..4 {
        tokio::time::sleep(silence / 3).await;
        sender.send(ballot("bands", voter, "Malacates")).await.unwrap();
    }
    let answer = in_time("the gateway gives it up", call).await.unwrap();
    let (status, _) = refused(answer, Code::DeadlineExceeded, "body-timeout");
    assert_eq!(summary(&status).acknowledged, 4);
    drop(sender);
}

#[tokio::test]
async fn a_gateway_that_goes_down_tells_what_of_a_stream_it_has() {
    let mut gateway = Gateway::start().await;
    let opened = gateway.open_poll().await.position();
    gateway.get_from("/api/v1/polls/bands/tally", &opened).await.expect(200);
    let mut polls = gateway.polls().await;
    let (sender, ballots) = mpsc::channel(1);
    let call = tokio::spawn(async move { polls.cast_ballots(ReceiverStream::new(ballots)).await });
    for voter in 0..3 {
        sender.send(ballot("bands", voter, "Malacates")).await.unwrap();
    }
    until("the ballots are in", async || {
        votes(&gateway.get("/api/v1/polls/bands/tally").await.expect(200).json()).1 == 3
    })
    .await;
    gateway.front.stop.cancel();
    let answer = in_time("the gateway answers", call).await.unwrap();
    let (status, _) = refused(answer, Code::Unavailable, "stopping");
    let told = summary(&status);
    assert_eq!((told.received, told.acknowledged, told.last_position.as_str()), (3, 3, "0-4"));
    in_time("the gateway stops", &mut gateway.front.serving).await.unwrap().unwrap();
    drop(sender);
}
