"""How far a job is, on stderr while it runs.

Bars where stderr is a terminal (NO_COLOR is rich's to honour), otherwise one plain line whenever a
probe is done, so that a CI log stays short.
"""

import sys
from types import TracebackType
from typing import TYPE_CHECKING, Self

from holdfast.api.wire import Event
from holdfast.cli.command import note
from holdfast.report.escapes import for_terminal

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

QUIET_KINDS = ("queued", "progress", "step")


class ProgressView:
    """A job's events as bars or lines on stderr; use it in a `with`."""

    def __init__(self) -> None:
        """Nothing is drawn before the first event."""
        self._bars = _bars() if sys.stderr.isatty() else None
        self._tasks: dict[str, TaskID] = {}

    def __enter__(self) -> Self:
        """Take over the last lines of the terminal, if there is one."""
        if self._bars:
            self._bars.start()
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        """Give the terminal back."""
        if self._bars:
            self._bars.stop()

    def show(self, event: Event) -> None:
        """Draw one event."""
        document = event.document
        if event.kind == "progress":
            self._advance(
                f"{document['side']} {document['probe']}", document["done"], document["total"]
            )
        elif event.kind == "step":
            self._advance("training", document["step"], document["steps"])
        if event.kind not in QUIET_KINDS:
            self._say(" ".join((event.job, event.kind, *_details(event))))

    def _advance(self, name: str, done: int, total: int) -> None:
        if self._bars is None:
            if done == total:
                note(f"{name} {done}/{total}")
            return
        if name not in self._tasks:
            self._tasks[name] = self._bars.add_task(for_terminal(name), total=total)
        self._bars.update(self._tasks[name], completed=done, total=total)

    def _say(self, line: str) -> None:
        if self._bars is None:
            note(line)
        else:
            self._bars.console.print(for_terminal(line), highlight=False, markup=False, emoji=False)


def _bars() -> "Progress":
    """Bars on stderr; rich is imported for a terminal only, which a CI job is not."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
    from rich.progress import TimeRemainingColumn as Remaining

    return Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        Remaining(),
        console=Console(stderr=True),
    )


def _details(event: Event) -> list[str]:
    return [f"{key}={value}" for key, value in event.document.items() if not _is_long(value)]


def _is_long(value: object) -> bool:
    return isinstance(value, dict | list) or len(str(value)) > 200
