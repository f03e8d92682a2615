"""A GitHub or GitLab of our own: the routes that are used of each, and what goes wrong there."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

GITHUB, GITLAB = "/repos/o/r", "/projects/7"


@dataclass
class ForgeState:
    """All that the stand-in remembers; `failures` are statuses that the next requests get."""

    login: str = "gate[bot]"
    comments: list[dict[str, Any]] = field(default_factory=list)
    checks: list[dict[str, Any]] = field(default_factory=list)
    statuses: list[dict[str, Any]] = field(default_factory=list)
    pulls: list[dict[str, Any]] = field(default_factory=list)
    failures: list[tuple[int, dict[str, str]]] = field(default_factory=list)
    refused: dict[str, int] = field(default_factory=dict)  # statuses by method and end of path
    requests: list[tuple[str, str]] = field(default_factory=list)
    tokens: list[str] = field(default_factory=list)
    url: str = ""
    lock: threading.Lock = field(default_factory=threading.Lock)
    vanishing: bool = False  # a comment is gone as soon as it is to be changed
    both_looked: threading.Barrier | None = None  # lists are answered once all have asked

    def write(self, author: str, body: str) -> dict[str, Any]:
        comment = {
            "id": len(self.comments) + 100,
            "body": body,
            "user": {"login": author},
            "author": {"username": author},
            "system": False,
        }
        self.comments.append(comment)
        return comment


@contextmanager
def forge_server() -> Iterator[ForgeState]:
    """A stand-in at `state.url`, for as long as the block."""
    state = ForgeState()

    class Handler(BaseHTTPRequestHandler):
        def _take(self) -> None:
            length = int(self.headers.get("content-length") or 0)
            body = json.loads(self.rfile.read(length)) if length else {}
            parts = urlsplit(self.path)
            state.tokens.append(
                self.headers.get("authorization") or self.headers.get("private-token") or ""
            )
            with state.lock:
                state.requests.append((self.command, self.path))
                failure = state.failures.pop(0) if state.failures else None
            headers: dict[str, str] = {}
            if failure is not None:
                status, headers = failure
                answer: Any = {"message": "no"}
            else:
                status, answer = reply(state, self.command, parts.path, parse_qs(parts.query), body)
            content = b"" if answer is None else json.dumps(answer).encode()
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("content-length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_POST = do_PATCH = do_PUT = do_DELETE = _take  # noqa: N815

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    state.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield state
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def reply(  # noqa: C901, PLR0911  # a line a route
    state: ForgeState, method: str, path: str, query: dict[str, list[str]], body: dict[str, Any]
) -> tuple[int, Any]:
    """Status and JSON of one request."""
    for end, status in state.refused.items():
        if f"{method} {path}".startswith(end.split(" ")[0]) and path.endswith(end.split(" ")[1]):
            return status, {"message": "Resource not accessible by integration"}
    listed = path.endswith(("/comments", "/notes"))
    if method == "GET" and listed:
        if state.both_looked is not None and not state.both_looked.broken:
            state.both_looked.wait(5)
        return 200, page(state.comments, query)
    with state.lock:
        if method == "POST" and listed:
            return 201, state.write(state.login, body["body"])
        if method in {"PATCH", "PUT"} or (method == "DELETE" and "/" in path):
            return changed(state, method, path, body)
        if path.endswith("/graphql"):
            return 200, {"data": {"viewer": {"login": state.login}}}
        if path.endswith("/user"):
            return 200, {"username": state.login}
        if path.endswith("/check-runs"):
            state.checks.append(body)
            return 201, {"id": 1}
        if "/statuses/" in path:
            state.statuses.append({**body, "sha": path.rsplit("/", 1)[1]})
            return 201, {"id": 1}
        if path.endswith(("/pulls", "/merge_requests")):
            return 200, page(state.pulls, query)
    return 404, {"message": "Not Found"}


def changed(state: ForgeState, method: str, path: str, body: dict[str, Any]) -> tuple[int, Any]:
    number = int(path.rsplit("/", 1)[1])
    found = next((one for one in state.comments if one["id"] == number), None)
    if found is not None and state.vanishing:
        state.comments.remove(found)
        found = None
    if found is None:
        return 404, {"message": "Not Found"}
    if method == "DELETE":
        state.comments.remove(found)
        return 204, None
    found["body"] = body["body"]
    return 200, found


def page(entries: list[dict[str, Any]], query: dict[str, list[str]]) -> list[dict[str, Any]]:
    size, number = int(query["per_page"][0]), int(query["page"][0])
    return entries[(number - 1) * size : number * size]
