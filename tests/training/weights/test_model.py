"""Loading and writing back: nothing renamed, nothing invented, nothing left behind."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM

from holdfast.errors import CheckpointRefused, NotBuilt, RepairImpossible
from tests.support.tiny_llama import build_tiny_llama
from training.objectives.losses import completion_targets
from training.rows.batches import Example, collate
from training.weights.model import completion_logits, load_policy, load_tokenizer, save_weights


def test_weights_are_fp32_in_memory_and_return_in_their_own_dtype(
    tmp_path: Path, baseline: Path
) -> None:
    policy = load_policy(baseline)
    assert {weight.dtype for weight in policy.parameters()} == {torch.float32}
    assert not policy.training
    save_weights(policy.state_dict(), baseline, tmp_path, fp32=False)
    assert load_file(tmp_path / "model.safetensors").keys() == (
        load_file(baseline / "model.safetensors").keys()
    )
    for name, weight in load_file(tmp_path / "model.safetensors").items():
        assert weight.dtype == torch.bfloat16
        assert torch.equal(weight, load_file(baseline / "model.safetensors")[name])


def test_a_buffer_that_old_versions_stored_is_neither_read_nor_written(
    tmp_path: Path, baseline: Path
) -> None:
    old = build_tiny_llama(tmp_path / "old")
    buffer = "model.layers.0.self_attn.rotary_emb.inv_freq"
    weights = load_file(old / "model.safetensors") | {buffer: torch.ones(16)}
    save_file(weights, old / "model.safetensors", metadata={"format": "pt"})
    save_weights(load_policy(old).state_dict(), old, tmp_path, fp32=False)
    assert load_file(tmp_path / "model.safetensors").keys() == weights.keys() - {buffer}


@pytest.mark.parametrize("tied", [True, False])
def test_what_is_written_loads_with_the_library_as_it_was_trained(
    tmp_path: Path, tied: bool
) -> None:
    start = build_tiny_llama(tmp_path / "start", tied=tied, shards=2)
    policy = load_policy(start)
    with torch.no_grad():
        for weight in policy.parameters():
            weight.add_(0.01)
    output = build_tiny_llama(tmp_path / "output", tied=tied, seed=9, shards=2)
    for file in output.glob("*.safetensors"):
        file.unlink()
    save_weights(policy.state_dict(), start, output, fp32=True)
    again = AutoModelForCausalLM.from_pretrained(output, dtype=torch.float32)
    for name, weight in policy.state_dict().items():
        assert torch.equal(again.state_dict()[name], weight), name


def test_the_head_sees_completion_positions_only(baseline: Path) -> None:
    policy = load_policy(baseline)
    batch = collate([Example(tuple(range(3, 40)), 30), Example(tuple(range(9, 20)), 2)], pad=2)
    predicts, _ = completion_targets(batch.ids, batch.completion)
    with torch.no_grad():
        few = completion_logits(policy, batch, predicts)
        every = policy(input_ids=batch.ids, attention_mask=batch.attention).logits
    assert few.shape == (7 + 9, every.shape[-1])
    torch.testing.assert_close(few, every[predicts], atol=1e-5, rtol=1e-5)


def test_a_tensor_that_no_file_holds_is_refused(tmp_path: Path) -> None:
    folder = build_tiny_llama(tmp_path / "folder")
    weights = load_file(folder / "model.safetensors")
    del weights["model.layers.1.mlp.up_proj.weight"]
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(CheckpointRefused, match=r"1 tensor is missing .*layers\.1\.mlp\.up_proj"):
        load_policy(folder)


def test_a_tensor_of_another_shape_is_refused(tmp_path: Path) -> None:
    folder = build_tiny_llama(tmp_path / "folder")
    weights = load_file(folder / "model.safetensors")
    weights["model.norm.weight"] = torch.ones(3)
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(CheckpointRefused, match=r"model\.norm\.weight is \[3\], config\.json asks"):
        load_policy(folder)


def test_a_tensor_that_the_library_does_not_know_is_refused(tmp_path: Path) -> None:
    folder = build_tiny_llama(tmp_path / "folder")
    weights = load_file(folder / "model.safetensors")
    weights["model.extra.weight"] = torch.zeros(3)
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(NotBuilt, match=r"'model\.extra\.weight' is lost or reshaped"):
        load_policy(folder)


@pytest.mark.parametrize("model_type", ["no-such-model", "bert", "gpt2"])
def test_a_model_that_does_not_load_is_refused(tmp_path: Path, model_type: str) -> None:
    folder = build_tiny_llama(tmp_path / "folder")
    config = folder / "config.json"
    config.write_text(config.read_text().replace('"llama"', f'"{model_type}"'))
    with pytest.raises((CheckpointRefused, NotBuilt)):
        load_policy(folder)


def test_a_missing_tokenizer_is_refused(tmp_path: Path) -> None:
    folder = build_tiny_llama(tmp_path / "folder")
    for file in folder.glob("tokenizer*"):
        file.unlink()
    with pytest.raises(CheckpointRefused, match="holds no tokenizer; save the one of its base"):
        load_tokenizer(folder)


def test_weights_that_do_not_fit_the_stored_dtype_are_not_written(tmp_path: Path) -> None:
    start = build_tiny_llama(tmp_path / "start", dtype=torch.float16)
    policy = load_policy(start)
    with torch.no_grad():
        policy.get_parameter("model.norm.weight").fill_(1e6)
    (tmp_path / "output").mkdir()
    with pytest.raises(RepairImpossible, match=r"'model\.norm\.weight' is not finite in F16"):
        save_weights(policy.state_dict(), start, tmp_path / "output", fp32=False)
