"""The ratios of a heterogeneous average that keep most of the new skill, at a given mean.

The mean log p of task rows' completions, the weights of each try put into one model in place;
Nelder-Mead on the set of allowed ratios. The uniform ratios are the first tried, so what is found
is never worse than they are.
"""

import random
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from scipy.optimize import minimize
from torch import Tensor, nn

from holdfast.errors import NotBuilt
from holdfast.remediation import Plan
from holdfast.simplex import project
from training.averaging import average
from training.batches import Example, tokenise
from training.layers import weights_by_name
from training.merging import read_alike
from training.model import load_policy, load_tokenizer, stored_weights
from training.pairing import Pair
from training.progress import Report
from training.sources import read_sources
from training.watch import mean_nats

FIRST_STEP = 0.2  # of a ratio: how far the first points lie from the uniform one
ENOUGH = 0.01  # ratios that differ by less are one model


def search(pair: Pair, plan: Plan, candidate: Path, report: Report) -> tuple[float, ...]:
    """The ratios under which the task rows' completions are likeliest, of those tried."""
    examples, pad = task_examples(plan)
    policy = load_policy(plan.baseline)
    state = weights_in_place(policy)
    tried: dict[tuple[float, ...], float] = {}

    def nats_at(free: Sequence[float]) -> float:
        ratios = allowed(free, plan.candidate_weight, plan.hma.groups)
        if ratios not in tried:
            set_weights(state, pair, (plan.baseline, candidate), ratios)
            tried[ratios] = mean_nats(policy, examples, pad)
            report("try", ratios=ratios, task_nats=tried[ratios])
        return tried[ratios]

    begin = [plan.candidate_weight] * (plan.hma.groups - 1)
    points = [begin] + [
        [value - FIRST_STEP * (place == k) for place, value in enumerate(begin)]
        for k in range(len(begin))
    ]
    nats_at(begin)
    if begin:
        options = {"initial_simplex": points, "maxfev": plan.hma.tries, "xatol": ENOUGH, "fatol": 0}
        minimize(nats_at, begin, method="Nelder-Mead", options=options)
    return min(tried, key=lambda ratios: tried[ratios])


def allowed(free: Sequence[float], mean: float, groups: int) -> tuple[float, ...]:
    """The allowed ratios nearest to these, the last of which follows from the mean."""
    return project([*free, groups * mean - sum(free)], mean)


def task_examples(plan: Plan) -> tuple[list[Example], int]:
    """As many task rows as the search looks at, drawn by the plan's seed, and the padding token."""
    path, rows = read_sources(plan, {"task"})["task"]
    drawn = random.Random(plan.seed).sample(rows, min(plan.hma.rows, len(rows)))  # noqa: S311 - an order to reproduce, not a secret
    tokenizer = load_tokenizer(plan.baseline)
    return tokenise(drawn, tokenizer, plan.max_length, path), tokenizer.pad_token_id or 0


def weights_in_place(policy: nn.Module) -> dict[str, Tensor]:
    """The policy's own tensors by the names of the files; NotBuilt where loading changes more."""
    state = stored_weights(policy)
    own = {tensor.data_ptr() for tensor in policy.state_dict().values()}
    if packed := [name for name, tensor in state.items() if tensor.data_ptr() not in own]:
        raise NotBuilt(
            f"{packed[0]!r} is packed with others when transformers loads it, so ratios cannot be "
            "tried in place; give hma.ratios"
        )
    return state


@torch.no_grad()
def set_weights(
    state: Mapping[str, Tensor], pair: Pair, folders: tuple[Path, Path], ratios: Sequence[float]
) -> None:
    """Put the average into a policy's weights in place, a tensor at a time."""
    weights = weights_by_name(pair.layout, ratios)
    for name, (baseline, candidate) in read_alike(folders, (pair.baseline, pair.candidate)):
        if name in weights and baseline.is_floating_point():
            where = state[name].device
            average(baseline.to(where), candidate.to(where), weights[name], state[name])
