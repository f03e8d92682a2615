"""The tries of a ladder, read from its rows: jobs, verdicts, seconds, tokens.

Read by the worker that takes the next step and by the service that shows the candidates, so that
both see the same.
"""

from dataclasses import dataclass

from sqlalchemy.orm import Session

from holdfast.db.evaluations import evaluations_of, get_job, get_remediation, tries_of
from holdfast.db.tables import EvaluationRow, JobRow, RemediationRow
from holdfast.job import FINISHED, Status


@dataclass(frozen=True, slots=True)
class Attempt:
    """One try with everything that was done for it; `jobs` in the order of the work."""

    repair: RemediationRow
    screen: EvaluationRow | None
    confirm: EvaluationRow | None
    jobs: tuple[JobRow, ...]

    @property
    def failed_job(self) -> JobRow | None:
        """The job of this try that ended without a result, if any did."""
        bad = FINISHED - {Status.SUCCEEDED}
        return next((job for job in self.jobs if job.status in bad), None)

    @property
    def seconds(self) -> float:
        """The seconds that its finished jobs took."""
        return round(sum(map(seconds_of, self.jobs)), 3)

    @property
    def tokens(self) -> int:
        """The tokens that its evaluations cost."""
        return sum(
            evaluation.cost.tokens for evaluation in (self.screen, self.confirm) if evaluation
        )


def attempts(session: Session, remediation_id: str) -> list[Attempt]:
    """A ladder's tries, oldest first; of any other repair, itself."""
    rows = tries_of(session, remediation_id) or [get_remediation(session, remediation_id)]
    return [_attempt(session, row) for row in rows]


def _attempt(session: Session, row: RemediationRow) -> Attempt:
    evaluations = evaluations_of(session, row.id)
    screen, confirm = evaluations.get("screen"), evaluations.get("confirm")
    ids = [row.id, *(evaluation.id for evaluation in (screen, confirm) if evaluation)]
    return Attempt(row, screen, confirm, tuple(get_job(session, job_id) for job_id in ids))


def seconds_of(job: JobRow) -> float:
    """The seconds that a job ran; 0 while it is not over."""
    if job.started_at is None or job.finished_at is None:
        return 0.0
    return (job.finished_at - job.started_at).total_seconds()


def unfinished_work(session: Session, remediation_id: str) -> list[str]:
    """The jobs of a ladder's tries that wait or run."""
    tries = tries_of(session, remediation_id)
    every = [job for row in tries for job in _attempt(session, row).jobs]
    return [job.id for job in every if job.status not in FINISHED]
