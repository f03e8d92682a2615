"""The trusted baseline's log-probabilities of every pair, computed once and kept.

The file is named after what changes them for all pairs: the baseline's content (weights, adapter,
config), the arithmetic and the attention, the versions of what computes. Inside, a pair is known by
its tokens, which say all of tokenizer, template, max_length and the texts. So nothing that would
give another value can find an old one, and no text is kept.
"""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path

import torch
import transformers
from torch import Tensor, nn

from holdfast.checkpoints.checkpoint import admit
from holdfast.checkpoints.view_paths import digest_of_view
from holdfast.errors import InvalidPlan, InvalidTaskData
from training.devices.precision import trains_in_bf16
from training.devices.processes import rank
from training.passes.preference import PAIRS, Contest, pair_logprobs, pair_parts
from training.weights.model import attention_of
from training.weights.output import atomic_file


def reference_logprobs(
    reference: nn.Module, contests: Sequence[Contest], pad: int, cache: Path | None
) -> Tensor:
    """The reference's summed log-probabilities in nats, [P, 2] fp32 on the CPU, chosen first.

    `cache` is a file (see `cache_file`); what it lacks is computed and added to it.
    Raises InvalidTaskData if it is damaged.
    """
    cached = {} if cache is None or not cache.exists() else _read(cache)
    keys = [contest_key(contest) for contest in contests]
    missing = {
        key: contest for key, contest in zip(keys, contests, strict=True) if key not in cached
    }
    if missing:
        cached |= _compute(reference, missing, pad)
        if cache is not None and rank() == 0:
            _write(cache, cached)
    return torch.tensor([cached[key] for key in keys], dtype=torch.float32)


def cache_file(folder: Path, checkpoint: Path, reference: nn.Module) -> Path:
    """The cache file for this checkpoint's log-probabilities, as computed on this machine.

    Raises InvalidPlan where `folder` is a file, before anything is computed for it.
    """
    if folder.exists() and not folder.is_dir():
        raise InvalidPlan(f"reference_cache {folder} is no folder; name one, or a new place")
    where = next(reference.parameters()).device
    parts = [
        digest_of_view(checkpoint) or admit(str(checkpoint), [checkpoint.resolve().parent]).digest,
        where.type,
        "bf16" if trains_in_bf16(where) else "fp32",
        attention_of(reference),
        torch.__version__,
        transformers.__version__,
    ]
    return folder / f"{hashlib.sha256(json.dumps(parts).encode()).hexdigest()}.json"


def contest_key(contest: Contest) -> str:
    """SHA-256 in hex of the tokens of prompt and answers."""
    parts = [contest.prompt, contest.chosen, contest.rejected]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def _compute(reference: nn.Module, missing: dict[str, Contest], pad: int) -> dict[str, list[float]]:
    keys, contests = list(missing), list(missing.values())
    computed: dict[str, list[float]] = {}
    with torch.no_grad():
        for places in pair_parts(contests, PAIRS):
            sums = pair_logprobs(reference, [contests[place] for place in places], pad)
            computed |= {keys[place]: row for place, row in zip(places, sums.tolist(), strict=True)}
    return computed


def _read(cache: Path) -> dict[str, list[float]]:
    try:
        cached: dict[str, list[float]] = json.loads(cache.read_text())
    except ValueError as error:
        raise InvalidTaskData(f"{cache} is damaged ({error}); remove it") from error
    return cached


def _write(cache: Path, log_probs: dict[str, list[float]]) -> None:
    with atomic_file(cache) as partial:
        partial.write_text(json.dumps(log_probs))
