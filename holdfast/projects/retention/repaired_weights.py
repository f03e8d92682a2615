"""The weights that repairs made: which may be removed, and what to say once they are."""

from pathlib import Path

from sqlalchemy import or_, select
from sqlalchemy.orm import Session

from holdfast.db.catalogue import places_of
from holdfast.db.tables import CheckpointPlace, CheckpointRow
from holdfast.errors import CheckpointRefused
from holdfast.ids import is_id
from holdfast.projects.retention.in_use import digests_in_work, digests_of_aliases
from holdfast.settings import Settings


def lock_checkpoints_in(session: Session, repair_id: str) -> list[CheckpointRow]:
    """The checkpoints of any project that lie in a repair's folders.

    Locked: until the commit no alias can be pointed at them and no evaluation can name them.
    """
    places = select(CheckpointPlace.checkpoint_id).where(
        CheckpointPlace.path.contains(repair_id, autoescape=True)
        | CheckpointPlace.adapter.contains(repair_id, autoescape=True)
    )
    query = select(CheckpointRow).where(
        or_(
            CheckpointRow.path.contains(repair_id, autoescape=True),
            CheckpointRow.adapter.contains(repair_id, autoescape=True),
            CheckpointRow.id.in_(places),
        )
    )
    return list(session.scalars(query.order_by(CheckpointRow.id).with_for_update()))


def are_needed(session: Session, checkpoints: list[CheckpointRow]) -> bool:
    """Whether unfinished work reads one of these checkpoints, or an alias points at one."""
    digests = [row.digest for row in checkpoints]
    needed = select(CheckpointRow.digest).where(
        CheckpointRow.digest.in_(digests),
        CheckpointRow.digest.in_(digests_in_work())
        | CheckpointRow.digest.in_(digests_of_aliases()),
    )
    return session.scalars(needed.limit(1)).first() is not None


def refuse_without_weights(session: Session, row: CheckpointRow, settings: Settings) -> None:
    """CheckpointRefused where a repair made a checkpoint and its weights were removed since."""
    repair = _repair_of(Path(row.path), settings.repairs)
    if repair is None or any(Path(place.path).exists() for place in places_of(session, row)):
        return
    raise CheckpointRefused(
        f"the weights of {row.id}, which the repair {repair} made, were removed (the setting "
        "HOLDFAST_KEEP_REPAIRS_DAYS says after how long); repair again, or give a folder that "
        f"holds {row.digest}"
    )


def _repair_of(folder: Path, repairs: Path) -> str | None:
    """The id of the repair whose weights a folder holds; None for any other folder.

    `folder` is resolved already; that of all repairs is only where it matters.
    """
    named = [part for part in folder.parts if is_id(part, "rem")]
    return next((name for name in named if folder.is_relative_to(repairs.resolve() / name)), None)
