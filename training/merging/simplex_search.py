"""Search the ratios of a heterogeneous average that lose least, at a given mean.

What an average can lose is the task's rows, which the candidate knows, and the baseline's refusals:
each is measured by mean -log p of completions, as the share of what lies between the two
checkpoints, and the shares are added up. Nelder-Mead on the set of allowed ratios. The uniform
ratios are the first tried, so what is found is, on these rows, never worse than they are.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import fsum
from pathlib import Path

from scipy.optimize import minimize
from transformers import PreTrainedTokenizerBase

from holdfast.repairs.plan import Plan
from holdfast.repairs.recipes import Kind
from holdfast.repairs.simplex import ENOUGH, project
from training.merging.in_place import mixture_of
from training.merging.layers import Grouping
from training.merging.pairing import Pair
from training.merging.scored_rows import Scored, draw_rows
from training.progress import Report
from training.runs.watch import first_tokens, mean_nats
from training.weights.model import load_tokenizer

FIRST_STEP = 0.2  # of a ratio: how far the first points lie from the uniform one


@dataclass(frozen=True, slots=True)
class Stake:
    """A skill that an average may lose: nats a token of the model that has it, and of the other."""

    intact_nats: float
    lost_nats: float

    def share_lost(self, nats: float) -> float:
        """The share of the skill that is lost at so many nats; negative where it has grown."""
        return (nats - self.intact_nats) / (self.lost_nats - self.intact_nats)


def search(
    pair: Pair, plan: Plan, candidate: Path, grouping: Grouping, report: Report
) -> tuple[float, ...]:
    """Try ratios and return those that lose least of the task and of the refusals together."""
    tokenizer = load_tokenizer(plan.baseline)
    rows, pad, groups = decisive_rows(plan, tokenizer), tokenizer.pad_token_id or 0, grouping.groups
    mixture = mixture_of(pair, plan, candidate)

    def nats_at(ratios: Sequence[float]) -> dict[Kind, float]:
        mixture.set_weights(grouping.weights(ratios))
        return {kind: mean_nats(mixture.policy, examples, pad) for kind, examples in rows.items()}

    baseline_nats, candidate_nats = (nats_at((end,) * groups) for end in (0.0, 1.0))
    stakes = stakes_of(baseline_nats, candidate_nats, report)
    tried: dict[tuple[float, ...], float] = {}

    def lost_at(free: Sequence[float]) -> float:
        ratios = nearest_ratios(free, plan.candidate_weight, groups)
        if ratios not in tried:
            nats = nats_at(ratios)
            tried[ratios] = fsum(stake.share_lost(nats[kind]) for kind, stake in stakes.items())
            nats_by_kind = {f"{kind}_nats": value for kind, value in nats.items()}
            report("try", ratios=ratios, lost=tried[ratios], **nats_by_kind)
        return tried[ratios]

    begin = [plan.candidate_weight] * (groups - 1)
    points = [begin] + [
        [value - FIRST_STEP * (place == k) for place, value in enumerate(begin)]
        for k in range(len(begin))
    ]
    lost_at(begin)
    if begin and stakes:
        options = {"initial_simplex": points, "maxfev": plan.hma.tries, "xatol": ENOUGH, "fatol": 0}
        minimize(lost_at, begin, method="Nelder-Mead", options=options)
    return min(tried, key=lambda ratios: tried[ratios])


def decisive_rows(plan: Plan, tokenizer: PreTrainedTokenizerBase) -> Scored:
    """The rows to score; of a refusal the first tokens alone, which decide the rest."""
    rows = draw_rows(plan, tokenizer)
    refusals = [first_tokens(example) for example in rows.get("refusal", ())]
    return rows | ({"refusal": refusals} if refusals else {})


def stakes_of(
    baseline: Mapping[Kind, float], candidate: Mapping[Kind, float], report: Report
) -> dict[Kind, Stake]:
    """The skills to preserve: the task, which the candidate has, and the baseline's refusals.

    Where the one that should have it has no more of it than the other, nothing is at stake.
    """
    stakes: dict[Kind, Stake] = {}
    for kind in baseline:
        intact_nats, lost_nats = candidate[kind], baseline[kind]
        if kind == "refusal":
            intact_nats, lost_nats = lost_nats, intact_nats
        if lost_nats > intact_nats:
            stakes[kind] = Stake(intact_nats, lost_nats)
        else:
            report("note", text=f"an average loses nothing of the {kind} rows: not weighed")
    return stakes


def nearest_ratios(free: Sequence[float], mean: float, groups: int) -> tuple[float, ...]:
    """The allowed ratios nearest to these, the last of which follows from the mean."""
    return project([*free, groups * mean - sum(free)], mean)
