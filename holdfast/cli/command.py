"""A subcommand as a row of a table, with its arguments, its function and its help.

A command returns the exit code that the shell sees; `emit` prints what it found, once, as JSON or
for people. With --json stdout holds exactly one document, whatever happens.
"""

import argparse
import json
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

from holdfast.errors import CallerError
from holdfast.report.escapes import for_json, for_terminal, lines_for_terminal

GAVE_UP_WAITING = 5
COULD_NOT_RUN = 4
INTERRUPTED = 130

Argument = tuple[tuple[str, ...], dict[str, Any]]


class Usage(CallerError):
    """The command line is not one that Holdfast understands."""


@dataclass(frozen=True, slots=True)
class Command:
    """One subcommand; two words in its name make a nested one.

    `run` names its function as "module:function"; only that of the command given is imported. It
    takes the parsed words and returns the exit code.
    """

    name: str
    help: str
    run: str
    arguments: tuple[Argument, ...] = ()


class Parser(argparse.ArgumentParser):
    """argparse, but a usage error is raised like any other, so that --json holds for it too.

    And a flag is written out: half of one could mean another in the next version.
    """

    def __init__(self, **settings: Any) -> None:
        """All of argparse's own settings, by name."""
        super().__init__(**{"allow_abbrev": False, **settings})

    def error(self, message: str) -> NoReturn:
        """Raise Usage with argparse's sentence and where to read on."""
        raise Usage(f"{message}; see `{self.prog} --help`")


class Version(argparse.Action):
    """`--version`: looked up only where it is asked for."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> NoReturn:
        """Print the version and exit."""
        from importlib.metadata import version

        sys.stdout.write(f"holdfast {version('holdfast')}\n")
        parser.exit()


def argument(*flags: str, **settings: Any) -> Argument:
    """One argument, in argparse's own words."""
    return flags, settings


def emit(options: argparse.Namespace, document: Any, text: str) -> None:
    """Print what a command found: the document with --json, else the text for people."""
    print_document(to_json(document) if options.json else text, "json" if options.json else "text")


def print_document(text: str, form: str) -> None:
    """Print a document on stdout; JSON stays the same JSON, and nothing in it is acted on."""
    inert = for_json(text) if form == "json" else lines_for_terminal(text)
    sys.stdout.write(inert.rstrip("\n") + "\n")
    sys.stdout.flush()


def note(message: str) -> None:
    """Say something to a person, on one line and without anything in it that would be acted on.

    Never on stdout.
    """
    sys.stderr.write(f"{for_terminal(message)}\n")
    sys.stderr.flush()


def note_table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Show a table to a person; no cell is read as markup."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(*headings)
    for row in rows:
        table.add_row(*(Text(for_terminal(cell)) for cell in row))
    Console(stderr=True).print(table)


def to_json(document: Any) -> str:
    """Sorted JSON that no reader can misread: NaN is refused."""
    text = json.dumps(document, indent=2, sort_keys=True, ensure_ascii=False, allow_nan=False)
    return f"{text}\n"
