"""A bound on how far a policy may be from its baseline, looked after while it trains.

A controller (training/runs/controllers.py) holds an average, of the rows that are trained on. So
rows that are not are looked at in fixed intervals, and after three looks in a row above one and a
half times the bound the last weights within it are put back. Training goes on from there, under the
weight that the controller has come to by then.
"""

from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from holdfast.repairs.knobs import Anchor, Divergence
from training.devices.parallel import share, total
from training.devices.precision import trains_in_bf16
from training.objectives.divergences import (
    DIVERGENCES,
    FIRST_TOKENS,
    first_tokens,
    sequence_weights,
)
from training.objectives.losses import completion_targets
from training.passes.trusted import ROWS, Reference, logits_of
from training.progress import Report
from training.rows.batches import Example, collate, rows_together
from training.runs.controllers import bound_share_after
from training.runs.watch import StepCheck, mean_nats
from training.runs.watch import first_tokens as first_row_tokens
from training.weights.model import completion_logits, trained_weights

TOLERATED = 1.5  # times the bound, for less than PATIENCE looks in a row
PATIENCE = 3
NOISE_FLOORS = 3.0  # a bound that is not given is this many times what arithmetic alone does


@dataclass(frozen=True, slots=True)
class Distance:
    """Mean over rows of the mean over tokens, in nats: over all tokens, and over the first five."""

    all_tokens: float
    first: float


def distance(
    policy: nn.Module, examples: Sequence[Example], reference: Reference, name: Divergence
) -> Distance:
    """How far the policy is from the reference on some rows; each process computes its share."""
    where = next(policy.parameters()).device
    every = early = 0.0
    with torch.no_grad():
        for group in rows_together(share(examples), ROWS):
            logits, _ = logits_of(policy, group, reference.pad)
            counted = [example for example in group if example.completion_tokens]
            if not counted:
                continue
            nats = DIVERGENCES[name](logits, reference.logits(counted, where)).cpu()
            lengths = [example.completion_tokens for example in counted]
            every += (nats * sequence_weights(lengths, len(examples))).sum().item()
            firsts = [min(length, FIRST_TOKENS) for length in lengths]
            early_nats = nats[first_tokens(lengths)]
            early += (early_nats * sequence_weights(firsts, len(examples))).sum().item()
    return Distance(max(total(every), 0.0), max(total(early), 0.0))  # a hair below 0 is rounding


def noise_floor(
    model: nn.Module, examples: Sequence[Example], reference: Reference, name: Divergence
) -> float:
    """The distance of the baseline from itself: row by row, and in the other arithmetic.

    bf16 where training computes in fp32, and fp32 where it computes in bf16.
    """
    where = next(model.parameters()).device
    native = trains_in_bf16(where)
    other = nullcontext() if native else torch.autocast(where.type, dtype=torch.bfloat16)
    total = 0.0
    with torch.no_grad(), other:
        for example in reversed(examples):
            batch = collate([example], reference.pad).to(where)
            predicts, _ = completion_targets(batch.ids, batch.completion)
            logits = completion_logits(model, batch, predicts)
            reference_logits = reference.logits([example], where)
            total += DIVERGENCES[name](logits, reference_logits).mean().item()
    return total / len(examples)


@dataclass(frozen=True, slots=True)
class Constraint:
    """Looks at `held_out` rows every `knobs.every` steps; `watch`, if there is one, looks as well.

    What it remembers lies in the run's `memory`: the last weights within the bound, their step, how
    many looks in a row were above what is tolerated, and the share of the bound that is held: by
    `knobs.moving` that follows `refusals`, and is what the controller is after. What is rolled back
    to and promised is the whole bound.
    """

    knobs: Anchor
    bound: float
    held_out: Sequence[Example]
    reference: Reference
    watch: StepCheck | None = None
    refusals: Sequence[Example] = ()

    def held_bound(self, memory: dict[str, Any]) -> float:
        """The bound that the controller holds now: `bound`, or the share that it has moved to."""
        share: float = memory.get("bound_share", 1.0)
        return self.bound * share

    def should_end(
        self, policy: nn.Module, step: int, memory: dict[str, Any], report: Report
    ) -> bool:
        """Check the bound if it is due before `step`; True if the watch ends the run."""
        if step % self.knobs.every == 0:
            self._look(policy, step, memory, report)
        return self.watch is not None and self.watch.should_end(policy, step, memory, report)

    def measure(self, policy: nn.Module) -> Distance:
        """How far the policy is on the held-out rows."""
        return distance(policy, self.held_out, self.reference, self.knobs.divergence)

    def _move(self, policy: nn.Module, memory: dict[str, Any]) -> dict[str, float]:
        """Move the bound by what is lost of the refusals; figures of that, none where it stays."""
        moving = self.knobs.moving
        if moving is None:
            return {}
        cost = mean_nats(
            policy, [first_row_tokens(row) for row in self.refusals], self.reference.pad
        )
        share = memory.get("bound_share", 1.0)
        memory["bound_share"] = bound_share_after(share, cost, moving.limit, least=moving.least)
        return {"refusal_nats": cost, "held_bound": self.held_bound(memory)}

    def _look(self, policy: nn.Module, step: int, memory: dict[str, Any], report: Report) -> None:
        nats = self.measure(policy)
        moved = self._move(policy, memory)
        report(
            "anchor", step=step, nats=nats.all_tokens, first=nats.first, bound=self.bound, **moved
        )
        memory.setdefault("above", 0)
        memory["above"] = memory["above"] + 1 if nats.all_tokens > TOLERATED * self.bound else 0
        if nats.all_tokens <= self.bound:
            memory["within"] = {name: weight.clone() for name, weight in trained_weights(policy)}
            memory["within_step"] = step
        elif memory["above"] == PATIENCE and "within" in memory:
            with torch.no_grad():
                for name, weight in trained_weights(policy):
                    weight.copy_(memory["within"][name])
            memory["above"] = 0
            back = memory["within_step"]
            report(
                "note", text=f"{PATIENCE} looks far above the bound; weights of step {back} again"
            )
