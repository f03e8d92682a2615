"""Rounding by chance: either neighbour, in proportion, and nothing that needs no rounding."""

import pytest
import torch

from training.merging.rounding import DROPPED_BITS, round_by_chance

HALVES = pytest.mark.parametrize("dtype", list(DROPPED_BITS), ids=str)


def rounded(exact: torch.Tensor, dtype: torch.dtype, seed: str = "0:layer") -> torch.Tensor:
    out = torch.empty(len(exact), dtype=dtype)
    round_by_chance(exact.clone(), out, seed)
    return out


@HALVES
def test_what_fits_is_not_moved(dtype: torch.dtype) -> None:
    fits = torch.randn(10_000, generator=torch.Generator().manual_seed(1)).to(dtype)
    assert torch.equal(rounded(fits.float(), dtype), fits)


@HALVES
@pytest.mark.parametrize("sign", [1.0, -1.0])
@pytest.mark.parametrize("share", [0.1, 0.5, 0.8])
def test_the_mean_is_the_value(dtype: torch.dtype, sign: float, share: float) -> None:
    """A value that lies `share` of the way to the next one goes there as often: within 4 SE."""
    step = torch.finfo(dtype).eps
    exact = torch.full((40_000,), sign * (1 + share * step))
    up = (rounded(exact, dtype).float() - sign) / (sign * step)
    assert set(up.tolist()) == {0.0, 1.0}
    assert up.mean().item() == pytest.approx(
        share, abs=4 * (share * (1 - share) / len(exact)) ** 0.5
    )


def test_the_seed_decides() -> None:
    exact = torch.full((1000,), 1 + 0.5 * torch.finfo(torch.bfloat16).eps)
    first, again, other = (rounded(exact, torch.bfloat16, seed) for seed in ("a", "a", "b"))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
