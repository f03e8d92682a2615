"""A service in a process of its own, forked from one that has imported it: a start takes no second.

It answers at a socket that whoever starts it holds, so whoever connects while no process lives
waits for the next one.
"""

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import get_context
from multiprocessing.process import BaseProcess

import uvicorn

from holdfast.settings import Settings
from service.app import create_app
from service.connections import PromptRequests

CONTEXT = get_context("forkserver")
CONTEXT.set_forkserver_preload(  # `pytest`, since every child imports this process's main module
    ["pytest", "service.app", "sqlite3", "psycopg", "uvicorn.protocols.http.h11_impl"]
)


@contextmanager
def service_process(settings: Settings, bound: socket.socket) -> Iterator[BaseProcess]:
    """The running process; killed at the end of the block, if nothing has done so before."""
    process = CONTEXT.Process(target=serve, args=(settings, bound))
    process.start()
    try:
        yield process
    finally:
        process.kill()
        process.join()
        process.close()


def serve(settings: Settings, bound: socket.socket) -> None:
    """Answer at the socket until the process ends."""
    config = uvicorn.Config(
        create_app(settings), http=PromptRequests, ws="none", log_level="critical"
    )
    uvicorn.Server(config).run(sockets=[bound])
