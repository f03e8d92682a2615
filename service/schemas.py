"""Rows as replies: the one place that knows both shapes."""

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from pydantic import BaseModel

from holdfast.api import wire
from holdfast.db import tables
from holdfast.db.browse import direction
from holdfast.policy.model import GatePolicy
from holdfast.policy.text import parse_policy
from holdfast.probes.spec import ProbeSpec
from holdfast.probes.table import CATALOGUE
from holdfast.suites import LoadedSuite

_Row = TypeVar("_Row")
_Out = TypeVar("_Out", bound=BaseModel)


def page(
    rows: Sequence[_Row], limit: int, render: Callable[[_Row], _Out], cursor: Callable[[_Row], str]
) -> wire.Page[_Out]:
    """A page of `limit` rows out of up to limit + 1: the extra one says that there is more."""
    shown, more = rows[:limit], len(rows) > limit
    return wire.Page(
        data=tuple(render(row) for row in shown),
        next_cursor=cursor(shown[-1]) if more else None,
        has_more=more,
    )


def full_page(entries: Sequence[_Out]) -> wire.Page[_Out]:
    """A list that is always short enough for one page."""
    return wire.Page(data=tuple(entries), next_cursor=None, has_more=False)


def checkpoint(row: tables.CheckpointRow) -> wire.Checkpoint:
    """A registered checkpoint."""
    files = [wire.File(path=path, size=size, sha256=sha) for path, size, sha in row.files]
    return wire.Checkpoint(
        id=row.id,
        project=row.project,
        name=row.name,
        path=row.path,
        digest=row.digest,
        template_sha256=row.template_sha256,
        files=tuple(files),
        adapter=row.adapter,
        parent=row.parent_id,
        created_at=row.created_at,
    )


def baseline(row: tables.BaselineMove) -> wire.Baseline:
    """One move of an alias."""
    return wire.Baseline(
        project=row.project,
        alias=row.alias,
        checkpoint=row.checkpoint_id,
        version=row.version,
        actor=row.actor,
        created_at=row.created_at,
    )


def reading(policy: GatePolicy) -> wire.PolicyReading:
    """How a policy was understood."""
    return wire.PolicyReading(
        name=policy.name,
        digest=policy.digest,
        probes=policy.probes(repair=True),
        warnings=policy.warnings,
    )


def policy(row: tables.PolicyText) -> wire.Policy:
    """A stored policy."""
    understood = reading(parse_policy(row.text, source=row.name))
    return wire.Policy(
        **understood.model_dump(), id=row.id, text=row.text, created_at=row.created_at
    )


def _job(row: tables.JobRow) -> dict[str, Any]:
    return {
        "id": row.id,
        "project": row.project,
        "status": row.status,
        "error": row.error,
        "priority": row.priority,
        "attempts": row.attempts,
        "created_at": row.created_at,
        "started_at": row.started_at,
        "finished_at": row.finished_at,
        "deadline_at": row.deadline_at,
    }


def evaluation(
    job: tables.JobRow, about: tables.EvaluationRow, repairs: Sequence[tables.RemediationRow]
) -> wire.Evaluation:
    """An evaluation, with the ids of the repairs that answer it."""
    fields = {
        "verdict": about.verdict,
        "candidate": about.candidate_id,
        "baseline": about.baseline_id,
        "anchor": about.anchor_id,
        "policy": about.policy_id,
        "tier": about.tier,
        "split": about.split,
        "template": about.template,
        "template_arguments": about.template_arguments or {},
        "task_data": about.task_data,
        "task_data_sha256": about.task_data_sha256,
        "repairs": about.repairs_id,
        "remediation": about.remediation_id,
        "remediations": tuple(repair.id for repair in repairs),
        "cost": about.cost,
    }
    return wire.Evaluation.model_validate({**_job(job), **fields})


def remediation(job: tables.JobRow, about: tables.RemediationRow) -> wire.Remediation:
    """A repair."""
    fields = {
        "evaluation": about.evaluation_id,
        "recipe": about.recipe,
        "options": about.options,
        "plan": about.plan,
        "progress": about.progress,
        "checkpoint": about.checkpoint_id,
        "child_evaluation": about.child_evaluation_id,
        "parent": about.parent_id,
    }
    return wire.Remediation.model_validate({**_job(job), **fields})


def event(row: tables.EventRow) -> wire.Event:
    """An event of a job."""
    return wire.Event(
        seq=row.seq,
        job=row.job_id,
        kind=row.kind,
        document=row.document,
        created_at=row.created_at,
    )


def item(row: tables.TrialRow, answer: dict[str, Any] | None = None) -> wire.Item:
    """One side's trial or measure; `answer` is model text."""
    return wire.Item(
        side=row.side,
        probe=row.probe,
        item=row.item,
        variant=row.variant,
        cluster=row.cluster,
        group=row.group,
        outcome=row.outcome,
        badness=row.badness,
        reason=row.reason,
        value=row.value,
        weight=row.weight,
        unit=row.unit,
        answer=answer,
    )


def flip(pair: tuple[tables.TrialRow, tables.TrialRow]) -> wire.Flip:
    """One item's outcome on both sides."""
    before, after = pair
    return wire.Flip(
        probe=before.probe,
        item=before.item,
        variant=before.variant,
        cluster=before.cluster,
        group=before.group,
        baseline=str(before.outcome),
        candidate=str(after.outcome),
        direction=direction(before.outcome, after.outcome),
    )


def key(row: tables.ApiKey, token: str | None = None) -> wire.Key:
    """A key; its token only in the reply that made it."""
    return wire.Key(
        id=row.id,
        project=row.project,
        name=row.name,
        scopes=tuple(row.scopes),
        created_at=row.created_at,
        expires_at=row.expires_at,
        revoked_at=row.revoked_at,
        last_used_at=row.last_used_at,
        token=token,
    )


def probe(spec: ProbeSpec) -> wire.Probe:
    """One probe of the catalogue."""
    items: dict[str, int | None] = {str(tier): count for tier, count in spec.items.items()}
    return wire.Probe(
        name=spec.name,
        metric=spec.metric,
        suite=spec.suite,
        judge=spec.judge,
        items=items,
        sliced=spec.sliced,
        measure=spec.measure,
    )


def suite(loaded: LoadedSuite) -> wire.Suite:
    """A suite; items of no split are asked in both."""
    splits = Counter[str](item.split or "both" for item in loaded.items)
    return wire.Suite(
        name=loaded.name, digest=loaded.digest, items=len(loaded.items), splits=dict(splits)
    )


def judge(name: str, sha256: str) -> wire.Judge:
    """A judge, and which probes it judges."""
    probes = tuple(spec.name for spec in CATALOGUE.values() if name in spec.judges)
    return wire.Judge(id=name, sha256=sha256, probes=probes)
