"""Averages of real checkpoint files: identities, an independent computation, what rounding eats."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from holdfast.checkpoints.checkpoint import admit
from holdfast.errors import HoldfastError, InvalidPlan
from holdfast.repairs.plan import Lora, Plan
from tests.support.tiny_llama import build_tiny_llama
from tests.training.conftest import tensors
from training.merging import pairing, streaming
from training.merging.averaging import average
from training.progress import Report
from training.recipes import wise_ft
from training.weights.model import load_policy
from training.weights.trainable import save_checkpoint, with_adapter

PlanOf = Callable[..., Plan]


def same_bits(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    return a.keys() == b.keys() and all(
        a[name].dtype == b[name].dtype
        and torch.equal(
            a[name].reshape(-1).view(torch.uint8), b[name].reshape(-1).view(torch.uint8)
        )
        for name in a
    )


def in_fp32(baseline: Path, candidate: Path, weight: float) -> dict[str, torch.Tensor]:
    """The average as the formula says it, whole models at once and with no code of ours."""
    ours, theirs = tensors(baseline), tensors(candidate)
    return {
        name: (1 - weight) * ours[name].float() + weight * theirs[name].float() for name in ours
    }


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32], ids=str)
@pytest.mark.parametrize("weight", [0.2, 0.5, 0.8])
def test_equals_an_independent_fp32_computation(
    tmp_path: Path, plan_of: PlanOf, report: Report, weight: float, dtype: torch.dtype
) -> None:
    sides = [build_tiny_llama(tmp_path / str(k), seed=k, dtype=dtype) for k in range(2)]
    plan = plan_of("wise_ft", baseline=sides[0], candidate=sides[1], candidate_weight=weight)
    outcome = wise_ft.run(plan, report)
    expected = in_fp32(*sides, weight)
    for name, merged in tensors(plan.output).items():
        assert merged.dtype == dtype
        # in half precision one place, where a sum lies between two of them
        torch.testing.assert_close(
            merged.float(),
            expected[name].to(dtype).float(),
            atol=1e-7,
            rtol=torch.finfo(dtype).eps,
        )
    assert outcome["effective_ratio"] == pytest.approx(weight, rel=1e-3)


def test_half_precision_is_rounded_once() -> None:
    generator = torch.Generator().manual_seed(2)
    ours, theirs = torch.randn(2, 10_000, generator=generator).bfloat16().float()
    merged = torch.empty(10_000, dtype=torch.bfloat16)
    average(ours.bfloat16(), theirs.bfloat16(), 0.8, merged)
    exact = 0.2 * ours.double() + 0.8 * theirs.double()
    distance = (merged.double() - exact).abs()
    for neighbour in (-1, 1):
        other = (merged.view(torch.int16) + neighbour).view(torch.bfloat16).double()
        assert (distance <= (other - exact).abs() + 1e-6).all()


@pytest.mark.parametrize("weight", [0.0, 0.3, 0.8, 1.0])
def test_a_linear_layers_answers_are_averaged_as_its_weights_are(weight: float) -> None:
    generator = torch.Generator().manual_seed(3)
    ours, theirs = torch.randn(2, 5, 7, generator=generator, dtype=torch.float64)
    asked = torch.randn(11, 7, generator=generator, dtype=torch.float64)
    merged = torch.empty_like(ours)
    average(ours, theirs, weight, merged)
    expected = (1 - weight) * asked @ ours.T + weight * asked @ theirs.T
    torch.testing.assert_close(asked @ merged.T, expected, atol=1e-12, rtol=0)


def test_of_an_adapters_checkpoint_its_share_of_the_product_is_kept(
    tmp_path: Path, plan_of: PlanOf, report: Report
) -> None:
    start = build_tiny_llama(tmp_path / "start", dtype=torch.float32)
    tuned = plan_of("finetune", baseline=start, output=tmp_path / "tuned")
    policy = with_adapter(load_policy(start), Lora(rank=4, alpha=12, targets=("q_proj",)))
    adapter = dict(policy.named_parameters())
    for name, weight in adapter.items():
        if "lora_B" in name:
            torch.nn.init.normal_(weight, std=0.1)
    update = {
        f"model.layers.{k}.self_attn.q_proj.weight": 12 / 4 * torch.mm(
            *(
                adapter[f"base_model.model.model.layers.{k}.self_attn.q_proj.{side}.default.weight"]
                for side in ("lora_B", "lora_A")
            )
        ).detach()
        for k in range(2)
    }  # fmt: skip
    save_checkpoint(policy, tuned)
    plan = plan_of("wise_ft", baseline=start, candidate=tuned.output, candidate_weight=0.3)
    wise_ft.run(plan, report)
    before, after = tensors(start), tensors(plan.output)
    for name, weight in after.items():
        expected = 0.3 * update[name] if name in update else torch.zeros_like(weight)
        torch.testing.assert_close(weight - before[name], expected, atol=1e-6, rtol=0, msg=name)
    assert all(matrix.norm() > 0.1 for matrix in update.values())


@pytest.mark.parametrize("store", ["source", "fp32"])
@pytest.mark.parametrize("shards", [1, 3])
@pytest.mark.parametrize("end", [0.0, 1.0])
def test_the_ends_come_back_bit_by_bit(
    tmp_path: Path,
    plan_of: PlanOf,
    baseline: Path,
    report: Report,
    end: float,
    shards: int,
    store: str,
) -> None:
    candidate = build_tiny_llama(tmp_path / "candidate", seed=1, shards=shards)
    plan = plan_of("wise_ft", candidate=candidate, candidate_weight=end, store=store)
    wise_ft.run(plan, report)
    expected = tensors(candidate if end else baseline)
    if store == "fp32":
        expected = {name: weight.float() for name, weight in expected.items()}
    assert same_bits(tensors(plan.output), expected)


def test_a_checkpoint_averaged_with_itself_is_itself(
    plan_of: PlanOf, baseline: Path, report: Report, events: list[dict[str, str]]
) -> None:
    plan = plan_of("wise_ft", candidate=baseline, candidate_weight=0.3)
    assert wise_ft.run(plan, report)["effective_ratio"] is None
    assert same_bits(tensors(plan.output), tensors(baseline))
    assert "same weights" in events[0]["text"]


@pytest.mark.parametrize(("ours", "theirs"), [(1, 3), (3, 1), (2, 3)])
def test_shards_of_either_side_do_not_matter(
    tmp_path: Path, plan_of: PlanOf, report: Report, ours: int, theirs: int
) -> None:
    sharded = [
        build_tiny_llama(tmp_path / str(k), seed=k, shards=n) for k, n in enumerate((ours, theirs))
    ]
    plan = plan_of("wise_ft", baseline=sharded[0], candidate=sharded[1])
    wise_ft.run(plan, report)
    expected = {name: weight.bfloat16() for name, weight in in_fp32(*sharded, 0.8).items()}
    for name, merged in tensors(plan.output).items():
        torch.testing.assert_close(merged, expected[name], atol=1e-7, rtol=2**-7)
    names = {file.name for file in sharded[0].iterdir()}
    assert {file.name for file in plan.output.iterdir()} == names
    admit(str(plan.output), [tmp_path])


def test_pieces_smaller_than_a_tensor_join_seamlessly(
    plan_of: PlanOf,
    baseline: Path,
    candidate: Path,
    report: Report,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(streaming, "PIECE", 1000)
    plan = plan_of("wise_ft", store="fp32")
    wise_ft.run(plan, report)
    for name, expected in in_fp32(baseline, candidate, 0.8).items():
        torch.testing.assert_close(tensors(plan.output)[name], expected, atol=1e-6, rtol=0)


def test_fp32_store_says_so_in_the_config(plan_of: PlanOf, baseline: Path, report: Report) -> None:
    plan = plan_of("wise_ft", store="fp32")
    wise_ft.run(plan, report)
    before, after = (
        json.loads((folder / "config.json").read_text()) for folder in (baseline, plan.output)
    )
    assert after == before | {"dtype": "float32"}


@pytest.mark.parametrize("start", ["baseline", "candidate"])
def test_what_is_no_weight_comes_from_the_start_byte_by_byte(
    tmp_path: Path, plan_of: PlanOf, baseline: Path, report: Report, start: str
) -> None:
    candidate = build_tiny_llama(tmp_path / "candidate", seed=1)
    (candidate / "chat_template.jinja").write_text("{{ messages[0].content }}")
    (candidate / "LICENSE").write_text("Apache-2.0")
    (candidate / "README.md").write_text("a card of that model")
    plan = plan_of("wise_ft", candidate=candidate, start=start)
    wise_ft.run(plan, report)
    origin = candidate if start == "candidate" else baseline
    copied = {file.name for file in origin.iterdir()} - {"model.safetensors", "README.md"}
    assert {file.name for file in plan.output.iterdir()} == copied | {"model.safetensors"}
    assert all((plan.output / name).read_bytes() == (origin / name).read_bytes() for name in copied)


def test_integers_are_copied(tmp_path: Path, plan_of: PlanOf, report: Report) -> None:
    sides = [build_tiny_llama(tmp_path / str(k), seed=k) for k in range(2)]
    for k, side in enumerate(sides):
        weights = load_file(side / "model.safetensors")
        weights["steps"] = torch.tensor([7, 8 + k])
        weights["count"] = torch.tensor(5)
        weights["mask"] = torch.tensor([True, False, True])
        save_file(weights, side / "model.safetensors", metadata={"format": "pt"})
    plan = plan_of("wise_ft", baseline=sides[0], candidate=sides[1])
    wise_ft.run(plan, report)
    merged = tensors(plan.output)
    assert merged["steps"].tolist() == [7, 9]
    assert (merged["count"].item(), merged["mask"].tolist()) == (5, [True, False, True])


def changed(folder: Path, change: Callable[[dict[str, torch.Tensor]], object]) -> Path:
    weights = load_file(folder / "model.safetensors")
    change(weights)
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    return folder


def nudged(tmp_path: Path) -> tuple[Path, Path]:
    """A pair that differs by one last place of bf16, where an average of .8 must snap to an end."""
    ours = build_tiny_llama(tmp_path / "ours")
    theirs = changed(
        build_tiny_llama(tmp_path / "theirs"),
        lambda weights: [weight.view(torch.int16).add_(1) for weight in weights.values()],
    )
    return ours, theirs


@pytest.mark.parametrize("weight", [0.8, 0.6])
def test_a_merge_that_rounding_would_swallow_is_rounded_by_chance(
    tmp_path: Path, plan_of: PlanOf, weight: float
) -> None:
    ours, theirs = nudged(tmp_path)
    sides = {"baseline": ours, "candidate": theirs, "candidate_weight": weight}
    notes: list[str] = []
    plan = plan_of("wise_ft", **sides)
    outcome = wise_ft.run(plan, lambda _, *, text: notes.append(text))
    # some 300 norm weights outweigh all others here: two standard errors of so many draws
    assert outcome["effective_ratio"] == pytest.approx(weight, abs=0.05)
    assert ["by chance" in note for note in notes] == [True]
    ends = [tensors(side) for side in (ours, theirs)]
    for name, merged in tensors(plan.output).items():
        assert torch.all((merged == ends[0][name]) | (merged == ends[1][name])), name
    again = plan_of("wise_ft", **sides, output=tmp_path / "again")
    wise_ft.run(again, lambda *_, **__: None)
    assert same_bits(tensors(again.output), tensors(plan.output))


def test_a_merge_that_is_swallowed_all_the_same_is_refused(
    tmp_path: Path, plan_of: PlanOf, report: Report
) -> None:
    """One weight moves, by one step: chance cannot divide it."""
    ours = build_tiny_llama(tmp_path / "ours")
    theirs = changed(
        build_tiny_llama(tmp_path / "theirs"),
        lambda weights: weights["model.norm.weight"].view(torch.int16)[:1].add_(1),
    )
    sides = {"baseline": ours, "candidate": theirs, "candidate_weight": 0.3}
    plan = plan_of("wise_ft", **sides)
    with pytest.raises(InvalidPlan, match=r'moves [01]\.000 of the way.*"store": "fp32"'):
        wise_ft.run(plan, report)
    assert not plan.output.exists()
    outcome = wise_ft.run(plan_of("wise_ft", store="fp32", **sides), report)
    assert outcome["effective_ratio"] == pytest.approx(0.3, rel=1e-4)


def test_a_file_cut_after_its_header_was_read_is_noticed(
    tmp_path: Path, plan_of: PlanOf, report: Report, monkeypatch: pytest.MonkeyPatch
) -> None:
    candidate = build_tiny_llama(tmp_path / "candidate", seed=1)
    pair_of = pairing.pair_of

    def cut_then_pair(plan: Plan) -> tuple[pairing.Pair, Path]:
        pair = pair_of(plan)
        file = candidate / "model.safetensors"
        file.write_bytes(file.read_bytes()[:-100])
        return pair

    monkeypatch.setattr(wise_ft, "pair_of", cut_then_pair)
    with pytest.raises(HoldfastError, match="bytes short of what its header says"):
        wise_ft.run(plan_of("wise_ft", candidate=candidate), report)
