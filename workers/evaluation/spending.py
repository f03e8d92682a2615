"""The budget of an evaluation: the account of it, and the questions cut once it is spent.

The account stands in the evaluation's row and grows in the transactions that save the answers, so a
worker that takes over goes on counting. What is cut is written down as a trial that nobody scored,
with its reason, and counted in the plan: a missing answer must be seen to be missing.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace

from sqlalchemy.orm import Session

from holdfast.db.evaluations import get_evaluation
from holdfast.db.trials import Saved
from holdfast.evidence.file import Cut
from holdfast.evidence.trial import unscored
from holdfast.policy.budget import Spent, exhausted
from holdfast.probes.question import Question
from holdfast.probes.table import spec_of
from workers.evaluation.case import Case

Cuts = Mapping[str, Mapping[str, Cut]]  # by side and probe


def spent_so_far(session: Session, case: Case) -> Spent:
    """Prompts, tokens and seconds spent, by this worker and those that it took over from."""
    account = get_evaluation(session, case.evaluation_id).cost
    return Spent(**{name: account.get(name, 0) for name in Spent.__slots__})


def spend(session: Session, case: Case, more: Spent) -> Spent:
    """Add `more` to the account, in the transaction that saves what it paid for; the new total."""
    row, before = get_evaluation(session, case.evaluation_id), spent_so_far(session, case)
    total = Spent(
        before.prompts + more.prompts,
        before.tokens + more.tokens,
        round(before.seconds + more.seconds, 3),
    )
    row.cost = {**row.cost, **{name: getattr(total, name) for name in Spent.__slots__}}
    return total


def remaining_prompts(case: Case, spent: Spent) -> int | None:
    """How many more may be asked; None where nothing limits them."""
    if exhausted(case.limits, spent):
        return 0
    limit = case.limits.prompts
    return None if limit is None else limit - spent.prompts


def cut_off(probe: str, unasked: Iterable[tuple[Question, str]], because: str) -> Iterator[Saved]:
    """The trials of questions that are not asked, each with the key that its answer would have."""
    if spec_of(probe).measure:  # a loss has no unscored form; the plan says that it is missing
        return
    for question, key in unasked:
        trial = unscored(probe, question.item, question.cluster, f"not asked: {because}")
        yield Saved(replace(trial, variant=question.variant, group=question.group), key)


def note_cut(session: Session, case: Case, side: str, probe: str, cut: Cut) -> None:
    """Add a cut to the account, from which the manifest of this side's probe is made.

    Trials that were cut are saved and never cut again; measures are not, and come whole each time.
    """
    row = get_evaluation(session, case.evaluation_id)
    cuts = row.cost.get("cut", {})
    again = spec_of(probe).measure or probe not in cuts.get(side, {})
    before = 0 if again else cuts[side][probe]["trials"]
    total = {"trials": before + cut.trials, "because": cut.because}
    row.cost = {**row.cost, "cut": {**cuts, side: {**cuts.get(side, {}), probe: total}}}


def cuts_so_far(session: Session, case: Case) -> Cuts:
    """The cuts so far, by side and probe."""
    stored = get_evaluation(session, case.evaluation_id).cost.get("cut", {})
    return {
        side: {probe: Cut.model_validate(cut) for probe, cut in probes.items()}
        for side, probes in stored.items()
    }
