"""Our side of the process that holds a task: it gives the questions and scores the answers."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from holdfast.errors import TaskRefused
from holdfast.evidence.trial import Trial
from holdfast.probes import harness_task
from holdfast.probes.question import Answer, Question
from holdfast.settings import Settings, make_folder
from workers.children.environment import runner_environment
from workers.children.last_words import telling_line
from workers.children.wire import receive, send

DATA_VARIABLES = ("HF_HOME", "HF_DATASETS_CACHE")  # where the harness's own tasks have their data
OFFLINE = {"HF_DATASETS_OFFLINE": "1", "HF_HUB_OFFLINE": "1"}


@dataclass(frozen=True, slots=True)
class Log:
    """The log that a child writes to, and the byte from which on it is this child's."""

    path: Path
    start: int


class TaskChild:
    """One task in a process of its own, which ends when its requests do."""

    def __init__(self, process: subprocess.Popen[str], task: str, digest: str, log: Log) -> None:
        self._process = process
        self._task, self._digest = task, digest
        self._log = log

    def plan(self, items: int | None) -> dict[str, Any]:
        """The task's digest, and what to ask: {"digest", "items": [{"item", "asks"}]}."""
        return self._call({"do": "plan", "items": items})

    def judge(self, probe: str, question: Question, answer: Answer) -> Trial:
        """The task's own metric on one answer; where there is none, unscored without asking."""
        reason = harness_task.reason_unscored(answer)
        if reason:
            return harness_task.trial(probe, question, None, reason)
        replies = harness_task.replies_of(answer)
        score = self._call({"do": "score", "item": question.item, "replies": replies})
        if score["digest"] != self._digest:
            raise TaskRefused(f"the task {self._task} changed since it was planned; submit again")
        return harness_task.trial(probe, question, score["badness"], score["reason"])

    def _call(self, request: dict[str, Any]) -> dict[str, Any]:
        requests, answers = self._process.stdin, self._process.stdout
        if requests is None or answers is None:
            raise RuntimeError("a task's process was started without pipes")
        with suppress(BrokenPipeError):  # it has ended: what it said before that is still to read
            send(requests, request)
        reply = receive(answers)
        if reply is None:
            raise TaskRefused(f"the task {self._task} does not run: {self._last_words()}")
        if "error" in reply:
            raise TaskRefused(reply["detail"])
        return reply

    def _last_words(self) -> str:
        """The last line that it wrote to the log; of a traceback, the error."""
        self._process.wait()
        last_line = telling_line(self._log.path, self._log.start) or "it ended without a word"
        return f"{last_line} (the log is {self._log.path})"


@contextmanager
def open_task(task: str, settings: Settings, digest: str = "") -> Iterator[TaskChild]:
    """Start the process of one task; raises TaskRefused where the harness is not installed.

    `digest` is that of the task as it was planned, for whoever judges.
    """
    try:
        version("lm_eval")
    except PackageNotFoundError as error:
        raise TaskRefused(
            f"the task {task} needs lm-evaluation-harness, which is not installed with this "
            "worker; install holdfast[lm-eval]"
        ) from error
    folder = settings.lm_eval_tasks
    log = settings.home / "log" / "lm_eval.log"
    make_folder(log.parent)
    data_folders = {name: os.environ[name] for name in DATA_VARIABLES if name in os.environ}
    command = [sys.executable, "-m", "workers.harness", task, *([str(folder)] if folder else [])]
    with log.open("ab") as output:
        start = output.tell()
        process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=output,
            text=True,
            cwd=folder or settings.home,  # data files of a task are named from its folder
            env=runner_environment(settings.home, os.environ, {**data_folders, **OFFLINE}),
        )
    try:
        yield TaskChild(process, task, digest, Log(log, start))
    finally:
        process.kill()  # it holds nothing that is not in our database
        process.communicate()


def plan_task(task: str, items: int | None, settings: Settings) -> tuple[tuple[Question, ...], str]:
    """The questions of a task and the digest of everything that it could ask."""
    with open_task(task, settings) as child:
        planned = child.plan(items)
    return harness_task.questions(planned["items"]), planned["digest"]
