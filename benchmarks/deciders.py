"""What decides in the simulations: Holdfast's own tests, and the rules that peers decide by.

A table of pairs is (worse, better) of n: ok -> bad and bad -> ok. Every decider answers the pass
question, "the change is below the margin"; the fail question is the same one with the roles
exchanged and the margin negated. `TABLES` decide counts of single items, `ROWS` clusters. Ours call
the functions that the verdict calls (`change_test` of holdfast/verdict/checks/rule_tests.py);
nothing is rewritten here. The peers, each at its usual nominal level:

- Wald: z of the paired difference by its own estimated variance;
- Tango: asymptotic score of the paired difference (Tango 1998);
- unpaired: z of two independent proportions, by pooling nothing;
- bootstrap, BCa: percentile and bias-corrected accelerated bounds of the resampled mean; on tables
  with endlessly many resamples, which for three outcomes is a sum and not a simulation;
- threshold: the point estimate on this or that side of the margin, as most gates in CI do it;
- "items" (of clusters): the same z as if all items were independent.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt
from scipy.special import ndtr, ndtri
from scipy.stats import binom

from holdfast.stats.betting import log_capital
from holdfast.stats.paired import exact_p, tables_up_to
from holdfast.stats.sides import FloatArray, Side

BoolArray = npt.NDArray[np.bool_]
Region = Callable[[int, float, float], FloatArray]  # (n, margin, alpha) -> chance to say so
BOTH_BAD = 0.2  # of the items that do not flip, for the rates of the unpaired test
TIE = 1e-9
RESAMPLES = 1000


@lru_cache(maxsize=128)
def shown(decider: str, n: int, margin: float, alpha: float, side: Side) -> FloatArray:
    """Chance that the decider answers yes, by [worse, better]: 0 or 1, but for `unpaired`."""
    if side == "fail":
        return shown(decider, n, -margin, alpha, "pass").T
    return TABLES[decider](n, margin, alpha)


def exact(n: int, margin: float, alpha: float) -> FloatArray:
    """The product's test, asked along the edge of its answers.

    They are closed under one worse flip less and one better flip more (a test holds it to that).
    """
    said = np.zeros((n + 1, n + 1))
    worse = -1
    for better in range(n + 1):
        while worse + better < n and exact_p(worse + 1, better, n, margin, side="pass") <= alpha:
            worse += 1
        worse = min(worse, n - better)
        said[: worse + 1, better] = 1.0
    return said


def wald(n: int, margin: float, alpha: float) -> FloatArray:
    worse, better = _tables(n)
    return _below(worse - better - n * margin, _spread(worse, better, n), alpha)


def tango(n: int, margin: float, alpha: float) -> FloatArray:
    """The statistic that also orders the tables of our own test, at its normal quantile."""
    worse, better = np.ogrid[: n + 1, : n + 1]
    most = tables_up_to(float(ndtri(alpha)), n, margin)
    possible = worse + better <= n
    return (possible & (worse <= most[np.where(possible, worse + better, 0)])).astype(np.float64)


def threshold(n: int, margin: float, alpha: float) -> FloatArray:  # noqa: ARG001 - it has no level
    worse, better = _tables(n)
    excess = worse - better - n * margin
    return (excess < -TIE).astype(np.float64)


def unpaired(n: int, margin: float, alpha: float) -> FloatArray:
    """Averaged over how many of the items that did not flip are bad on both sides."""
    said = np.zeros((n + 1, n + 1))
    worse, better = _tables(n)
    most = min(n, round(n * BOTH_BAD + 10 * np.sqrt(n)))  # the rest weighs nothing
    for both in range(most + 1):
        weight = binom.pmf(both, np.maximum(n - worse - better, 0), BOTH_BAD)
        before, after = (both + better) / n, (both + worse) / n
        variance = n * (before * (1 - before) + after * (1 - after))
        below = _below(worse - better - n * margin, np.maximum(variance, 0.0), alpha)
        said += weight * below
    return np.clip(said, 0.0, 1.0)


def bootstrap(n: int, margin: float, alpha: float) -> FloatArray:
    return _resampled(n, margin, lambda *_: alpha)


def bca(n: int, margin: float, alpha: float) -> FloatArray:
    """Efron's bounds: the level moves with the bias and with the skew of the differences."""

    def level(below: FloatArray, at: FloatArray, skew: FloatArray) -> FloatArray:
        bias = ndtri(np.clip(below + at / 2, 1e-12, 1 - 1e-12))
        edge = bias - ndtri(alpha)
        moved: FloatArray = 1.0 - ndtr(bias + edge / (1 - skew / (6 * np.sqrt(n)) * edge))
        return moved

    return _resampled(n, margin, level)


def _tables(n: int) -> tuple[FloatArray, FloatArray]:
    counts = np.arange(n + 1, dtype=np.float64)
    worse, better = np.meshgrid(counts, counts, indexing="ij")
    return worse, better


def _spread(worse: FloatArray, better: FloatArray, n: float) -> FloatArray:
    return np.maximum(worse + better - (worse - better) ** 2 / n, 0.0)


def _below(excess: FloatArray, variance: FloatArray, alpha: float) -> FloatArray:
    """Whether excess / sd <= z_alpha; without any variance, what lies below is taken as shown."""
    return (excess <= ndtri(alpha) * np.sqrt(variance) - TIE).astype(np.float64)


def _resampled(n: int, margin: float, level: Callable[..., float | FloatArray]) -> FloatArray:
    """Whether at most `level` of all resamples have a mean change of the margin or more."""
    said = np.zeros((n + 1, n + 1))
    turn = np.exp(2j * np.pi * np.arange(n + 1) / (2 * n + 1))  # half: the sums are real
    better = np.arange(n + 1)
    for worse in range(n + 1):
        p, q = worse / n, better[: n - worse + 1, None] / n
        ways = np.fft.irfft(((1 - p - q) + p * turn.conj() + q * turn) ** n, 2 * n + 1, axis=1)
        chances = np.roll(ways, n, axis=1)  # of a net worsening of -n .. n
        net = np.arange(-n, n + 1)
        mean = (p - q) * n
        beyond = chances @ (net >= n * margin - TIE).astype(np.float64)
        less = (chances * (net < mean - TIE)).sum(axis=1)
        equal = (chances * (np.abs(net - mean) <= TIE)).sum(axis=1)
        said[worse, : n - worse + 1] = beyond <= np.asarray(level(less, equal, _skew(p, q[:, 0])))
    return said


def _skew(p: float, q: FloatArray) -> FloatArray:
    """Third standardised moment of d where shares p and q are +1 and -1; 0 without spread."""
    mean = p - q
    variance = p + q - mean**2
    third = mean - 3 * mean * (p + q) + 2 * mean**3
    return np.divide(third, variance**1.5, out=np.zeros_like(q), where=variance > TIE)


TABLES: dict[str, Region] = {
    "holdfast": exact,
    "tango": tango,
    "wald": wald,
    "unpaired": unpaired,
    "bootstrap": bootstrap,
    "bca": bca,
    "threshold": threshold,
}


@dataclass(frozen=True, slots=True)
class Clusters:
    """Simulated runs of clustered items: `changes` is d by run, cluster and place in the cluster.

    Places beyond a cluster's size are False in `held`, the same for every run.
    """

    changes: FloatArray
    held: BoolArray

    @property
    def means(self) -> FloatArray:
        """Mean d of each cluster, shape (runs, clusters)."""
        found: FloatArray = (self.changes * self.held).sum(axis=2) / self.held.sum(axis=1)
        return found

    @property
    def items(self) -> FloatArray:
        """All d, as if no cluster existed; shape (runs, items)."""
        flat: FloatArray = self.changes[:, self.held]
        return flat

    def first(self, clusters: int) -> "Clusters":
        """What a look after so many clusters sees."""
        return Clusters(self.changes[:, :clusters], self.held[:clusters])

    @property
    def mirrored(self) -> "Clusters":
        return Clusters(-self.changes, self.held)


def said_of(decider: str, runs: Clusters, margin: float, alpha: float, side: Side) -> BoolArray:
    """Whether the decider answers yes in each run."""
    if side == "fail":
        return said_of(decider, runs.mirrored, -margin, alpha, "pass")
    return CLUSTERED[decider](runs, margin, alpha)


def betting(runs: Clusters, margin: float, alpha: float) -> BoolArray:
    """The product's test on cluster means."""
    capital = log_capital((runs.means + 1) / 2, (margin + 1) / 2, side="pass")
    answers: BoolArray = capital.max(axis=1) >= -np.log(alpha)
    return answers


def wald_of_items(runs: Clusters, margin: float, alpha: float) -> BoolArray:
    return _z_below(runs.items, margin, alpha)


def wald_of_means(runs: Clusters, margin: float, alpha: float) -> BoolArray:
    return _z_below(runs.means, margin, alpha)


def tango_of_items(runs: Clusters, margin: float, alpha: float) -> BoolArray:
    d = runs.items
    region = tango(d.shape[1], margin, alpha)
    answers: BoolArray = region[(d > 0).sum(axis=1), (d < 0).sum(axis=1)] > 0
    return answers


def bootstrap_of_means(runs: Clusters, margin: float, alpha: float) -> BoolArray:
    """Percentile bound over resampled clusters; 500 runs at a time share their resamples."""
    means = runs.means
    rng = np.random.default_rng(means.shape[1])
    k = means.shape[1]
    parts = []
    for start in range(0, len(means), 500):
        weights = rng.multinomial(k, np.full(k, 1 / k), size=RESAMPLES) / k
        resampled = means[start : start + 500] @ weights.T
        parts.append(np.quantile(resampled, 1 - alpha, axis=1) < margin - TIE)
    answers: BoolArray = np.concatenate(parts)
    return answers


def threshold_of_means(runs: Clusters, margin: float, alpha: float) -> BoolArray:  # noqa: ARG001
    answers: BoolArray = runs.means.mean(axis=1) < margin - TIE
    return answers


def _z_below(d: FloatArray, margin: float, alpha: float) -> BoolArray:
    error = d.std(axis=1, ddof=1) / np.sqrt(d.shape[1])
    answers: BoolArray = d.mean(axis=1) - margin <= ndtri(alpha) * error - TIE
    return answers


CLUSTERED: dict[str, Callable[[Clusters, float, float], BoolArray]] = {
    "holdfast": betting,
    "wald": wald_of_means,
    "bootstrap": bootstrap_of_means,
    "wald, items": wald_of_items,
    "tango, items": tango_of_items,
    "threshold": threshold_of_means,
}
