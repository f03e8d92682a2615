"""Lists for people: evaluations with their repairs, items side by side, what flipped.

Every list is paged by the last key of the page before, so that a page costs the same at any depth
and nothing is skipped or doubled while rows are added.
"""

from collections.abc import Mapping, Sequence
from typing import Literal

from sqlalchemy import ColumnElement, and_, func, select, tuple_
from sqlalchemy.orm import Session, aliased

from holdfast.db.tables import Evaluation, Job, Remediation, TrialRow
from holdfast.evidence.trial import Outcome
from holdfast.job import FINISHED, Status

Direction = Literal["worse", "fixed", "unscored"]


def list_evaluations(
    session: Session, project: str, *, limit: int, before: str | None = None
) -> list[tuple[Job, Evaluation]]:
    """Newest first; `before` is the last id of the page before."""
    query = select(Job, Evaluation).join(Evaluation, Evaluation.id == Job.id)
    query = query.where(*_before(project, before)).order_by(Job.id.desc()).limit(limit)
    return [(job, about) for job, about in session.execute(query)]


def count_unfinished(session: Session, project: str) -> int:
    """How many of a project's jobs wait or run."""
    unfinished = [status.value for status in Status if status not in FINISHED]
    query = select(func.count()).select_from(Job)
    count: int = session.execute(
        query.where(Job.project == project, Job.status.in_(unfinished))
    ).scalar_one()
    return count


def list_remediations(
    session: Session, project: str, *, limit: int, before: str | None = None
) -> list[tuple[Job, Remediation]]:
    """Newest first; `before` is the last id of the page before."""
    query = select(Job, Remediation).join(Remediation, Remediation.id == Job.id)
    query = query.where(*_before(project, before)).order_by(Job.id.desc()).limit(limit)
    return [(job, about) for job, about in session.execute(query)]


def _before(project: str, before: str | None) -> tuple[ColumnElement[bool], ...]:
    in_project = (Job.project == project,)
    return in_project if before is None else (*in_project, Job.id < before)


def repairs_by_evaluation(session: Session, ids: Sequence[str]) -> dict[str, list[Remediation]]:
    """The repairs tried for each of some evaluations, oldest first."""
    query = select(Remediation).where(
        Remediation.evaluation_id.in_(ids), Remediation.parent_id.is_(None)
    )
    query = query.order_by(Remediation.id)
    repairs: dict[str, list[Remediation]] = {evaluation_id: [] for evaluation_id in ids}
    for repair in session.scalars(query):
        repairs[repair.evaluation_id].append(repair)
    return repairs


def list_items(
    session: Session,
    evaluation_id: str,
    *,
    limit: int,
    after: tuple[str, ...] | None = None,
    only: Mapping[str, str | None],
) -> Sequence[TrialRow]:
    """Trials and measures with these values of columns (None: any).

    `after` is (probe, item, variant, side) of the last one seen.
    """
    key = (TrialRow.probe, TrialRow.item, TrialRow.variant, TrialRow.side)
    query = select(TrialRow).where(TrialRow.evaluation_id == evaluation_id)
    if after is not None:
        query = query.where(tuple_(*key) > tuple_(*after))
    query = query.filter_by(**{name: value for name, value in only.items() if value is not None})
    return session.scalars(query.order_by(*key).limit(limit)).all()


def list_flips(
    session: Session,
    evaluation_id: str,
    *,
    limit: int,
    after: tuple[str, ...] | None = None,
    probe: str | None = None,
) -> list[tuple[TrialRow, TrialRow]]:
    """Pairs (baseline, candidate) whose outcomes differ; `after` is (probe, item, variant)."""
    baseline, candidate = aliased(TrialRow), aliased(TrialRow)
    same = and_(
        baseline.evaluation_id == candidate.evaluation_id,
        baseline.probe == candidate.probe,
        baseline.item == candidate.item,
        baseline.variant == candidate.variant,
    )
    key = (baseline.probe, baseline.item, baseline.variant)
    query = (
        select(baseline, candidate)
        .join(candidate, same)
        .where(
            baseline.evaluation_id == evaluation_id,
            baseline.side == "baseline",
            candidate.side == "candidate",
            baseline.outcome != candidate.outcome,
        )
    )
    if after is not None:
        query = query.where(tuple_(*key) > tuple_(*after))
    if probe is not None:
        query = query.where(baseline.probe == probe)
    flips = session.execute(query.order_by(*key).limit(limit))
    return [(before, now) for before, now in flips]


def direction(before: str | None, after: str | None) -> Direction:
    """The meaning of a flip: worse, fixed, or that one side could not be scored."""
    if Outcome.UNSCORED.value in {before, after}:
        return "unscored"
    return "worse" if after == Outcome.BAD.value else "fixed"
