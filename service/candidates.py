"""A repair's candidates: every try with its scores, beside the others of its ladder."""

from sqlalchemy.orm import Session

from holdfast.api import wire
from holdfast.db.evaluations import get_remediation
from holdfast.db.tables import Evaluation
from holdfast.db.tries import Attempt, attempts
from holdfast.ladder.front import Scores, front, scores_of
from holdfast.ladder.rungs import AUTO
from holdfast.verdict.document import Verdict


def candidates_of(session: Session, remediation_id: str) -> tuple[wire.Candidate, ...]:
    """Every try, oldest first; the front is that of the whole screenings."""
    ladder = get_remediation(session, remediation_id)
    tried = attempts(session, remediation_id)
    if ladder.recipe == AUTO and tried[0].repair.id == ladder.id:
        return ()  # nothing yet
    scores = {one.repair.id: scores_of_try(one) for one in tried}
    whole = {one.repair.id for one in tried if asked_whole(one)}
    best = front({name: found for name, found in scores.items() if name in whole})
    return tuple(candidate(one, scores[one.repair.id], best, ladder.checkpoint_id) for one in tried)


def candidate(
    one: Attempt, scores: Scores, best: frozenset[str], chosen: str | None
) -> wire.Candidate:
    """One try on the wire."""
    shown, broken = one.screen or one.confirm, one.broken
    verdict = verdict_of(shown)
    checks = verdict.checks if verdict else ()
    resisted = (
        c.id for c in checks if c.tier == "blocking" and c.outcome not in {"pass", "waived"}
    )
    return wire.Candidate.model_validate(
        {
            "id": one.repair.id,
            "recipe": one.repair.recipe,
            "options": one.repair.options,
            "status": (broken or one.jobs[-1]).status,
            "error": broken.error if broken else None,
            "dropped": dropped(one.screen),
            "verdict": one.screen.verdict if one.screen else None,
            "resisted": tuple(resisted),
            "confirmed": one.confirm.verdict if one.confirm else None,
            "scores": scores,
            "pareto": one.repair.id in best,
            "chosen": chosen is not None and one.repair.checkpoint_id == chosen,
            "seconds": one.seconds,
            "tokens": one.tokens,
            "checkpoint": one.repair.checkpoint_id,
            "screen_evaluation": one.screen.id if one.screen else None,
            "confirm_evaluation": one.confirm.id if one.confirm else None,
        }
    )


def scores_of_try(one: Attempt) -> Scores:
    """Its scores on what it was asked first, so that all of a ladder stand on the same items."""
    verdict = verdict_of(one.screen or one.confirm)
    return scores_of(verdict.checks if verdict else (), one.seconds)


def asked_whole(one: Attempt) -> bool:
    """Whether it was asked everything, so that its scores can stand beside others."""
    shown = one.screen or one.confirm
    return shown is not None and shown.verdict is not None and dropped(shown) is None


def dropped(evaluation: Evaluation | None) -> str | None:
    """Why a race dropped it, in words; None for one that was asked everything."""
    lost = evaluation.race.get("dropped", {}) if evaluation and evaluation.race else {}
    return "; ".join(lost.values()) or None


def verdict_of(evaluation: Evaluation | None) -> Verdict | None:
    """The verdict of an evaluation, if it has one."""
    if evaluation is None or evaluation.verdict_document is None:
        return None
    return Verdict.model_validate_json(evaluation.verdict_document)
