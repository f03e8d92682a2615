"""Lists for people: evaluations with their repairs, items side by side, what flipped.

Every list is paged by the last key of the page before, so that a page costs the same at any depth
and nothing is skipped or doubled while rows are added.
"""

from collections.abc import Mapping, Sequence
from typing import Literal

from sqlalchemy import ColumnElement, and_, func, select, tuple_
from sqlalchemy.orm import Session, aliased

from holdfast.db.tables import UNFINISHED, EvaluationRow, JobRow, RemediationRow, TrialRow
from holdfast.evidence.trial import Outcome

Direction = Literal["worse", "fixed", "unscored"]


def list_evaluations(  # a word a filter
    session: Session,
    project: str,
    *,
    limit: int,
    before: str | None = None,
    branch: str | None = None,
    line: str | None = None,
) -> list[tuple[JobRow, EvaluationRow]]:
    """Newest first; `before` is the last id of the page before."""
    query = select(JobRow, EvaluationRow).join(EvaluationRow, EvaluationRow.id == JobRow.id)
    if branch is not None:
        query = query.where(EvaluationRow.cause["branch"].as_string() == branch)
    if line is not None:
        query = query.where(EvaluationRow.line == line)
    query = query.where(*_before(project, before)).order_by(JobRow.id.desc()).limit(limit)
    return [(job, about) for job, about in session.execute(query)]


def count_unfinished(session: Session, project: str) -> int:
    """How many of a project's jobs wait or run."""
    query = select(func.count()).where(JobRow.project == project, UNFINISHED)
    return session.execute(query).scalar_one()


def list_remediations(
    session: Session, project: str, *, limit: int, before: str | None = None
) -> list[tuple[JobRow, RemediationRow]]:
    """Newest first; `before` is the last id of the page before."""
    query = select(JobRow, RemediationRow).join(RemediationRow, RemediationRow.id == JobRow.id)
    query = query.where(*_before(project, before)).order_by(JobRow.id.desc()).limit(limit)
    return [(job, about) for job, about in session.execute(query)]


def _before(project: str, before: str | None) -> tuple[ColumnElement[bool], ...]:
    in_project = (JobRow.project == project,)
    return in_project if before is None else (*in_project, JobRow.id < before)


def repairs_by_evaluation(session: Session, ids: Sequence[str]) -> dict[str, list[RemediationRow]]:
    """The repairs tried for each of some evaluations, oldest first."""
    query = select(RemediationRow).where(
        RemediationRow.evaluation_id.in_(ids), RemediationRow.parent_id.is_(None)
    )
    query = query.order_by(RemediationRow.id)
    repairs: dict[str, list[RemediationRow]] = {evaluation_id: [] for evaluation_id in ids}
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
