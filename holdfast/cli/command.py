"""A subcommand as a row of a table, with its arguments, its function and its help.

A command returns the exit code that the shell sees; `emit` prints what it found, once, as JSON or
for people. With --json stdout holds exactly one document, whatever happens.
"""

import argparse
import json
import sys
from dataclasses import dataclass
from typing import Any, NoReturn

from holdfast.errors import CallerError

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
    sys.stdout.write(to_json(document) if options.json else text.rstrip("\n") + "\n")
    sys.stdout.flush()


def note(message: str) -> None:
    """Say something to a person; never on stdout."""
    sys.stderr.write(f"{message}\n")
    sys.stderr.flush()


def to_json(document: Any) -> str:
    """Sorted JSON that no reader can misread: NaN is refused."""
    text = json.dumps(document, indent=2, sort_keys=True, ensure_ascii=False, allow_nan=False)
    return f"{text}\n"
