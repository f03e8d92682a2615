"""Folders and task files are admitted by children, few at a time, and never in a request's thread.

Reading them holds an interpreter (`holdfast.admitting`); here that would be the one that answers
everybody. One project has fewer turns and places than there are. Whoever finds them all taken is
asked to come again, so that threads are left for the rest. A child starts when it is needed, and
ends with its answer or with the application.
"""

import json
import logging
import os
import signal
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from threading import BoundedSemaphore, Event
from typing import Annotated, Any

from fastapi import Depends, Request
from sqlalchemy import Engine

from holdfast.admitting import checkpoint_of, refuse_if_refused, task_of
from holdfast.checkpoints.allowed_roots import real_path
from holdfast.checkpoints.checkpoint import CheckpointRef, local_path
from holdfast.db.session import reading
from holdfast.errors import CheckpointRefused, InvalidTaskData, Unreachable
from holdfast.projects.places import readable_roots, require_own_links
from holdfast.repairs.task_data import TaskFile
from holdfast.settings import Settings

log = logging.getLogger(__name__)

OF_ONE_PROJECT = 2  # that are read at once
AT_ONCE = 3  # of all: whatever one project sends, another one's folder has a turn
COMMAND = (sys.executable, "-P", "-m", "holdfast.admitting")
INHERITED = ("PATH", "LD_LIBRARY_PATH", "LANG", "LC_ALL", "LC_CTYPE")  # no key is among them


class Turns:
    """So many at once, and so many who wait for that; one more is asked to come again."""

    def __init__(self, at_once: int, waiting: int) -> None:
        """Nobody is there at first."""
        self._places = BoundedSemaphore(at_once + waiting)
        self._turns = BoundedSemaphore(at_once)

    @contextmanager
    def taken(self) -> Iterator[None]:
        """Wait for a turn and have it; Unreachable where as many wait as may."""
        if not self._places.acquire(blocking=False):
            raise Unreachable("as many folders are being read as may be at once; try again")
        try:
            with self._turns:
                yield
        finally:
            self._places.release()


class Admitting:
    """Admits what requests name under the server's roots, `AT_ONCE` of them at once.

    `children` are those that run.
    """

    def __init__(self, settings: Settings, database: Engine) -> None:
        """As many more as the settings allow may wait, half of them of one project."""
        self.children: set[subprocess.Popen[bytes]] = set()
        self._settings, self._database = settings, database
        self._all = Turns(AT_ONCE, settings.max_admissions)
        self._projects = defaultdict[str, Turns](
            lambda: Turns(OF_ONE_PROJECT, settings.max_admissions // 2)
        )
        self._ending = Event()

    def checkpoint(self, project: str, uri: str, adapter: str | None) -> CheckpointRef:
        """Check and hash a checkpoint, with the adapter on it if one is named."""
        named = [local_path(folder) for folder in (uri, adapter) if folder is not None]
        ref = checkpoint_of(self._reply(project, {"checkpoint": uri, "adapter": adapter}, named))
        if ref.ignored:
            ignored = ", ".join(ref.ignored)
            log.info("checkpoint=%s path=%s ignored: %s", ref.digest, ref.path, ignored)
        return ref

    def task_data(self, project: str, named: str) -> TaskFile:
        """Read a file of task data, every row of it."""
        try:
            return task_of(self._reply(project, {"task_data": named}, [real_path(Path(named))]))
        except CheckpointRefused as error:  # by where it lies
            raise InvalidTaskData(str(error)) from error

    def close(self) -> None:
        """End the children that run, and begin no other."""
        self._ending.set()
        for child in tuple(self.children):
            child.kill()

    def _reply(
        self, project: str, request: dict[str, Any], named: Sequence[Path]
    ) -> dict[str, Any]:
        """The answer of a child that reads what is `named`, where the project may."""
        with reading(self._database) as session:
            roots = readable_roots(session, project, named, self._settings)
        request = {**request, "roots": list(map(str, roots))}
        written, status = self._run(project, json.dumps(request).encode())
        with reading(self._database) as session:  # before the answer, which may quote a link's end
            for path in named:
                if any(path.is_relative_to(root.resolve()) for root in roots):
                    require_own_links(session, project, path, self._settings)
        if status == -signal.SIGALRM:
            raise CheckpointRefused(
                "it could not be read in a minute and a second for each 20 MB; put it on a faster "
                "disk, or submit the model's own folder only"
            )
        if status != 0:
            raise Unreachable(
                f"the process that read it ended with {status} and no answer; try again"
            )
        reply: dict[str, Any] = json.loads(written)
        refuse_if_refused(reply)
        return reply

    def _run(self, project: str, request: bytes) -> tuple[bytes, int]:
        """The answer of a child of its own and its exit status; waits for a turn."""
        with self._projects[project].taken(), self._all.taken(), self._child() as child:
            return child.communicate(request)[0], child.returncode

    @contextmanager
    def _child(self) -> Iterator[subprocess.Popen[bytes]]:
        if self._ending.is_set():
            raise Unreachable("the server is about to end; try again")
        environment = {name: os.environ[name] for name in INHERITED if name in os.environ}
        with subprocess.Popen(
            COMMAND, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment, cwd="/"
        ) as child:
            self.children.add(child)
            try:
                yield child
            finally:
                child.kill()
                self.children.discard(child)


async def admitting_of(request: Request) -> Admitting:
    """The application's."""
    admitting: Admitting = request.app.state.admitting
    return admitting


AdmittingDep = Annotated[Admitting, Depends(admitting_of)]
