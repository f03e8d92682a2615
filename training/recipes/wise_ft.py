"""Average the candidate with its baseline, weight by weight: no data, no gradient, seconds.

Wise-FT (Wortsman et al. 2021, https://arxiv.org/abs/2109.01903); for what fine-tuning forgets in
aligned language models, https://arxiv.org/abs/2309.06256. Knobs: `candidate_weight` w, default
0.8 (a fifth of the way back keeps nearly all that was learnt), and `store`.
"""

from holdfast.repairs.plan import Plan
from training.merging.averaging import write_average
from training.merging.pairing import pair_of
from training.progress import Report


def run(plan: Plan, report: Report) -> dict[str, float | None]:
    """Write the average; the effective ratio is how far it moved from baseline to candidate."""
    pair, candidate = pair_of(plan)
    weights = dict.fromkeys(pair.layout, plan.candidate_weight)
    ratio = write_average(pair, plan, candidate, weights, report)
    if ratio is None:
        report("note", text="baseline and candidate have the same weights; so has the average")
    return {"final_loss": None, "effective_ratio": ratio}
