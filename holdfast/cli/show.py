"""What people see while and after a job runs; all of it on stderr but the verdict itself.

Bars where stderr is a terminal (NO_COLOR is rich's to honour), otherwise one plain line whenever a
probe is done, so that a CI log stays short. A verdict is shown here and nowhere else: the object
that is printed is the object that the exit code is read from.
"""

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn
from rich.progress import TimeRemainingColumn as Remaining

from holdfast.api.wire import Event
from holdfast.cli.command import Usage, note
from holdfast.evidence.file import Evidence
from holdfast.readings.noise import find_noise
from holdfast.report.beside import Beside, beside
from holdfast.report.render import NAMES_FLIPS, RENDERERS, render
from holdfast.settings import data_folder
from holdfast.verdict.document import Verdict

QUIET_KINDS = ("queued", "progress", "step")


Files = Callable[[], tuple[Evidence, Evidence]]


def show_verdict(options: argparse.Namespace, verdict: Verdict, files: Files) -> int:
    """Write the reports that were asked for, print the verdict, return its exit code."""
    targets, form = report_targets(options), "json" if options.json else "text"
    found = look_beside(verdict, [form, *(name for name, _ in targets)], files)
    for name, target in targets:
        write_report(render(verdict, name, found), name, target)
    sys.stdout.write(render(verdict, form, found).rstrip("\n") + "\n")
    sys.stdout.flush()
    return verdict.exit_code


def look_beside(verdict: Verdict, forms: Sequence[str], files: Files) -> Beside:
    """The worst flips and the noise floor; evidence is read only for what will be shown."""
    noise = find_noise(data_folder(), verdict.subject_digests["baseline"])
    if noise is None and not any(form in NAMES_FLIPS for form in forms):
        return Beside()
    return beside((check.id for check in verdict.checks), *files(), noise)


def report_targets(options: argparse.Namespace) -> list[tuple[str, Path]]:
    """The --report arguments, understood; Usage where one is not FORMAT=FILE."""
    targets = []
    for word in options.report:
        form, found, path = word.partition("=")
        if form not in RENDERERS or not found or not path:
            raise Usage(f"--report {word}: expected FORMAT=FILE with one of {', '.join(RENDERERS)}")
        targets.append((form, Path(path)))
    return targets


def write_report(text: str, form: str, target: Path) -> None:
    """One report file; the folder is made where it is missing."""
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text, encoding="utf-8")
    except OSError as error:
        raise Usage(f"the report {target} cannot be written: {error.strerror}") from error
    note(f"{form} report: {target}")


class ProgressView:
    """A job's events as bars or lines on stderr; use it in a `with`."""

    def __init__(self) -> None:
        """Nothing is drawn before the first event."""
        console = Console(stderr=True)
        self._live = console.is_terminal
        self._bars = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            Remaining(),
            console=console,
            disable=not self._live,
        )
        self._tasks: dict[str, TaskID] = {}

    def __enter__(self) -> Self:
        """Take over the last lines of the terminal, if there is one."""
        self._bars.start()
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        """Give the terminal back."""
        self._bars.stop()

    def show(self, event: Event) -> None:
        """Draw one event."""
        found = event.document
        if event.kind == "progress":
            self._advance(f"{found['side']} {found['probe']}", found["done"], found["total"])
        elif event.kind == "step":
            self._advance("training", found["step"], found["steps"])
        if event.kind not in QUIET_KINDS:
            self._say(" ".join((event.job, event.kind, *_details(event))))

    def _advance(self, name: str, done: int, total: int) -> None:
        if name not in self._tasks:
            self._tasks[name] = self._bars.add_task(name, total=total)
        self._bars.update(self._tasks[name], completed=done, total=total)
        if done == total and not self._live:
            note(f"{name} {done}/{total}")

    def _say(self, line: str) -> None:
        if self._live:
            self._bars.console.print(line, highlight=False, markup=False)
        else:
            note(line)


def _details(event: Event) -> list[str]:
    return [f"{key}={value}" for key, value in event.document.items() if not _is_long(value)]


def _is_long(value: object) -> bool:
    return isinstance(value, dict | list) or len(str(value)) > 200
