"""Penalties: fixtures by hand, zero at the reference, and the limits of the constrained loss."""

from math import log

import pytest
import torch
from torch import Tensor

from holdfast.repairs.knobs import Constrained
from training.objectives.penalties import betas_of, constrained_sft, ewc, l1_sp, l2_sp

WEIGHT, REFERENCE = torch.tensor([1.0, 2.0]), torch.tensor([0.0, 2.5])


def test_by_hand() -> None:
    assert l2_sp(WEIGHT, REFERENCE, 3.0).item() == pytest.approx(1.5 * 1.25)
    assert l1_sp(WEIGHT, REFERENCE, 3.0).item() == pytest.approx(4.5)
    assert ewc(WEIGHT, REFERENCE, torch.tensor([4.0, 0.5]), 3.0).item() == pytest.approx(6.1875)


def test_a_fisher_of_ones_is_l2_sp() -> None:
    assert ewc(WEIGHT, REFERENCE, torch.ones(2), 0.7) == l2_sp(WEIGHT, REFERENCE, 0.7)


def test_nothing_at_the_reference() -> None:
    for penalty in (
        lambda weight: l1_sp(weight, REFERENCE, 2.0),
        lambda weight: l2_sp(weight, REFERENCE, 2.0),
        lambda weight: ewc(weight, REFERENCE, torch.tensor([3.0, 1.0]), 2.0),
    ):
        weight = REFERENCE.clone().requires_grad_()
        value = penalty(weight)
        value.backward()
        assert value.item() == 0
        assert weight.grad is not None
        assert weight.grad.tolist() == [0, 0]


def constrained(policy: float, reference: float, beta: float) -> tuple[float, float]:
    """Loss, and its slope in the policy's log-probability, in fp64."""
    at = torch.tensor([policy], requires_grad=True)
    loss = constrained_sft(at, torch.tensor([reference]), torch.tensor([beta]))
    loss.backward()
    assert at.grad is not None
    return loss.item(), at.grad.item()


@pytest.mark.parametrize(
    ("beta", "loss", "weight"),
    [(0.1, 14.678939, 1.039979), (0.5, 3.652061, 1.197375), (2.0, 1.783901, 1.664037)],
)
def test_the_constrained_loss_and_what_a_token_weighs(
    beta: float, loss: float, weight: float
) -> None:
    value, slope = constrained(-1.7, -0.9, beta)
    assert value == pytest.approx(loss, abs=2e-5)
    assert slope == pytest.approx(-weight, abs=1e-5)
    up, down = (constrained(-1.7 + step, -0.9, beta)[0] for step in (1e-2, -1e-2))
    assert (up - down) / 2e-2 == pytest.approx(-weight, abs=1e-3)


def test_at_the_reference_it_learns_as_plain_tuning_does() -> None:
    assert constrained(-0.9, -0.9, 2.0)[1] == pytest.approx(-1)


def test_its_limits() -> None:
    gentle, firm = 1e-3, 1e3
    value, _ = constrained(-1.7, -0.9, gentle)
    assert value - 2 * log(2) / gentle == pytest.approx(0.8, abs=1e-3)
    assert constrained(-1.7, -0.9, firm)[0] == pytest.approx(2 * 0.8, abs=1e-3)
    assert constrained(-0.9, -1.7, firm)[0] == pytest.approx(0, abs=1e-3)


def test_betas_follow_the_place_in_the_answer() -> None:
    betas = betas_of([7, 1, 3], Constrained())
    expected: Tensor = torch.tensor([0.5, 2, 2, 2, 2, 0.1, 0.1, 0.5, 0.5, 2, 2])
    assert torch.equal(betas, expected)
