"""A project's checkpoints and policies, and where its baseline aliases point.

Checkpoints and policies are known by digest, so registering one again gives the row that is there.
An alias is never overwritten: every move is a row of its own, its version is the ETag, and whoever
moves an alias says which version they saw.
"""

from collections.abc import Sequence
from typing import NamedTuple, TypeVar

from sqlalchemy import select
from sqlalchemy.orm import Session

from holdfast.checkpoints.checkpoint import CheckpointRef
from holdfast.db.jobs import now
from holdfast.db.session import insert_into
from holdfast.db.tables import (
    BaselineMove,
    CheckpointPlace,
    CheckpointRow,
    PolicyText,
    RemediationRow,
)
from holdfast.errors import Conflict, InvalidPlan, NotFound, StaleVersion
from holdfast.ids import new_id
from holdfast.policy.model import GatePolicy

OTHER_PLACES = 7  # of one checkpoint, the newest; of a thousand copies a worker would try each

_Registered = TypeVar("_Registered", CheckpointRow, PolicyText)


def register_checkpoint(
    session: Session, project: str, ref: CheckpointRef, *, parent_id: str | None = None
) -> CheckpointRow:
    """The row of an admitted checkpoint; the same content is the same row, as first registered.

    The folder is kept beside those that it was registered in before, and moves none of them: what
    one submitter may write must not become where everybody else's runs read.
    """
    if parent_id is not None:
        get_checkpoint(session, project, parent_id)
    fresh = CheckpointRow(
        id=new_id("ckpt"),
        project=project,
        name=ref.name,
        path=str(ref.path),
        digest=ref.digest,
        template_sha256=ref.template_sha256,
        files=[list(entry) for entry in ref.files],
        adapter=None if ref.adapter is None else str(ref.adapter),
        parent_id=parent_id,
        created_at=now(session),
    )
    row = _insert_or_find(session, fresh)
    _add_place(session, row, Place(fresh.path, fresh.adapter))
    return row


class Place(NamedTuple):
    """A folder that holds a checkpoint, or once did; with the folder of its adapter."""

    path: str
    adapter: str | None


def places_of(session: Session, row: CheckpointRow) -> list[Place]:
    """The folders to read a checkpoint from: the first registered, then the newest of others."""
    others = (Place(other.path, other.adapter) for other in _other_places(session, row))
    return [Place(row.path, row.adapter), *others]


def _other_places(session: Session, row: CheckpointRow) -> Sequence[CheckpointPlace]:
    query = select(CheckpointPlace).where(CheckpointPlace.checkpoint_id == row.id)
    return session.scalars(query.order_by(CheckpointPlace.id.desc())).all()


def _add_place(session: Session, row: CheckpointRow, place: Place) -> None:
    if place in places_of(session, row):
        return
    for oldest in _other_places(session, row)[OTHER_PLACES - 1 :]:
        session.delete(oldest)
    session.add(
        CheckpointPlace(
            checkpoint_id=row.id, path=place.path, adapter=place.adapter, created_at=now(session)
        )
    )
    session.flush()


def load_checkpoints(session: Session, ids: Sequence[str]) -> Sequence[CheckpointRow]:
    """The checkpoints of these ids that are there, in one statement, for lookups that follow."""
    return session.scalars(select(CheckpointRow).where(CheckpointRow.id.in_(ids))).all()


def get_checkpoint(session: Session, project: str, checkpoint_id: str) -> CheckpointRow:
    """A project's checkpoint; NotFound when there is none of that id in this project."""
    row = session.get(CheckpointRow, checkpoint_id)
    if row is None or row.project != project:
        raise NotFound(f"no checkpoint {checkpoint_id} in project {project}")
    return row


def name_parent(session: Session, row: CheckpointRow, parent_id: str) -> None:
    """Store a checkpoint's parent, if it was registered without one.

    Raises Conflict where another parent is known: a checkpoint never changes.
    """
    session.refresh(row, with_for_update=True)
    if parent_id == row.id:
        raise Conflict(f"{row.id} cannot be its own parent: both folders hold the same content")
    if row.parent_id not in {None, parent_id}:
        raise Conflict(
            f"{row.id} is registered with the parent {row.parent_id}, found {parent_id}; "
            "a checkpoint never changes"
        )
    row.parent_id = parent_id


def find_unaligned(session: Session, baseline_id: str) -> CheckpointRow | None:
    """The model that a baseline was before its alignment: its registered parent, if it has one.

    The parent of a repair is the checkpoint that failed, which was aligned before: that is none.
    """
    repaired = select(RemediationRow.id).where(RemediationRow.checkpoint_id == baseline_id).limit(1)
    row = session.get_one(CheckpointRow, baseline_id)
    if row.parent_id is None or session.scalars(repaired).first() is not None:
        return None
    return session.get_one(CheckpointRow, row.parent_id)


def require_unaligned(session: Session, baseline_id: str) -> CheckpointRow:
    """The baseline before its alignment; InvalidPlan says what to register if there is none."""
    row = find_unaligned(session, baseline_id)
    if row is None:
        raise InvalidPlan(
            "recipe safe_merge compares with what alignment changed, and the baseline "
            f"{baseline_id} is registered without the model from before it; register that one and "
            "name it as the baseline's `parent`, or choose wise_ft or hma"
        )
    return row


def list_checkpoints(
    session: Session, project: str, *, limit: int, before: str | None = None
) -> Sequence[CheckpointRow]:
    """Newest first; `before` is the last id of the page before."""
    query = select(CheckpointRow).where(CheckpointRow.project == project)
    if before is not None:
        query = query.where(CheckpointRow.id < before)
    return session.scalars(query.order_by(CheckpointRow.id.desc()).limit(limit)).all()


def save_policy(session: Session, project: str, policy: GatePolicy, text: str) -> PolicyText:
    """The row of a policy; one that means the same is the same row, with the text first sent."""
    fresh = PolicyText(
        id=new_id("pol"),
        project=project,
        name=policy.name,
        digest=policy.digest,
        text=text,
        created_at=now(session),
    )
    return _insert_or_find(session, fresh)


def get_policy(session: Session, project: str, policy_id: str) -> PolicyText:
    """A project's policy; NotFound when there is none of that id in this project."""
    row = session.get(PolicyText, policy_id)
    if row is None or row.project != project:
        raise NotFound(f"no policy {policy_id} in project {project}")
    return row


def list_policies(
    session: Session, project: str, *, limit: int, before: str | None = None
) -> Sequence[PolicyText]:
    """Newest first; `before` is the last id of the page before."""
    query = select(PolicyText).where(PolicyText.project == project)
    if before is not None:
        query = query.where(PolicyText.id < before)
    return session.scalars(query.order_by(PolicyText.id.desc()).limit(limit)).all()


def get_baseline(session: Session, project: str, alias: str) -> BaselineMove:
    """Where an alias points now; NotFound when it never pointed anywhere."""
    row = _latest_move(session, project, alias)
    if row is None:
        raise NotFound(
            f"no baseline {alias!r} in project {project}; set it first: "
            f"`holdfast baseline set {alias} PATH`"
        )
    return row


def find_baseline(session: Session, project: str, alias: str) -> BaselineMove | None:
    """Where an alias points now; None when it never pointed anywhere."""
    return _latest_move(session, project, alias)


def baseline_history(session: Session, project: str, alias: str) -> Sequence[BaselineMove]:
    """Every move of an alias, newest first."""
    query = select(BaselineMove).where(BaselineMove.project == project, BaselineMove.alias == alias)
    return session.scalars(query.order_by(BaselineMove.version.desc())).all()


def set_baseline(
    session: Session,
    project: str,
    alias: str,
    checkpoint_id: str,
    *,
    actor: str,
    expected_version: int | None,
) -> BaselineMove:
    """Point an alias at a checkpoint, provided that nobody moved it since `expected_version`.

    None stands for "does not exist yet". Raises StaleVersion, also where two move it at once.
    """
    get_checkpoint(session, project, checkpoint_id)
    latest = _latest_move(session, project, alias)
    version = latest.version if latest else None
    if version != expected_version:
        raise _stale(alias, f"version {version}" if version else "not set", expected_version)
    moved = BaselineMove(
        project=project,
        alias=alias,
        version=(version or 0) + 1,
        checkpoint_id=checkpoint_id,
        actor=actor,
        created_at=now(session),
    )
    if not _insert_once(session, moved):
        raise _stale(alias, "being moved by somebody else", expected_version)
    return session.get_one(BaselineMove, (project, alias, moved.version))


def _stale(alias: str, state: str, expected: int | None) -> StaleVersion:
    wanted = "not set yet (no If-Match was sent)" if expected is None else f"version {expected}"
    return StaleVersion(
        f"baseline {alias!r} is {state}, expected {wanted}; read it and send its ETag as If-Match"
    )


def _latest_move(session: Session, project: str, alias: str) -> BaselineMove | None:
    query = select(BaselineMove).where(BaselineMove.project == project, BaselineMove.alias == alias)
    return session.scalars(query.order_by(BaselineMove.version.desc()).limit(1)).one_or_none()


def _insert_or_find(session: Session, fresh: _Registered) -> _Registered:
    """Insert by (project, digest), or take the row that another request put there."""
    _insert_once(session, fresh)
    table = type(fresh)
    query = select(table).where(table.project == fresh.project, table.digest == fresh.digest)
    return session.scalars(query).one()


def _insert_once(session: Session, fresh: CheckpointRow | PolicyText | BaselineMove) -> bool:
    table = type(fresh)
    values = {column.key: getattr(fresh, column.key) for column in table.__table__.columns}
    statement = insert_into(session, table).values(values).on_conflict_do_nothing()
    key = session.scalars(statement.returning(*table.__table__.primary_key)).one_or_none()
    return key is not None
