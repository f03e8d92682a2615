"""`holdfast prune`: what is older than it is kept, or a project's content, is removed."""

import argparse
from typing import TYPE_CHECKING

from holdfast.cli.command import COULD_NOT_RUN, Usage, emit, note
from holdfast.cli.stack import first_line, require_head
from holdfast.errors import Unreachable
from holdfast.settings import Settings, private_files, read_settings

if TYPE_CHECKING:
    from holdfast.projects.retention.removed import Pruned, Removed

UNITS = ("B", "KiB", "MiB", "GiB")


def prune(options: argparse.Namespace) -> int:
    """Remove content on the server itself; 4 where some of it could not be removed."""
    from sqlalchemy.exc import OperationalError

    if (options.project is not None) != options.everything:
        raise Usage(
            "--project NAME and --everything go together: they delete a project's content; "
            "without both, content of all projects is pruned by its age"
        )
    settings = read_settings()
    require_head(settings)
    try:
        with private_files():
            pruned = _carry_out(settings, options)
    except OperationalError as error:
        raise Unreachable(f"the database broke off: {first_line(error)}") from error
    emit(options, document_of(pruned, options), in_words(pruned))
    if options.dry_run:
        note("nothing was removed: this was a dry run")
    for problem in pruned.problems:
        note(f"WARNING: {problem}")
    return COULD_NOT_RUN if pruned.problems else 0


def _carry_out(settings: Settings, options: argparse.Namespace) -> "Pruned":
    from holdfast.db.session import open_database
    from holdfast.projects.prune import prune as prune_by_age
    from holdfast.projects.retention.deletion import delete_project

    database = open_database(settings.database_url)
    try:
        if options.everything:
            return delete_project(database, settings, options.project, dry_run=options.dry_run)
        return prune_by_age(database, settings, dry_run=options.dry_run)
    finally:
        database.dispose()


def document_of(pruned: "Pruned", options: argparse.Namespace) -> dict[str, object]:
    """The JSON document: each kind's rows, files and bytes; null where it is kept for ever."""
    amounts = {
        kind: amount and {"rows": amount.rows, "files": amount.files, "bytes": amount.bytes}
        for kind, amount in pruned.amounts.items()
    }
    return {"dry_run": options.dry_run, "removed": amounts, "problems": list(pruned.problems)}


def in_words(pruned: "Pruned") -> str:
    """A line for each kind."""
    return "\n".join(f"{kind}: {_size(kind, size)}" for kind, size in pruned.amounts.items())


def _size(kind: str, amount: "Removed | None") -> str:
    if amount is None:
        return f"kept for ever (HOLDFAST_KEEP_{kind.upper()}_DAYS is not set)"
    return f"{amount.rows} rows, {amount.files} files, {_bytes(amount.bytes)}"


def _bytes(count: int) -> str:
    size = float(count)
    for unit in UNITS[:-1]:
        if size < 1024:
            return f"{size:.4g} {unit}"
        size /= 1024
    return f"{size:.1f} {UNITS[-1]}"
