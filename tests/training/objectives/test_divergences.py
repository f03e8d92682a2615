"""Divergences: against torch's own, finite differences, and the inequalities that must hold."""

from collections.abc import Callable

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional

from training.objectives import divergences
from training.objectives.divergences import (
    first_tokens,
    forward_kl,
    logit_mse,
    reverse_kl,
    sequence_weights,
)

EACH = pytest.mark.parametrize("divergence", [forward_kl, reverse_kl, logit_mse])


def pair(seed: int = 0, positions: int = 7, vocabulary: int = 50) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    policy, reference = 2 * torch.randn(2, positions, vocabulary, generator=generator)
    return policy, reference


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_forward_and_reverse_are_torchs_kl_div(dtype: torch.dtype) -> None:
    policy, reference = (logits.to(dtype) for logits in pair())
    ours, theirs = (functional.log_softmax(z.float(), -1) for z in (policy, reference))
    for divergence, first, second in ((forward_kl, ours, theirs), (reverse_kl, theirs, ours)):
        expected = functional.kl_div(first, second, log_target=True, reduction="none").sum(-1)
        assert torch.equal(divergence(policy, reference), expected)


@EACH
def test_zero_value_and_gradient_at_the_reference(
    divergence: Callable[[Tensor, Tensor], Tensor],
) -> None:
    reference, _ = pair()
    policy = reference.clone().requires_grad_()
    values = divergence(policy, reference)
    values.sum().backward()
    torch.testing.assert_close(values, torch.zeros(7), atol=1e-6, rtol=0)
    assert policy.grad is not None
    torch.testing.assert_close(policy.grad, torch.zeros(7, 50), atol=1e-6, rtol=0)


def test_the_gradient_of_forward_kl_is_the_difference_of_probabilities() -> None:
    policy, reference = pair()
    policy.requires_grad_()
    forward_kl(policy, reference).sum().backward()
    expected = policy.softmax(-1) - reference.softmax(-1)
    assert policy.grad is not None
    torch.testing.assert_close(policy.grad, expected.detach(), atol=1e-6, rtol=1e-4)


@EACH
@pytest.mark.parametrize("temperature", [0.5, 1.0, 3.0])
def test_gradients_agree_with_finite_differences(
    divergence: Callable[[Tensor, Tensor], Tensor], temperature: float
) -> None:
    policy, reference = (logits / temperature for logits in pair(vocabulary=6, positions=3))
    policy.requires_grad_()
    divergence(policy, reference).sum().backward()
    step = 1e-2
    for at in ((0, 0), (1, 3), (2, 5)):
        nudge = torch.zeros(3, 6)
        nudge[at] = step
        up, down = (divergence(policy.detach() + s * nudge, reference).sum() for s in (1, -1))
        assert policy.grad is not None
        assert policy.grad[at].item() == pytest.approx((up - down).item() / (2 * step), abs=2e-3)


@given(seed=st.integers(0, 2**16), scale=st.floats(0.01, 8))
@settings(max_examples=40, deadline=None)
def test_never_negative_and_pinsker(seed: int, scale: float) -> None:
    policy, reference = (scale * logits for logits in pair(seed))
    apart = (policy.softmax(-1) - reference.softmax(-1)).abs().sum(-1) / 2
    for divergence in (forward_kl, reverse_kl):
        nats = divergence(policy, reference)
        assert (nats > -1e-6).all()
        assert (apart <= (nats.clamp(min=0) / 2).sqrt() + 1e-4).all()


@EACH
def test_chunks_change_neither_values_nor_gradients(
    monkeypatch: pytest.MonkeyPatch, divergence: Callable[[Tensor, Tensor], Tensor]
) -> None:
    policy, reference = pair()
    whole = policy.clone().requires_grad_()
    expected = divergence(whole, reference)
    expected.sum().backward()
    monkeypatch.setattr(divergences, "CHUNK_BYTES", 2 * 4 * 50)
    policy.requires_grad_()
    values = divergence(policy, reference)
    values.sum().backward()
    assert torch.equal(values, expected)
    assert policy.grad is not None
    assert whole.grad is not None
    assert torch.equal(policy.grad, whole.grad)
    with torch.no_grad():
        assert torch.equal(divergence(policy, reference), expected)


def test_log_probabilities_serve_as_logits() -> None:
    policy, reference = pair()
    normalised = functional.log_softmax(reference, -1)
    torch.testing.assert_close(
        forward_kl(policy, normalised), forward_kl(policy, reference), atol=1e-6, rtol=1e-6
    )


def test_the_mean_over_sequences_of_their_means_over_tokens() -> None:
    values = torch.tensor([1.0, 3.0, 10.0, 20.0, 30.0])
    assert (values * sequence_weights([2, 3])).sum().item() == pytest.approx((2 + 20) / 2)
    parts = (values[:2] * sequence_weights([2], 2)).sum() + (
        values[2:] * sequence_weights([3], 2)
    ).sum()
    assert parts.item() == pytest.approx(11)
    assert first_tokens([2, 7], 5).tolist() == [True] * 7 + [False] * 2
