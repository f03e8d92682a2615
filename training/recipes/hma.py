"""Average with another ratio for every group of blocks, their mean being fixed: HMA.

Heterogeneous model averaging (https://arxiv.org/abs/2309.06256): what fine-tuning breaks does not
sit at every depth alike. The mean of the K ratios is `candidate_weight`; embeddings and head get
it too. The ratios are the plan's `hma.ratios`, found by whoever has the gate's own metric, or are
searched here at that mean: by a gradient for what makes good responses likely, as the authors do
(training/merging/gradient_search.py), or by a simplex for what loses least of task and refusals
(training/merging/simplex_search.py).
"""

from typing import Any

from holdfast.repairs.plan import Plan
from training.merging.averaging import write_average
from training.merging.layers import grouping_of
from training.merging.pairing import pair_of
from training.progress import Report
from training.weights.output import refuse_existing
from training.weights.shards import read_object


def run(plan: Plan, report: Report) -> dict[str, Any]:
    """Find the ratios, unless the plan names them, and write the average."""
    refuse_existing(plan.output)
    pair, candidate = pair_of(plan)
    tied = bool(read_object(plan.baseline / "config.json").get("tie_word_embeddings", False))
    grouping = grouping_of(pair.layout, plan.hma, tied=tied)
    ratios = plan.hma.ratios
    if ratios is None and grouping.groups > 1 and 0 < plan.candidate_weight < 1:
        # either loads a model, which given ratios do not need
        if plan.hma.search == "gradient":
            from training.merging.gradient_search import search
        else:
            from training.merging.simplex_search import search
        ratios = search(pair, plan, candidate, grouping, report)
    elif ratios is None:
        ratios = (plan.candidate_weight,) * grouping.groups
        report("note", text="there is one set of ratios with this mean, so nothing is searched")
    moved = write_average(pair, plan, candidate, grouping.weights(ratios), report)
    if moved is None:
        report("note", text="baseline and candidate have the same weights; so has the average")
    return {"final_loss": None, "effective_ratio": moved, "ratios": list(ratios)}
