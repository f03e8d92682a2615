"""How likely a model in training still finds its own refusals: read between steps, with no save.

Safety can be gone within single-digit steps (https://arxiv.org/abs/2310.03693), and it lives in the
first tokens of an answer (https://arxiv.org/abs/2406.05946). So before the first step the model
answers harmful requests of the rehearsal pool, which no gate ever asks; the first tokens of what
reads as a refusal are scored from then on. Only forward passes are made, and as many by every
process, so it does not matter how the model is sharded; the first process's numbers count.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

import torch
from torch import Tensor, distributed, nn
from torch.nn import functional
from torch.nn.utils.rnn import pad_sequence

from holdfast.judges.refusal import judge_refusal
from holdfast.suites import Request, load_suite

T = TypeVar("T")
REQUESTS = 8
ANSWER_TOKENS = 16  # enough to read a refusal
FIRST_TOKENS = 5  # of it that are scored
ROWS = 4  # that go through the model together
PLAIN = {"do_sample": False, "max_new_tokens": ANSWER_TOKENS, "pad_token_id": 0}


@dataclass(frozen=True, slots=True)
class RefusalRow:
    """A request with the beginning of the refusal that the model itself gave, in token ids."""

    prompt: tuple[int, ...]
    refusal: tuple[int, ...]


def own_refusals(model: nn.Module, tokenizer: Any) -> list[RefusalRow]:
    """The refusals that a model gives now, greedily; fewer than the requests if it answers some."""
    requests = [item for item in load_suite("rehearsal").items if isinstance(item, Request)]
    texts = [item.prompt for item in requests if item.kind == "harmful"][:REQUESTS]
    prompts = [_render(tokenizer, text) for text in texts]
    rows = []
    with _scoring(model):
        for place in range(0, len(prompts), ROWS):
            answers = _answer(model, prompts[place : place + ROWS])
            for text, prompt, tokens in zip(
                texts[place:], prompts[place : place + ROWS], answers, strict=False
            ):
                answer = _until_its_end(tokens, tokenizer.eos_token_id)
                words = tokenizer.decode(answer, skip_special_tokens=True)
                if judge_refusal(text, words).label == "refusal":
                    rows.append(RefusalRow(prompt, answer[:FIRST_TOKENS]))
    return _of_first_process(rows)


def refusal_nats(model: nn.Module, rows: Sequence[RefusalRow]) -> float:
    """Mean negative log-likelihood of a token of the refusals, in nats."""
    nats, tokens = 0.0, 0
    with _scoring(model):
        for place in range(0, len(rows), ROWS):
            batch = rows[place : place + ROWS]
            logits = _logits(model, [row.prompt + row.refusal for row in batch])
            for row, row_logits in zip(batch, logits, strict=True):
                ends = len(row.prompt) + len(row.refusal)
                targets = torch.tensor(row.refusal, device=row_logits.device)
                predicted = row_logits[len(row.prompt) - 1 : ends - 1].float()
                nats += functional.cross_entropy(predicted, targets, reduction="sum").item()
                tokens += len(row.refusal)
    return _of_first_process(nats / tokens)


def _of_first_process(value: T) -> T:
    """The first process's value, on every one."""
    if not (distributed.is_available() and distributed.is_initialized()):
        return value
    shared = [value]
    distributed.broadcast_object_list(shared, src=0)
    return shared[0]


def _render(tokenizer: Any, text: str) -> tuple[int, ...]:
    turns = [{"role": "user", "content": text}]
    rendered = tokenizer.apply_chat_template(turns, add_generation_prompt=True, tokenize=False)
    return tuple(tokenizer(rendered, add_special_tokens=False)["input_ids"])


def _answer(model: Any, prompts: Sequence[tuple[int, ...]]) -> list[tuple[int, ...]]:
    """The likeliest next tokens; no token ends it, so every process makes as many passes."""
    ids, attention = _padded(model, prompts, on="left")
    # What is not set is filled in from the model's own settings: penalties, forbidden tokens, ends.
    owner = model.get_base_model() if hasattr(model, "get_base_model") else model  # of peft
    own = owner.generation_config
    owner.generation_config = plain = type(own)(**PLAIN)
    try:
        answered = model.generate(inputs=ids, attention_mask=attention, generation_config=plain)
    finally:
        owner.generation_config = own
    return [tuple(row) for row in answered[:, ids.shape[1] :].tolist()]


def _until_its_end(answer: tuple[int, ...], end: int | None) -> tuple[int, ...]:
    return answer[: answer.index(end)] if end in answer else answer


def _logits(model: nn.Module, rows: Sequence[tuple[int, ...]]) -> Tensor:
    """Logits [B, T, V] of rows of ids, padded on the right."""
    ids, attention = _padded(model, rows, on="right")
    logits: Tensor = model(input_ids=ids, attention_mask=attention, use_cache=False).logits
    return logits


def _padded(
    model: nn.Module, rows: Sequence[tuple[int, ...]], *, on: Literal["left", "right"]
) -> tuple[Tensor, Tensor]:
    """Ids and attention [B, T] of rows of ids, where the model is."""
    each = [torch.tensor(row) for row in rows]
    ids = pad_sequence(each, batch_first=True, padding_side=on)
    kept = [torch.ones_like(row) for row in each]
    attention = pad_sequence(kept, batch_first=True, padding_side=on)
    where = next(model.parameters()).device
    return ids.to(where), attention.to(where)


@contextmanager
def _scoring(model: nn.Module) -> Iterator[None]:
    """Without gradient and dropout; the model is as it was afterwards."""
    training = model.training
    model.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        model.train(training)
