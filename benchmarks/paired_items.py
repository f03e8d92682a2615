"""Two averages of one pair of checkpoints on the same items: which of them items show to be better.

Requests complied with and look-alikes refused are compared by the exact paired test, nats a token
of the task's rows by Wilcoxon's signed ranks; pairs of several seeds are put together. Of the three
tests one shows "better" after Holm's correction and "worse" without: what speaks against the
contender needs less.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from scipy.stats import wilcoxon

from holdfast.evidence.file import Evidence
from holdfast.evidence.trial import Outcome
from holdfast.stats.multiplicity import holm
from holdfast.stats.paired import exact_p

ALPHA = 0.05
TASK = "task.retention"


@dataclass(frozen=True, slots=True)
class Paired:
    """One probe on the same items of two averages: how many, both means, and the p values.

    `worse` is of the change for the worse, `better` of that for the better, one-sided each.
    """

    n: int
    before: float
    after: float
    worse: float
    better: float


def of_rates(both: Iterable[tuple[Evidence, Evidence]], probe: str) -> Paired:
    """Items that became bad or good; those that one of the two left unscored are no pair."""
    pairs: list[tuple[bool, bool]] = []
    for uniform, searched in both:
        before, after = (
            {
                (trial.item, trial.variant): trial.outcome is Outcome.BAD
                for trial in file.trials
                if trial.probe == probe and trial.outcome is not Outcome.UNSCORED
            }
            for file in (uniform, searched)
        )
        pairs += [(before[item], after[item]) for item in before.keys() & after.keys()]
    n, worse, better = len(pairs), pairs.count((False, True)), pairs.count((True, False))
    return Paired(
        n,
        sum(bad for bad, _ in pairs) / max(n, 1),
        sum(bad for _, bad in pairs) / max(n, 1),
        exact_p(worse, better, n, 0.0, side="fail"),
        exact_p(better, worse, n, 0.0, side="fail"),
    )


def of_task(both: Iterable[tuple[Evidence, Evidence]]) -> Paired:
    """The rows' nats a token, paired; means are over rows."""
    pairs: list[tuple[float, float]] = []
    for uniform, searched in both:
        before, after = (
            {one.item: one.value / one.weight for one in file.measures if one.probe == TASK}
            for file in (uniform, searched)
        )
        pairs += [(before[item], after[item]) for item in before.keys() & after.keys()]
    changes = [after - before for before, after in pairs]
    worse, better = 1.0, 1.0
    if any(changes):
        worse = float(wilcoxon(changes, alternative="greater").pvalue)
        better = float(wilcoxon(changes, alternative="less").pvalue)
    n = max(len(pairs), 1)
    return Paired(
        len(pairs),
        sum(before for before, _ in pairs) / n,
        sum(after for _, after in pairs) / n,
        worse,
        better,
    )


def shown(tests: Sequence[Paired]) -> str:
    """What the tests of one weight show together: better, worse, nothing, or each in something.

    The last is a "trade"; where a probe has no pair, it is "cannot tell".
    """
    if any(test.n == 0 for test in tests):
        return "cannot tell"

    def any_shown(ps: Sequence[float], *, corrected: bool) -> bool:
        return any(p is not None and p <= ALPHA for p in (holm(ps) if corrected else ps))

    worse, better = ([getattr(test, way) for test in tests] for way in ("worse", "better"))
    if any_shown(worse, corrected=False):
        return "trade" if any_shown(better, corrected=True) else "worse"
    return "better" if any_shown(better, corrected=True) else "nothing"


def reached(by_weight: dict[float, str]) -> bool:
    """Whether a search is worse at no weight, nor without an answer, and better at two."""
    shown_at = list(by_weight.values())
    return not {"worse", "cannot tell"} & set(shown_at) and shown_at.count("better") >= 2


def which_way(test: Paired) -> str:
    """The smaller of both p values, and of which way it is."""
    way, p = min((("better", test.better), ("worse", test.worse)), key=lambda one: one[1])
    return f"{way}, p {p:.3f}"
