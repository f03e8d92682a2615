"""The task first and safety last: the rows of a rehearsal in two stages.

What is learnt last is forgotten least, and a chain that ends with capability forgets more of its
safety than one that ends with safety (https://arxiv.org/abs/2412.16469). Knobs are those of
`rehearsal`: `mix` says how long each stage is, its task share being the first one.
"""

from collections.abc import Mapping

from holdfast.repairs.plan import Plan
from holdfast.repairs.recipes import Kind
from training.progress import Report
from training.recipes import rehearsal
from training.rows.batches import order_of_sources


def run(plan: Plan, report: Report) -> dict[str, float | None]:
    """Train on the task, then on refusals and answered look-alikes, and write the checkpoint."""
    return rehearsal.run(plan, report, order=safety_last)


def safety_last(counts: Mapping[Kind, int]) -> list[Kind]:
    """Every task row before any other; the others as evenly spread as ever."""
    first: dict[Kind, int] = {kind: count for kind, count in counts.items() if kind == "task"}
    last: dict[Kind, int] = {kind: count for kind, count in counts.items() if kind != "task"}
    return [*order_of_sources(first), *order_of_sources(last)]
