"""Which files a model's weights are loaded from, and what is wrong where that cannot be told.

Loaders choose among weight files in different ways: with an index beside a `model.safetensors` that
it does not name, as saving over an older checkpoint leaves it, one takes the index and another the
file. So there may be nothing to choose between.
"""

import re
import shlex
from collections.abc import Collection, Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any

from holdfast.checkpoints.admission import AdmittedFolder, shards_of
from holdfast.checkpoints.json_files import MAX_JSON_BYTES, abridged, parse_json
from holdfast.checkpoints.model_files import INDEX, WEIGHTS, is_weights
from holdfast.errors import CheckpointRefused
from holdfast.plain_files import read_plain

SHARD = re.compile(r"model-\d{5}-of-\d{5}\.safetensors")
CONVERT = (
    'python -c "import sys; from transformers import AutoModelForCausalLM, AutoTokenizer; '
    "[it.from_pretrained(sys.argv[1]).save_pretrained(sys.argv[2]) "
    'for it in (AutoModelForCausalLM, AutoTokenizer)]" {folder} NEW'
)
ELSEWHERE: tuple[tuple[re.Pattern[str], str], ...] = (  # other forms, and what to do
    (SHARD, f"its {INDEX} is missing, so it is still being written or incomplete"),
    (re.compile(r"pytorch_model_fsdp_\d+/"), "`accelerate merge-weights` makes safetensors of it"),
    (re.compile(r"global_step\d+/"), "`python zero_to_fp32.py . NEW --safe_serialization` does"),
    (re.compile(r".*\.(bin|pt|pth|ckpt|pkl)"), f"a pickle can run code; convert it with {CONVERT}"),
    (re.compile(r".*\.safetensors"), f"expected {WEIGHTS}, or shards with an index"),
    (re.compile(r".*\.(gguf|onnx|h5|msgpack)"), "give the folder that it was made from"),
)
NOT_WEIGHTS = frozenset({"training_args.bin", "optimizer.bin", "optimizer.pt", "scheduler.pt"})


def check_weights(folder: AdmittedFolder) -> Iterator[str]:
    """A sentence about everything that keeps the weights from being told."""
    if INDEX in folder.findings:
        return
    if INDEX in folder.files:
        yield from _check_index(folder, folder.files[INDEX].content)
    elif WEIGHTS in folder.files:
        if shards := [name for name in folder.ignored if SHARD.fullmatch(name)]:
            yield (
                f"{WEIGHTS} lies beside {_first_names(shards)}, and no {INDEX} says which of them "
                "is the model; keep exactly the files that belong to it"
            )
    elif WEIGHTS not in folder.findings:
        yield f"no .safetensors weights; {_other_weights(folder)}"


def _other_weights(folder: AdmittedFolder) -> str:
    for pattern, advice in ELSEWHERE:
        names = [n for n in folder.ignored if pattern.fullmatch(n) and n not in NOT_WEIGHTS]
        if names:
            path = shlex.quote(str(folder.path))
            return f"found {_first_names(names)}: {advice.format(folder=path)}"
    return "save the model with safetensors"


def shards_in(index: Path) -> set[str]:
    """The weight files that an index of a user's own folder names; none where there is no index."""
    try:
        raw = read_plain(index, MAX_JSON_BYTES, CheckpointRefused)
        return shards_of(parse_json(raw, str(index)))
    except (OSError, CheckpointRefused):
        return set()


def _check_index(folder: AdmittedFolder, index: Any) -> Iterator[str]:
    weight_map = index.get("weight_map") if isinstance(index, dict) else None
    if not isinstance(weight_map, dict) or not weight_map:
        yield f"{INDEX}: no weight_map of tensor names to files; save again"
        return
    for name, shard in weight_map.items():
        if not isinstance(shard, str) or "/" in shard or not is_weights(shard):
            yield (
                f"{INDEX}: tensor {abridged(name)} is said to be in {abridged(shard)}, "
                "expected the name of a .safetensors file beside it"
            )
            return
    if WEIGHTS in folder.ignored:
        yield (
            f"{WEIGHTS} lies beside {INDEX}, which does not name it, and libraries differ on which "
            "of them they load; remove the one that is not the model"
        )
    yield from _check_shards(folder, weight_map)


def _check_shards(folder: AdmittedFolder, weight_map: Mapping[str, str]) -> Iterator[str]:
    shards: dict[str, set[str]] = {}
    for name, shard in weight_map.items():
        shards.setdefault(shard, set()).add(name)
    missing = [shard for shard in sorted(shards) if shard not in folder.files | folder.findings]
    if missing:
        yield (
            f"{INDEX} names {_first_names(missing)}, which {'is' if len(missing) == 1 else 'are'} "
            "missing, so the checkpoint is still being written or incomplete; submit it when it is "
            "done, or copy it again"
        )
    for shard, names in shards.items():
        file = folder.files.get(shard)
        if file is not None and file.tensors is not None and names != file.tensors.keys():
            odd = _first_names(sorted(names ^ file.tensors.keys()), quoted=True)
            yield f"{shard}: tensor {odd} stands in only one of index and file; save again"


def _first_names(names: Collection[str], *, quoted: bool = False) -> str:
    """The first few of the names."""
    first = [abridged(name) if quoted else f"{name:.80}" for name in islice(names, 3)]
    more = len(names) - len(first)
    return ", ".join(first) + (f" and {more} more" if more else "")
