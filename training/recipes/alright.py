"""Draw the objective of each step: on average the weighted sum's gradient, at the cost of one.

ALRIGHT (https://arxiv.org/abs/2410.15483): the preferences with probability λ, else the task, each
with its own unweighted loss and its own next batch. The draw hangs on seed and step alone, so a
killed run draws again what it drew. Knobs: `preference.share` λ (.5), `preference.beta` (.1). The
end says which share was realised, and within what 99 of 100 runs have it.
"""

from holdfast.repairs.plan import Plan
from training.objectives.alternation import band, draw_objective
from training.progress import Report
from training.recipes.compromise import run_both
from training.recipes.joint import Memory, alternating_gradient, realised_share, two_sides


def run(plan: Plan, report: Report) -> dict[str, float | None]:
    """Train on whichever objective is drawn and write the checkpoint."""
    sides = two_sides(plan, report)
    share = plan.preference.share
    memory: Memory = {}
    gradient = alternating_gradient(
        sides, lambda step: draw_objective(plan.seed, step, share), memory
    )
    ended = run_both(sides, plan, report, gradient, memory)
    low, high = band(share, plan.steps)
    return {
        **ended,
        "preference_share": realised_share(memory),
        "band_low": low,
        "band_high": high,
    }
