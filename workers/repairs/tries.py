"""The tries of a ladder, and of those before it, from their rows to what the next step hangs on."""

from sqlalchemy import select
from sqlalchemy.orm import Session

from holdfast.db.evaluations import get_evaluation, get_job
from holdfast.db.tables import EvaluationRow, JobRow, RemediationRow
from holdfast.db.tries import Attempt, attempts
from holdfast.job import FINISHED
from holdfast.ladder.history import past_of
from holdfast.ladder.rungs import AUTO, Past, Rung, SplitResult, Try
from workers.repairs.ladder import failed_checks, verdict_of

NEWEST = 20  # ladders that are looked back at


def try_of(attempt: Attempt) -> Try:
    """One try as its rows tell it."""
    broken = attempt.failed_job
    hma = attempt.repair.options.get("hma", {})
    # what was found is told at the end
    ratios = hma.get("ratios") or attempt.repair.progress.get("ratios")
    return Try(
        id=attempt.repair.id,
        rung=Rung(attempt.repair.recipe, attempt.repair.options),
        seconds=attempt.seconds,
        error=None if broken is None else broken.error or broken.status,
        ratios=None if ratios is None else tuple(ratios),
        screen=split_result(attempt.screen),
        confirm=split_result(attempt.confirm),
    )


def split_result(evaluation: EvaluationRow | None) -> SplitResult | None:
    """The result of a try on one split, from its evaluation; None where there is none."""
    if evaluation is None or evaluation.verdict is None:
        return None if evaluation is None else SplitResult(None)
    verdict = verdict_of(evaluation)
    blocking = [check for check in verdict.checks if check.tier == "blocking"]
    rules = [rule for check in blocking for rule in check.rules if rule.tier == "blocking"]
    resisted = (check.id for check in blocking if check.outcome not in {"pass", "waived"})
    race = evaluation.race
    dropped = race.dropped if race else {}  # of checks that were not asked nothing is known
    return SplitResult(
        verdict.verdict,
        tuple(dropped or resisted),
        max((rule.p_pass for rule in rules), default=1.0),
        hopeless=race is not None and race.early,
    )


def past_tries(session: Session, ladder: RemediationRow, failing: EvaluationRow) -> dict[str, Past]:
    """The past of every rung, by its name: what earlier ladders of its project tried of it.

    Only those count whose checkpoint failed the same checks, and none on this very checkpoint: its
    items have been seen by then, and a rung that came first by them would be chosen on them.
    """
    others = (
        select(RemediationRow)
        .join(JobRow, JobRow.id == RemediationRow.id)
        .join(EvaluationRow, EvaluationRow.id == RemediationRow.evaluation_id)
        .where(
            RemediationRow.recipe == AUTO,
            JobRow.project == get_job(session, ladder.id).project,
            JobRow.status.in_(FINISHED),
            EvaluationRow.verdict == "fail",
            EvaluationRow.candidate_id != failing.candidate_id,
        )
        .order_by(RemediationRow.id.desc())
        .limit(NEWEST)
    )
    kind = failed_checks(failing)
    return past_of(
        try_of(attempt)
        for other in session.scalars(others).all()
        if failed_checks(get_evaluation(session, other.evaluation_id)) == kind
        for attempt in attempts(session, other.id)
        if attempt.repair.id != other.id
    )
