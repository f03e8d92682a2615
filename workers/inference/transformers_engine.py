"""Plain transformers: no continuous batching, but any machine that runs torch.

Prompts are sorted by length, padded on the left and answered batch by batch. Decoding is our own
short loop: `generate` would follow the checkpoint's generation config, which may hold a repetition
penalty or a temperature, and would not tell of logits that are not numbers. Continuations of one
prompt share the computation of the prompt, as the options of a multiple-choice question do. Models
with a recurrent state get neither (workers.inference.batching).
"""

import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM

from holdfast.errors import CheckpointRefused
from holdfast.tokenizer_file import embedded_tokens, refuse_unknown_tokens
from workers.engine import Backend, Completion, Continuation, Prompt, Sampling, Score, before
from workers.inference.architecture import check_architecture
from workers.inference.batching import (
    CacheKind,
    batches_of,
    cache_kind,
    left_padded,
    positions_of,
)
from workers.inference.capacity import blaming_machine, check_memory
from workers.inference.folder import FolderState, folder_state
from workers.inference.scoring import ByPrompt, WholeRow, continuation_logits, scores
from workers.inference.tokens import (
    Tokenizer,
    continuation_ids,
    draw_seed,
    end_ids,
    load_noted_tokenizer,
    opening_ids,
    prompt_ids,
    spoken,
    system_note,
)

GENERATE_ROWS = 32


class TransformersEngine:
    """One model in this process; `backend` decides its dtype and the length of its context."""

    def __init__(self, backend: Backend) -> None:
        self.backend = backend
        self._device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self._loaded: FolderState | None = None
        self._model: Any = None
        self._cache_kind = CacheKind(None, pads=False)
        self._tokenizer: Tokenizer = None
        self._template: str | None = None
        self._ends: frozenset[int] = frozenset()
        self._embedded = 0
        self._notes: list[str] = []

    def open(self, checkpoint: Path, template: str | None) -> None:
        """Load weights unless these very files are loaded; `template` replaces their own."""
        self._template = template
        state = folder_state(checkpoint)
        if state == self._loaded:
            return
        self.close()
        self._notes += check_architecture(checkpoint)
        self._tokenizer, note = load_noted_tokenizer(checkpoint)
        self._notes += [note] if note else []
        self._embedded = embedded_tokens(checkpoint)
        check_memory(checkpoint, self.backend)
        try:
            with blaming_machine():
                model: Any = AutoModelForCausalLM.from_pretrained(
                    checkpoint,
                    dtype=getattr(torch, self.backend.dtype),
                    local_files_only=True,
                    use_safetensors=True,
                    trust_remote_code=False,
                )
                self._model = model.to(self._device).eval()
        except (OSError, ValueError, KeyError) as error:
            raise CheckpointRefused(f"{checkpoint} does not load: {error}") from error
        self._cache_kind = cache_kind(self._model)
        self._ends = frozenset(end_ids(self._tokenizer, checkpoint))
        self._loaded = state

    def generate(
        self, prompts: Sequence[Prompt], sampling: Sampling
    ) -> Iterator[tuple[int, Completion]]:
        """Answer every prompt once, batch by batch; what does not fit is answered empty."""
        note = system_note(self._tokenizer, self._template, prompts)
        self._notes += [note] if note else []
        rows: list[tuple[int, list[int]]] = []
        for index, prompt in enumerate(prompts):
            ids = prompt_ids(self._tokenizer, self._template, prompt)
            refuse_unknown_tokens(ids, self._embedded)
            if len(ids) + sampling.max_tokens > self.backend.max_model_len:
                yield index, Completion("", "length", 0)
            else:
                rows.append((index, ids))
        pads = self._cache_kind.pads
        for batch in batches_of(rows, lambda row: len(row[1]), GENERATE_ROWS, pads=pads):
            answers = self._decode([ids for _, ids in batch], sampling)
            for (index, _), answer in zip(batch, answers, strict=True):
                opening = opening_ids(self._tokenizer, prompts[index])
                yield index, answer.completion(self._tokenizer, opening, sampling.until)

    def logprobs(self, asked: Sequence[Continuation]) -> Iterator[tuple[int, Score]]:
        """Score every continuation once, batch by batch; what does not fit scores NaN."""
        by_prompt: ByPrompt = {}
        for index, one in enumerate(asked):
            ids, prompt = continuation_ids(self._tokenizer, self._template, one)
            refuse_unknown_tokens(ids, self._embedded)
            if len(ids) > self.backend.max_model_len:
                yield index, Score(math.nan, len(ids) - prompt, too_long=True)
            elif prompt == 0 or len(ids) <= prompt:
                yield index, Score(math.nan, len(ids) - prompt)
            else:
                by_prompt.setdefault(tuple(ids[:prompt]), []).append((index, ids[prompt:]))
        yield from scores(self._model, self._cache_kind, by_prompt)

    def distributions(self, asked: Sequence[Continuation]) -> Iterator[tuple[int, torch.Tensor]]:
        """Log-probabilities [tokens, vocabulary], float32 on the CPU, where each token is chosen.

        What does not fit, or has no token, is left out.
        """
        rows: list[WholeRow] = []
        for index, one in enumerate(asked):
            ids, prompt = continuation_ids(self._tokenizer, self._template, one)
            refuse_unknown_tokens(ids, self._embedded)
            if 0 < prompt < len(ids) <= self.backend.max_model_len:
                rows.append(WholeRow(index, ids, len(ids) - prompt))
        for row, logits in continuation_logits(self._model, self._cache_kind, rows):
            yield row.index, logits.float().log_softmax(-1).cpu()

    def take_notes(self) -> list[str]:
        """What was out of the ordinary since the last call."""
        notes, self._notes = list(dict.fromkeys(self._notes)), []
        return notes

    def close(self) -> None:
        """Drop the model and what the allocator keeps of it."""
        self._model, self._loaded = None, None
        if self._device.type == "cuda":
            torch.cuda.empty_cache()

    @torch.inference_mode()
    def _decode(self, prompts: list[list[int]], sampling: Sampling) -> list["_Growing"]:
        ids, mask = left_padded(prompts, self._device)
        positions = positions_of(mask)
        draw = _Draw(sampling, prompts, self._device)
        answers = [_Growing() for _ in prompts]
        cache = None
        for _ in range(sampling.max_tokens):
            out = self._model(
                input_ids=ids,
                use_cache=self._cache_kind.argument is not None,
                logits_to_keep=1,
                **self._cache_kind.inputs(mask, positions, cache),
            )
            cache, logits = self._cache_kind.cache_of(out), out.logits[:, -1].float()
            tokens, finite = draw(logits), logits.logsumexp(-1).isfinite().tolist()
            for answer, token, numbers in zip(answers, tokens.tolist(), finite, strict=True):
                answer.grow(token, self._ends, numbers=numbers)
                if sampling.until and not answer.finish:
                    answer.end_at(self._tokenizer, sampling.until)
            if all(answer.finish for answer in answers):
                break
            new, positions = tokens[:, None], positions[:, -1:] + 1
            ids = torch.cat([ids, new], dim=-1) if cache is None else new
            mask = torch.cat([mask, mask.new_ones(len(prompts), 1)], dim=-1)
        return answers


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
