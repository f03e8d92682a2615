"""A repair's candidates: every try with its scores, beside the others of its ladder."""

from sqlalchemy.orm import Session

from holdfast.api import wire
from holdfast.db.evaluations import get_remediation
from holdfast.db.tables import EvaluationRow
from holdfast.db.tries import Attempt, attempts
from holdfast.ladder.front import Scores, front, scores_of
from holdfast.ladder.rungs import AUTO
from holdfast.repairs.compromise import compromise_of
from holdfast.verdict.document import Verdict


def candidates_of(session: Session, remediation_id: str) -> tuple[wire.Candidate, ...]:
    """Every try, oldest first; the front is that of the whole screenings."""
    ladder = get_remediation(session, remediation_id)
    tried = attempts(session, remediation_id)
    if ladder.recipe == AUTO and tried[0].repair.id == ladder.id:
        return ()  # nothing yet
    scores = {attempt.repair.id: scores_of_try(attempt) for attempt in tried}
    complete = {attempt.repair.id for attempt in tried if is_complete(attempt)}
    best = front({name: try_scores for name, try_scores in scores.items() if name in complete})
    return tuple(
        candidate(attempt, scores[attempt.repair.id], best, ladder.checkpoint_id)
        for attempt in tried
    )


def candidate(
    attempt: Attempt, scores: Scores, best: frozenset[str], chosen: str | None
) -> wire.Candidate:
    """One try on the wire."""
    shown, failed_job = attempt.screen or attempt.confirm, attempt.failed_job
    verdict = verdict_of(shown)
    checks = verdict.checks if verdict else ()
    resisted = (
        c.id for c in checks if c.tier == "blocking" and c.outcome not in {"pass", "waived"}
    )
    return wire.Candidate.model_validate(
        {
            "id": attempt.repair.id,
            "recipe": attempt.repair.recipe,
            "options": attempt.repair.options,
            "status": (failed_job or attempt.jobs[-1]).status,
            "error": failed_job.error if failed_job else None,
            "dropped": drop_reason(attempt.screen),
            "verdict": attempt.screen.verdict if attempt.screen else None,
            "resisted": tuple(resisted),
            "confirmed": attempt.confirm.verdict if attempt.confirm else None,
            "scores": scores,
            "pareto": attempt.repair.id in best,
            "chosen": chosen is not None and attempt.repair.checkpoint_id == chosen,
            "seconds": attempt.seconds,
            "tokens": attempt.tokens,
            "checkpoint": attempt.repair.checkpoint_id,
            "screen_evaluation": attempt.screen.id if attempt.screen else None,
            "confirm_evaluation": attempt.confirm.id if attempt.confirm else None,
            "compromise": compromise_of(attempt.repair.progress),
        }
    )


def scores_of_try(attempt: Attempt) -> Scores:
    """A try's scores on its first evaluation, so that all of a ladder share the same items."""
    verdict = verdict_of(attempt.screen or attempt.confirm)
    return scores_of(verdict.checks if verdict else (), attempt.seconds)


def is_complete(attempt: Attempt) -> bool:
    """Whether a try answered every item, so that its scores can be compared with others'."""
    shown = attempt.screen or attempt.confirm
    return shown is not None and shown.verdict is not None and drop_reason(shown) is None


def drop_reason(evaluation: EvaluationRow | None) -> str | None:
    """Why a race dropped it, in words; None for one that was asked everything."""
    race = evaluation.race if evaluation else None
    return "; ".join(race.dropped.values()) or None if race else None


def verdict_of(evaluation: EvaluationRow | None) -> Verdict | None:
    """The verdict of an evaluation, if it has one."""
    if evaluation is None or evaluation.verdict_document is None:
        return None
    return Verdict.model_validate_json(evaluation.verdict_document)
