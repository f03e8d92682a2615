"""The pull towards the baseline: its gradient has the scale that a step gives it."""

from pathlib import Path

import pytest
import torch

from training.objectives.divergences import DIVERGENCES
from training.passes.anchoring import pull
from training.passes.trusted import reference_of
from training.progress import Report
from training.rows.batches import Example
from training.weights.model import load_policy

ROWS = [Example(tuple(range(10 + k, 22 + 3 * k)), prompt_tokens=5 + k % 3) for k in range(4)]
PAD = 2


def test_the_gradient_is_scaled_and_the_nats_are_not(
    baseline: Path, candidate: Path, report: Report
) -> None:
    reference = reference_of(load_policy(baseline), ROWS, PAD, 1024, report)
    nats, gradients = [], []
    for scale in (1.0, 0.25):
        policy = load_policy(candidate)
        divergence = DIVERGENCES["forward_kl"]
        nats.append(pull(policy, ROWS, reference, divergence, rows=2, scale=scale))
        found = (weight.grad for weight in policy.parameters() if weight.grad is not None)
        gradients.append(torch.cat([gradient.flatten() for gradient in found]))
    assert nats[1] == pytest.approx(nats[0])
    assert gradients[0].norm() > 0
    torch.testing.assert_close(gradients[1], 0.25 * gradients[0], rtol=1e-4, atol=1e-7)


def test_at_a_scale_of_nothing_it_is_only_measured(
    baseline: Path, candidate: Path, report: Report
) -> None:
    reference = reference_of(load_policy(baseline), ROWS, PAD, 1024, report)
    policy = load_policy(candidate)
    divergence = DIVERGENCES["forward_kl"]
    assert pull(policy, ROWS, reference, divergence, rows=4, scale=0.0) > 0
    assert all(weight.grad is None for weight in policy.parameters())
