"""Learn the task again by steps that lose what works against the refusals' own directions.

`conflict`: the directions are the leading singular vectors of the gradient of some of the
baseline's refusals, of every weight by itself, taken again every so many steps (SPF,
https://arxiv.org/abs/2601.10141, which says that these are few and that one refusal may do); what
makes refusals less likely along them is removed. `null_space`: only linear layers are trained, and
none of them may change what it makes of its inputs on those refusals (GuardSpace,
https://arxiv.org/abs/2510.14301, whose initialisation of the adapter is left out).

Differs from both in that the step is projected as well as its gradient: Adam divides every weight
by a number of its own, which brings back what the gradient had lost, and a step projected alone
(https://arxiv.org/abs/2103.07113) goes on for ever, since what it may not do stays in the moments.
Of a conflict each direction is judged by itself. Refusals are not learnt, only kept: start from the
baseline. Knobs: `safe_gradient`, `mix` (task rows alone), `steps`, `learning_rate`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from statistics import fmean
from typing import Any

import torch
from torch import Tensor, nn

from holdfast.errors import InvalidPlan, RepairImpossible
from holdfast.repairs.knobs import SafeForm
from holdfast.repairs.plan import Plan
from training.devices.parallel import full_tensor, shard_like
from training.merging.subspace import leading_directions
from training.objectives.safety_subspace import leading_parts, without_conflict, without_inputs
from training.passes.inputs import layer_inputs, linear_layers
from training.progress import Report
from training.recipes.rehearsal import steps_of_mix
from training.rows.batches import Example, tokenise
from training.runs.loop import Gradient, train
from training.runs.sources import read_sources, watch_of
from training.runs.supervised import learn, supervised_gradient
from training.runs.watch import StepCheck
from training.weights.model import load_policy, load_tokenizer, trained_weights
from training.weights.trainable import save_checkpoint, trainable

Memory = dict[str, Any]
Directions = dict[str, list[Tensor]]  # by weight: u and v of `conflict`, or inputs held
FROM = ".lora_A."  # an adapter's first factor, which has its layer's inputs
TO = ".lora_B."  # the second, whose inputs are what the first makes of them


def run(plan: Plan, report: Report) -> dict[str, Any]:
    """Train on the plan's mix within the safe directions and write the checkpoint."""
    path, rows = read_sources(plan, {"refusal"})["refusal"]
    steps, pad = steps_of_mix(plan, report)
    tokenizer = load_tokenizer(plan.start_checkpoint)
    refusals = tokenise(rows[: plan.safe_gradient.rows], tokenizer, plan.max_length, path)
    policy = load_policy(plan.start_checkpoint)
    policy = trainable(policy, linear_layers_alone(plan, policy))
    checks = SafeSteps(plan, refusals, pad, watch_of(plan, tokenizer, report))
    memory: Memory = {"removed_step": 0.0}
    plain = supervised_gradient(policy, steps, pad, plan.reduction)
    gradient = safe_gradient(policy, plain, plan.safe_gradient.form, memory)
    loss = train(policy, plan, report, gradient, memory=memory, watch=checks)
    save_checkpoint(policy, plan)
    return {"final_loss": loss}


def linear_layers_alone(plan: Plan, policy: nn.Module) -> Plan:
    """The plan with all frozen that the null space says nothing of; InvalidPlan if that is all."""
    if plan.safe_gradient.form == "conflict" or plan.lora is not None:
        return plan
    held = linear_layers(policy)
    if not held:
        raise InvalidPlan(
            "safe_gradient.form null_space holds linear layers, and this model has none of its "
            "own; take form conflict"
        )
    others = [name for name, _ in policy.named_parameters() if name not in held]
    return plan.model_copy(update={"freeze": (*plan.freeze, *others)})


def safe_gradient(
    policy: nn.Module, gradient: Gradient, form: SafeForm, memory: Memory
) -> Gradient:
    """The gradient less what it would have a step do along the directions in `memory`.

    `removed` is the share of its squared length, and `removed_step` that of the step before.
    """

    def projected(step: int, rows: int) -> Mapping[str, float]:
        figures = gradient(step, rows)
        lengths = []
        for name, weight in policy.named_parameters():
            if weight.grad is not None and name in memory["directions"]:
                descent, *length = project(form, -weight.grad, memory["directions"][name])
                weight.grad.copy_(-descent)
                lengths.append(length)
        return {**figures, "removed": share(lengths), "removed_step": memory["removed_step"]}

    return projected


def settle(policy: nn.Module, form: SafeForm, memory: Memory) -> float:
    """Take from the step since the weights `before` what it must not do; the share that went."""
    lengths = []
    with torch.no_grad():
        for name, weight in trained_weights(policy):
            if name in memory["directions"]:
                before = memory["before"][name].to(weight.device)  # a state is read on the CPU
                kept, *length = project(form, weight - before, memory["directions"][name])
                weight.copy_(before + kept)
                lengths.append(length)
    return share(lengths)


def project(
    form: SafeForm, update: Tensor, directions: Sequence[Tensor]
) -> tuple[Tensor, float, float]:
    """Project an update, whole or in shards; also the squared lengths of what went and of all.

    `directions` are u and v of the refusals' gradient, or those of the inputs that are held.
    """
    whole = full_tensor(update)
    remove = without_inputs if form == "null_space" else without_conflict
    kept = remove(whole, *(part.to(whole.device) for part in directions))
    removed = (whole - kept).square().sum().item()
    return shard_like(kept, update), removed, whole.square().sum().item()


def share(lengths: Sequence[Sequence[float]]) -> float:
    """The share that was removed of the squared lengths of all weights; 0 where nothing moved."""
    removed, whole = (sum(one) for one in zip(*lengths, strict=True))
    return removed / whole if whole else 0.0


def require_finite(number: float) -> None:
    """Raise RepairImpossible where a pass over the refusals came to no finite number."""
    if not isfinite(number):
        raise RepairImpossible(
            f"a pass over the refusals came to {number}, expected a finite number: lower the "
            "learning rate, or check the start checkpoint's weights"
        )


@dataclass(frozen=True, slots=True)
class SafeSteps:
    """Before every step, and after the last, takes from the last one what it must not have changed.

    `watch`, if there is one, looks at what is left. The weights before a step and the directions
    are part of the run's `memory`, so a killed run goes on with them.
    """

    plan: Plan
    refusals: Sequence[Example]
    pad: int
    watch: StepCheck | None = None

    def should_end(self, policy: nn.Module, step: int, memory: Memory, report: Report) -> bool:
        """Project the step that was taken; True if the watch ends the run here."""
        if "before" in memory:
            memory["removed_step"] = settle(policy, self.plan.safe_gradient.form, memory)
        if step == 0 and self.plan.safe_gradient.form == "null_space":
            memory["directions"] = self.inputs_held(policy, report)
        if self.plan.safe_gradient.form == "conflict" and self._is_due(step):
            memory["directions"] = self.refusal_directions(policy)
        memory["before"] = {name: weight.clone() for name, weight in trained_weights(policy)}
        return self.watch is not None and self.watch.should_end(policy, step, memory, report)

    def _is_due(self, step: int) -> bool:
        return step % self.plan.safe_gradient.every == 0 and step < self.plan.steps

    def refusal_directions(self, policy: nn.Module) -> Directions:
        """By weight: u and v of the gradient of the refusals' loss as the weights are now."""
        knobs, seed = self.plan.safe_gradient, self.plan.seed
        policy.zero_grad()
        require_finite(learn(policy, self.refusals, self.pad, 1)["loss"])
        found = {
            name: list(leading_parts(full_tensor(weight.grad), knobs.rank, seed))
            for name, weight in policy.named_parameters()
            if weight.grad is not None
        }
        policy.zero_grad()
        return found

    def inputs_held(self, policy: nn.Module, report: Report) -> Directions:
        """By weight: the directions of its layer's inputs on the refusals, an adapter's cleared.

        Raises RepairImpossible if they leave no layer anything to learn with.
        """
        weights, found = dict(trained_weights(policy)), {}
        layers = {name: one for name, one in linear_layers(policy).items() if TO not in name}
        for name, inputs in layer_inputs(policy, layers, self.refusals, self.pad):
            require_finite(inputs.abs().max().item())
            held = leading_directions(inputs.T, self.plan.safe_gradient.energy)
            found[name] = [held]
            if FROM in name:  # drawn at random, and part of the step that the other factor takes
                cleared = without_inputs(full_tensor(weights[name]), held)
                weights[name].copy_(shard_like(cleared, weights[name]))
        shares = [held.shape[1] / held.shape[0] for [held] in found.values()]
        if min(shares) == 1:
            raise RepairImpossible(
                f"the inputs of {len(self.refusals)} refusals fill every direction of every layer, "
                "which leaves nothing to learn; lower safe_gradient.rows or safe_gradient.energy"
            )
        report(
            "note",
            text=f"{fmean(shares):.0%} of what {len(shares)} layers can be given is held "
            f"({min(shares):.0%} to {max(shares):.0%})",
        )
        return found
