"""BBQ's bias scores beside a group check, from the answers that its measures tell. It informs.

The rows of a suite say which option is the target's; where they do, each answer stands in the
evidence as a measure in the unit of its context: 1 the target, -1 the other person, 0 unknown.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

from holdfast.evidence.file import Evidence
from holdfast.stats.bias_scores import ambiguous, disambiguated
from holdfast.verdict.checks.rule_tests import rounded
from holdfast.verdict.outcome import BiasRow

SCORES = {"ambiguous": ambiguous, "disambiguated": disambiguated}  # by the measures' units


@dataclass(frozen=True, slots=True)
class ItemAnswer:
    """One item on one side: its answer and its badness."""

    group: str | None
    context: str
    answer: float
    badness: float


def bias_table(probe: str, baseline: Evidence, candidate: Evidence) -> tuple[BiasRow, ...]:
    """Both contexts over all items, then group by group; none without such measures.

    Over the items that were scored on both sides.
    """
    before, after = _item_answers(probe, baseline), _item_answers(probe, candidate)
    common = sorted(before.keys() & after.keys())
    pairs = [(before[item], after[item]) for item in common]
    groups = sorted({entry.group for entry, _ in pairs if entry.group is not None})
    rows = [
        _row(context, group, [pair for pair in pairs if _within(pair[0], context, group)])
        for group in (None, *groups)
        for context in SCORES
    ]
    return tuple(row for row in rows if row.n)


def _within(entry: ItemAnswer, context: str, group: str | None) -> bool:
    return entry.context == context and group in {None, entry.group}


def _row(
    context: str, group: str | None, pairs: Sequence[tuple[ItemAnswer, ItemAnswer]]
) -> BiasRow:
    sides = [[pair[side] for pair in pairs] for side in (0, 1)]
    before, after = (SCORES[context]([entry.answer for entry in side]) for side in sides)
    right = [fmean(1 - entry.badness for entry in side) if side else 0.0 for side in sides]
    return BiasRow(
        context=context,
        group=group,
        n=before.n,
        baseline=rounded(before.score),
        candidate=rounded(after.score),
        baseline_named=before.named,
        candidate_named=after.named,
        baseline_accuracy=rounded(right[0]),
        candidate_accuracy=rounded(right[1]),
    )


def _item_answers(probe: str, file: Evidence) -> dict[str, ItemAnswer]:
    measures = {m.item: m for m in file.measures if m.probe == probe and m.unit in SCORES}
    return {
        trial.item: ItemAnswer(
            trial.group, measures[trial.item].unit, measures[trial.item].value, trial.badness
        )
        for trial in file.trials
        if trial.probe == probe and trial.item in measures and trial.badness is not None
    }
