"""Two checkpoints of one model, a tied head found on either side; any other pair is refused."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from holdfast.errors import CheckpointRefused, InvalidPlan
from holdfast.repairs.plan import Plan
from tests.support.tiny_llama import build_tiny_llama
from tests.training.conftest import tensors
from training.progress import Report
from training.recipes import RECIPES, wise_ft

PlanOf = Callable[..., Plan]


def test_a_tied_head_stored_on_one_side_only_is_averaged_as_the_embedding(
    tmp_path: Path, plan_of: PlanOf, baseline: Path, report: Report
) -> None:
    stored = build_tiny_llama(tmp_path / "stored", seed=1)
    weights = load_file(stored / "model.safetensors")
    weights["lm_head.weight"] = weights["model.embed_tokens.weight"].clone()
    save_file(weights, stored / "model.safetensors", metadata={"format": "pt"})
    for k, sides in enumerate(({"baseline": stored, "candidate": baseline}, {"candidate": stored})):
        plan = plan_of("wise_ft", output=tmp_path / f"output{k}", **sides)
        wise_ft.run(plan, report)
        merged = tensors(plan.output)
        assert ("lm_head.weight" in merged) == ("baseline" in sides)
        if "lm_head.weight" in merged:
            assert torch.equal(merged["lm_head.weight"], merged["model.embed_tokens.weight"])


def changed(folder: Path, change: Callable[[dict[str, torch.Tensor]], object]) -> Path:
    weights = load_file(folder / "model.safetensors")
    change(weights)
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    return folder


def configured(folder: Path, **keys: object) -> Path:
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | keys))
    return folder


def prefixed(folder: Path, prefix: str) -> Path:
    weights = load_file(folder / "model.safetensors")
    renamed = {f"{prefix}{name}": weight for name, weight in weights.items()}
    save_file(renamed, folder / "model.safetensors", metadata={"format": "pt"})
    return folder


NORM = "model.norm.weight"


def poison(number: float) -> Callable[[Path], Path]:
    def build(folder: Path) -> Path:
        return changed(build_tiny_llama(folder), lambda weights: weights[NORM].fill_(number))

    return build


REFUSED: dict[str, tuple[Callable[[Path], Path], str]] = {
    "another vocabulary": (
        lambda folder: build_tiny_llama(folder, vocab=384),
        r"320 rows in the baseline and 384 in the candidate: .* resize_token_embeddings\(384\)",
    ),
    "another width": (
        lambda folder: changed(
            build_tiny_llama(folder), lambda weights: weights.update({NORM: torch.ones(64)})
        ),
        r"'model\.norm\.weight' is BF16 \[128\] in the baseline but F32 \[64\]",
    ),
    "another rope": (
        lambda folder: configured(
            build_tiny_llama(folder), rope_parameters={"rope_type": "default", "rope_theta": 5e5}
        ),
        r"rope_parameters is .*10000.* in the baseline and .*500000.* in the candidate",
    ),
    "compiled": (
        lambda folder: prefixed(build_tiny_llama(folder), "_orig_mod."),
        r"'_orig_mod\..*names begin with '_orig_mod\.', as torch\.compile leaves them: unwrap",
    ),
    "a head of its own": (
        lambda folder: build_tiny_llama(folder, tied=False),
        r"'lm_head\.weight' stands only in the candidate \(1 such\)",
    ),
    "a missing tensor": (
        lambda folder: changed(build_tiny_llama(folder), lambda weights: weights.pop(NORM)),
        r"'model\.norm\.weight' stands only in the baseline",
    ),
    "not a number": (poison(float("nan")), "holds NaN or infinite weights"),
    "infinity": (poison(float("inf")), "holds NaN or infinite weights"),
    "quantised": (
        lambda folder: configured(build_tiny_llama(folder), quantization_config={"bits": 4}),
        "the candidate is quantised",
    ),
    "other heads": (
        lambda folder: configured(build_tiny_llama(folder), num_attention_heads=8),
        "num_attention_heads is 4 in the baseline and 8 in the candidate",
    ),
    "no checkpoint": (lambda folder: folder, r"config\.json cannot be read \(No such file"),
    "a lost shard": (
        lambda folder: (
            next(build_tiny_llama(folder, shards=2).glob("*00001-of*")).unlink() or folder
        ),
        r"model-00001-of-00002\.safetensors is missing",
    ),
    "float8": (
        lambda folder: changed(
            build_tiny_llama(folder),
            lambda weights: weights.update({NORM: weights[NORM].to(torch.float8_e4m3fn)}),
        ),
        "is F8_E4M3, expected plain weights",
    ),
}


@pytest.mark.parametrize("weight", [0.0, 0.8, 1.0])
@pytest.mark.parametrize(("build", "message"), REFUSED.values(), ids=REFUSED)
def test_what_is_not_one_model_is_refused_and_leaves_nothing(
    tmp_path: Path,
    plan_of: PlanOf,
    report: Report,
    build: Callable[[Path], Path],
    message: str,
    weight: float,
) -> None:
    candidate = build(tmp_path / "candidate")
    plan = plan_of("wise_ft", candidate=candidate, candidate_weight=weight)
    with pytest.raises(CheckpointRefused, match=message) as refused:
        wise_ft.run(plan, report)
    assert "\n" not in str(refused.value)
    assert not plan.output.exists()
    assert not list(tmp_path.glob(".*.partial"))


def test_no_candidate_is_refused(plan_of: PlanOf, report: Report) -> None:
    with pytest.raises(InvalidPlan, match="merges with a candidate"):
        wise_ft.run(plan_of("wise_ft", candidate=None), report)


DIFFERENT: dict[str, dict[str, object]] = {  # and yet the same model
    "a cache": {"use_cache": False, "dtype": "float32", "transformers_version": "4.44.0"},
    "rope as version 4 wrote it": {
        "rope_parameters": None, "rope_theta": 10000.0, "rope_scaling": None,
    },
    "defaults written out": {"attention_dropout": 0.0, "mlp_bias": False, "head_dim": 32},
    "positions that no weight hangs on": {"max_position_embeddings": 4096},
}  # fmt: skip


@pytest.mark.parametrize("keys", DIFFERENT.values(), ids=DIFFERENT)
def test_configs_may_differ_in_what_weights_do_not_hang_on(
    tmp_path: Path, plan_of: PlanOf, report: Report, keys: dict[str, object]
) -> None:
    candidate = configured(build_tiny_llama(tmp_path / "candidate", seed=1), **keys)
    plan = plan_of("wise_ft", candidate=candidate)
    wise_ft.run(plan, report)
    assert tensors(plan.output)


@pytest.mark.parametrize("side", ["baseline", "candidate"])
def test_a_buffer_that_old_versions_stored_is_left_out(
    tmp_path: Path, plan_of: PlanOf, report: Report, side: str
) -> None:
    buffer = "model.layers.0.self_attn.rotary_emb.inv_freq"
    old = changed(
        build_tiny_llama(tmp_path / "old", seed=1),
        lambda weights: weights.update({buffer: torch.ones(16)}),
    )
    plan = plan_of("wise_ft", **{side: old})
    wise_ft.run(plan, report)
    assert tensors(plan.output).keys() == tensors(old).keys() - {buffer}


@pytest.mark.parametrize("recipe", ["wise_ft", "graft", "safe_merge", "hma"])
@pytest.mark.parametrize("start", ["baseline", "candidate"])
def test_the_dtype_of_a_merge_is_that_of_its_start(
    tmp_path: Path, plan_of: PlanOf, report: Report, recipe: str, start: str
) -> None:
    folders = {
        "baseline": build_tiny_llama(tmp_path / "b"),
        "candidate": build_tiny_llama(tmp_path / "c", seed=1, dtype=torch.float32),
    }
    own: dict[str, dict[str, object]] = {
        "hma": {"hma": {"groups": 2, "ratios": (0.5, 0.5)}},
        "safe_merge": {
            "safe_merge": {"unaligned": build_tiny_llama(tmp_path / "u", seed=2), "threshold": 1.0}
        },
    }
    plan = plan_of(recipe, **folders, start=start, candidate_weight=0.5, **own.get(recipe, {}))
    RECIPES[recipe](plan, report)
    sides = {name: tensors(folder) for name, folder in folders.items()}
    dtype = torch.bfloat16 if start == "baseline" else torch.float32
    for name, merged in tensors(plan.output).items():
        ours, theirs = (sides[side][name].float() for side in folders)
        assert merged.dtype == dtype
        if recipe in {"wise_ft", "hma"}:
            close = 2**-8 if dtype == torch.bfloat16 else 1e-5
            assert torch.allclose(merged.float(), (ours + theirs) / 2, rtol=close, atol=1e-8)
        if recipe == "graft":
            assert ((merged == ours.to(dtype)) | (merged == theirs.to(dtype))).all()


def test_a_small_change_in_fp32_is_not_lost_in_the_baselines_bf16(
    tmp_path: Path, plan_of: PlanOf, report: Report, baseline: Path
) -> None:
    ours = tensors(baseline)
    moved = {  # a norm has too few weights for chance to even out
        name: weight.float() * (1 + 2**-11 * (weight.ndim > 1)) for name, weight in ours.items()
    }
    candidate = build_tiny_llama(tmp_path / "candidate", dtype=torch.float32)
    save_file(moved, candidate / "model.safetensors", metadata={"format": "pt"})
    plan = plan_of("wise_ft", candidate=candidate, candidate_weight=0.5, start="baseline")
    said = wise_ft.run(plan, report)
    assert said["effective_ratio"] == pytest.approx(0.5, rel=0.1)
