"""How much of the new skill a repair keeps: the share of the failing candidate's gain in task loss.

share kept = (L_baseline - L_repair) / (L_baseline - L_candidate), losses over the same held-out
items. A ratio of noisy differences has no honest small-sample test, so the share g is asked of the
linear form U = (baseline - repair) - g (baseline - candidate) per item: E[U] <= 0 is what a pass
refutes. One-sided t tests; the only asymptotic tests of a verdict, because they bound usefulness
and not safety. Where the candidate's gain is itself not shown, there is no gain to keep a share of.
"""

from dataclasses import dataclass

import numpy as np
from scipy.special import stdtr

from holdfast.stats.sides import FloatArray

NO_SPREAD = 1e-12  # relative to the losses; below it a t statistic is made of rounding


@dataclass(frozen=True, slots=True)
class RetentionTest:
    """The result of `retention`: the share of the gain that was kept, and its p values.

    `retained` is None, and the p values mean nothing, unless `gain_shown`.
    """

    p_pass: float
    p_fail: float
    retained: float | None
    gain_shown: bool
    n: int


def retention(  # noqa: PLR0917 -- four aligned rows and the two numbers of the rule
    baseline: FloatArray,
    candidate: FloatArray,
    repair: FloatArray,
    weights: FloatArray,
    share: float,
    alpha: float,
) -> RetentionTest:
    """Test that the repair keeps at least `share` of the gain.

    The arrays are per item and aligned, shape (n,): summed nats of the three checkpoints, and the
    tokens they were summed over, which are one array because they must be the same in every file.
    `p_pass` refutes "keeps less", `p_fail` refutes "keeps at least as much".
    """
    rows = np.stack([baseline, candidate, repair, weights])
    if rows.ndim != 2 or not np.isfinite(rows).all() or not (weights > 0).all():
        raise ValueError("expected four aligned rows of finite numbers, with weights above 0")
    n = rows.shape[1]
    gain = baseline - candidate
    gain_shown = _p_positive(gain, scale=baseline) <= alpha
    if not gain_shown:
        return RetentionTest(1.0, 1.0, None, gain_shown=False, n=n)
    surplus = (baseline - repair) - share * gain
    return RetentionTest(
        p_pass=_p_positive(surplus, scale=baseline),
        p_fail=_p_positive(-surplus, scale=baseline),
        retained=float((baseline - repair).sum() / gain.sum()),
        gain_shown=True,
        n=n,
    )


def _p_positive(x: FloatArray, scale: FloatArray) -> float:
    """One-sided t test of E[x] <= 0; 1 where x has no spread to measure the mean against."""
    if x.size < 2:
        return 1.0
    error = float(x.std(ddof=1)) / x.size**0.5
    if error <= NO_SPREAD * float(np.abs(scale).max()):
        return 1.0
    return float(stdtr(x.size - 1, -float(x.mean()) / error))
