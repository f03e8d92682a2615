"""Measures what each group forgot: F by group, biased forgetting, and how much chance explains.

F_g is the mean of d = badness after - before over a group's items, positive = lost; biased
forgetting is BF(g) = F_g - F_rest ("Chained Tuning Leads to Biased Forgetting", arXiv 2412.16469;
the definitions are ours). With nine groups of a hundred items and the same true forgetting in all
of them the range of F averages .10, so no range is shown without its null: group labels shuffled
over units (what shares a cluster and a group), each unit's pairs intact. Where one scenario serves
several groups this is cautious, for a shuffle may put two of its units into one group. Everything
here informs; what decides is `groups.gap_p` and the tests of changes.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from holdfast.stats.multiplicity import holm
from holdfast.stats.sides import FloatArray, IntArray

DRAWS = 10_000
SEED = 0
CHUNK = 4_000_000  # numbers of one batch of shuffles
TIE = 1e-9  # statistics closer than this are equal, so that rounding never makes a p smaller
LEAST_ABOVE_CHANCE = 0.01  # accuracy above guessing, below which no share of it can be lost


@dataclass(frozen=True, slots=True)
class Units:
    """Arrays of one length: group code from 0, items, summed badness before, summed change d."""

    group: IntArray
    items: FloatArray
    before: FloatArray
    change: FloatArray


@dataclass(frozen=True, slots=True)
class GroupForgetting:
    """One group. `p` is of "it lost no more than the others", by shuffles; `p_adjusted` Holm's.

    `relative` is F as a share of the accuracy above chance, None where there is next to none;
    `shrunken` is F drawn towards the overall one as far as chance explains their distance.
    """

    n: int
    forgetting: float
    se: float
    relative: float | None
    biased: float
    shrunken: float
    p: float
    p_adjusted: float


@dataclass(frozen=True, slots=True)
class Forgetting:
    """All groups, in the order of their codes; `range_95` is the shuffles' 95 % quantile."""

    groups: tuple[GroupForgetting, ...]
    overall: float
    macro: float
    range: float
    gap: float
    sd: float
    p_range: float
    range_95: float


def forgetting(
    units: Units, *, chance: float = 0.0, draws: int = DRAWS, seed: int = SEED
) -> Forgetting:
    """The whole table; `chance` is the accuracy of guessing. Expects two groups or more, all used.

    The overall F weighs groups by their items, the macro one equally; the gap is the worst group's
    F above the overall, the sd weighted by items.
    """
    members = np.bincount(units.group)
    if members.size < 2 or not members.all():
        raise ValueError(f"groups of {members.tolist()} units, expected at least 2, none empty")
    n, lost = _sums(units.items, units.group), _sums(units.change, units.group)
    f, overall = lost / n, float(lost.sum() / n.sum())
    biased = _biased(n, lost)
    residual = _sums((units.change - f[units.group] * units.items) ** 2, units.group)
    ranges, contrasts = _shuffled(units, members, draws, seed)
    p = (1 + (contrasts >= biased - TIE).sum(axis=0)) / (1 + draws)
    spread = float(np.ptp(f))
    return Forgetting(
        groups=tuple(
            GroupForgetting(*row)
            for row in zip(
                (int(size) for size in n),
                f.tolist(),
                (np.sqrt(residual) / n).tolist(),
                _relative(f, 1 - _sums(units.before, units.group) / n, chance),
                biased.tolist(),
                _shrunken(f, n, members, residual, overall).tolist(),
                p.tolist(),
                (q or 0.0 for q in holm(p.tolist())),
                strict=True,
            )
        ),
        overall=overall,
        macro=float(f.mean()),
        range=spread,
        gap=float(f.max()) - overall,
        sd=float(np.sqrt(np.average((f - overall) ** 2, weights=n))),
        p_range=float((1 + (ranges >= spread - TIE).sum()) / (1 + draws)),
        range_95=float(np.quantile(ranges, 0.95)),
    )


def order_effect(safety_first: tuple[float, float], capability_first: tuple[float, float]) -> float:
    """O = F of safety from A to AB minus F of capability from B to BA; (before, after) badness.

    Positive: what is taught first is forgotten more if it is safety.
    """
    return (safety_first[1] - safety_first[0]) - (capability_first[1] - capability_first[0])


def _sums(values: FloatArray, group: IntArray) -> FloatArray:
    return np.bincount(group, weights=values).astype(np.float64)


def _biased(n: FloatArray, lost: FloatArray) -> FloatArray:
    """F of each group minus F of all others, along the last axis."""
    rest_n = n.sum(axis=-1, keepdims=True) - n
    rest_lost = lost.sum(axis=-1, keepdims=True) - lost
    result: FloatArray = lost / n - rest_lost / rest_n
    return result


def _relative(f: FloatArray, accuracy: FloatArray, chance: float) -> list[float | None]:
    above = accuracy - chance
    return [
        float(lost / room) if room >= LEAST_ABOVE_CHANCE else None
        for lost, room in zip(f, above, strict=True)
    ]


def _shrunken(
    f: FloatArray, n: FloatArray, members: IntArray, residual: FloatArray, overall: float
) -> FloatArray:
    """Empirical Bayes: F_g ~ N(theta_g, v_g), theta_g ~ N(overall, t), t by DerSimonian and Laird.

    v_g comes from the spread within all groups together: a group in which nothing flipped has no
    spread of its own, which is no proof that it has none. Without any spread nothing is shrunk.
    """
    free = members.sum() - members.size
    if free == 0:  # a unit a group: all of the distance may be chance
        return np.full(f.shape, overall)
    v = residual.sum() / free * members / n**2
    if not v.any():
        return f
    w = 1 / v
    q = float((w * (f - np.average(f, weights=w)) ** 2).sum())
    t = max(0.0, (q - (f.size - 1)) / float(w.sum() - (w**2).sum() / w.sum()))
    shrunken: FloatArray = overall + t / (t + v) * (f - overall)
    return shrunken


def _shuffled(
    units: Units, members: IntArray, draws: int, seed: int
) -> tuple[FloatArray, FloatArray]:
    """Range of F in each shuffle, and BF (draws x groups); sizes of groups in units are kept."""
    starts = np.concatenate([[0], np.cumsum(members)[:-1]])
    bits = np.random.PCG64(seed)
    ranges, contrasts = [], []
    done, batch = 0, max(1, CHUNK // units.items.size)
    while done < draws:
        order = _permutations(units.items.size, min(batch, draws - done), bits)
        n = np.add.reduceat(units.items[order], starts, axis=0).T
        lost = np.add.reduceat(units.change[order], starts, axis=0).T
        ranges.append(np.ptp(lost / n, axis=-1))
        contrasts.append(_biased(n, lost))
        done += order.shape[1]
    return np.concatenate(ranges), np.concatenate(contrasts)


def _permutations(size: int, count: int, bits: np.random.PCG64) -> npt.NDArray[np.int32]:
    """`count` permutations of range(size), one a column, by Fisher and Yates.

    From raw bits, whose stream numpy keeps for ever; that of its samplers it does not, and a
    verdict must be the same bytes on every version.
    """
    order = np.repeat(np.arange(size, dtype=np.int32)[:, None], count, axis=1)
    column = np.arange(count)
    for last in range(size - 1, 0, -1):
        share = (bits.random_raw(count) >> np.uint64(11)) * 2.0**-53
        pick = (share * (last + 1)).astype(np.int64)
        picked = order[pick, column]
        order[pick, column] = order[last]
        order[last] = picked
    return order
