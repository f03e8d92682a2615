"""Learn the task again while every weight is pulled to where it was in the baseline: three recipes.

The rows are those of `rehearsal`, and the loss gains a penalty on what has moved (`penalty`):

- l2_anchor, `l2` (0.2): l2 / 2 * ||theta - theta_0||²; L2-SP, Li et al. 2018,
  https://arxiv.org/abs/1802.01483. Everything moves a little less.
- l1_anchor, `l1` (1e-4): l1 * ||theta - theta_0||_1. Most weights stay, few move far.
- ewc, `ewc` (1000): each weight's square times its Fisher entry, of `fisher_rows` (64) rehearsal
  rows, `fisher` true or empirical; Kirkpatrick et al. 2017, https://arxiv.org/abs/1612.00796. What
  the baseline's answers hang on moves less. Costs as much as eight steps once.

With a mix of task rows alone the first two are the classics, which need no safety data. Adapters
have weights of their own and nothing to be pulled to; they are refused.
"""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from torch import Tensor, nn

from holdfast.errors import InvalidPlan
from holdfast.repairs.plan import Plan
from training.devices.parallel import local, shard_like, total
from training.merging.pairing import refuse_another_architecture
from training.objectives.penalties import ewc, l1_sp, l2_sp
from training.passes.fisher import diagonal_fisher
from training.progress import Report
from training.recipes.rehearsal import prepare
from training.runs.loop import Gradient, train
from training.runs.sources import read_sources, tokenise_sources, watch_of
from training.runs.supervised import supervised_gradient
from training.weights.model import load_policy, load_tokenizer, trained_weights
from training.weights.output import refuse_existing
from training.weights.trainable import freeze, save_checkpoint

Penalty = Callable[..., Tensor]
"""From a weight and each reference's tensor of the same name to a scalar."""

References = list[dict[str, Tensor]]  # each by the name of the weight


def l2_anchor(plan: Plan, report: Report) -> dict[str, Any]:
    """Train with L2-SP and write the checkpoint."""
    start, strength = starting_weights(plan), plan.penalty.l2
    return _run(plan, report, [start], lambda weight, ours: l2_sp(weight, ours, strength))


def l1_anchor(plan: Plan, report: Report) -> dict[str, Any]:
    """Train with the sum of absolute moves and write the checkpoint."""
    start, strength = starting_weights(plan), plan.penalty.l1
    return _run(plan, report, [start], lambda weight, ours: l1_sp(weight, ours, strength))


def elastic(plan: Plan, report: Report) -> dict[str, Any]:
    """Train with EWC and write the checkpoint."""
    start, strength = starting_weights(plan), plan.penalty.ewc
    fisher = fisher_of(plan, report)
    penalty = partial(ewc, strength=strength)
    return _run(plan, report, [start, fisher], penalty)


def starting_weights(plan: Plan) -> dict[str, Tensor]:
    """The baseline's weights by name; InvalidPlan where the policy's would not match them."""
    refuse_existing(plan.output)
    refuse_another_architecture(plan)
    if plan.lora is not None:
        raise InvalidPlan(
            f"recipe {plan.recipe} pulls weights to the baseline's, and an adapter's have none; "
            "leave lora out, or use kl_anchor"
        )
    return dict(trained_weights(load_policy(plan.baseline)))


def fisher_of(plan: Plan, report: Report) -> dict[str, Tensor]:
    """The baseline's Fisher diagonal on its own answers, refusals and others in turn."""
    tokenizer = load_tokenizer(plan.baseline)
    rows = read_sources(plan, {"refusal", "answer"})
    sources = tokenise_sources(rows, tokenizer, plan.max_length, report)
    turns = [
        row for pair in zip(sources["refusal"], sources["answer"], strict=False) for row in pair
    ]
    model = load_policy(plan.baseline)
    freeze(model, plan.freeze)
    fisher_rows = turns[: plan.penalty.fisher_rows]
    pad = tokenizer.pad_token_id or 0
    fisher = diagonal_fisher(model, fisher_rows, pad, plan.penalty.fisher, plan.seed)
    trace = sum(entries.sum().item() for entries in fisher.values())
    report(
        "note", text=f"{plan.penalty.fisher} Fisher of {len(fisher_rows)} rows: trace {trace:.4g}"
    )
    return fisher


def _run(plan: Plan, report: Report, references: References, penalty: Penalty) -> dict[str, Any]:
    policy, steps, pad = prepare(plan, report)
    watch = watch_of(plan, load_tokenizer(plan.start_checkpoint), report)
    for name, weight in trained_weights(policy):
        for reference in references:
            reference[name] = local(shard_like(reference[name], weight))
    plain = supervised_gradient(policy, steps, pad, plan.reduction)
    gradient = penalised_gradient(policy, plain, references, penalty)
    loss = train(policy, plan, report, gradient, watch=watch)
    save_checkpoint(policy, plan)
    return {"final_loss": loss}


def penalised_gradient(
    policy: nn.Module, gradient: Gradient, references: References, penalty: Penalty
) -> Gradient:
    """The gradient with the penalty of every trained weight added, one weight at a time.

    Of weights in shards each process adds that of its own part, to the part's own gradient.
    """

    def both(step: int, rows: int) -> Mapping[str, float]:
        figures = gradient(step, rows)
        costs = 0.0
        for name, weight in policy.named_parameters():
            if weight.requires_grad:
                cost = penalty(local(weight), *(reference[name] for reference in references))
                cost.backward()
                costs += cost.item()
        return {**figures, "penalty": total(costs)}

    return both
