"""Grafts: every weight is one of the two, and those that stay are the ones that moved most."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from holdfast.repairs.plan import Plan
from tests.support.tiny_llama import build_tiny_llama
from training.merging import changes
from training.progress import Report
from training.recipes import graft

PlanOf = Callable[..., Plan]


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(folder / "model.safetensors")


def kept_and_left(plan: Plan, name: str) -> tuple[torch.Tensor, torch.Tensor]:
    """How far the weights moved that were kept, and those that were not."""
    ours, theirs, merged = (
        weights(folder)[name].float() for folder in (plan.baseline, plan.candidate, plan.output)
    )
    assert ((merged == ours) | (merged == theirs)).all()
    moved = (theirs - ours).abs()
    return moved[merged != ours], moved[(merged == ours) & (moved > 0)]


@pytest.mark.parametrize("scope", ["model", "tensor"])
@pytest.mark.parametrize("keep", [0.02, 0.3, 1.0])
def test_the_largest_changes_stay(plan_of: PlanOf, report: Report, scope: str, keep: float) -> None:
    plan = plan_of("graft", graft={"keep": keep, "scope": scope})
    outcome = graft.run(plan, report)
    sides = {name: kept_and_left(plan, name) for name in weights(plan.baseline)}
    moved = {name: len(kept) + len(left) for name, (kept, left) in sides.items()}
    for kept, left in sides.values():
        if scope == "tensor" and len(kept) and len(left):
            assert kept.min() >= left.max()
    lowest = min(float(kept.min()) for kept, _ in sides.values() if len(kept))
    if scope == "model":
        assert all(lowest >= left.max() for _, left in sides.values() if len(left))
    total = sum(weight.numel() for weight in weights(plan.baseline).values())
    share = sum(len(kept) for kept, _ in sides.values()) / total
    assert share == pytest.approx(min(keep, sum(moved.values()) / total), rel=0.06)
    assert outcome["effective_ratio"] >= keep or keep == 1.0


@pytest.mark.parametrize(("scope", "low", "high"), [("model", 0.0, 1.0), ("tensor", 0.1, 0.1)])
def test_a_tensor_that_moved_more_has_the_share_of_all_or_its_own(
    tmp_path: Path, plan_of: PlanOf, report: Report, scope: str, low: float, high: float
) -> None:
    candidate = build_tiny_llama(tmp_path / "candidate", seed=1)
    moved, still = (f"model.layers.{k}.mlp.up_proj.weight" for k in range(2))
    content = weights(candidate)
    content[moved] *= 100
    save_file(content, candidate / "model.safetensors", metadata={"format": "pt"})
    plan = plan_of("graft", candidate=candidate, graft={"keep": 0.1, "scope": scope})
    graft.run(plan, report)
    shares = []
    for name in (still, moved):
        kept, left = kept_and_left(plan, name)
        shares.append(len(kept) / (len(kept) + len(left)))
    assert shares == pytest.approx([low, high], abs=0.1 if scope == "model" else 0.01)


def test_weights_in_fp32_are_those_of_one_of_the_two_as_well(
    tmp_path: Path, plan_of: PlanOf, report: Report
) -> None:
    sides = [build_tiny_llama(tmp_path / str(k), seed=k, dtype=torch.float32) for k in range(2)]
    plan = plan_of("graft", baseline=sides[0], candidate=sides[1], graft={"keep": 0.3})
    graft.run(plan, report)
    for name in weights(plan.baseline):
        kept, left = kept_and_left(plan, name)
        if len(kept) and len(left):
            assert kept.min() >= left.max()


def test_a_large_tensor_is_counted_by_a_sample(
    plan_of: PlanOf, report: Report, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(changes, "LARGE", 1000)
    monkeypatch.setattr(changes, "RUN", 64)
    plan = plan_of("graft", graft={"keep": 0.1})
    graft.run(plan, report)
    name = "model.layers.1.mlp.up_proj.weight"
    kept, left = kept_and_left(plan, name)
    assert len(kept) / (len(kept) + len(left)) == pytest.approx(0.1, rel=0.3)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32, torch.float64])
def test_a_weight_is_that_of_either_side(dtype: torch.dtype) -> None:
    generator = torch.Generator().manual_seed(0)
    ours, theirs = torch.randn(2, 999, generator=generator).to(dtype)
    read = theirs.clone()
    out = torch.empty_like(ours)
    graft.keep_changes(ours, theirs, 0.7, out)
    moved = (read.float() - ours.float()).abs() >= 0.7
    assert torch.equal(out, torch.where(moved, read, ours))
    assert torch.equal(theirs, read)


@pytest.mark.parametrize("stored", [torch.bfloat16, torch.float16, torch.float32])
@pytest.mark.parametrize("written", [None, torch.float32])
def test_a_change_as_large_as_the_least_stays(
    stored: torch.dtype, written: torch.dtype | None
) -> None:
    ours = torch.tensor([1.0, 1.0, 1.0, 1.0]).to(stored)
    theirs = torch.tensor([1.5, 2.0, -1.0, 0.0]).to(stored)
    out = torch.empty(4, dtype=written or stored)
    graft.keep_changes(ours, theirs, 1.0, out)
    assert out.tolist() == [1.0, 2.0, -1.0, 0.0]


@pytest.mark.parametrize("elements", [0, 1, 5000, changes.LARGE, changes.LARGE + 1, 9_000_001])
def test_runs_are_within_a_tensor_and_do_not_overlap(elements: int) -> None:
    found = list(changes.runs(elements))
    ends = [first + count for first, count in found]
    assert all(count > 0 for _, count in found)
    assert all(end <= first for end, (first, _) in zip(ends, found[1:], strict=False))
    assert max(ends, default=0) <= elements
    looked = sum(count for _, count in found)
    if elements <= changes.LARGE:
        assert looked == elements
    else:
        assert looked == pytest.approx(elements / changes.STRIDE, rel=0.1)
        places = {first // changes.RUN % changes.STRIDE for first, _ in found}
        assert len(places) == min(changes.STRIDE, len(found))


@pytest.mark.parametrize(
    ("sizes", "keep", "expected"),
    [([1.0, 2.0, 3.0, 4.0], 0.5, 3.0), ([1.0, 1.0, 1.0], 0.1, 1.0), ([0.0, 0.0, 5.0], 0.5, 0.0)],
)
def test_thresholds(sizes: list[float], keep: float, expected: float) -> None:
    histogram = changes.count_changes(torch.tensor(sizes))
    assert changes.threshold(histogram, keep) == expected


def test_the_same_checkpoint_twice_is_said(
    plan_of: PlanOf, baseline: Path, report: Report, events: list[dict[str, Any]]
) -> None:
    plan = plan_of("graft", candidate=baseline)
    assert graft.run(plan, report)["effective_ratio"] is None
    assert "same weights" in events[0]["text"]
    same, expected = weights(plan.output), weights(baseline)
    assert all(torch.equal(same[name], expected[name]) for name in expected)
