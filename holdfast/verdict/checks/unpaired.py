"""Finds why two files cannot be paired at all, so that no rule of a rate may be tested on them.

What contradicts itself, was judged by somebody else, was cut short or is lost too often gives no
p value: it can neither pass nor enter the family that guards a fail.
"""

from collections.abc import Iterator, Mapping

from holdfast.evidence.file import Evidence
from holdfast.policy.model import Check
from holdfast.verdict.checks.pairs import Pairs, cut_words, disagreements, stopped_at


def unpaired(
    probe: str, check: Check, max_unscored: float, sides: Mapping[str, Evidence], pairs: Pairs
) -> str | None:
    """The first obstacle, in words; `sides` are `baseline` and `candidate`, `pairs` theirs."""
    if cuts := "; ".join(cut_words(probe, sides)):
        return cuts
    contradictions = [*_contradictions(probe, check, sides, pairs)]
    if contradictions:
        more = f" (and {len(contradictions) - 1} more)" if len(contradictions) > 1 else ""
        return f"its items cannot be paired: {contradictions[0]}{more}"
    others = [n for n, f in sides.items() if check.judge and check.judge not in f.manifest.judges]
    if others:
        return f"the {' and the '.join(others)} was not judged by {check.judge}"
    if pairs.too_many_lost(max_unscored):
        return (
            f"{pairs.lost} of {pairs.n} items are unscored or missing on one side "
            f"({pairs.lost / pairs.n:.1%}), at most {max_unscored:.1%} may be"
        )
    return None


def _contradictions(
    probe: str, check: Check, sides: Mapping[str, Evidence], pairs: Pairs
) -> Iterator[str]:
    yield from disagreements(
        probe, sides["baseline"], sides["candidate"], sliced=check.slice_by is not None
    )
    yield from _holes(probe, sides, pairs)
    if check.slice_by and pairs.unseen:
        yield f"{pairs.unseen} planned items are in neither file, so of no group"


def _holes(probe: str, sides: Mapping[str, Evidence], pairs: Pairs) -> Iterator[str]:
    """A run that stopped after so many clusters must have asked every one of them, on both sides.

    Which items come first is fixed, so one that is left out could have been left out on purpose.
    """
    stopped = stopped_at(probe, *sides.values())
    for name, file in sides.items() if stopped is not None else ():
        answered = {trial.cluster for trial in file.trials if trial.probe == probe}
        n_answered = sum(cluster[0].cluster in answered for cluster in pairs.clusters)
        if n_answered != stopped:
            yield f"the {name} has {n_answered} of the first {stopped} clusters, expected every one"
