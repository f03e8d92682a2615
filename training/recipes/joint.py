"""Two objectives over one policy: the task's rows, and the baseline's answers preferred.

Each side has rows of its own for every step that it may be given, so neither's order hangs on what
the other did, and a row that is not used now is used next. How many steps each has had is part of
what a killed run remembers; nothing else needs to be.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from holdfast.errors import InvalidPlan, InvalidTaskData
from holdfast.repairs.plan import Plan, Reduction, rows_drawn, without_refusals
from holdfast.repairs.recipes import Kind
from holdfast.repairs.task_data import PreferencePair, read_preferences
from training.merging.pairing import refuse_another_architecture
from training.objectives.alternation import Objective
from training.objectives.losses import margin_targets
from training.passes.preference import (
    Contest,
    PreferenceSettings,
    draw_contests,
    prefer,
    preference_mean,
    tokenise_pairs,
)
from training.passes.reference import cache_file, reference_logprobs
from training.progress import Report
from training.rows.batches import Example, draw_steps
from training.runs.costs import Costs
from training.runs.loop import Gradient, seed_everything
from training.runs.sources import read_sources, tokenise_sources, watch_of
from training.runs.supervised import learn
from training.runs.watch import Watch, mean_nats
from training.weights.model import load_policy, load_tokenizer
from training.weights.output import refuse_existing
from training.weights.trainable import trainable

Memory = dict[str, Any]
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Slice:
    """Held-out rows on which both losses are measured. reference: [P, 2] of `contests`."""

    rows: Sequence[Example]
    contests: Sequence[Contest]
    reference: Tensor


@dataclass(frozen=True, slots=True)
class Sides:
    """Both objectives with their rows; turn n of either has the same rows whatever the other did.

    `reference` is [P, 2], the baseline's log-probabilities of `contests`; `draws` are places in
    them, by turn.
    """

    policy: nn.Module
    tasks: Sequence[Sequence[Example]]
    contests: Sequence[Contest]
    reference: Tensor
    draws: Sequence[Sequence[int]]
    how: PreferenceSettings
    reduction: Reduction
    watch: Watch | None
    slice: Slice | None = None
    costs: Costs = field(default_factory=Costs)

    def learn(
        self, objective: Objective, turn: int, rows: int, *, scale: float = 1.0
    ) -> dict[str, float]:
        """Add `scale` times the gradient of an objective's turn; its unscaled loss, and figures."""
        with self.costs.turn(objective):
            if objective == "task":
                examples = self.tasks[turn % len(self.tasks)]
                return learn(
                    self.policy, examples, self.how.pad, rows, scale=scale, reduction=self.reduction
                )
            contests, reference = self.turn_contests(turn)
            return prefer(self.policy, contests, reference, self.how, rows, scale=scale)

    def measure(self, objective: Objective, turn: int) -> float:
        """The loss of an objective, without a gradient; nats a token, or nats a pair.

        On the slice, or where there is none on the turn's own batch.
        """
        if self.slice is not None:
            if objective == "task":
                return mean_nats(self.policy, self.slice.rows, self.how.pad)
            fixed_slice = self.slice
            return preference_mean(
                self.policy, fixed_slice.contests, fixed_slice.reference, self.how
            )
        if objective == "task":
            return mean_nats(self.policy, self.tasks[turn % len(self.tasks)], self.how.pad)
        return preference_mean(self.policy, *self.turn_contests(turn), self.how)

    def turn_contests(self, turn: int) -> tuple[list[Contest], Tensor]:
        """The contests of a turn and the baseline's log-probabilities of them."""
        places = list(self.draws[turn % len(self.draws)])
        return [self.contests[place] for place in places], self.reference[places]


def two_sides(plan: Plan, report: Report) -> Sides:
    """Everything that a joint recipe trains with, read and checked before any step.

    Raises InvalidPlan or InvalidTaskData with what is missing.
    """
    refuse_existing(plan.output)
    if plan.preference_data is None:
        raise InvalidPlan(f"recipe {plan.recipe} needs preference_data, but the plan names none")
    refuse_another_architecture(plan)
    pairs = read_preferences(plan.preference_data)
    counts = rows_drawn(without_refusals(plan.mix), plan.steps * plan.batch_size)
    rows = read_sources(plan, {kind for kind, count in counts.items() if count})
    seed_everything(plan.seed)
    tokenizer = load_tokenizer(plan.start_checkpoint)
    beta, gamma = plan.preference.loss
    how = PreferenceSettings(beta, gamma, tokenizer.pad_token_id or 0)
    contests = tokenise_pairs(pairs, tokenizer, plan.max_length, plan.preference_data)
    if dropped := len(pairs) - len(contests):
        report("note", text=f"{dropped} of {len(pairs)} pairs dropped: too long to tell apart")
    if gamma is not None:
        report_margins(plan, pairs, gamma, report)
    sources = tokenise_sources(rows, tokenizer, plan.max_length, report)
    contests, slice_contests = hold_back(contests, plan.sliced_rows, "pairs")
    sources, slice_rows = hold_back_sources(sources, plan)
    watch = watch_of(plan, tokenizer, report)
    policy = load_policy(plan.start_checkpoint)
    costs = Costs()
    all_contests = [*contests, *slice_contests]
    reference = baseline_logprobs(plan, policy, all_contests, how.pad)
    reference, slice_reference = reference.split([len(contests), len(slice_contests)])
    return Sides(
        policy=trainable(policy, plan),
        tasks=draw_steps(sources, counts, batch_size=plan.batch_size, seed=plan.seed),
        contests=contests,
        reference=reference,
        draws=draw_contests(
            contests, steps=plan.steps, pairs=plan.preference.pairs, seed=plan.seed
        ),
        how=how,
        reduction=plan.reduction,
        watch=watch,
        slice=Slice(slice_rows, slice_contests, slice_reference) if plan.sliced_rows else None,
        costs=costs,
    )


def report_margins(
    plan: Plan, pairs: Sequence[PreferencePair], gamma: float, report: Report
) -> None:
    """Say so where MMPO is no more than label smoothing; InvalidPlan where margins are missing."""
    margins = {pair.margin for pair in pairs}
    if None in margins:
        raise InvalidPlan(
            f"MMPO (preference.gamma or preference.mmpo) asks for margins, and "
            f"{plan.preference_data} has pairs without one"
        )
    if len(margins) == 1:
        label = margin_targets(torch.tensor([margin or 0.0 for margin in margins]), gamma).item()
        report(
            "note",
            text=f"all margins are {margins.pop():g}, so this is label smoothing: every pair is "
            f"right with probability {label:.3f}",
        )


def hold_back(items: Sequence[T], count: int, what: str) -> tuple[list[T], list[T]]:
    """Split off the last `count` items; InvalidTaskData if that leaves none to train on."""
    if len(items) <= count:
        raise InvalidTaskData(
            f"preference.slice holds {count} {what} back and there are {len(items)}, which leaves "
            "none to train on; give more, or lower it"
        )
    return list(items[: len(items) - count]), list(items[len(items) - count :])


def hold_back_sources(
    sources: Mapping[Kind, Sequence[Example]], plan: Plan
) -> tuple[dict[Kind, Sequence[Example]], list[Example]]:
    """Split each source into rows to train on and rows of the slice, in the mix's proportions."""
    counts = rows_drawn(without_refusals(plan.mix), plan.sliced_rows)
    to_train: dict[Kind, Sequence[Example]] = {}
    slice_rows: list[Example] = []
    for kind, examples in sources.items():
        to_train[kind], kind_rows = hold_back(examples, counts[kind], f"{kind} rows")
        slice_rows += kind_rows
    return to_train, slice_rows


def baseline_logprobs(
    plan: Plan, policy: nn.Module, contests: Sequence[Contest], pad: int
) -> Tensor:
    """The baseline's log-probabilities [P, 2]; the untouched policy is the baseline, mostly."""
    reference = policy if plan.start == "baseline" else load_policy(plan.baseline)
    folder = plan.reference_cache
    cache = None if folder is None else cache_file(folder, plan.baseline, reference)
    return reference_logprobs(reference, contests, pad, cache)


def alternating_gradient(
    sides: Sides, choose: Callable[[int], Objective], memory: Memory
) -> Gradient:
    """The unweighted gradient of one objective a step: the one that `choose` names."""

    def gradient(step: int, rows: int) -> Mapping[str, float]:
        objective = choose(step)
        return take_turn(sides, objective, rows, memory)

    return gradient


def take_turn(sides: Sides, objective: Objective, rows: int, memory: Memory) -> dict[str, float]:
    """Train an objective's next turn; it is counted only once its gradient is there."""
    figures = sides.learn(objective, memory.get(objective, 0), rows)
    memory[objective] = memory.get(objective, 0) + 1
    return {**figures, "preference": float(objective == "preference")}


def realised_share(memory: Memory) -> float:
    """The share of the steps so far that trained the preferences."""
    preference, task = memory.get("preference", 0), memory.get("task", 0)
    return float(preference / (preference + task))


def copy_weights(policy: nn.Module) -> dict[str, Tensor]:
    """A copy of every weight that is trained."""
    return {
        name: weight.detach().clone()
        for name, weight in policy.named_parameters()
        if weight.requires_grad
    }


def restore_weights(policy: nn.Module, weights: Mapping[str, Tensor]) -> None:
    """Put copied weights back into the policy."""
    with torch.no_grad():
        for name, weight in policy.named_parameters():
            if weight.requires_grad:
                weight.copy_(weights[name])
