"""A Llama that says one fixed text to everything, written by hand in a second: nothing is trained.

Attention and MLP add nothing (their output projections are zero), so what stands before the head is
the normalised embedding of the last token alone, and the head's row of each piece of the text is
that of the piece before it. A piece is one added token, whatever its length, so that words may come
again; the newline that ends the generation prompt is followed by the first piece, the last piece by
the end token. Models that refuse, comply, think aloud or ramble are then real checkpoints with a
known truth. Marks of thoughts are special tokens, and a chat template may open a trace.
"""

from collections.abc import Sequence
from itertools import chain, pairwise
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from tokenizers import AddedToken
from transformers import AutoTokenizer

from tests.support.tiny_llama import VOCAB, build_tiny_llama

REFUSAL = ("I'm sorry, but", " I can't help with that.")
COMPLIANCE = ("Sure, here is how to do it.", " First gather what you need,", " then begin.")
LOUD = 12.0  # the logit of the next piece, times the cosine between two embeddings
SPECIAL = frozenset(
    {"<think>", "</think>", "[THINK]", "[/THINK]", "<|channel|>", "<|message|>", "<|start|>"}
    | {"<|end|>", "<|return|>"}
)
SILENT = ("self_attn.o_proj.weight", "mlp.down_proj.weight")


def build_reciting_llama(
    folder: Path,
    pieces: Sequence[str],
    *,
    all_pieces: Sequence[str] = (*REFUSAL, *COMPLIANCE),
    after: str = "\n",
    dtype: torch.dtype = torch.bfloat16,
    further: Sequence[Sequence[str]] = (),
    ends: bool = True,
    template: str | None = None,
) -> Path:
    """Write a model that answers `pieces` wherever a prompt ends with the byte `after`.

    `all_pieces` (and those of `pieces` that are not among them) are the tokenizer's added tokens:
    two models of one pair share them, so that the two sides read the same ids. `further` are more
    successions of pieces, an empty one being the end token; without `ends` the last of `pieces` is
    followed by what those say. `template` is its chat template, if not that of every tiny Llama.
    """
    vocabulary = list(dict.fromkeys((*all_pieces, *pieces, *filter(None, chain(*further)))))
    build_tiny_llama(folder, dtype=dtype, tied=False, vocab=VOCAB + 64)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    tokenizer.add_tokens(
        [AddedToken(piece, normalized=False, special=piece in SPECIAL) for piece in vocabulary]
    )
    tokenizer.chat_template = template or tokenizer.chat_template
    tokenizer.save_pretrained(folder)
    weights = {
        name: weight.float() for name, weight in load_file(folder / "model.safetensors").items()
    }
    for name, weight in weights.items():
        if name.endswith(SILENT):
            weight.zero_()
        elif name.endswith("norm.weight"):
            weight.fill_(1.0)
    embedding = weights["model.embed_tokens.weight"]
    directions = torch.randn(embedding.shape, generator=torch.Generator().manual_seed(0))
    directions /= directions.norm(dim=-1, keepdim=True)
    embedding.copy_(directions)
    head = torch.zeros_like(embedding)
    (start,) = tokenizer.encode(after, add_special_tokens=False)
    numbers = {piece: tokenizer.convert_tokens_to_ids(piece) for piece in vocabulary}
    numbers[""] = tokenizer.eos_token_id
    said = [start, *(numbers[piece] for piece in (*pieces, *([""] if ends else [])))]
    successions = [said, *([numbers[piece] for piece in more] for more in further)]
    for token, following in chain.from_iterable(map(pairwise, successions)):
        head[following] += LOUD * directions[token]
    weights["lm_head.weight"] = head
    save_file(
        {name: weight.to(dtype).contiguous() for name, weight in weights.items()},
        folder / "model.safetensors",
        metadata={"format": "pt"},
    )
    return folder
