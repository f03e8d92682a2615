"""Check that two checkpoints give each token the same number.

Weights of equal shapes may stand for vocabularies in another order. Averaged, or held against one
another token by token, they make noise that no shape gives away. A token that only one of the two
has is no contradiction: vocabularies grow into the room that their embeddings leave.
"""

from pathlib import Path
from typing import Any

from holdfast.errors import CheckpointRefused
from training.weights.shards import read_object

TOKENIZER = "tokenizer.json"


def refuse_another_vocabulary(baseline: Path, candidate: Path) -> None:
    """Raise CheckpointRefused if a number is one token here and another one there.

    Nothing is said of checkpoints that bring no tokenizer.json.
    """
    files = [folder / TOKENIZER for folder in (baseline, candidate)]
    if not all(file.is_file() for file in files):
        return
    if files[0].read_bytes() == files[1].read_bytes():
        return
    ours, theirs = (tokens_by_number(read_object(file)) for file in files)
    for number in sorted(ours.keys() & theirs.keys()):
        if ours[number] != theirs[number]:
            raise CheckpointRefused(
                f"token {number} is {ours[number]!r} in the baseline's vocabulary and "
                f"{theirs[number]!r} in the candidate's; give two checkpoints of one model"
            )


def tokens_by_number(tokenizer: dict[str, Any]) -> dict[int, str]:
    """Every token of a tokenizer.json; a vocabulary is a map to numbers, or a list in order."""
    vocabulary = tokenizer.get("model", {}).get("vocab", {})
    if isinstance(vocabulary, dict):
        tokens = {number: token for token, number in vocabulary.items()}
    else:
        tokens = {number: token for number, (token, *_) in enumerate(vocabulary)}
    return tokens | {added["id"]: added["content"] for added in tokenizer.get("added_tokens", [])}
