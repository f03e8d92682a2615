"""Two checkpoints of one model, a tied head found on either side; any other pair is refused."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from holdfast.errors import CheckpointRefused, InvalidPlan
from holdfast.remediation import Plan
from tests.support.tiny_llama import build_tiny_llama
from tests.training.conftest import tensors
from training.progress import Report
from training.recipes import wise_ft

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


NORM = "model.norm.weight"


def poison(number: float) -> Callable[[Path], Path]:
    def build(folder: Path) -> Path:
        return changed(build_tiny_llama(folder), lambda weights: weights[NORM].fill_(number))

    return build


REFUSED: dict[str, tuple[Callable[[Path], Path], str]] = {
    "another vocabulary": (
        lambda folder: build_tiny_llama(folder, vocab=384),
        r"'model\.embed_tokens\.weight' is BF16 \[320, 128\] in the baseline but BF16 \[384, 128\]",
    ),
    "another dtype": (
        lambda folder: build_tiny_llama(folder, dtype=torch.float32),
        r"is BF16 \[320, 128\] in the baseline but F32",
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
