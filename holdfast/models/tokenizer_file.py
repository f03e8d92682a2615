"""Which tokenizer a checkpoint has: the one of its tokenizer.json, whatever class its config names.

transformers builds the class that `tokenizer_class` names from the file's vocabulary, with that
class's own rules for spaces and newlines: a byte-level file under a Llama class loses every one of
them, and nothing is said. What was trained is what the file says, so the file is loaded as it
stands, and where the class would have read a text otherwise, that is noted. Engines and training
bring the loaders; this module loads no model library.
"""

import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from holdfast.checkpoints.model_files import PARTS
from holdfast.errors import CheckpointRefused

TOKENIZER = "tokenizer.json"
NAMED = ("bos_token", "eos_token", "pad_token", "unk_token")
PROBE = (
    " Explain how\nto  make\ttea, step by step.\n\n1. It's 3:07 pm; 12345 + 678 = ?\r\n"
    "    def f(x):\n        return x[0]  # na\u00efve \u00e9t\u00e9 \u6c34 \U0001f375\nEND "
)

Loader = Callable[..., Any]  # of a folder, as `from_pretrained` is


def load_tokenizer(folder: Path, *, by_class: Loader, by_file: Loader) -> tuple[Any, str | None]:
    """The tokenizer, and in one sentence where its class would have read otherwise.

    `by_class` obeys tokenizer_class, `by_file` reads tokenizer.json alone; both take the special
    tokens and the chat template from tokenizer_config.json.
    """
    if not (folder / TOKENIZER).is_file():
        return _load_tokenizer(folder, by_class), None
    tokenizer = _load_tokenizer(folder, by_file)
    try:
        of_class = _load_tokenizer(folder, by_class)
    except CheckpointRefused:
        return tokenizer, None  # a class that is not there says nothing about the file
    for name in NAMED:  # some published configs leave them to the class
        token = getattr(of_class, name)
        if getattr(tokenizer, name) is None and token in tokenizer.get_vocab():
            setattr(tokenizer, name, token)
    return tokenizer, _difference(tokenizer, of_class)


def reads_alike(first: Any, second: Any) -> bool:
    """Whether two tokenizers turn a text of all sorts into the same ids, and back."""
    ids = first(PROBE)["input_ids"]
    return bool(ids == second(PROBE)["input_ids"] and first.decode(ids) == second.decode(ids))


def embedded_tokens(folder: Path) -> int:
    """How many tokens the model of this folder has an embedding of."""
    file = folder / "config.json"
    config = json.loads(file.read_bytes()) if file.is_file() else {}
    size = config.get("vocab_size") or config.get("text_config", {}).get("vocab_size")
    if not isinstance(size, int):
        raise CheckpointRefused(f"{file} gives no vocab_size; save the model again")
    return size


def refuse_unknown_tokens(ids: Iterable[int], embedded: int) -> None:
    """Raise CheckpointRefused where a text becomes a token that the model has no embedding of."""
    if (highest := max(ids, default=0)) >= embedded:
        raise CheckpointRefused(
            f"the tokenizer makes token {highest} of a text, and the model embeds {embedded} "
            "tokens; give the tokenizer that the model was trained with"
        )


def _difference(tokenizer: Any, of_class: Any) -> str | None:
    if reads_alike(tokenizer, of_class):
        return None
    return (
        f"tokenizer_class {type(of_class).__name__} reads text otherwise than {TOKENIZER} does; "
        f"{TOKENIZER} is what counts"
    )


def _load_tokenizer(folder: Path, load: Loader) -> Any:
    if not any(next(folder.glob(name), None) for name in PARTS["tokenizer"]):
        raise CheckpointRefused(
            f"{folder} holds no tokenizer; save the one of its base beside the weights "
            "(tokenizer.save_pretrained), or give it to the Trainer as processing_class"
        )
    try:
        return load(folder, local_files_only=True, trust_remote_code=False)
    except Exception as error:  # the tokenizers library raises nothing narrower
        raise CheckpointRefused(f"{folder}: its tokenizer does not load: {error}") from error
