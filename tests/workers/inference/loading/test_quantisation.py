"""Quantised checkpoints: read as the plain model that they stand for, or refused by name."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from holdfast.errors import CheckpointRefused
from holdfast.models.quantisation import quantisation_of
from holdfast.probes.engine import Backend, Continuation
from tests.support.published_layouts import Weights, build_layout, rewrite, set_config
from tests.support.quantised_llama import QUANTISERS, quantise
from tests.support.tiny_llama import build_tiny_llama
from workers.inference.loading.architecture import check_architecture
from workers.inference.loading.quantisation import READ_BY
from workers.inference.transformers.engine import TransformersEngine

CPU = "transformers-cpu"
LABELS = {
    "fp8": "fp8",
    "compressed-tensors W8A8": "compressed-tensors W8A8",
    "compressed-tensors FP8": "compressed-tensors FP8A8",
    "compressed-tensors W4A16": "compressed-tensors W4A16",
    "gptq": "gptq W4",
    "awq": "awq W4",
}
READ_HERE = [name for name in QUANTISERS if name.split()[0] in READ_BY[CPU]]
LAYER = "model.layers.1.mlp.up_proj"
ASKED = [Continuation("Question: a?\nAnswer:", text) for text in (" yes", " no way", " x")]


FP8_BY_TENSOR = {"quant_method": "fp8", "activation_scheme": "dynamic"}


@pytest.fixture(scope="module")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Path, Path]]:
    """By method: the packed model, and the plain one that it stands for."""
    folder, made = tmp_path_factory.mktemp("quantised"), {}
    for method in QUANTISERS:
        plain = build_tiny_llama(folder / method / "plain", tied=False)
        made[method] = quantise(method, plain, folder / method / "packed"), plain
    return made


def scores(folder: Path) -> list[float]:
    engine = TransformersEngine(Backend(CPU, "test", "float32"))
    engine.open(folder, None)
    found = dict(engine.logprobs(ASKED))
    return [found[index].logprob for index in range(len(ASKED))]


@pytest.mark.parametrize("method", READ_HERE)
def test_what_is_read_scores_as_the_plain_model(
    pairs: dict[str, tuple[Path, Path]], method: str
) -> None:
    packed, plain = pairs[method]
    assert scores(packed) == pytest.approx(scores(plain), abs=0.1)


@pytest.mark.parametrize("method", QUANTISERS)
def test_the_label_names_method_and_bits(pairs: dict[str, tuple[Path, Path]], method: str) -> None:
    packed, plain = pairs[method]
    assert (quantisation_of(packed), quantisation_of(plain)) == (LABELS[method], None)


@pytest.mark.parametrize("method", QUANTISERS)
@pytest.mark.parametrize("backend", READ_BY)
def test_an_engine_that_does_not_read_a_method_says_so(
    pairs: dict[str, tuple[Path, Path]], method: str, backend: str
) -> None:
    packed, _ = pairs[method]
    if method.split(maxsplit=1)[0] in READ_BY[backend]:
        assert check_architecture(packed, backend) == []
        return
    with pytest.raises(CheckpointRefused, match=f"the engine {backend} does not read here"):
        check_architecture(packed, backend)


def test_a_method_that_nobody_reads_is_named(
    pairs: dict[str, tuple[Path, Path]], tmp_path: Path
) -> None:
    folder = shutil.copytree(pairs["fp8"][1], tmp_path / "model")
    set_config(folder, quantization_config={"load_in_4bit": True})
    with pytest.raises(CheckpointRefused, match=r"quantised \(bitsandbytes\).*unquantised parent"):
        check_architecture(folder, CPU)


def test_scales_that_transformers_would_pass_over_refuse(
    pairs: dict[str, tuple[Path, Path]], tmp_path: Path
) -> None:
    """It takes the packed numbers for the weights themselves (findings/fp8_scales_ignored.sh)."""
    folder = shutil.copytree(pairs["compressed-tensors FP8"][0], tmp_path / "model")
    set_config(folder, quantization_config=FP8_BY_TENSOR)
    with pytest.raises(CheckpointRefused, match=r"proj\.weight_scale"):
        check_architecture(folder, CPU)


def reader_of(method: str) -> str:
    return next(name for name, methods in READ_BY.items() if method.split(maxsplit=1)[0] in methods)


@pytest.mark.parametrize("method", QUANTISERS)
def test_every_part_of_a_layer_is_needed_and_has_its_shape(
    pairs: dict[str, tuple[Path, Path]], method: str, tmp_path: Path
) -> None:
    folder = shutil.copytree(pairs[method][0], tmp_path / "model")
    file = folder / "model.safetensors"
    whole = file.read_bytes()
    names = [name for name in load_file(file) if name.startswith(LAYER) and "g_idx" not in name]
    for name in [*names, "model.norm.weight", "lm_head.weight"]:
        for edit in (without(name), cut(name)):
            rewrite(folder, edit)
            with pytest.raises(CheckpointRefused, match=LAYER if name in names else name):
                check_architecture(folder, reader_of(method))
            file.write_bytes(whole)


def without(name: str) -> Callable[[Weights], Weights]:
    return lambda weights: {key: weight for key, weight in weights.items() if key != name}


def cut(name: str) -> Callable[[Weights], Weights]:
    return lambda weights: weights | {name: weights[name][:-1].contiguous()}


@pytest.mark.parametrize("method", READ_HERE)
def test_a_layer_that_was_left_plain_is_no_packed_one(
    pairs: dict[str, tuple[Path, Path]], method: str, tmp_path: Path
) -> None:
    """The config says that it is quantised: a loader would look for parts that are not there."""
    packed, plain = pairs[method]
    folder = shutil.copytree(packed, tmp_path / "model")
    weight = load_file(plain / "model.safetensors")[f"{LAYER}.weight"]
    rewrite(
        folder,
        lambda weights: (
            {key: kept for key, kept in weights.items() if not key.startswith(LAYER)}
            | {f"{LAYER}.weight": weight}
        ),
    )
    if method == "fp8":  # the library takes it as it is, and so it answers
        assert check_architecture(folder, CPU) == []
        return
    with pytest.raises(CheckpointRefused, match=LAYER):
        check_architecture(folder, CPU)


def test_experts_in_mxfp4(tmp_path: Path) -> None:
    folder = build_layout("gpt_oss", tmp_path / "model")

    def packed(weights: Weights) -> Weights:
        kept = {name: weight for name, weight in weights.items() if not name.endswith("_proj")}
        for name, weight in weights.items():
            if name.endswith("_proj"):
                experts, inputs, outputs = weight.shape
                kept[f"{name}_blocks"] = torch.zeros(
                    experts, outputs, inputs // 32, 16, dtype=torch.uint8
                )
                kept[f"{name}_scales"] = torch.full(
                    (experts, outputs, inputs // 32), 127, dtype=torch.uint8
                )
        return kept

    rewrite(folder, packed)
    set_config(folder, quantization_config={"quant_method": "mxfp4"})
    assert quantisation_of(folder) == "mxfp4"
    assert check_architecture(folder, CPU) == []
    assert all(score > -100 for score in scores(folder))
    whole = (folder / "model.safetensors").read_bytes()
    for part in ("scales", "blocks"):
        name = f"model.layers.1.mlp.experts.down_proj_{part}"
        for edit in (without(name), cut(name)):
            rewrite(folder, edit)
            with pytest.raises(CheckpointRefused, match=r"layers\.1\.mlp\.experts\.down_proj"):
                check_architecture(folder, CPU)
            (folder / "model.safetensors").write_bytes(whole)
