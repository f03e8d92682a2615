"""A server that speaks the OpenAI API over real HTTP, with scripted replies."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import uvicorn
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, Response

Reply = str | tuple[int, dict[str, str]] | float | Callable[[str], str]


@dataclass
class Grader:
    """What it was asked, and what it says next; the last reply is said for ever.

    Text is a completion, (status, headers) an HTTP error, a number a pause in seconds before one,
    a function makes the completion from the question.
    """

    replies: list[Reply]
    url: str = ""
    asked: list[dict[str, Any]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)

    def next(self) -> Reply:
        """Take a reply from the script."""
        return self.replies.pop(0) if len(self.replies) > 1 else self.replies[0]


@contextmanager
def grader(*replies: Reply) -> Iterator[Grader]:
    """Serve on a free loopback port."""
    script = Grader(list(replies))
    app = FastAPI()

    async def answer(request: Request, wrap: Callable[[str], dict[str, Any]]) -> Response:
        body = await request.json()
        script.asked.append(body)
        script.headers.append(dict(request.headers))
        reply = script.next()
        if isinstance(reply, tuple):
            return JSONResponse({"error": "scripted"}, status_code=reply[0], headers=reply[1])
        if isinstance(reply, float):
            import anyio

            await anyio.sleep(reply)
            reply = "late"
        question = body.get("prompt") or body["messages"][-1]["content"]
        text = reply(question) if callable(reply) else reply
        return JSONResponse({"choices": [wrap(text)], "usage": {"total_tokens": 100}})

    @app.post("/v1/chat/completions")
    async def chat(request: Request) -> Response:
        return await answer(request, lambda text: {"message": {"content": text}})

    @app.post("/v1/completions")
    async def complete(request: Request) -> Response:
        return await answer(request, lambda text: {"text": text})

    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="error"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.005)
    port = server.servers[0].sockets[0].getsockname()[1]
    script.url = f"http://127.0.0.1:{port}/v1"
    try:
        yield script
    finally:
        server.should_exit = True
        thread.join(5)
