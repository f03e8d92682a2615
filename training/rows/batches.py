"""Rows of text to batches of tokens: which rows, in which order, and what the loss sees.

A run's rows are counted out exactly (`rows_drawn`), spread evenly over its steps, and taken from
each source in cycles of its own, reshuffled every time round, so that one source's length never
shifts another's order. The prompt is tokenised exactly as an engine tokenises it for generation,
and the completion after it, so the mask is made of lengths: comparing ids with the padding token
would mask the end of every turn where the two are one, as they are for most chat models.
"""

import random
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import torch
from jinja2 import TemplateError
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from holdfast.errors import CheckpointRefused, InvalidTaskData
from holdfast.models.chat_rendering import Turn, render_turns
from holdfast.models.tokenizer_file import embedded_tokens, refuse_unknown_tokens
from holdfast.repairs.recipes import Kind
from holdfast.repairs.task_data import Row

T = TypeVar("T")


Order = Callable[[Mapping[Kind, int]], list[Kind]]
"""From how many rows of each source a run takes to the source of each row."""


@dataclass(frozen=True, slots=True)
class Example:
    """One tokenised row: prompt, then completion with its end of turn."""

    ids: tuple[int, ...]
    prompt_tokens: int

    @property
    def completion_tokens(self) -> int:
        """Tokens that the loss counts."""
        return len(self.ids) - self.prompt_tokens


@dataclass(frozen=True, slots=True)
class Batch:
    """Rows padded on the right. ids: [B, T] int64; attention, completion: [B, T] bool."""

    ids: Tensor
    attention: Tensor
    completion: Tensor

    def to(self, where: torch.device) -> "Batch":
        """The same batch on another device."""
        return Batch(self.ids.to(where), self.attention.to(where), self.completion.to(where))


def tokenise(
    rows: Sequence[Row], tokenizer: PreTrainedTokenizerBase, max_length: int, path: Path
) -> list[Example]:
    """Examples of at most `max_length` tokens, cut at the end.

    Rows whose prompt alone fills that would have nothing to learn and are left out; the caller
    counts them by the difference. Raises InvalidTaskData if that leaves none at all.
    """
    examples = [example_of(row, tokenizer, max_length, path) for row in rows]
    refuse_unembedded(examples, tokenizer)
    learnable = [example for example in examples if example.completion_tokens > 0]
    if not learnable:
        raise InvalidTaskData(
            f"{path}: all {len(rows)} prompts fill max_length {max_length} and leave no room for "
            "a completion; raise max_length"
        )
    return learnable


def refuse_unembedded(examples: Iterable[Example], tokenizer: PreTrainedTokenizerBase) -> None:
    """Raise CheckpointRefused if the tokenizer's own model cannot read what it makes of rows."""
    embedded = embedded_tokens(Path(tokenizer.name_or_path))
    for example in examples:
        refuse_unknown_tokens(example.ids, embedded)


def example_of(
    row: Row, tokenizer: PreTrainedTokenizerBase, max_length: int, path: Path
) -> Example:
    """One row as tokens, whether or not any of its completion is left within `max_length`."""
    if tokenizer.chat_template is None:
        raise CheckpointRefused(
            f"{tokenizer.name_or_path} has no chat template; "
            "give a chat checkpoint, or add chat_template.jinja"
        )
    prompt = _render(tokenizer, row.prompt_turns, generation=True)
    rendered = _render(
        tokenizer, [*row.prompt_turns, ("assistant", row.completion)], generation=False
    )
    if not rendered.startswith(prompt):
        raise InvalidTaskData(
            f"{path}, line {row.line}: the chat template renders the prompt differently once it "
            "is answered, so the completion cannot be told apart; use a template that does not"
        )
    prompt_ids = tokenizer(prompt, add_special_tokens=False)["input_ids"]
    completion_ids = tokenizer(rendered[len(prompt) :], add_special_tokens=False)["input_ids"]
    ids = [*prompt_ids, *_through_end_of_turn(completion_ids, tokenizer.eos_token_id)][:max_length]
    return Example(tuple(ids), min(len(prompt_ids), len(ids)))


def _render(tokenizer: PreTrainedTokenizerBase, turns: Sequence[Turn], *, generation: bool) -> str:
    def render(turns: list[dict[str, Any]]) -> str:
        try:
            text = tokenizer.apply_chat_template(
                turns, tokenize=False, add_generation_prompt=generation
            )
        except (TemplateError, TypeError, LookupError) as error:
            raise CheckpointRefused(f"the chat template does not render: {error}") from error
        return str(text)

    return render_turns(render, turns)[0]


def _through_end_of_turn(ids: list[int], end: int | None) -> list[int]:
    """Drop what a template writes after the end of turn: no engine ever generates that."""
    last = max((place for place, token in enumerate(ids) if token == end), default=len(ids))
    return ids[: last + 1]


def order_of_sources(counts: Mapping[Kind, int]) -> list[Kind]:
    """The source of each row, every source spread as evenly as whole rows allow."""
    places = [
        ((k + 0.5) / count, rank, kind)
        for rank, (kind, count) in enumerate(counts.items())
        for k in range(count)
    ]
    return [kind for _, _, kind in sorted(places)]


def cycles(examples: Sequence[T], seed: str) -> Iterator[T]:
    """The examples for ever, in another order every time round."""
    shuffled = list(examples)
    generator = random.Random(seed)  # noqa: S311 - an order to reproduce, not a secret
    while True:
        generator.shuffle(shuffled)
        yield from shuffled


def draw_steps(
    sources: Mapping[Kind, Sequence[Example]],
    counts: Mapping[Kind, int],
    *,
    batch_size: int,
    seed: int,
    order: Order = order_of_sources,
) -> list[list[Example]]:
    """The examples of each step, `batch_size` of them, until `counts` are used up.

    Every source with a count must hold at least one example.
    """
    sequences = {kind: cycles(examples, f"{seed}/{kind}") for kind, examples in sources.items()}
    examples = [next(sequences[kind]) for kind in order(counts)]
    return [examples[k : k + batch_size] for k in range(0, len(examples), batch_size)]


def rows_together(examples: Sequence[Example], rows: int) -> list[list[Example]]:
    """A step's examples in groups of similar length, `rows` at most, the longest first."""
    ordered = sorted(examples, key=lambda example: len(example.ids), reverse=True)
    return [ordered[k : k + rows] for k in range(0, len(ordered), rows)]


def collate(examples: Sequence[Example], pad: int) -> Batch:
    """Pad examples to the longest; masks follow from lengths alone, so `pad` may be any token."""
    width = max(len(example.ids) for example in examples)
    ids = [[*example.ids, *[pad] * (width - len(example.ids))] for example in examples]
    places = torch.arange(width)
    ends = torch.tensor([[len(example.ids)] for example in examples])
    begins = torch.tensor([[example.prompt_tokens] for example in examples])
    attention = places < ends
    return Batch(torch.tensor(ids), attention, attention & (places >= begins))
