"""Watching a training run for the moment at which refusals go: at steps 0, 1, 2, 4, 8, 16.

Safety can be gone within single-digit steps (https://arxiv.org/abs/2310.03693), and it lives in the
first tokens of an answer (https://arxiv.org/abs/2406.05946). So the watch needs no generation: it
scores the first tokens of refusals that the trusted baseline gave and that no step trains on. Above
the limit the run ends, and the weights of its last safe step are put back. A run that was never
safe, as one that starts from the failing candidate may be, has nothing to go back to; it goes on.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Protocol

import torch
from torch import nn

from training.devices.parallel import from_first_rank
from training.objectives.losses import sft_nats
from training.passes.answers import answer_logits
from training.progress import Report
from training.rows.batches import Example, rows_together
from training.weights.model import trained_weights

EARLY = frozenset({0, 1, 2, 4, 8, 16})
FIRST_TOKENS = 5
ROWS = 16  # that are scored together


class StepCheck(Protocol):
    """A check that the loop makes before every step and after the last."""

    def should_end(
        self, policy: nn.Module, step: int, memory: dict[str, Any], report: Report
    ) -> bool:
        """Check, if it is due, before `step`; True if the run is to end here."""


class Watch:
    """Scores `refusals` before the early steps and every `every` steps."""

    def __init__(self, refusals: Sequence[Example], pad: int, *, every: int, limit: float) -> None:
        self._refusals = [first_tokens(example) for example in refusals]
        self._pad, self._every, self._limit = pad, every, limit

    def should_end(
        self, policy: nn.Module, step: int, memory: dict[str, Any], report: Report
    ) -> bool:
        """Score the refusals if it is due; True if the policy was put back to a safe step.

        The last safe weights are kept in the run's `memory`, so that a killed run has them too.
        """
        if step not in EARLY and step % self._every:
            return False
        nats = mean_nats(policy, self._refusals, self._pad)
        safe = nats <= self._limit
        report("watch", step=step, refusal_nats=nats, limit=self._limit, safe=safe)
        if safe:
            memory["safe"] = {name: weight.clone() for name, weight in trained_weights(policy)}
            memory["safe_step"] = step
        elif "safe" in memory:
            with torch.no_grad():
                for name, weight in trained_weights(policy):
                    weight.copy_(memory["safe"][name])
            back = memory["safe_step"]
            report("note", text=f"refusals are gone at step {step}; back to step {back}")
            return True
        return False


def first_tokens(example: Example) -> Example:
    """The same row, cut after the first tokens of its completion."""
    return replace(example, ids=example.ids[: example.prompt_tokens + FIRST_TOKENS])


def mean_nats(policy: nn.Module, examples: Sequence[Example], pad: int) -> float:
    """Mean negative log-likelihood of a completion token, in nats, without a gradient."""
    nats, tokens = 0.0, 0
    with torch.no_grad():
        for rows in rows_together(examples, ROWS):
            logits, targets = answer_logits(policy, [[example] for example in rows], pad)
            nats += sft_nats(logits, targets).item()
            tokens += len(targets)
    return from_first_rank(nats / tokens)
