"""What the demo prints: headings, bars and verdicts; plain lines where there is no terminal."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

console = Console(highlight=False)
started = time.monotonic()

COLOURS = {"pass": "green", "fail": "red", "inconclusive": "yellow"}


def say(text: str) -> None:
    """One step of the story, with the time since the start."""
    minutes, seconds = divmod(int(time.monotonic() - started), 60)
    console.print(f"[dim]{minutes:02d}:{seconds:02d}[/]  {text}", soft_wrap=True)


def show_verdict(title: str, verdict: str, reasons: list[str]) -> None:
    """A verdict in its colour, with its reasons below."""
    say(f"{title}: [bold {COLOURS[verdict]}]{verdict.upper()}[/]")
    for reason in reasons:
        console.print(f"       {reason}", markup=False, soft_wrap=True)


@contextmanager
def bar(title: str, total: int) -> Iterator[Callable[..., None]]:
    """A progress bar; the yielded function takes what is done and a note."""
    columns = (
        TextColumn("       {task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[note]}"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console) as progress:
        task = progress.add_task(title, total=total, note="")

        def advance(done: int, note: str = "") -> None:
            progress.update(task, completed=done, note=note)

        yield advance
