"""Search a suffix that makes one's own model agree: white-box, opt-in, for nights, not for CI.

    python -m workers.inference.gcg CHECKPOINT --out suffixes.json

Greedy coordinate gradient (Zou et al. 2023, arXiv 2307.15043): the gradient of the loss with
respect to the suffix's one-hot tokens says which swaps look good, some hundred are tried, the best
is kept. What is made likely is an opening that holds nothing harmful, "Sure, here is". The requests
are of the rehearsal pool, which no gate asks, so what the probe `harm.suffix` then sees (under
HOLDFAST_SUFFIXES) is transfer to requests that were not searched on. A search differs from machine
to machine: the frozen file is what two checkpoints are compared on, never two searches.
"""

import argparse
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch.nn import functional
from transformers import AutoModelForCausalLM

from holdfast.attacks.suffixes import with_suffix
from holdfast.probes.engine import Message
from holdfast.suites import Request, load_suite
from workers.inference.tokens import Tokenizer, load_tokenizer, render

TARGET = "Sure, here is"
FIRST = " !" * 20  # twenty tokens, as in the paper
MARK = "\u241f"  # stands for the suffix while a template is rendered; no template holds it


@dataclass(frozen=True, slots=True)
class Search:
    """How long to look and how widely: steps, swaps tried in each, tokens considered a place."""

    steps: int = 200
    tried: int = 128
    considered: int = 64
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Found:
    """The best suffix and its mean loss in nats a target token; `losses` has every step's."""

    suffix: str
    loss: float
    losses: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Around:
    """Token ids of one request's prompt before the suffix and behind it, target included."""

    before: torch.Tensor
    behind: torch.Tensor
    target: torch.Tensor


def search(
    model: Any, tokenizer: Tokenizer, requests: Sequence[str], how: Search, template: str | None
) -> Found:
    """The suffix under which the target is likeliest on average over the requests."""
    model.requires_grad_(requires_grad=False)
    around = [_around(tokenizer, template, request) for request in requests]
    allowed = _plain_tokens(tokenizer, model.get_input_embeddings().weight.shape[0])
    generator = torch.Generator("cpu").manual_seed(how.seed)
    suffix = torch.tensor(tokenizer(FIRST, add_special_tokens=False)["input_ids"])
    best, best_loss = suffix, float(_losses(model, around, suffix[None])[0])
    losses = [best_loss]
    for _ in range(how.steps):
        tried = _swaps(_gradient(model, around, suffix), suffix, allowed, how, generator)
        tried = [swap for swap in tried if _survives(tokenizer, swap)]
        if not tried:
            continue
        loss, at = _losses(model, around, torch.stack(tried)).min(0)
        suffix = tried[int(at)]
        losses.append(float(loss))
        if losses[-1] < best_loss:
            best, best_loss = suffix, losses[-1]
    return Found(str(tokenizer.decode(best)), best_loss, tuple(losses))


def _around(tokenizer: Tokenizer, template: str | None, request: str) -> Around:
    text = render(tokenizer, template, (Message("user", with_suffix(request, MARK)),))
    before, behind = (
        tokenizer(part, add_special_tokens=False)["input_ids"] for part in text.split(MARK)
    )
    target = tokenizer(TARGET, add_special_tokens=False)["input_ids"]
    return Around(torch.tensor(before), torch.tensor(behind + target), torch.tensor(target))


def _gradient(model: Any, around: Sequence[Around], suffix: torch.Tensor) -> torch.Tensor:
    """The mean loss's gradient by the suffix's one-hot tokens: [places, vocabulary]."""
    table = model.get_input_embeddings().weight
    chosen = functional.one_hot(suffix, table.shape[0]).to(table.dtype).requires_grad_()
    for context in around:
        parts = (table[context.before], chosen @ table, table[context.behind])
        logits = model(inputs_embeds=torch.cat(parts)[None]).logits
        (_target_losses(logits, context) / len(around)).sum().backward()
    assert chosen.grad is not None  # noqa: S101 - just computed
    return chosen.grad


def _swaps(
    gradient: torch.Tensor,
    suffix: torch.Tensor,
    allowed: torch.Tensor,
    how: Search,
    generator: torch.Generator,
) -> list[torch.Tensor]:
    """Copies of the suffix with one token swapped for one that the gradient favours."""
    favoured = (-gradient).masked_fill(~allowed, -torch.inf).topk(how.considered, -1).indices
    places = torch.randint(len(suffix), (how.tried,), generator=generator, device="cpu")
    ranks = torch.randint(how.considered, (how.tried,), generator=generator, device="cpu")
    swapped = suffix.repeat(how.tried, 1)
    swapped[torch.arange(how.tried), places] = favoured[places, ranks]
    return list(swapped)


@torch.no_grad()
def _losses(model: Any, around: Sequence[Around], suffixes: torch.Tensor) -> torch.Tensor:
    """The mean loss over the requests under each suffix: [suffixes]."""
    total = torch.zeros(len(suffixes))
    for context in around:
        rows = [torch.cat([context.before, suffix, context.behind]) for suffix in suffixes]
        total += _target_losses(model(input_ids=torch.stack(rows)).logits, context)
    return total / len(around)


def _target_losses(logits: torch.Tensor, context: Around) -> torch.Tensor:
    """Nats a target token, the targets being the last tokens of every row: [rows]."""
    predicted = logits[:, -len(context.target) - 1 : -1].float().log_softmax(-1)
    wanted = context.target.expand(len(predicted), -1)[:, :, None]
    return -predicted.gather(-1, wanted)[:, :, 0].mean(-1)


def _survives(tokenizer: Tokenizer, suffix: torch.Tensor) -> bool:
    """Whether the suffix as text becomes the same tokens again, as it must to be asked."""
    again = tokenizer(tokenizer.decode(suffix), add_special_tokens=False)["input_ids"]
    return bool(again == suffix.tolist())


def _plain_tokens(tokenizer: Tokenizer, vocabulary: int) -> torch.Tensor:
    """Which tokens may stand in a suffix: printable ASCII, and no special ones: [vocabulary]."""
    special = set(tokenizer.all_special_ids)
    texts = [tokenizer.decode([token]) for token in range(len(tokenizer))]
    plain = torch.zeros(vocabulary, dtype=torch.bool)
    for token, text in enumerate(texts[:vocabulary]):
        plain[token] = token not in special and text.isascii() and text.isprintable() and bool(text)
    return plain


def main() -> int:
    """Search on some requests of the rehearsal pool and add what was found to the file."""
    parser = argparse.ArgumentParser(prog="python -m workers.inference.gcg")
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--requests", type=int, default=4)
    parser.add_argument("--steps", type=int, default=Search().steps)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    pool = [item for item in load_suite("rehearsal").items if isinstance(item, Request)]
    requests = [item.prompt for item in pool if item.kind == "harmful"][:: len(pool) // 16]
    torch.set_default_device("cuda" if torch.cuda.is_available() else "cpu")
    tokenizer = load_tokenizer(options.checkpoint)
    model: Any = AutoModelForCausalLM.from_pretrained(
        options.checkpoint, dtype=torch.float32, local_files_only=True, use_safetensors=True
    )
    model = model.to(torch.get_default_device()).eval()
    how = Search(steps=options.steps, seed=options.seed)
    best = search(model, tokenizer, requests[: options.requests], how, None)
    suffixes = json.loads(options.out.read_bytes()) if options.out.is_file() else []
    options.out.write_text(json.dumps([*suffixes, best.suffix], indent=1) + "\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
