"""The `holdfast` command.

    0 pass   1 fail, and only that   2 usage, bad policy or evidence
    3 inconclusive   4 could not run   5 gave up waiting, the job still runs   130 interrupted

Python's own exit code for an uncaught exception is 1, which would read as a regression; so every
exception ends in the one handler below, and what nobody foresaw is 4. This package starts the API,
the worker and the trainer as processes and never imports them.
"""

import argparse
import errno
import gc
import os
import sys
from collections.abc import Callable, Iterable, Sequence
from pkgutil import resolve_name

from holdfast.cli.command import (
    COULD_NOT_RUN,
    INTERRUPTED,
    Command,
    Parser,
    Usage,
    Version,
    note,
    print_document,
    to_json,
)
from holdfast.cli.stale_files import remove_stale
from holdfast.cli.table import COMMANDS
from holdfast.errors import HoldfastError, NotBuilt

# A sixth of a client command's time: httpx imports its own command line (click, rich, pygments)
# wherever it can, and pydantic looks through all packages for plugins, of which a gate wants none.
sys.modules.setdefault("httpx._main", None)  # type: ignore[arg-type]
os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")

# what a machine answers that lets nothing be written; where in the code says nothing more
NO_ROOM = (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOSPC, errno.EDQUOT)

NOT_BUILT = (
    "probes",
    "attest",
)


def _left_running(words: Sequence[str]) -> str:
    """A sentence on what goes on after Ctrl-C, and how to end it."""
    if words[:1] == ["check"]:
        return "interrupted; nothing runs on: its stack has ended with it"
    return (
        "interrupted; a job that was submitted runs on (`holdfast list` shows it, `holdfast cancel "
        "ID` ends it)"
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code; no exception leaves but --help's SystemExit."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    try:
        remove_stale(words)
        _refuse_unbuilt(words)
        options = _parse(words)
        code: int = _imported(options.run)(options)
    except KeyboardInterrupt:
        return _fail(words, "Interrupted", _left_running(words), INTERRUPTED)
    except HoldfastError as error:
        return _fail(words, error.title, str(error) or str(error.__doc__), error.exit_code)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or the exit flush fails
        return COULD_NOT_RUN
    except Exception as error:  # noqa: BLE001  the one place that turns a crash into exit code 4
        if not isinstance(error, OSError) or error.errno not in NO_ROOM:
            import traceback

            for line in traceback.format_exc().rstrip("\n").split("\n"):
                note(line)
        return _fail(words, type(error).__name__, f"could not run: {error}", COULD_NOT_RUN)
    return code


def _parse(words: Sequence[str]) -> argparse.Namespace:
    """The options; Usage after help that was asked for beside other words.

    A checkpoint that is called --help is no pass: in CI such a word may come from a variable.
    """
    try:
        return parser().parse_args(words)
    except SystemExit as said:
        names = {name for command in COMMANDS for name in (command.name, command.name.split()[0])}
        if len(words) == 1 or " ".join(words[:-1]) in names:
            raise
        raise Usage(
            "that was help, and nothing was run; ask for it behind the command alone"
        ) from said


def _imported(place: str) -> Callable[[argparse.Namespace], int]:
    gc.disable()  # importing makes no garbage, and is most of what a command does
    try:
        run: Callable[[argparse.Namespace], int] = resolve_name(place)
    finally:
        gc.enable()
    return run


def parser(rows: Sequence[Command] = COMMANDS) -> Parser:
    """The command line, from rows of the table."""
    top = Parser(prog="holdfast", description="A gate for safety regressions of checkpoints.")
    top.add_argument("--version", action=Version, nargs=0, help="print the version and exit")
    places = top.add_subparsers(title="commands", metavar="COMMAND", required=True)
    groups: dict[str, argparse._SubParsersAction[Parser]] = {}
    for command in rows:
        group, _, rest = command.name.partition(" ")
        if rest and group not in groups:
            nested = (row.name.split()[1] for row in rows if row.name.startswith(f"{group} "))
            within = places.add_parser(group, help=", ".join(nested))
            groups[group] = within.add_subparsers(metavar="COMMAND", required=True)
        place = groups[group] if rest else places
        subparser = place.add_parser(rest or group, help=command.help, description=command.help)
        subparser.add_argument("--json", action="store_true", help="one JSON document on stdout")
        for flags, settings in command.arguments:
            subparser.add_argument(*flags, **settings)
        subparser.set_defaults(run=command.run)
    return top


def _refuse_unbuilt(words: Iterable[str]) -> None:
    plain = [word for word in words if not word.startswith("-")]
    for name in (" ".join(plain[:1]), " ".join(plain[:2])):
        if name in NOT_BUILT:
            raise NotBuilt(f"`holdfast {name}` is not built yet in this version")


def _fail(words: Sequence[str], title: str, message: str, code: int) -> int:
    note(f"holdfast: {message}")
    if "--json" in words:
        error = {"title": title, "message": message, "exit_code": code}
        print_document(to_json({"error": error}), "json")
    return code
