"""The budget of an evaluation: the account of it, and the questions cut once it is spent.

The account stands in the evaluation's row and grows in the transactions that save the answers, so a
worker that takes over goes on counting. What is cut is written down as a trial that nobody scored,
with its reason, and counted in the plan: a missing answer must be seen to be missing.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, replace

from sqlalchemy.orm import Session

from holdfast.db.evaluations import get_evaluation
from holdfast.db.trials import Saved
from holdfast.evidence.manifest import Cut
from holdfast.evidence.trial import unscored
from holdfast.policy.budget import Spent, exhausted
from holdfast.probes.question import Question
from holdfast.probes.table import spec_of
from workers.evaluation.case import Case

Cuts = Mapping[str, Mapping[str, Cut]]  # by side and probe


def spent_so_far(session: Session, case: Case) -> Spent:
    """Prompts, tokens and seconds spent, by this worker and those that it took over from."""
    return get_evaluation(session, case.evaluation_id).cost.spent


def spend(session: Session, case: Case, more: Spent) -> Spent:
    """Add `more` to the account, in the transaction that saves what it paid for; the new total."""
    row = get_evaluation(session, case.evaluation_id)
    before = row.cost.spent
    total = Spent(
        before.prompts + more.prompts,
        before.tokens + more.tokens,
        round(before.seconds + more.seconds, 3),
    )
    row.cost = row.cost.changed(**asdict(total))
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
    cuts = row.cost.cut.get(side, {})
    before = 0 if spec_of(probe).measure or probe not in cuts else cuts[probe].trials
    total = Cut(trials=before + cut.trials, because=cut.because)
    row.cost = row.cost.changed(cut={**row.cost.cut, side: {**cuts, probe: total}})


def cuts_so_far(session: Session, case: Case) -> Cuts:
    """The cuts so far, by side and probe."""
    return get_evaluation(session, case.evaluation_id).cost.cut
