"""Plain transformers: no continuous batching, but any machine that runs torch.

Prompts are sorted by length, padded on the left and answered batch by batch. Decoding is our own
short loop: `generate` would follow the checkpoint's generation config, which may hold a repetition
penalty or a temperature, and would not tell of logits that are not numbers. Continuations of one
prompt share the computation of the prompt, as the options of a multiple-choice question do.
"""

import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM

from holdfast.errors import CheckpointRefused
from workers.engine import Backend, Completion, Continuation, Prompt, Sampling, Score, before
from workers.inference.folder import FolderState, folder_state
from workers.inference.tokens import (
    Tokenizer,
    continuation_ids,
    draw_seed,
    end_ids,
    load_tokenizer,
    opening_ids,
    prompt_ids,
    spoken,
)

MAX_MODEL_LEN = 2048  # tokens of prompt and answer; longer ones come back unanswered
GENERATE_ROWS = 32
DISTRIBUTION_ROWS = 8
SCORE_TOKENS = 512  # of continuations in a batch: their logits are a float each of the vocabulary
PROMPT_TOKENS = 2048  # of the prompts in a batch: their keys and values are kept for each of those


class TransformersEngine:
    """One model in this process; `backend` decides its dtype."""

    def __init__(self, backend: Backend) -> None:
        self.backend = backend
        self._device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self._loaded: FolderState | None = None
        self._model: Any = None
        self._tokenizer: Tokenizer = None
        self._template: str | None = None
        self._ends: frozenset[int] = frozenset()

    def open(self, checkpoint: Path, template: str | None) -> None:
        """Load weights unless these very files are loaded; `template` replaces their own."""
        self._template = template
        state = folder_state(checkpoint)
        if state == self._loaded:
            return
        self.close()
        try:
            model: Any = AutoModelForCausalLM.from_pretrained(
                checkpoint,
                dtype=getattr(torch, self.backend.dtype),
                local_files_only=True,
                use_safetensors=True,
                trust_remote_code=False,
            )
        except (OSError, ValueError, KeyError) as error:
            raise CheckpointRefused(f"{checkpoint} does not load: {error}") from error
        self._model = model.to(self._device).eval()
        self._tokenizer = load_tokenizer(checkpoint)
        self._ends = frozenset(end_ids(self._tokenizer, checkpoint))
        self._loaded = state

    def generate(
        self, prompts: Sequence[Prompt], sampling: Sampling
    ) -> Iterator[tuple[int, Completion]]:
        """Answer every prompt once, batch by batch; what does not fit is answered empty."""
        rows: list[tuple[int, list[int]]] = []
        for index, prompt in enumerate(prompts):
            ids = prompt_ids(self._tokenizer, self._template, prompt)
            if len(ids) + sampling.max_tokens > MAX_MODEL_LEN:
                yield index, Completion("", "length", 0)
            else:
                rows.append((index, ids))
        rows.sort(key=lambda row: len(row[1]))
        for start in range(0, len(rows), GENERATE_ROWS):
            batch = rows[start : start + GENERATE_ROWS]
            answers = self._decode([ids for _, ids in batch], sampling)
            for (index, _), answer in zip(batch, answers, strict=True):
                opening = opening_ids(self._tokenizer, prompts[index])
                yield index, answer.completion(self._tokenizer, opening, sampling.until)

    def logprobs(self, asked: Sequence[Continuation]) -> Iterator[tuple[int, Score]]:
        """Score every continuation once, batch by batch; what does not fit scores NaN."""
        by_prompt: dict[tuple[int, ...], list[tuple[int, list[int]]]] = {}
        for index, one in enumerate(asked):
            ids, prompt = continuation_ids(self._tokenizer, self._template, one)
            if prompt == 0 or len(ids) <= prompt or len(ids) > MAX_MODEL_LEN:
                yield index, Score(math.nan, len(ids) - prompt)
            else:
                by_prompt.setdefault(tuple(ids[:prompt]), []).append((index, ids[prompt:]))
        for batch in _score_batches(by_prompt):
            sums = self._score([(prompt, [ids for _, ids in rows]) for prompt, rows in batch])
            flat = [row for _, rows in batch for row in rows]
            for (index, ids), (total, greedy) in zip(flat, sums, strict=True):
                yield index, Score(total, len(ids), greedy)

    @torch.inference_mode()
    def distributions(self, asked: Sequence[Continuation]) -> Iterator[tuple[int, torch.Tensor]]:
        """Log-probabilities [tokens, vocabulary], float32 on the CPU, where each token is chosen.

        What does not fit, or has no token, is left out.
        """
        rows: list[tuple[int, list[int], int]] = []
        for index, one in enumerate(asked):
            ids, prompt = continuation_ids(self._tokenizer, self._template, one)
            if 0 < prompt < len(ids) <= MAX_MODEL_LEN:
                rows.append((index, ids, len(ids) - prompt))
        for start in range(0, len(rows), DISTRIBUTION_ROWS):
            batch = rows[start : start + DISTRIBUTION_ROWS]
            inputs, mask = self._left_padded([ids for _, ids, _ in batch])
            logits = self._model(
                input_ids=inputs,
                attention_mask=mask,
                position_ids=(mask.cumsum(-1) - 1).clamp(min=0),
                use_cache=False,
                logits_to_keep=max(tokens for *_, tokens in batch) + 1,
            ).logits
            for row, (index, _, tokens) in zip(logits, batch, strict=True):
                yield index, row[-tokens - 1 : -1].float().log_softmax(-1).cpu()

    def close(self) -> None:
        """Drop the model and what the allocator keeps of it."""
        self._model, self._loaded = None, None
        if self._device.type == "cuda":
            torch.cuda.empty_cache()

    @torch.inference_mode()
    def _decode(self, prompts: list[list[int]], sampling: Sampling) -> list["_Growing"]:
        ids, mask = self._left_padded(prompts)
        positions = (mask.cumsum(-1) - 1).clamp(min=0)
        draw = _Draw(sampling, prompts, self._device)
        answers = [_Growing() for _ in prompts]
        cache = None
        for _ in range(sampling.max_tokens):
            out = self._model(
                input_ids=ids,
                attention_mask=mask,
                position_ids=positions,
                past_key_values=cache,
                use_cache=True,
                logits_to_keep=1,
            )
            cache, logits = out.past_key_values, out.logits[:, -1].float()
            tokens, finite = draw(logits), logits.logsumexp(-1).isfinite().tolist()
            for answer, token, numbers in zip(answers, tokens.tolist(), finite, strict=True):
                answer.grow(token, self._ends, numbers=numbers)
                if sampling.until and not answer.finish:
                    answer.end_at(self._tokenizer, sampling.until)
            if all(answer.finish for answer in answers):
                break
            ids, positions = tokens[:, None], positions[:, -1:] + 1
            mask = torch.cat([mask, mask.new_ones(len(prompts), 1)], dim=-1)
        return answers

    @torch.inference_mode()
    def _score(
        self, asked: list[tuple[tuple[int, ...], list[list[int]]]]
    ) -> list[tuple[float, bool]]:
        """Summed log-probability of every continuation, prompts in order, and if it is greedy."""
        ids, mask = self._left_padded([list(prompt) for prompt, _ in asked])
        positions = (mask.cumsum(-1) - 1).clamp(min=0)
        owner = torch.tensor(
            [at for at, (_, rows) in enumerate(asked) for _ in rows], device=self._device
        )
        flat = [row for _, rows in asked for row in rows]
        out = self._model(
            input_ids=ids,
            attention_mask=mask,
            position_ids=positions,
            use_cache=True,
            logits_to_keep=1,
        )
        first = torch.tensor([row[0] for row in flat], device=self._device)
        start = out.logits[:, -1].float().log_softmax(-1)
        sums = start[owner, first].double()
        greedy = start.argmax(-1)[owner] == first
        width = max(len(row) for row in flat) - 1
        if width > 0:
            out.past_key_values.batch_select_indices(owner)
            inputs, real = self._right_padded([row[:-1] for row in flat], width)
            targets, _ = self._right_padded([row[1:] for row in flat], width)
            places = torch.arange(1, width + 1, device=self._device)
            logits = self._model(
                input_ids=inputs,
                attention_mask=torch.cat([mask[owner], real], dim=-1),
                position_ids=positions[owner, -1:] + places,
                past_key_values=out.past_key_values,
                use_cache=True,
            ).logits
            steps = logits.float().log_softmax(-1)
            rest = steps.gather(-1, targets[:, :, None])[:, :, 0]
            sums += torch.where(real.bool(), rest, 0.0).double().sum(-1)
            greedy &= ((steps.argmax(-1) == targets) | ~real.bool()).all(-1)
        return list(zip(sums.tolist(), greedy.tolist(), strict=True))

    def _left_padded(self, rows: list[list[int]]) -> tuple[torch.Tensor, torch.Tensor]:
        width = max(len(row) for row in rows)
        ids = torch.tensor([[0] * (width - len(row)) + row for row in rows])
        mask = torch.tensor([[0] * (width - len(row)) + [1] * len(row) for row in rows])
        return ids.to(self._device), mask.to(self._device)

    def _right_padded(self, rows: list[list[int]], width: int) -> tuple[torch.Tensor, torch.Tensor]:
        ids = torch.tensor([row + [0] * (width - len(row)) for row in rows])
        mask = torch.tensor([[1] * len(row) + [0] * (width - len(row)) for row in rows])
        return ids.to(self._device), mask.to(self._device)


class _Draw:
    """Next tokens: the likeliest, or drawn with a generator a row, whatever the batch."""

    def __init__(self, sampling: Sampling, prompts: list[list[int]], device: torch.device) -> None:
        self._temperature = sampling.temperature
        self._generators = [
            torch.Generator(device).manual_seed(draw_seed(sampling.seed, ids))
            for ids in (prompts if sampling.temperature > 0 else [])
        ]

    def __call__(self, logits: torch.Tensor) -> torch.Tensor:
        if not self._generators:
            return logits.argmax(-1)
        shares = (logits / self._temperature).softmax(-1).nan_to_num(1.0)
        drawn = [
            torch.multinomial(row, 1, generator=generator)
            for row, generator in zip(shares, self._generators, strict=True)
        ]
        return torch.cat(drawn)


class _Growing:
    """One answer while it is written."""

    def __init__(self) -> None:
        self.finish = ""
        self._tokens: list[int] = []

    def grow(self, token: int, ends: frozenset[int], *, numbers: bool) -> None:
        """Take one more token, unless the answer has ended."""
        if self.finish:
            return
        self._tokens.append(token)
        if not numbers:
            self.finish = "nan"
        elif token in ends:
            self.finish = "stop"

    def end_at(self, tokenizer: Tokenizer, until: tuple[str, ...]) -> None:
        """End where one of the texts has been said."""
        text = tokenizer.decode(self._tokens, skip_special_tokens=True)
        if before(text, until) != text:
            self.finish = "stop"

    def completion(
        self, tokenizer: Tokenizer, opening: list[int], until: tuple[str, ...]
    ) -> Completion:
        """The answer so far, behind its opening; its length cut it if nothing else did."""
        if self.finish == "nan":
            return Completion("", "nan", len(self._tokens))
        begun, text = spoken(tokenizer, opening, self._tokens)
        finish = self.finish or "length"
        return Completion(before(text, until), finish, len(self._tokens), begun)


def _score_batches(
    by_prompt: dict[tuple[int, ...], list[tuple[int, list[int]]]],
) -> Iterator[list[tuple[tuple[int, ...], list[tuple[int, list[int]]]]]]:
    """Prompts of like length together, up to so many padded tokens of them and continuations."""
    batch: list[tuple[tuple[int, ...], list[tuple[int, list[int]]]]] = []
    rows = width = 0
    for prompt, asked in sorted(by_prompt.items(), key=lambda pair: len(pair[0])):
        longest = max(len(ids) for _, ids in asked)
        prompts = (len(batch) + 1) * len(prompt)
        scored = (rows + len(asked)) * max(width, longest)
        if batch and (scored > SCORE_TOKENS or prompts > PROMPT_TOKENS):
            yield batch
            batch, rows, width = [], 0, 0
        batch.append((prompt, asked))
        rows, width = rows + len(asked), max(width, longest)
    if batch:
        yield batch
