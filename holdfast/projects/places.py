"""The places of a project: the folders in which its checkpoints and its task data may lie.

What lies elsewhere is not even read for it: an error that quotes a file is a way to see that file.
"""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from sqlalchemy.orm import Session

from holdfast.db.tables import JobRow
from holdfast.errors import CheckpointRefused
from holdfast.ids import is_id
from holdfast.projects.rules import find_project, rules_of
from holdfast.settings import Settings

MAX_BELOW = 200_000  # names in a folder and below it, whatever they are


def readable_roots(
    session: Session, project: str, named: Sequence[Path], settings: Settings
) -> tuple[Path, ...]:
    """The roots under which a project's folders and files, real paths, may be read.

    Of the folder of repairs only what is named in it, and of repairs those of the project. Raises
    CheckpointRefused where one of them is another project's, or outside the roots that the
    project's rules give it.
    """
    own = _own_roots(session, project)
    beside = [kept for path in named if (kept := _kept_below(path, settings))]
    for kept in beside:
        _require_own_place(session, project, kept, settings)
    if own is not None:
        for path in named:
            _require_own_place(session, project, path, settings)
    return (*(settings.checkpoint_roots if own is None else own), *beside)


def require_own_links(session: Session, project: str, folder: Path, settings: Settings) -> None:
    """CheckpointRefused where a link in a folder leads to what is another project's.

    What a link leads to is read under its name.
    """
    for link in _links_in(folder):
        _require_own_place(session, project, link, settings)


def _links_in(folder: Path) -> Iterator[Path]:
    """The links in a folder and in the folders below it, none of which is followed."""
    left = MAX_BELOW
    for place, folders, files in os.walk(folder):
        left -= len(folders) + len(files)
        if left < 0:
            raise CheckpointRefused(
                f"{folder} holds more than {MAX_BELOW} names in all; submit the model's own folder"
            )
        yield from (path for name in (*folders, *files) if (path := Path(place, name)).is_symlink())


def _require_own_place(session: Session, project: str, named: Path, settings: Settings) -> None:
    if repair := _repair_of(named, settings):
        _require_own_repair(session, project, repair)
        return
    own, place = _own_roots(session, project), named.resolve()
    roots = settings.roots if own is None else own
    if not any(place.is_relative_to(root.resolve()) for root in roots):
        listed = ", ".join(map(str, roots))
        raise CheckpointRefused(
            f"{named} lies outside the roots of project {project} ({listed}); move it there, or "
            "have an admin change the project's rules"
        )


def _own_roots(session: Session, project: str) -> tuple[Path, ...] | None:
    """The roots that a project's rules name; None where they name none, and all are its own."""
    roots = rules_of(find_project(session, project)).roots
    return None if roots is None else tuple(map(Path, roots))


def _kept_below(named: Path, settings: Settings) -> Path | None:
    """The folder among our repairs that a path lies in: a repair, or what `watch` has kept."""
    place, repairs = named.resolve(), settings.repairs.resolve()
    parts = place.relative_to(repairs).parts[:1] if place.is_relative_to(repairs) else ()
    return repairs / parts[0] if parts else None


def _repair_of(named: Path, settings: Settings) -> Path | None:
    """The folder of the repair that a path lies in, if it does."""
    kept = _kept_below(named, settings)
    return kept if kept is not None and is_id(kept.name, "rem") else None


def _require_own_repair(session: Session, project: str, repair: Path) -> None:
    job = session.get(JobRow, repair.name)
    if job is None or job.project != project:
        raise CheckpointRefused(
            f"{repair} is no repair of project {project}; submit one of its own"
        )
