"""Average with another ratio for every group of blocks, their mean being fixed: HMA.

Heterogeneous model averaging (https://arxiv.org/abs/2309.06256): what fine-tuning breaks does not
sit at every depth alike. The mean of the K ratios is `candidate_weight`; embeddings and head get
it too. The ratios are the plan's `hma.ratios`, found by whoever has the gate's own metric, or are
searched here for what keeps most of the new skill and of the refusals at that mean
(training/merging/ratios.py).
"""

from typing import Any

from holdfast.repairs.plan import Plan
from training.merging.averaging import write_average
from training.merging.layers import weights_by_name
from training.merging.pairing import pair_of
from training.progress import Report
from training.weights.output import refuse_existing


def run(plan: Plan, report: Report) -> dict[str, Any]:
    """Find the ratios, unless the plan names them, and write the average."""
    refuse_existing(plan.output)
    pair, candidate = pair_of(plan)
    uniform = (plan.candidate_weight,) * plan.hma.groups
    weights_by_name(pair.layout, uniform)  # too few blocks are refused before any work
    ratios = plan.hma.ratios
    if ratios is None:
        from training.merging.ratios import search  # loads a model, which given ratios do not need

        ratios = search(pair, plan, candidate, report)
    weights = weights_by_name(pair.layout, ratios)
    moved = write_average(pair, plan, candidate, weights, report)
    if moved is None:
        report("note", text="baseline and candidate have the same weights; so has the average")
    return {"final_loss": None, "effective_ratio": moved, "ratios": list(ratios)}
