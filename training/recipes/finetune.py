"""Plain supervised fine-tuning on the task data: what users do to an aligned model.

Here to make such candidates (the demo erodes one) and as the yardstick of the recipes that
protect: with a mix of nothing but task rows, `rehearsal` is this. Knobs: `steps`, `batch_size`,
`learning_rate`, `max_length`. The held-out tenth of the prompts is never trained on.
"""

from holdfast.errors import InvalidPlan
from holdfast.repairs.plan import Mix, Plan
from training.progress import Report
from training.recipes import rehearsal

ONLY_TASK = Mix(task=1, refusals=0, answers=0)


def run(plan: Plan, report: Report) -> dict[str, float | None]:
    """Train on task rows alone."""
    if plan.task_data is None:
        raise InvalidPlan("recipe finetune trains on task_data, but the plan names none")
    return rehearsal.run(plan.model_copy(update={"mix": ONLY_TASK}), report)
