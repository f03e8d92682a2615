"""Plain fine-tuning that ends where refusals go: what is left is the last safe step.

Safety goes within few steps (https://arxiv.org/abs/2310.03693), and most of a small task is learnt
in as many, so stopping may be all that is needed (compared in https://arxiv.org/abs/2309.06256).
Knobs: `watch` (every 16 steps beside the early ones, limit 1 nat a token over the first five tokens
of 16 of the baseline's refusals, which no step trains on), `steps`, `learning_rate`.
"""

from holdfast.repairs.plan import Plan, Watching
from training.progress import Report
from training.recipes import finetune


def run(plan: Plan, report: Report) -> dict[str, float | None]:
    """Train on task rows alone, under watch."""
    watched = plan if plan.watch else plan.model_copy(update={"watch": Watching()})
    return finetune.run(watched, report)
