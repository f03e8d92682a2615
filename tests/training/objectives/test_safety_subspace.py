"""Safe directions against a full decomposition, and projections against what they must come to."""

import pytest
import torch
from torch import Tensor

from training.objectives.safety_subspace import leading_parts, without_conflict, without_inputs


def low_rank(*shape: int, rank: int, seed: int = 0) -> Tensor:
    """A matrix, or a stack of them, of a rank, with singular values that are well apart."""
    generator = torch.Generator().manual_seed(seed)
    left = torch.linalg.qr(torch.randn(*shape[:-1], rank, generator=generator))[0]
    right = torch.linalg.qr(torch.randn(*shape[:-2], shape[-1], rank, generator=generator))[0]
    return (left * torch.arange(rank, 0, -1.0)) @ right.mT


@pytest.mark.parametrize("shape", [(40, 30), (30, 40), (3, 20, 24)])
def test_the_leading_parts_are_those_of_the_full_decomposition(shape: tuple[int, ...]) -> None:
    gradient = low_rank(*shape, rank=5)
    left, right = leading_parts(gradient, 3, seed=1)
    u, s, v = torch.linalg.svd(gradient, full_matrices=False)
    expected = (u[..., :3] * s[..., None, :3]) @ v[..., :3, :]
    found = (left * (left * (gradient @ right)).sum(-2)[..., None, :]) @ right.mT
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-4)


def test_directions_without_a_share_are_left_out() -> None:
    left, right = leading_parts(low_rank(12, 9, rank=2), 5, seed=0)
    assert [bool(column.any()) for column in left.T] == [True, True, False, False, False]
    assert not right[:, 2:].any()
    assert not any(part.any() for part in leading_parts(torch.zeros(6, 4), 2, seed=0))


def test_a_vector_has_one_direction_its_own() -> None:
    gradient = torch.tensor([3.0, 0.0, -4.0])
    left, right = leading_parts(gradient, 10, seed=0)
    assert left.shape == (3, 1)
    torch.testing.assert_close((left @ right.T)[:, 0], gradient / 5)
    against = torch.tensor([1.0, 7.0, 0.0])
    torch.testing.assert_close(
        without_conflict(against, left, right), torch.tensor([1 - 0.36, 7.0, 0.48])
    )
    assert torch.equal(without_conflict(-against, left, right), -against)


def test_the_same_seed_finds_the_same_and_draws_nothing_from_the_run() -> None:
    gradient = torch.randn(50, 60, generator=torch.Generator().manual_seed(3))
    torch.manual_seed(5)
    before = torch.random.get_rng_state()
    first, again = (leading_parts(gradient, 4, seed=7) for _ in range(2))
    assert all(map(torch.equal, first, again))
    assert torch.equal(torch.random.get_rng_state(), before)


def test_what_is_left_is_the_nearest_update_that_conflicts_nowhere() -> None:
    """A projection on a convex set: no other point of it lies beyond the plane through it."""
    generator = torch.Generator().manual_seed(2)
    left, right = leading_parts(low_rank(8, 6, rank=4), 4, seed=0)
    update = torch.randn(8, 6, generator=generator)
    kept = without_conflict(update, left, right)
    rises = (left * (update @ right)).sum(0)
    assert (rises > 0).any()
    assert (rises < 0).any()
    after = (left * (kept @ right)).sum(0)
    torch.testing.assert_close(after, rises.clamp(max=0), atol=1e-6, rtol=0)
    for _ in range(200):
        other = without_conflict(torch.randn(8, 6, generator=generator), left, right)
        assert ((update - kept) * (other - kept)).sum() <= 1e-5


def test_an_input_that_is_held_is_answered_as_before_and_others_as_learnt() -> None:
    basis = torch.linalg.qr(torch.randn(7, 7, generator=torch.Generator().manual_seed(4)))[0]
    held, free = basis[:, :3], basis[:, 3:]
    update = torch.randn(5, 7, generator=torch.Generator().manual_seed(5))
    kept = without_inputs(update, held)
    torch.testing.assert_close(kept @ held, torch.zeros(5, 3), atol=1e-6, rtol=0)
    torch.testing.assert_close(kept @ free, update @ free, atol=1e-6, rtol=1e-5)
