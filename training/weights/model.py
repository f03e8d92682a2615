"""The model that is trained: loaded from local safetensors, written back as it was found.

Weights are kept in fp32 whatever the file holds: a bf16 weight of 0.02 moves in steps of 6e-5, so
an update of the usual size would vanish in it. The arithmetic is bf16 over those weights on a GPU
that has it, and on a CPU where bf16 is measured to be the faster one
(training/devices/precision.py).

The checkpoint that is written has the tensors of the start checkpoint, name by name, in its files
and its dtype. Names that transformers changes on loading are changed back; a model with tensors
that cannot be written back so is refused before any time is spent.
"""

import os
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import Any

import torch
from huggingface_hub.errors import StrictDataclassError
from torch import Tensor, nn
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    PreTrainedTokenizerBase,
    PreTrainedTokenizerFast,
)
from transformers.core_model_loading import revert_weight_conversion

from holdfast.errors import CheckpointRefused, NotBuilt, RepairImpossible
from holdfast.models import tokenizer_file
from holdfast.models.unloadable import Mismatch, Misshapen, explanation
from training.devices.parallel import full_state_dict
from training.devices.precision import trains_in_bf16
from training.rows.batches import Batch
from training.weights.shards import Span, WeightFiles, lay_out, read_weights


def device() -> torch.device:
    """The accelerator if there is one."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def autocast(where: torch.device) -> AbstractContextManager[object]:
    """bf16 arithmetic over fp32 weights where the machine is fast at it, else fp32.

    Weights read from a bf16 file lie on bf16's grid, so the first few updates vanish in the
    forward's rounding until they add up: a run lags two or three steps behind fp32, and takes 0.6
    of its time. What is saved is rounded to the same grid.
    """
    if trains_in_bf16(where):
        return torch.autocast(where.type, dtype=torch.bfloat16)
    return nullcontext()


def load_tokenizer(folder: Path) -> PreTrainedTokenizerBase:
    """The tokenizer of a local checkpoint; its code, if it has any, is never run."""
    tokenizer: PreTrainedTokenizerBase
    tokenizer, _ = tokenizer_file.load_tokenizer(
        folder,
        by_class=AutoTokenizer.from_pretrained,
        by_file=PreTrainedTokenizerFast.from_pretrained,
    )
    return tokenizer


def load_policy(folder: Path) -> nn.Module:
    """The causal language model of a local checkpoint in fp32, on the device, dropout off."""
    spans = read_weights(folder)
    loader: Any = AutoModelForCausalLM  # what it returns depends on `output_loading_info`
    try:
        policy, report = loader.from_pretrained(
            folder,
            dtype=torch.float32,
            local_files_only=True,
            trust_remote_code=False,
            use_safetensors=True,
            ignore_mismatched_sizes=True,  # reported, and refused below with their names
            output_loading_info=True,
        )
    except (OSError, ValueError, TypeError, LookupError, StrictDataclassError) as error:
        raise CheckpointRefused(f"{folder}: its model does not load: {error}") from error
    _check_report(report, spans, policy)
    _check_names(spans, stored_weights(policy), folder)
    loaded: nn.Module = policy.to(device()).eval()
    return loaded


def _check_report(report: Mapping[str, Any], spans: dict[str, Span], policy: Any) -> None:
    """Raise CheckpointRefused if a weight is missing or has another shape than the config asks."""
    mismatch = Mismatch(
        spans,
        missing=report["missing_keys"],
        unexpected=report["unexpected_keys"] if report["missing_keys"] else (),
        misshapen=[Misshapen(name, tuple(a), tuple(b)) for name, a, b in report["mismatched_keys"]],
        vocab_size=policy.config.get_text_config().vocab_size,
    )
    if mismatch:
        raise CheckpointRefused(explanation(mismatch))


def attention_of(policy: nn.Module) -> str:
    """Which implementation of attention the model runs, such as sdpa or eager."""
    return str(getattr(policy.config, "_attn_implementation"))  # noqa: B009  transformers has no public name


def stored_weights(policy: nn.Module) -> dict[str, Tensor]:
    """The model's tensors under the names that the files which it was loaded from give them.

    transformers renames some on loading (`embed_out` of GPT-NeoX) and knows the way back. All
    processes that hold shards of them gather, and the first one gets them.
    """
    state = full_state_dict(policy)
    if not state:
        return state
    stored: dict[str, Tensor] = revert_weight_conversion(policy, state)  # type: ignore[arg-type]  # nn.Module is all that the rest needs
    return stored


def trained_weights(policy: nn.Module) -> list[tuple[str, Tensor]]:
    """The parameters that steps change, by name, without their gradients."""
    named = policy.named_parameters()
    return [(name, weight.detach()) for name, weight in named if weight.requires_grad]


def _check_names(spans: dict[str, Span], state: dict[str, Tensor], folder: Path) -> None:
    """Raise unless file and model hold the same tensors, by name and shape or tied."""
    for name, span in spans.items():
        if name not in state or tuple(state[name].shape) != span.shape:
            raise NotBuilt(
                f"{folder}: tensor {name!r} is lost or reshaped when transformers loads it; "
                "this version trains only models that it can write back tensor by tensor"
            )
    loaded = {state[name].data_ptr() for name in spans}
    if invented := [name for name in state if state[name].data_ptr() not in loaded]:
        raise CheckpointRefused(
            f"{folder}: tensor {invented[0]!r} is in no weight file and would be random; "
            "save the whole model"
        )


def completion_logits(policy: nn.Module, batch: Batch, predicts: Tensor) -> Tensor:
    """Logits [N, V] at the N true positions of `predicts` [B, T], and nowhere else.

    The head sees those positions only, which saves most of its work; whatever the model does to
    logits after its head (scaling, soft caps) is done as ever.
    """
    with head_sees(policy, predicts):
        logits: Tensor = policy(
            input_ids=batch.ids, attention_mask=batch.attention, use_cache=False
        ).logits
    return logits


@contextmanager
def head_sees(policy: nn.Module, positions: Tensor | tuple[Tensor, Tensor]) -> Iterator[None]:
    """Show the head some positions of its input: a mask [B, T], or rows [N] and columns [N]."""
    head = policy.get_output_embeddings()  # type: ignore[operator]
    hook = head.register_forward_pre_hook(lambda _, inputs: (inputs[0][positions],))
    try:
        yield
    finally:
        hook.remove()


def save_weights(state: Mapping[str, Tensor], start: Path, folder: Path, *, fp32: bool) -> None:
    """Write a policy's tensors into `folder` under the names, files and dtypes of `start`."""
    placed = lay_out(read_weights(start), folder, fp32=fp32)
    with WeightFiles.open_files(folder, placed, os.O_WRONLY) as files:
        for name, span in placed.items():
            tensor = state[name].detach().cpu()
            if span.floating is not None:
                tensor = tensor.to(span.floating)
                if not torch.isfinite(tensor).all():
                    raise RepairImpossible(
                        f"tensor {name!r} is not finite in {span.dtype} and nothing is written; "
                        "check the start checkpoint's weights, or store fp32"
                    )
            files.write(span, 0, tensor.contiguous())
