"""Why a checkpoint's tensors are not those of its architecture, and the command that mends it.

A loader fills what a file lacks with random numbers and goes on, so names and shapes are compared
before anything is loaded. The comparison needs a model library and is made where one is loaded;
what it means is told here, from names and shapes alone.
"""

import re
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

SHOWN = 3
NUMBER = re.compile(r"(?<=\.)\d+(?=\.)")
LAYER = re.compile(r"\.(?:layers|h|blocks)\.(\d+)\.")
ADAPTER_PARTS = (".lora_A.", ".lora_B.", ".lora_embedding_A", ".base_layer.", ".modules_to_save.")

WRAPPERS = {
    "_orig_mod.": "torch.compile wrapped the model",
    "_fsdp_wrapped_module.": "FSDP wrapped the model",
    "_checkpoint_wrapped_module.": "activation checkpointing wrapped the layers",
    "module.": "DataParallel or DDP wrapped the model",
    "base_model.model.": "peft wrapped the model",
    "language_model.": "this is the text part of a larger model, under that model's names",
}

RENAME = (
    """python -c "import pathlib; from safetensors.torch import load_file, save_file; """
    """files = list(pathlib.Path('.').glob('*.safetensors')); """
    """[save_file({{k.replace('{old}', '{new}', 1): v for k, v in load_file(f).items()}}, """
    """str(f) + '.new', {{'format': 'pt'}}) for f in files]; """
    """[pathlib.Path(str(f) + '.new').replace(f) for f in files]; """
    """[f.write_text(f.read_text().replace('{old}', '{new}')) for f in """
    """pathlib.Path('.').glob('*.index.json')]\""""
)


@dataclass(frozen=True, slots=True)
class Misshapen:
    """One tensor whose shape in the file is not the one that the config asks for."""

    name: str
    in_file: tuple[int, ...]
    expected: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Mismatch:
    """Where a file and its architecture differ; `names` are all names of the file.

    `embedding` and `head` are the names of the model's first layer and of its last.
    """

    names: Collection[str]
    missing: Collection[str] = ()
    unexpected: Collection[str] = ()
    misshapen: Collection[Misshapen] = ()
    head: str | None = None
    embedding: str | None = None
    vocab_size: int | None = None

    def __bool__(self) -> bool:
        """Whether there is any difference."""
        return bool(self.missing or self.unexpected or self.misshapen)


def explanation(mismatch: Mismatch) -> str:
    """The difference, its probable cause, and how to mend it, in one sentence."""
    return f"{'; '.join(_differences(mismatch))}; {_cause(mismatch)}"


def _differences(mismatch: Mismatch) -> Iterator[str]:
    if mismatch.missing:
        many = _count(len(mismatch.missing), "tensor is", "tensors are")
        yield f"{many} missing and would be random ({first_names(mismatch.missing)})"
    if mismatch.misshapen:
        wrong = sorted(mismatch.misshapen, key=lambda tensor: tensor.name)
        first = (
            f"{tensor.name} is {list(tensor.in_file)}, config.json asks for {list(tensor.expected)}"
            for tensor in wrong[:SHOWN]
        )
        many = _count(len(wrong), "tensor has", "tensors have")
        yield f"{many} another shape ({', '.join(first)})"
    if mismatch.unexpected:
        many = _count(len(mismatch.unexpected), "tensor has", "tensors have")
        yield f"{many} no place in this architecture ({first_names(mismatch.unexpected)})"


def _cause(mismatch: Mismatch) -> str:
    """The probable cause of a mismatch, the surest sign first."""
    for cause in CAUSES:
        if reason := cause(mismatch):
            return reason
    if mismatch.missing and not mismatch.unexpected and not mismatch.misshapen:
        return (
            "probably the save was interrupted or filtered: save the whole model again with "
            "save_pretrained"
        )
    return (
        "probably config.json is another model's: copy the one that was saved with these weights, "
        "or save the model again with save_pretrained"
    )


def _adapter(mismatch: Mismatch) -> str | None:
    if not any(part in name for name in mismatch.unexpected for part in ADAPTER_PARTS):
        return None
    return (
        "probably an adapter was not merged before the save: save "
        "model.merge_and_unload().save_pretrained(FOLDER), or give the base's folder and the "
        "adapter's own as its `adapter`"
    )


def _partitioned(mismatch: Mismatch) -> str | None:
    """DeepSpeed's ZeRO-3 leaves empty tensors where the weights are spread over processes."""
    if not any(0 in tensor.in_file for tensor in mismatch.misshapen):
        return None
    return (
        "probably DeepSpeed ZeRO-3 saved empty partitions: write the weights with its "
        "`python zero_to_fp32.py . . --safe_serialization`, or train with "
        "stage3_gather_16bit_weights_on_model_save"
    )


def _wrapped(mismatch: Mismatch) -> str | None:
    part = _extra_part(mismatch)
    if part is None:
        return None
    why = next((why for ending, why in WRAPPERS.items() if part.endswith(ending)), None)
    reason = f"probably {why}, which put" if why else "something put"
    return f"{reason} {part!r} into the names: in its folder run {RENAME.format(old=part, new='')}"


def _extra_part(mismatch: Mismatch) -> str | None:
    """The part that has to be removed from unexpected names to get the missing names."""
    missing = set(mismatch.missing)
    parts = [part for part in WRAPPERS if any(part in name for name in mismatch.unexpected)]
    for part in [*parts, *_beginnings(mismatch.unexpected)]:
        if any(name.replace(part, "", 1) in missing for name in mismatch.unexpected):
            return part
    return None


def _beginnings(names: Collection[str]) -> list[str]:
    """Every dotted beginning that all of the names share, the shortest first."""
    words = [name.split(".")[:-1] for name in names]
    shared: list[str] = []
    for level in zip(*words, strict=False):
        if len(set(level)) > 1:
            break
        shared.append((shared[-1] if shared else "") + level[0] + ".")
    return shared


def _tied(mismatch: Mismatch) -> str | None:
    if set(mismatch.missing) != {mismatch.head} or mismatch.unexpected or mismatch.misshapen:
        return None
    return (
        "probably the model was saved with its head tied to its embedding: set "
        '"tie_word_embeddings": true in config.json if it was trained so, else save it again '
        "with its head"
    )


def _tied_the_other_way(mismatch: Mismatch) -> str | None:
    """A writer that keeps one of two shared tensors may keep the one that loaders do not read."""
    if set(mismatch.missing) != {mismatch.embedding} or mismatch.head not in mismatch.names:
        return None
    command = RENAME.format(old=mismatch.head, new=mismatch.embedding)
    return f"the embedding was saved under its head's name: in its folder run {command}"


def _vocabulary(mismatch: Mismatch) -> str | None:
    """Only rows differ, all of them are the config's vocabulary, and the file agrees on another."""
    if mismatch.missing or mismatch.unexpected or not mismatch.misshapen:
        return None
    rows = {tensor.in_file[0] for tensor in mismatch.misshapen if tensor.in_file}
    wanted = {tensor.expected[0] for tensor in mismatch.misshapen if tensor.expected}
    if len(rows) != 1 or wanted != {mismatch.vocab_size}:
        return None
    return (
        f'probably tokens were added without saving the config: set "vocab_size": {min(rows)} '
        "in config.json"
    )


def _layers(mismatch: Mismatch) -> str | None:
    """Whole layers that only one of file and config knows."""
    for names, state in ((mismatch.missing, "fewer"), (mismatch.unexpected, "more")):
        numbers = {int(match[1]) for name in names if (match := LAYER.search(name))}
        others = {
            int(match[1])
            for name in set(mismatch.names) - set(names)
            if (match := LAYER.search(name))
        }
        if numbers and len(numbers) < len(names) and min(numbers) > max(others, default=-1):
            return (
                f"the file holds {state} layers than config.json names: correct num_hidden_layers "
                "if the model was cut on purpose, else save it again"
            )
    return None


CAUSES = (_adapter, _partitioned, _wrapped, _tied, _tied_the_other_way, _vocabulary, _layers)


def gaps(names: Collection[str]) -> list[str]:
    """Names that a regular numbering lacks: of tensors that stand side by side in every layer.

    Experts and layers repeat the same tensors under other numbers; where one of those stands in
    most of them, it is expected in all.
    """
    places: dict[str, set[tuple[str, ...]]] = {}
    for name in names:
        places.setdefault(NUMBER.sub("*", name), set()).add(tuple(NUMBER.findall(name)))
    lacking = []
    for pattern, have in places.items():
        parent = _parent(pattern)
        siblings = [other for name, other in places.items() if _parent(name) == parent]
        fullest = max(siblings, key=len)
        if have < fullest and 2 * len(have) > len(fullest):
            lacking += [_fill_numbers(pattern, numbers) for numbers in sorted(fullest - have)]
    return sorted(lacking)


def odd_shapes(shapes: Mapping[str, tuple[int, ...]]) -> list[Misshapen]:
    """Tensors that have another shape than most of those of the same name in other places."""
    places: dict[str, dict[str, tuple[int, ...]]] = {}
    for name, shape in shapes.items():
        places.setdefault(NUMBER.sub("*", name), {})[name] = shape
    odd = []
    for same in places.values():
        usual, _ = Counter(same.values()).most_common(1)[0]
        odd += [Misshapen(name, shape, usual) for name, shape in same.items() if shape != usual]
    return odd


def _parent(pattern: str) -> str:
    """A tensor's name up to its last number."""
    return pattern.rpartition(".*.")[0]


def _fill_numbers(pattern: str, numbers: tuple[str, ...]) -> str:
    rest = iter(numbers)
    return re.sub(r"(?<=\.)\*(?=\.)", lambda _: next(rest), pattern)


def _count(n: int, singular: str, plural: str) -> str:
    return f"{n} {singular if n == 1 else plural}"


def first_names(names: Collection[str]) -> str:
    """The first few names, sorted."""
    more = ", …" if len(names) > SHOWN else ""
    return ", ".join(sorted(names)[:SHOWN]) + more
