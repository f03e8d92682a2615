"""Rows as replies: the one place that knows both shapes."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Any, TypeVar

from pydantic import BaseModel

from holdfast.api import wire
from holdfast.db import tables
from holdfast.db.browse import direction
from holdfast.policy.model import GatePolicy
from holdfast.policy.text import parse_policy
from holdfast.probes.spec import ProbeSpec
from holdfast.probes.table import CATALOGUE
from holdfast.projects.audit import event_fields
from holdfast.projects.chain import SignedHead
from holdfast.projects.rules import rules_of
from holdfast.projects.tables import AuditEventRow, ProjectRow, WaiverRow
from holdfast.repairs.compromise import compromise_of
from holdfast.suites import LoadedSuite

_Row = TypeVar("_Row")
_Out = TypeVar("_Out", bound=BaseModel)


def _reply(kind: type[_Out], *rows: tables.TableRow, **given: Any) -> _Out:
    """A reply whose fields are the rows' columns; a reference is named without its `_id`."""
    columns = {name: _column(rows, name) for name in kind.model_fields if name not in given}
    return kind.model_validate({**columns, **given})


def _column(rows: Sequence[tables.TableRow], name: str) -> Any:
    for row in rows:
        for column in (name, f"{name}_id"):
            if hasattr(row, column):
                return getattr(row, column)
    raise AttributeError(f"none of {[type(row).__name__ for row in rows]} has a column {name}")


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
    return _reply(wire.Checkpoint, row, files=files)


def baseline(row: tables.BaselineMove) -> wire.Baseline:
    """One move of an alias."""
    return _reply(wire.Baseline, row)


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


def evaluation(
    job: tables.JobRow, about: tables.EvaluationRow, repairs: Sequence[tables.RemediationRow]
) -> wire.Evaluation:
    """An evaluation, with the ids of the repairs that answer it."""
    return _reply(
        wire.Evaluation,
        job,
        about,
        template_arguments=about.template_arguments or {},
        labels=about.labels or {},
        remediations=[repair.id for repair in repairs],
        cost=about.cost.model_dump(mode="json", exclude_unset=True),
    )


def remediation(job: tables.JobRow, about: tables.RemediationRow) -> wire.Remediation:
    """A repair."""
    return _reply(wire.Remediation, job, about, compromise=compromise_of(about.progress))


def event(row: tables.EventRow) -> wire.Event:
    """An event of a job."""
    return _reply(wire.Event, row)


def item(row: tables.TrialRow, answer: dict[str, Any] | None = None) -> wire.Item:
    """One side's trial or measure; `answer` is model text."""
    return _reply(wire.Item, row, answer=answer)


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
    return _reply(wire.Key, row, token=token)


def project(name: str, row: ProjectRow | None) -> wire.Project:
    """A project's rules, or those of one without."""
    rules = rules_of(row)
    return wire.Project(
        name=name,
        version=row.version if row else 0,
        policy=rules.policy_id,
        policy_set_by=row.policy_set_by if row else None,
        policy_set_at=row.policy_set_at if row else None,
        baseline=rules.baseline,
        anchor=rules.anchor,
        separate_duties=rules.separate_duties,
        unwaivable=rules.unwaivable,
        waiver_days=rules.waiver_days,
        roots=rules.roots,
    )


def waiver(row: WaiverRow, decided: Sequence[tables.EvaluationRow] = ()) -> wire.CheckpointWaiver:
    """A waiver, with the evaluations that it gave another verdict."""
    evaluations = tuple(about.id for about in decided)
    return _reply(wire.CheckpointWaiver, row, check=row.check_id, evaluations=evaluations)


def audit_event(row: AuditEventRow) -> wire.AuditEvent:
    """One act."""
    return wire.AuditEvent.model_validate(event_fields(row))


def audit_head(signed: SignedHead) -> wire.AuditHead:
    """The signed end of a trail."""
    fields = asdict(signed.head)
    return wire.AuditHead(**fields, signature=signed.signature, public_key=signed.public_key)


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
