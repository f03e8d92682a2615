"""A forge's REST API: one request, sent again where that helps, and a sentence where it is refused.

No proxy rules, no paging helper and no client of the forge's own: what is used of either API is
five routes, and httpx has the rest.
"""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

import httpx

from holdfast.errors import ForgeRefused
from holdfast.retries import Backoff, send_with_retries
from holdfast.verdict.outcome import Decision

State = Decision | Literal["pending", "not run"]

BACKOFF = Backoff(tries=4, first_pause=0.5, longest_pause=20.0)
TIMEOUT = httpx.Timeout(10.0, read=30.0)
PAGE = 100
LONGEST_LIST = 50  # pages: 5,000 comments
WHY = {
    401: "the token is not accepted",
    403: "the token may not (on GitHub: `permissions: {pull-requests: write, checks: write}`)",
    404: "it is not there, or the token may not see it",
    422: "it was refused as it is",
}


@dataclass(frozen=True, slots=True)
class Comment:
    """A comment on a pull request, and the name of who wrote it."""

    id: int
    body: str
    author: str


@dataclass(frozen=True, slots=True)
class Conclusion:
    """How a gate ended on a commit, in a line, and the page that says more."""

    gate: str
    state: State
    title: str
    link: str | None


@dataclass(frozen=True, slots=True)
class Forge:
    """An API root, with a client that says who asks."""

    api: str
    client: httpx.Client

    def ask(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        """The JSON of a reply; ForgeRefused with a sentence for any other than 2xx."""
        reply = self._send(method, f"{self.api}{path}", body)
        return reply.json() if reply.content else None

    def all(self, path: str) -> Iterator[dict[str, Any]]:
        """Every entry of a list, page after page."""
        joint = "&" if "?" in path else "?"
        for page in range(1, LONGEST_LIST + 1):
            entries = self.ask("GET", f"{path}{joint}per_page={PAGE}&page={page}")
            yield from entries
            if len(entries) < PAGE:
                return

    def _send(self, method: str, url: str, body: dict[str, Any] | None) -> httpx.Response:
        outcome = send_with_retries(
            lambda: self.client.request(method, url, json=body), BACKOFF, _may_pass, time.sleep
        )
        where = f"{method} {url}"
        if isinstance(outcome, httpx.TransportError):
            raise ForgeRefused(f"{where}: {type(outcome).__name__}, {outcome}")
        if outcome.is_success:
            return outcome
        why = WHY.get(outcome.status_code, outcome.reason_phrase)
        raise ForgeRefused(f"{where}: {outcome.status_code}, {why}", outcome.status_code)


def connect(api: str, headers: dict[str, str]) -> Forge:
    """A forge at this root; close its `client`."""
    agent = {"User-Agent": "holdfast-ci", "Accept": "application/json"}
    client = httpx.Client(headers={**agent, **headers}, timeout=TIMEOUT, follow_redirects=True)
    return Forge(api, client)


def _may_pass(reply: httpx.Response) -> bool:
    """Whether a later try may succeed: a server in trouble, or a rate limit that says so."""
    limited = reply.status_code == 403 and (
        "retry-after" in reply.headers or reply.headers.get("x-ratelimit-remaining") == "0"
    )
    return limited or reply.status_code == 429 or reply.status_code >= 500
