"""The client against the real service over a real socket, and against servers that misbehave."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from holdfast import errors
from holdfast.api import wire
from holdfast.api.client import Client, open_client
from holdfast.api.connection import BACKOFF, patient
from holdfast.db import jobs
from holdfast.db.keys import create_key, read_pepper
from holdfast.db.session import transaction
from holdfast.errors import ERRORS
from holdfast.job import Status
from holdfast.scopes import SCOPES
from holdfast.settings import Settings
from service.app import create_app
from tests.support.folders import write_checkpoint
from tests.support.listening import listening


@pytest.fixture
def client(settings: Settings) -> Iterator[Client]:
    app = create_app(settings)
    with transaction(app.state.database) as session:
        made = create_key(session, read_pepper(settings), "demo", name="t", scopes=SCOPES)
    with listening(app) as url, Client(url, made.token) as client:
        client.app = app  # type: ignore[attr-defined]  # for tests that play the worker
        yield client


@pytest.fixture
def wanted(settings: Settings) -> wire.NewEvaluation:
    base = write_checkpoint(settings.home / "models" / "base")
    return wire.NewEvaluation(candidate=str(base), baseline=str(base), policy="demo", tier="demo")


def test_the_whole_way(client: Client, wanted: wire.NewEvaluation) -> None:
    made = client.submit(wanted)
    assert client.evaluation(made.id) == made
    assert client.evaluations().data == (made,)
    with pytest.raises(errors.NotFound, match="no verdict"):
        client.verdict(made.id)
    with pytest.raises(errors.NotFound):
        client.artifact(made.id, "report.md")
    moved = client.set_baseline("demo", "production", made.baseline, expected_version=None)
    assert client.baseline("demo", "production") == moved
    with pytest.raises(errors.StaleVersion):
        client.set_baseline("demo", "production", made.baseline, expected_version=7)
    assert client.cancel(made.id).status is Status.CANCELED
    with pytest.raises(errors.Conflict):
        client.cancel(made.id)
    assert client.retry(made.id).status is Status.QUEUED
    key = client.create_key(wire.NewKey(name="ci", scopes=("jobs:read",)))
    assert client.revoke_key(key.id).revoked_at is not None
    with pytest.raises(errors.CheckpointRefused):
        client.register_checkpoint("/etc")
    with pytest.raises(errors.Conflict, match="none yet"):
        client.remediate(wire.NewRemediation(evaluation=made.id, recipe="kl_anchor"))


def test_events_are_followed_to_the_end(client: Client, wanted: wire.NewEvaluation) -> None:
    made = client.submit(wanted)
    kinds = []
    for event in client.events(made.id):
        kinds.append(event.kind)
        if event.kind == "queued":  # the worker begins while we listen
            with transaction(client.app.state.database) as session:  # type: ignore[attr-defined]
                lease = jobs.claim(session, queue="cpu", owner="w")
                assert lease is not None
                jobs.finish(session, lease, Status.FAILED, error="no GPU")
    assert kinds == ["queued", "claimed", "failed"]
    assert [event.kind for event in client.events(made.id, after=event.seq - 1)] == ["failed"]
    assert list(client.events(made.id, after=event.seq)) == []
    with pytest.raises(errors.NotFound):
        next(client.events("eval_" + "0" * 32))


def scripted(*replies: httpx.Response | Exception) -> tuple[Client, list[httpx.Request]]:
    """A client whose server answers as written down, and the requests it got."""
    asked: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        reply = replies[min(len(asked), len(replies)) - 1]
        if isinstance(reply, Exception):
            raise reply
        return reply

    transport = httpx.MockTransport(answer)
    return Client("http://h", "key", transport=transport, sleep=lambda _seconds: None), asked


def problem(status: int, title: str, **headers: str) -> httpx.Response:
    body = {"title": title, "status": status, "detail": "why", "request_id": "r"}
    return httpx.Response(status, json=body, headers=headers)


PAGE = {"data": [], "next_cursor": None, "has_more": False}


def test_errors_come_back_as_their_class() -> None:
    for name, kind in ERRORS.items():
        client, _ = scripted(problem(kind.status, name))
        with pytest.raises(kind, match="why") as caught:
            client.probes()
        assert type(caught.value) is kind
    for status, kind in [(418, errors.CallerError), (500, errors.HarnessError)]:
        client, _ = scripted(problem(status, "SomethingNew"))
        with pytest.raises(kind, match="request r"):
            client.probes()


def test_what_may_be_sent_again_is() -> None:
    lost = httpx.ConnectError("refused")
    cut = httpx.ReadTimeout("silence")
    for trouble in (lost, cut, problem(503, "Unreachable"), httpx.Response(502, text="<html>")):
        client, asked = scripted(trouble, trouble, httpx.Response(200, json=PAGE))
        assert client.probes().data == ()
        assert len(asked) == 3
        client, asked = scripted(trouble)
        with pytest.raises(errors.Unreachable):
            client.probes()
        assert len(asked) == BACKOFF.tries


def test_a_submission_rides_out_a_servers_restart_and_says_so(
    caplog: pytest.LogCaptureFixture,
) -> None:
    wanted = wire.NewEvaluation(candidate="/c", baseline="/b", policy="demo")
    client, asked = scripted(*[httpx.ConnectError("refused")] * 9, problem(404, "NotFound"))
    client._patient = patient(60)
    pauses: list[float] = []
    client._sleep = pauses.append
    with pytest.raises(errors.NotFound):
        client.submit(wanted)
    assert len({request.headers["Idempotency-Key"] for request in asked}) == 1
    assert 30 < sum(pauses) < 60
    (said,) = [record.getMessage() for record in caplog.records]
    assert said.startswith("http://h does not answer yet; trying on (`holdfast up` starts one here")
    client, _ = scripted(httpx.ConnectError("refused"))
    client._sleep, client._patient = pauses.append, patient(60)
    pauses.clear()
    with pytest.raises(errors.Unreachable):
        client.submit(wanted)
    assert 60 < sum(pauses) < 70
    assert patient(0) == BACKOFF


def test_a_full_queue_is_not_waited_for() -> None:
    client, asked = scripted(problem(429, "QueueFull"))
    client._patient = patient(60)
    with pytest.raises(errors.QueueFull):
        client.submit(wire.NewEvaluation(candidate="/c", baseline="/b", policy="demo"))
    assert len(asked) == BACKOFF.tries


def test_a_repeated_post_carries_the_same_key() -> None:
    wanted = wire.NewKey(name="n", scopes=("admin",))
    busy = problem(409, "InFlight", **{"Retry-After": "1"})
    client, asked = scripted(httpx.ReadTimeout("silence"), busy, problem(409, "Conflict"))
    with pytest.raises(errors.Conflict):
        client.create_key(wanted)
    assert len(asked) == 3
    assert len({request.headers["Idempotency-Key"] for request in asked}) == 1
    client, asked = scripted(httpx.ReadTimeout("silence"))
    with pytest.raises(errors.Unreachable):
        client.set_baseline("p", "a", "ckpt_" + "0" * 32, expected_version=1)
    assert len(asked) == 1, "a PUT with If-Match may have moved it already"


def test_a_foreign_server_is_named_as_such() -> None:
    client, _ = scripted(httpx.Response(404, text="<html>nginx</html>"))
    with pytest.raises(errors.Unreachable, match="not from Holdfast"):
        client.probes()
    client, _ = scripted(httpx.Response(200, json={"hello": 1}))
    with pytest.raises(errors.HarnessError, match="version"):
        client.probes()


def test_settings_name_the_server(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path, database_url="sqlite://", broker_url="")
    with pytest.raises(errors.Unreachable, match="HOLDFAST_SERVER"):
        open_client(settings)
    with open_client(settings.model_copy(update={"server": "http://127.0.0.1:1"})) as client:
        client._sleep = lambda _seconds: None
        with pytest.raises(errors.Unreachable, match="does not answer"):
            client.probes()
