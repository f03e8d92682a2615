"""The engine as the pipeline sees it: a process tree that is started once and kept warm.

    supervisor (here, in the Celery pool child; never imports torch)
      └─ guard (leads the session, ends it when we are gone)
           └─ runner (holds the engine) └─ whatever the engine starts

A job that is canceled or loses its lease must stop now, while the call that waits for the answers
blocks: `kill`, from another thread, ends the tree by its session id, and the call raises
EngineFailed. The tree gets no secret: its environment is a short list of names.
"""

import json
import os
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from functools import cached_property
from pathlib import Path
from typing import Any

from holdfast.errors import ERRORS, EngineFailed, HoldfastError
from holdfast.probes.engine import (
    Arguments,
    Backend,
    Completion,
    Continuation,
    Prompt,
    Sampling,
    Score,
)
from holdfast.settings import Settings
from workers.children.dtype import dtype_of
from workers.children.environment import runner_environment
from workers.children.guarded import end_guarded
from workers.children.progress import wait_for_stall
from workers.children.sessions import reap_leftovers
from workers.children.threads import (
    THREADS,
    busy_cores,
    process_environment,
    thread_environment,
)
from workers.children.tree import Tree, close_pipes, exchange, start_tree
from workers.children.walls.showing import folders_of, may_read, named_as_outside, show
from workers.children.wire import continuations_to_json, prompt_to_json
from workers.inference.backends import backend_of, devices_of

__all__ = ["RunnerEngine", "reap_leftovers"]

OTHER_ENGINE = "; if vLLM cannot run this model here, HOLDFAST_ENGINE=transformers may"


class RunnerEngine:
    """An `Engine` in another process, started at the first `open` and again after a `kill`."""

    def __init__(self, settings: Settings, device_env: Mapping[str, str] | None = None) -> None:
        self._settings = settings
        self._device_env = device_env or {}
        self._tree: Tree | None = None
        self._greeted: Tree | None = None  # the tree that has said which backend it is
        self._calling = False
        self._waiting_since: float | None = None
        self._notes: list[str] = []
        self._reads: set[Path] = set()  # what a runner of ours had to read beside the roots
        self._examined: set[Path] = set()  # views, which never hold another content
        self.loaded: Path | None = None  # the folder of the open checkpoint
        self.file_notes: tuple[str, ...] = ()  # what is out of the ordinary in its files
        self._lock = threading.Lock()  # of the two above: `kill` comes from another thread
        self._ending = threading.RLock()  # held until a tree is gone; a dropped call may come again

    @cached_property
    def backend(self) -> Backend:
        """The backend by what is installed and how this machine computes; starts no engine."""
        settings = self._settings
        return backend_of(
            settings.engine,
            dtype_of(settings),
            settings.max_model_len,
            devices_of(settings).tensor_parallel,
        )

    @property
    def alive(self) -> bool:
        """Whether the tree is up, so that the next `open` may be a swap."""
        tree = self._tree
        return tree is not None and tree.runner.guard.poll() is None

    def begin(self) -> None:
        """Start a tree where none is up, and wait for nothing.

        A runner imports for seconds, in which its checkpoint can be hashed.
        """
        if not self.alive:
            self._start()

    def examine(self, checkpoint: Path) -> None:
        """Raise CheckpointRefused where its files make no model; once a tree for each folder."""
        shown = self._show(checkpoint)
        if checkpoint not in self._examined:
            _all_replies(self._call({"do": "examine", "checkpoint": shown}))
            self._examined.add(checkpoint)

    def open(self, checkpoint: Path, template: str | None) -> None:
        """Load weights, in a tree that is started first if there is none."""
        shown = self._show(checkpoint)
        before, n_notes = self.loaded, len(self._notes)
        self.loaded = None
        request = {"do": "open", "checkpoint": shown, "template": template}
        try:
            _all_replies(self._call(request))
        except EngineFailed as error:
            hint = OTHER_ENGINE if self._settings.engine == "vllm" else ""
            raise EngineFailed(f"{error}{hint}") from error
        self.loaded, notes = checkpoint, tuple(self._notes[n_notes:])
        if notes or checkpoint != before:  # what is open already is noted no second time
            self.file_notes = notes

    def generate(
        self, prompts: Sequence[Prompt], sampling: Sampling
    ) -> Iterator[tuple[int, Completion]]:
        """Answer every prompt once, as they come."""
        request = {
            "do": "generate",
            "prompts": [prompt_to_json(prompt) for prompt in prompts],
            "sampling": sampling.to_json(),
        }
        for index, reply in _each_once(len(prompts), self._call(request)):
            yield index, Completion(**reply)

    def logprobs(
        self, continuations: Sequence[Continuation], arguments: Arguments = ()
    ) -> Iterator[tuple[int, Score]]:
        """Score every continuation once, as they come."""
        request = {
            "do": "logprobs",
            "asked": continuations_to_json(continuations),
            "arguments": dict(arguments),
        }
        for index, reply in _each_once(len(continuations), self._call(request)):
            yield index, Score(**reply)

    def take_notes(self) -> list[str]:
        """Everything out of the ordinary that the runner noted since the last call."""
        notes, self._notes = list(dict.fromkeys(self._notes)), []
        return notes

    def close(self) -> None:
        """Free the device; returns when no process of the tree is left."""
        self.kill()

    def kill(self) -> None:
        """End the tree at once; a call that waits for it in another thread raises EngineFailed.

        Whoever calls it returns when the tree is gone, also if another thread is ending it: the
        next engine is not to find the device taken.
        """
        with self._ending:
            self._end_tree()

    def _end_tree(self) -> None:
        with self._lock:
            tree, self._tree, self.loaded = self._tree, None, None
            calling = self._calling
        if tree is None:
            return
        tree.ended.set()
        end_guarded(tree.runner)
        if not calling:  # else the call, which is at the other end of the pipes, closes them
            close_pipes(tree)

    def _show(self, checkpoint: Path) -> str:
        """Where the runner reads a checkpoint; starts a runner that may, if there is none.

        Walls are widened by no one, so what lies outside all that was named costs a new start.
        """
        tree = self._tree
        if tree is None or not self.alive or not may_read(tree.runner.inside, checkpoint):
            self._reads |= folders_of(checkpoint)
            self._start()
            tree = self._tree
        if self._greeted is not tree:
            self._greet()
            tree = self._tree
        inside = None if tree is None else tree.runner.inside
        return str(checkpoint if inside is None else show(inside, checkpoint))

    def _start(self) -> None:
        self.kill()  # of a tree whose guard is gone, the record and the pipes are still there
        self._examined.clear()
        tree = start_tree(
            self._settings, self._runner_arguments(), self._environment(), sorted(self._reads)
        )
        with self._lock:
            self._tree = tree
        threading.Thread(target=self._watch, args=(tree,), daemon=True).start()

    def _greet(self) -> None:
        """Hear from a new runner which backend it is; EngineFailed where not that of the jobs."""
        tree = self._tree
        (reply,) = _all_replies(self._call({"do": "backend"}))
        if (backend := Backend(**reply)) != self.backend:
            self.kill()
            raise EngineFailed(f"the runner is {backend}, expected {self.backend}; install it anew")
        self._greeted = tree

    def _runner_arguments(self) -> tuple[str, ...]:
        settings = self._settings
        return (
            settings.engine,
            *("--dtype", self.backend.dtype),
            *("--max-model-len", str(settings.max_model_len)),
            *("--devices", json.dumps(asdict(devices_of(settings)))),
        )

    def _environment(self) -> dict[str, str]:
        """The runner's environment; on a CPU that others use too, threads that share its cores.

        What the operator says of threads goes before that.
        """
        backend, processors = self.backend.name, os.sched_getaffinity(0)
        ranks = devices_of(self._settings).count
        environment = {**os.environ, **process_environment(backend, os.environ, processors, ranks)}
        if backend.endswith("-cpu") and os.environ.keys().isdisjoint(THREADS):
            threads = thread_environment(backend, busy_cores(), processors, ranks)
            environment = {**environment, **threads}
        return runner_environment(self._settings.home, environment, self._device_env)

    def _watch(self, tree: Tree) -> None:
        """End a tree that is waited for and has stalled; the call that waits then says so."""
        if wait_for_stall(tree.runner.guard.pid, lambda: self._waiting_since, tree.ended):
            tree.stalled.set()
            self.kill()

    def _call(self, request: dict[str, Any]) -> Iterator[tuple[int, dict[str, Any]]]:
        """Send one request and yield (index, reply) until its end.

        Left before its end, by an error or by a caller that wants no more, it ends the tree: what
        is still being computed is of no use, and the next answers would be those of this request.
        """
        with self._lock:
            tree, self._calling = self._tree, True
        settled = False
        try:
            if tree is None:
                raise EngineFailed("no engine is running; open a checkpoint first")
            while "done" not in (line := self._next_line(tree, request)):
                request = {}
                if "error" in line:
                    settled = True
                    detail = named_as_outside(tree.runner.inside, line["detail"])
                    raise _error_named(line["error"], detail)
                yield line["index"], line["reply"]
            notes = line.get("notes", ())
            self._notes += [named_as_outside(tree.runner.inside, note) for note in notes]
            settled = True
        finally:
            with self._lock:
                self._calling = False
            if not settled:
                self.kill()
            if tree is not None and self._tree is not tree:
                close_pipes(tree)

    def _next_line(self, tree: Tree, request: dict[str, Any]) -> dict[str, Any]:
        self._waiting_since = time.monotonic()
        try:
            return exchange(tree, request)
        finally:
            self._waiting_since = None


def _all_replies(replies: Iterator[tuple[int, dict[str, Any]]]) -> list[dict[str, Any]]:
    return [reply for _, reply in replies]


def _each_once(
    count: int, replies: Iterator[tuple[int, dict[str, Any]]]
) -> Iterator[tuple[int, dict[str, Any]]]:
    """Pass replies on and hold the engine to its contract: every index once."""
    missing = set(range(count))
    for index, reply in replies:
        if index not in missing:
            raise EngineFailed(f"the engine answered question {index} of {count} twice or unasked")
        missing.remove(index)
        yield index, reply
    if missing:
        raise EngineFailed(f"the engine left {len(missing)} of {count} questions unanswered")


def _error_named(name: str, detail: str) -> HoldfastError:
    """The error that the runner named, or EngineFailed for a name that is none of ours."""
    kind = ERRORS.get(name)
    return kind(detail) if kind else EngineFailed(f"{name}: {detail}")
