"""The directions of alignment: scale drops out, the projector is one, nothing says nothing."""

import pytest
import torch

from training.merging.subspace import cosine, leading_directions, project_update


@pytest.fixture
def matrices() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    low_rank = torch.randn(40, 3, generator=generator) @ torch.randn(3, 24, generator=generator)
    return low_rank, torch.randn(40, 24, generator=generator)


@pytest.mark.parametrize("scale", [1e-3, 1.0, 30.0])
def test_the_cosine_does_not_hang_on_the_size_of_either(
    matrices: tuple[torch.Tensor, torch.Tensor], scale: float
) -> None:
    alignment, update = matrices
    found = cosine(alignment, update)
    assert found == pytest.approx(cosine(scale * alignment, update), rel=1e-4)
    assert found == pytest.approx(cosine(alignment, scale * update), rel=1e-4)
    assert found is not None
    assert 0 < found < 1


def test_the_cosine_by_its_definition(matrices: tuple[torch.Tensor, torch.Tensor]) -> None:
    alignment, update = matrices
    mapped = alignment @ alignment.T / alignment.norm() @ update
    expected = (mapped * update).sum() / (mapped.norm() * update.norm())
    assert cosine(alignment, update) == pytest.approx(expected.item(), rel=1e-4)


def test_an_update_inside_and_one_outside(matrices: tuple[torch.Tensor, torch.Tensor]) -> None:
    alignment, update = matrices
    directions = leading_directions(alignment, 0.999999)
    inside = project_update(directions, update)
    assert cosine(alignment, update - inside) == pytest.approx(0, abs=1e-3)
    one = alignment[:, :1] @ torch.ones(1, 24)
    assert cosine(one, one) == pytest.approx(1, abs=1e-5)


def test_nothing_moved_has_no_cosine(matrices: tuple[torch.Tensor, torch.Tensor]) -> None:
    alignment, update = matrices
    assert cosine(torch.zeros_like(alignment), update) is None
    assert cosine(alignment, torch.zeros_like(update)) is None


@pytest.mark.parametrize(("energy", "rank"), [(1e-6, 1), (0.999999, 3)])
def test_the_exact_projector_is_idempotent_and_orthonormal(
    matrices: tuple[torch.Tensor, torch.Tensor], energy: float, rank: int
) -> None:
    alignment, update = matrices
    directions = leading_directions(alignment, energy)
    assert directions.shape == (40, rank)
    torch.testing.assert_close(directions.T @ directions, torch.eye(rank), atol=1e-5, rtol=0)
    once = project_update(directions, update)
    torch.testing.assert_close(project_update(directions, once), once, atol=1e-5, rtol=1e-5)


def test_all_of_the_energy_is_that_of_the_rank_and_not_of_rounding() -> None:
    generator = torch.Generator().manual_seed(0)
    low = torch.randn(40, 5, generator=generator) @ torch.randn(5, 300, generator=generator)
    assert leading_directions(low, 1.0).shape == (40, 5)
    full = torch.randn(40, 300, generator=generator)
    assert leading_directions(full, 1.0).shape == (40, 40)
    assert leading_directions(torch.zeros(4, 3), 1.0).shape == (4, 1)


def test_the_published_map_is_no_projection(
    matrices: tuple[torch.Tensor, torch.Tensor],
) -> None:
    alignment, update = matrices
    mapped = alignment @ alignment.T / alignment.norm() @ update
    twice = alignment @ alignment.T / alignment.norm() @ mapped
    assert not torch.allclose(twice, mapped, rtol=0.5)
