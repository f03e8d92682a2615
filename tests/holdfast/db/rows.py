"""Rows that tests of the database begin with, and short ways to change and read them."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import Engine, select

from holdfast.db import jobs
from holdfast.db.evaluations import EvaluationFields, create_evaluation, create_remediation
from holdfast.db.session import reading, transaction
from holdfast.db.tables import CheckpointRow, EventRow, JobRow, PolicyText
from holdfast.db.trials import Saved, save_trials
from holdfast.evidence.trial import Measure, Trial
from holdfast.job import JobKind

ON_SQLITE = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
ON_POSTGRES = pytest.mark.parametrize("database_url", ["postgres"], indirect=True)

# what ends a lease, each as the columns of the job's row
LOST: dict[str, dict[str, Any]] = {
    "a later epoch": {"lease_epoch": 2},
    "back in the queue": {"status": "queued"},
    "over": {"status": "succeeded"},
}


def ago(seconds: float) -> datetime:
    """A moment in the past; negative seconds are in the future."""
    return datetime.now(UTC) - timedelta(seconds=seconds)


def add_checkpoint(database: Engine, checkpoint_id: str, *, project: str = "p") -> str:
    row = CheckpointRow(
        id=checkpoint_id,
        project=project,
        name="n",
        path="/x",
        digest=f"sha256:{checkpoint_id}",
        template_sha256="0" * 64,
        files=[],
        created_at=ago(0),
    )
    with transaction(database) as session:
        session.add(row)
    return checkpoint_id


def add_policy(database: Engine, policy_id: str, *, project: str = "p") -> str:
    common = {"id": policy_id, "project": project, "name": "n", "digest": policy_id, "text": ""}
    with transaction(database) as session:
        session.add(PolicyText(**common, created_at=ago(0)))
    return policy_id


def evaluation_fields(**changes: Any) -> EvaluationFields:
    """An evaluation of the checkpoint `c` by the policy `pol`, but for what is changed."""
    ids = {"candidate_id": "c", "baseline_id": "c", "policy_id": "pol"}
    return EvaluationFields(**{"project": "p", "queue": "cpu", "tier": "demo", **ids, **changes})


def add_evaluation(database: Engine, **changes: Any) -> str:
    with transaction(database) as session:
        return create_evaluation(session, evaluation_fields(**changes))


def add_remediation(database: Engine, evaluation_id: str, **changes: Any) -> str:
    fields = {"recipe": "wise_ft", "options": {}, **changes}
    with transaction(database) as session:
        return create_remediation(session, evaluation_id, **fields)


def change_job(database: Engine, job_id: str, **columns: Any) -> None:
    with transaction(database) as session:
        job = session.get_one(JobRow, job_id)
        for name, value in columns.items():
            setattr(job, name, value)


def job_of(database: Engine, job_id: str) -> JobRow:
    with reading(database) as session:
        return session.get_one(JobRow, job_id)


def events_of(database: Engine, job_id: str) -> list[tuple[str, dict[str, Any]]]:
    """The kinds and documents of a job's events, in order."""
    query = select(EventRow).where(EventRow.job_id == job_id).order_by(EventRow.seq)
    with reading(database) as session:
        return [(event.kind, event.document) for event in session.scalars(query)]


def claim(database: Engine, **changes: Any) -> jobs.Lease:
    """A lease on the best job of the queue `cpu`, of which there is one."""
    with transaction(database) as session:
        lease = jobs.claim(session, **{"queue": "cpu", "owner": "w", **changes})
    assert lease is not None
    return lease


def claim_or_none(database: Engine, queue: str = "cpu") -> jobs.Lease | None:
    with transaction(database) as session:
        return jobs.claim(session, queue=queue, owner="w")


def lease_of(job_id: str, epoch: int = 1) -> jobs.Lease:
    """A lease that nobody has given out."""
    return jobs.Lease(job_id, JobKind.EVALUATION, "w", epoch, ago(-3600))


def release(database: Engine, lease: jobs.Lease, **how: Any) -> bool:
    with transaction(database) as session:
        return jobs.release(session, lease, **how)


def renew(database: Engine, lease: jobs.Lease) -> bool:
    with transaction(database) as session:
        return jobs.renew(session, lease)


def add_findings(
    database: Engine,
    evaluation_id: str,
    side: str,
    findings: Iterable[Trial | Measure],
    *,
    epoch: int = 1,
) -> None:
    """Save what judges made of a side; the answer's key is the side and the item."""
    saved = [Saved(finding, f"{side}:{finding.item}") for finding in findings]
    with transaction(database) as session:
        save_trials(session, lease_of(evaluation_id, epoch), evaluation_id, side, saved)
