"""Removes, before a command begins, the files of earlier runs or of a checkout that it will write.

A report, or an evaluation's id, that is there although the command gave none would be taken for its
own by the next step of a CI job. So they go first, even where the rest of the line is no command.
"""

from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from holdfast.cli.arguments import FORMATS
from holdfast.cli.command import Parser, Usage
from holdfast.new_files import remove_old


def remove_stale(words: Sequence[str]) -> None:
    """Remove the files that a command line names to be written; Usage where one cannot be."""
    for target in targets_of(words):
        remove_old(target, Usage)


def targets_of(words: Sequence[str]) -> Iterator[Path]:
    """The targets of `--report`, `--id-file` and, of `report` and `chain`, of `--output`."""
    line = Parser(add_help=False)
    line.add_argument("--report", action="append", default=[])
    line.add_argument("--id-file", action="append", default=[])
    if words[:1] in (["report"], ["chain"]):
        line.add_argument("-o", "--output", action="append", default=[], dest="id_file")
    with suppress(Usage):  # a flag without a word, which the command's own parser will say
        options, _ = line.parse_known_args(words)
        for word in options.report:
            form, _, file = word.partition("=")
            if form in FORMATS.split(", ") and file:
                yield Path(file)
        yield from map(Path, options.id_file)
