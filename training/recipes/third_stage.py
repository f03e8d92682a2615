"""A short third stage after a chain of one's own: the candidate goes on, and safety is replayed.

After align and tune, replaying a few percent of the safety data restores most of it at small cost
to the task (https://arxiv.org/abs/2412.16469). Differs from the paper in what is replayed: the
baseline's own refusals of our pool, about a fifth of it by default, with answered look-alikes so
that it does not learn to refuse everything, and some task rows so that the task stays.
Knobs: `steps` (20; of 8 rows, so that a third of them replays 54 refusals), `mix` (20 % task, 34 %
refusals, 46 % look-alikes), `learning_rate`, `watch`, `steer`.
"""

from typing import Any

from holdfast.errors import InvalidPlan
from holdfast.repairs.plan import Plan
from training.progress import Report
from training.recipes import rehearsal


def run(plan: Plan, report: Report) -> dict[str, Any]:
    """Train on the plan's mix from the candidate; InvalidPlan where it replays no refusals."""
    if not plan.mix.refusals:
        raise InvalidPlan(
            "a third stage replays refusals, and mix.refusals is 0; give it a share, or train "
            "`finetune`"
        )
    return rehearsal.run(plan, report)
