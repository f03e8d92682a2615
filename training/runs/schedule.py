"""Learning rate over a run: linear warm-up, constant, linear decay to nearly nothing.

Conservative on purpose. What a short repair needs is small last steps: the safety that it keeps
hangs on the rate as much as on the mix (docs/benchmarks.md).
"""

from math import floor


def rate_factor(step: int, *, steps: int, warmup_steps: int, decay_from: float) -> float:
    """Share of the peak learning rate at `step` (from 0) of `steps`; in (0, 1].

    `decay_from` is the share of the run after which the rate falls, to 1/n of its peak at the last
    of n decaying steps. Where a run is too short for both, the smaller of the two counts.
    """
    warming = (step + 1) / (warmup_steps + 1) if step < warmup_steps else 1.0
    decaying = steps - floor(decay_from * steps)
    falling = (steps - step) / decaying if steps - step < decaying else 1.0
    return min(warming, falling)
