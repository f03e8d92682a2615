"""Requests that are sent again: which, how often, and after which pauses."""

from collections.abc import Callable

import httpx
import pytest

from holdfast.retries import Backoff, send_with_retries

BACKOFF = Backoff(tries=4, first_pause=0.25, longest_pause=8.0)
BUSY = httpx.Response(503)
GOOD = httpx.Response(200)
LOST = httpx.ConnectError("refused")


def sender(
    *outcomes: httpx.Response | httpx.TransportError,
) -> Callable[[], httpx.Response]:
    """A request whose tries end in these outcomes, one after the other."""
    left = iter(outcomes)

    def send() -> httpx.Response:
        outcome = next(left)
        if isinstance(outcome, httpx.Response):
            return outcome
        raise outcome

    return send


def outcome_and_pauses(
    *outcomes: httpx.Response | httpx.TransportError,
) -> tuple[httpx.Response | httpx.TransportError, list[float]]:
    """How the request ended, and the pauses made on the way."""
    pauses: list[float] = []
    busy = httpx.codes.SERVICE_UNAVAILABLE
    outcome = send_with_retries(
        sender(*outcomes), BACKOFF, lambda reply: reply.status_code == busy, pauses.append
    )
    return outcome, pauses


def test_a_good_reply_is_final() -> None:
    assert outcome_and_pauses(GOOD) == (GOOD, [])


def test_a_refusal_is_not_sent_again() -> None:
    refused = httpx.Response(422)
    assert outcome_and_pauses(refused) == (refused, [])


def test_broken_connections_and_named_statuses_are_tried_again() -> None:
    assert outcome_and_pauses(LOST, BUSY, GOOD) == (GOOD, [0.25, 0.5])


@pytest.mark.parametrize("failure", [BUSY, LOST])
def test_the_last_failure_comes_back(failure: httpx.Response | httpx.TransportError) -> None:
    assert outcome_and_pauses(BUSY, LOST, BUSY, failure) == (failure, [0.25, 0.5, 1.0])


def test_other_errors_are_nobodys_to_repeat() -> None:
    with pytest.raises(ZeroDivisionError):
        send_with_retries(lambda: 1 // 0, BACKOFF, bool, print)  # type: ignore[arg-type, return-value]


def test_pauses_double_up_to_a_limit() -> None:
    pauses = [BACKOFF.pause(attempt) for attempt in (1, 2, 3, 6, 60)]
    assert pauses == [0.25, 0.5, 1.0, 8.0, 8.0]


@pytest.mark.parametrize(
    ("header", "seconds"),
    [("3", 3.0), ("900", 8.0), ("0", 0.25), ("soon", 0.25), ("Wed, 21 Oct 2026 07:28:00", 0.25)],
)
def test_the_server_says_how_long_within_our_limit(header: str, seconds: float) -> None:
    reply = httpx.Response(503, headers={"retry-after": header})
    assert outcome_and_pauses(reply, GOOD) == (GOOD, [seconds])
