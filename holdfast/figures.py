"""Figures that stand beside a check and decide nothing: the worst case, and each form's own rate.

A mean over attacks says how a model fares with an attacker who picks one blindly; one who tries
them all meets the worst one of each behaviour. Both are worth reading, and only one can decide.
"""

from collections.abc import Sequence
from statistics import fmean

from pydantic import BaseModel, ConfigDict

from holdfast.pairs import Pair, Pairs
from holdfast.rule_tests import rounded

Sides = tuple[float, float]


class Figure(BaseModel):
    """One number of each side; None where it could not be had."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)
    name: str
    baseline: float | None
    candidate: float | None


def variant_figures(pairs: Pairs) -> tuple[Figure, ...]:
    """Of pairs in several variants: the worst of each behaviour, then every variant's own rate.

    Lost pairs are left out, of both sides: a figure compares like with like, and decides nothing.
    """
    variants = sorted({pair.variant for pair in pairs.pairs})
    if variants in ([], ["plain"]):
        return ()
    behaviours = [_kept(cluster) for cluster in pairs.clusters]
    return (
        _figure("worst variant of each behaviour", [_worst(kept) for kept in behaviours if kept]),
        *(_figure(f"variant {name}", _kept(pairs.pairs, name)) for name in variants),
    )


def _kept(pairs: Sequence[Pair], variant: str | None = None) -> list[Sides]:
    return [
        (pair.before, pair.after)
        for pair in pairs
        if pair.before is not None and pair.after is not None and variant in {None, pair.variant}
    ]


def _worst(kept: list[Sides]) -> Sides:
    return max(before for before, _ in kept), max(after for _, after in kept)


def _figure(name: str, kept: list[Sides]) -> Figure:
    if not kept:
        return Figure(name=name, baseline=None, candidate=None)
    before, after = (rounded(fmean(side)) for side in zip(*kept, strict=True))
    return Figure(name=name, baseline=before, candidate=after)
