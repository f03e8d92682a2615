"""Half-sent requests on real sockets: they end in time, and take nobody's place meanwhile."""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from typing import Any

import httpx
import pytest
import uvicorn
from fastapi import FastAPI
from starlette.responses import StreamingResponse

from service import connections, limits
from service.connections import PromptRequests

pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)

PATIENCE = 30.0
HALF = b"GET /healthz HTTP/1.1\r\nHost: a\r\nX-Slow: "
HALF_BODY = b"POST /v1/policies HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\n{}"
WHOLE = b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n"
MANY = 20


@contextmanager
def serving(app: FastAPI) -> Iterator[tuple[str, int]]:
    """The application behind our connections, in a thread; yields its address."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        bound.listen()  # connections that come before the thread is ready wait for it
        config = uvicorn.Config(app, http=PromptRequests, ws="none", log_config=None)
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [bound]})
        thread.start()
        try:
            yield bound.getsockname()
        finally:
            server.should_exit = True
            thread.join()


@pytest.fixture
def address(app: FastAPI) -> Iterator[tuple[str, int]]:
    with serving(app) as bound:
        yield bound


def opened(address: tuple[str, int], sent: bytes) -> socket.socket:
    connection = socket.create_connection(address, timeout=PATIENCE)
    connection.sendall(sent)
    return connection


def is_closed(connection: socket.socket) -> bool:
    """Whether the server closes it, within our patience."""
    try:
        return connection.recv(1) == b""
    except ConnectionResetError:
        return True


def healthy(address: tuple[str, int]) -> bool:
    url = f"http://{address[0]}:{address[1]}/healthz"
    return httpx.get(url, timeout=PATIENCE, trust_env=False).json() == {"status": "alive"}


@pytest.mark.parametrize("sent", [b"", HALF, HALF_BODY], ids=["nothing", "a header", "a body"])
def test_what_is_half_sent_is_closed_in_time(
    address: tuple[str, int], monkeypatch: pytest.MonkeyPatch, sent: bytes
) -> None:
    monkeypatch.setattr(connections, "REQUEST_SECONDS", 0.2)
    with closing(opened(address, sent)) as connection:
        assert is_closed(connection)
    assert healthy(address)


def test_a_trickle_gets_no_more_time(
    address: tuple[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "REQUEST_SECONDS", 0.5)
    with closing(opened(address, HALF)) as connection:
        connection.settimeout(0.05)
        began, closed = time.monotonic(), False
        while not closed and time.monotonic() - began < PATIENCE:
            try:
                connection.sendall(b"x")
                closed = connection.recv(1) == b""
            except TimeoutError:
                continue
            except ConnectionError:
                closed = True
        assert closed


def test_a_second_request_gets_its_own_time_and_no_more(
    address: tuple[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "REQUEST_SECONDS", 2.0)
    with closing(opened(address, WHOLE)) as connection:
        assert b"alive" in connection.recv(4096)
        connection.sendall(WHOLE)
        assert b"alive" in connection.recv(4096)
        connection.sendall(HALF)
        assert is_closed(connection)


def test_many_half_sent_requests_take_nobodys_place(
    address: tuple[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "MAX_CONNECTIONS", MANY)
    monkeypatch.setattr(connections, "REQUEST_SECONDS", 10 * PATIENCE)
    with ExitStack() as stack:
        half_sent = [stack.enter_context(closing(opened(address, HALF))) for _ in range(3 * MANY)]
        assert healthy(address)
        for connection in half_sent[:MANY]:  # the oldest made room
            assert is_closed(connection)
        half_sent[-1].sendall(b"y\r\n\r\n")
        assert b"alive" in half_sent[-1].recv(4096)


def test_of_many_that_come_at_one_moment_the_first_make_room(
    app: FastAPI, address: tuple[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A loop that is held up accepts them all in one turn, many at one reading of its clock."""

    async def hold_up() -> None:
        time.sleep(1.0)  # noqa: ASYNC251  # that is what holds it up

    app.get("/hold-up")(hold_up)
    monkeypatch.setattr(connections, "MAX_CONNECTIONS", MANY)
    monkeypatch.setattr(connections, "REQUEST_SECONDS", 10 * PATIENCE)
    with ExitStack() as stack:
        stack.enter_context(closing(opened(address, WHOLE.replace(b"healthz", b"hold-up"))))
        half_sent = [stack.enter_context(closing(opened(address, HALF))) for _ in range(2 * MANY)]
        newest = half_sent[-MANY // 2 :]
        for connection in newest:
            connection.sendall(b"y\r\n\r\n")
        assert [b"alive" in connection.recv(4096) for connection in newest] == [True] * len(newest)
        assert all(map(is_closed, half_sent[: MANY - 1]))


def test_half_sent_bodies_are_none_of_the_requests_at_once(
    app: FastAPI, address: tuple[str, int], monkeypatch: pytest.MonkeyPatch, make_key: Any
) -> None:
    monkeypatch.setattr(limits, "REQUESTS_AT_ONCE", 2)
    with ExitStack() as stack:
        for _ in range(MANY):
            stack.enter_context(closing(opened(address, HALF_BODY)))
        url = f"http://{address[0]}:{address[1]}/v1/evaluations"
        headers = make_key("jobs:read")
        reply = httpx.get(url, headers=headers, timeout=PATIENCE, trust_env=False)
        assert reply.status_code == 200


def test_a_long_reply_is_no_late_request(app: FastAPI, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "REQUEST_SECONDS", 0.2)
    let_go = threading.Event()

    def chunks() -> Iterator[bytes]:
        yield b"first "
        let_go.wait(PATIENCE)
        yield b"last"

    app.add_api_route("/long", lambda: StreamingResponse(chunks()))
    with serving(app) as address:
        url = f"http://{address[0]}:{address[1]}/long"
        with httpx.stream("GET", url, timeout=PATIENCE, trust_env=False) as reply:
            pieces = reply.iter_bytes()
            assert next(pieces) == b"first "
            with closing(opened(address, HALF)) as later:
                assert is_closed(later)
            let_go.set()
            assert b"".join(pieces) == b"last"


def test_a_body_that_does_not_come_whole_is_not_acted_on(
    app: FastAPI, address: tuple[str, int], make_key: Any
) -> None:
    acted = threading.Event()
    app.add_api_route("/act", acted.set, methods=["POST"])
    request = b"POST /act HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n{}"
    with closing(opened(address, request)) as connection:
        connection.shutdown(socket.SHUT_RDWR)
    counted = 'holdfast_http_requests_total{code="500",method="POST",route="unmatched"} 1.0'
    began = time.monotonic()
    while counted not in metrics(address, make_key("jobs:read")):
        assert time.monotonic() - began < PATIENCE
    assert not acted.is_set()


def metrics(address: tuple[str, int], headers: dict[str, str]) -> str:
    url = f"http://{address[0]}:{address[1]}/metrics"
    return httpx.get(url, headers=headers, timeout=PATIENCE, trust_env=False).text


def test_what_the_server_logs_of_a_broken_reply_quotes_nobody(
    app: FastAPI, caplog: pytest.LogCaptureFixture
) -> None:
    secret = "swordfish"

    def chunks() -> Iterator[bytes]:
        yield b"first"
        raise ValueError(secret)

    app.add_api_route("/broken", lambda: StreamingResponse(chunks()))
    with serving(app) as address:
        url = f"http://{address[0]}:{address[1]}/broken"
        with pytest.raises(httpx.RemoteProtocolError):
            httpx.get(url, timeout=PATIENCE, trust_env=False)
    assert "the application broke off: ValueError" in caplog.text
    assert secret not in caplog.text
