"""A client of the published protocols, with stubs that were generated from them: python client.py HOST:PORT TOKEN."""

import json
import sys

import grpc
from google.rpc import error_details_pb2
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase
from grpc_status import rpc_status

import confproto_pb2
import confproto_pb2_grpc
from cabildo.v1 import cabildo_pb2, cabildo_pb2_grpc


def detail(error, kind):
    """The detail of this kind that a status carries."""
    for any_ in rpc_status.from_call(error).details:
        found = kind()
        if any_.Unpack(found):
            return found
    raise AssertionError(f"no {kind.__name__} in {error}")


def refused(call, code, reason):
    try:
        call()
    except grpc.RpcError as error:
        info = detail(error, error_details_pb2.ErrorInfo)
        assert (error.code(), info.domain, info.reason) == (code, "cabildo", reason), error
        return error
    raise AssertionError(f"not refused: {reason}")


def main(address, token):
    channel = grpc.insecure_channel(address)
    polls = cabildo_pb2_grpc.PollsStub(channel)
    rooms = cabildo_pb2_grpc.RoomsStub(channel)
    record = cabildo_pb2_grpc.RecordStub(channel)
    contest = confproto_pb2_grpc.getInfoStub(channel)

    health = health_pb2_grpc.HealthStub(channel)
    told = health.Check(health_pb2.HealthCheckRequest(service="cabildo.v1.Polls"), timeout=30)
    assert told.status == health_pb2.HealthCheckResponse.SERVING

    services = ProtoReflectionDescriptorDatabase(channel).get_services()
    assert {"cabildo.v1.Polls", "cabildo.v1.Rooms", "cabildo.v1.Record", "confproto.getInfo"} <= set(services), services

    # The contest's own contract.
    info = contest.returnInfo(
        confproto_pb2.requestId(name="Alux Nahual", album="Conquista", year="1982", rank="1"), timeout=30
    ).info
    assert info == "the vote for Alux Nahual is on the record at 0-4 (fsync)", info
    refused(
        lambda: contest.returnInfo(confproto_pb2.requestId(album="Conquista"), timeout=30),
        grpc.StatusCode.INVALID_ARGUMENT,
        "bad-value",
    )

    # One ballot, and the same again.
    ballot = cabildo_pb2.CastBallotRequest(
        poll="songs", voter="ana", choice="Lo que siento", fields={"album": "Conquista"}, idempotency_key="once"
    )
    answer, call = polls.CastBallot.with_call(ballot, timeout=30)
    assert answer.receipt.durability == cabildo_pb2.DURABILITY_FSYNC
    assert ("cabildo-position", answer.receipt.position) in list(call.initial_metadata())
    assert polls.CastBallot(ballot, timeout=30).receipt.repeated
    error = refused(
        lambda: polls.CastBallot(cabildo_pb2.CastBallotRequest(poll="songs", voter="ana"), timeout=30),
        grpc.StatusCode.INVALID_ARGUMENT,
        "bad-value",
    )
    assert detail(error, error_details_pb2.BadRequest).field_violations[0].field == "choice"
    nowhere = cabildo_pb2.CastBallotRequest(poll="none", voter="ana", choice="x")
    refused(lambda: polls.CastBallot(nowhere, timeout=30), grpc.StatusCode.NOT_FOUND, "not-found")

    # Streams.
    ballots = (
        cabildo_pb2.CastBallotRequest(poll="songs", voter=f"voter-{n}", choice=f"song {n % 3}") for n in range(3000)
    )
    told = polls.CastBallots(ballots, timeout=120)
    assert (told.received, told.acknowledged, told.refused, told.failed) == (3000, 3000, 0, 0), told
    said = [cabildo_pb2.PostMessageRequest(room="lobby", author="Ana", text=f"línea {n}") for n in range(20)]
    told = rooms.PostMessages(iter(said), timeout=60)
    assert (told.received, told.acknowledged) == (20, 20), told
    posted = rooms.PostMessage(said[0], timeout=30)
    assert posted.id and posted.receipt.position

    def too_large():
        yield cabildo_pb2.CastBallotRequest(poll="songs", voter="eva", choice="song 1")
        yield cabildo_pb2.CastBallotRequest(poll="songs", voter="eva", choice="x" * 70_000)

    error = refused(
        lambda: polls.CastBallots(too_large(), timeout=60), grpc.StatusCode.RESOURCE_EXHAUSTED, "body-too-large"
    )
    assert detail(error, cabildo_pb2.StreamSummary).acknowledged == 1

    # The record, from its beginning, by a query.
    events = record.Events(
        cabildo_pb2.EventsRequest(after="0-0", query="type:chat.message.posted"),
        timeout=60,
        metadata=(("authorization", f"Bearer {token}"),),
    )
    texts = []
    for event in events:
        whole = json.loads(event.cloudevent)
        assert (whole["id"], whole["position"], event.aggregate) == (event.id, event.position, "chat/lobby")
        texts.append(whole["data"]["text"])
        if len(texts) == 21:
            events.cancel()
            break
    assert texts == [one.text for one in said] + [said[0].text], texts
    print("ok")


main(*sys.argv[1:])
