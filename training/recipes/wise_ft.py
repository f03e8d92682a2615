"""Average the candidate with its baseline, weight by weight: no data, no gradient, seconds.

Wise-FT (Wortsman et al. 2021, https://arxiv.org/abs/2109.01903); for what fine-tuning forgets in
aligned language models, https://arxiv.org/abs/2309.06256. Knobs: `candidate_weight` w, default
0.8 (a fifth of the way back keeps nearly all that was learnt), and `store`.
"""

from holdfast.errors import InvalidPlan
from holdfast.remediation import Plan
from training.averaging import merge, pair_up
from training.output import whole_checkpoint
from training.progress import Report


def run(plan: Plan, report: Report) -> dict[str, float | None]:
    """Write the average; the effective ratio is how far it moved from baseline to candidate."""
    if plan.candidate is None:
        raise InvalidPlan("recipe wise_ft averages with a candidate, but the plan names none")
    pair = pair_up(plan.baseline, plan.candidate, plan.start_checkpoint)
    with whole_checkpoint(plan) as folder:
        folders = (plan.baseline, plan.candidate, folder)
        ratio = merge(pair, folders, plan.candidate_weight, fp32=plan.store == "fp32")
    if ratio is None:
        report("note", text="baseline and candidate have the same weights; so has the average")
    return {"final_loss": None, "effective_ratio": ratio}
