"""Plain transformers: no continuous batching, but any machine that runs torch.

Prompts are sorted by length, padded on the left and answered batch by batch. Decoding is our own
short loop: `generate` would follow the checkpoint's generation config, which may hold a repetition
penalty or a temperature, and would not tell of logits that are not numbers. Continuations of one
prompt share the computation of the prompt, as the options of a multiple-choice question do. Models
with a recurrent state get neither (workers.inference.transformers.batching).
"""

import math
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM

from holdfast.errors import CheckpointRefused
from holdfast.probes.engine import (
    Arguments,
    Backend,
    Completion,
    Continuation,
    Prompt,
    Sampling,
    Score,
    before,
)
from workers.inference.loading.architecture import check_architecture
from workers.inference.loading.capacity import blaming_machine, check_memory
from workers.inference.loading.folder import FolderState, folder_state
from workers.inference.reading import Reading, read_checkpoint
from workers.inference.tokens import Tokenizer, draw_seed
from workers.inference.traces import Drawn, Request, Turn, answers
from workers.inference.transformers.activations import (
    Activations,
    activations_of,
    self_influence,
)
from workers.inference.transformers.batching import (
    CacheKind,
    batches_of,
    cache_kind,
    pad_start,
    positions_of,
)
from workers.inference.transformers.scoring import ByPrompt, FullRow, continuation_logits, scores

GENERATE_ROWS = 32


class TransformersEngine:
    """One model in this process; `backend` decides its dtype and the length of its context."""

    def __init__(self, backend: Backend) -> None:
        self.backend = backend
        self._device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self._loaded: FolderState | None = None
        self._model: Any = None
        self._cache_kind = CacheKind(None, pads=False)
        self._reading: Reading | None = None
        self._notes: list[str] = []

    def examine(self, checkpoint: Path) -> None:
        """Raise CheckpointRefused where its files make no model; no weight is read."""
        check_architecture(checkpoint, self.backend.name)
        read_checkpoint(checkpoint)

    def open(self, checkpoint: Path, template: str | None) -> None:
        """Load weights unless these very files are loaded; `template` replaces their own."""
        state = folder_state(checkpoint)
        if state == self._loaded:
            self._reading = self._read.with_template(template)
            return
        self.close()
        self._notes += check_architecture(checkpoint, self.backend.name)
        reading = read_checkpoint(checkpoint)
        self._notes += [reading.note] if reading.note else []
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
        self._reading = reading.with_template(template)
        self._loaded = state

    def generate(
        self, prompts: Sequence[Prompt], sampling: Sampling
    ) -> Iterator[tuple[int, Completion]]:
        """Answer every prompt once, batch by batch; what does not fit is answered empty."""
        self._notes += self._read.notes(prompts, sampling.template_arguments)
        turns: dict[int, Turn] = {}
        for index, prompt in enumerate(prompts):
            turn = self._read.turn(prompt, sampling, self.backend.max_model_len)
            if turn is None:
                yield index, Completion("", "length", 0)
            else:
                turns[index] = turn
        yield from answers(turns, partial(self._draw, sampling))

    def logprobs(
        self, continuations: Sequence[Continuation], arguments: Arguments = ()
    ) -> Iterator[tuple[int, Score]]:
        """Score every continuation once, batch by batch; what does not fit scores NaN."""
        by_prompt: ByPrompt = {}
        for index, continuation in enumerate(continuations):
            ids, prompt = self._read.continuation(continuation, arguments)
            if len(ids) > self.backend.max_model_len:
                yield index, Score(math.nan, len(ids) - prompt, too_long=True)
            elif prompt == 0 or len(ids) <= prompt:
                yield index, Score(math.nan, len(ids) - prompt)
            else:
                by_prompt.setdefault(tuple(ids[:prompt]), []).append((index, ids[prompt:]))
        yield from scores(self._model, self._cache_kind, by_prompt)

    def distributions(
        self, continuations: Sequence[Continuation], arguments: Arguments = ()
    ) -> Iterator[tuple[int, torch.Tensor]]:
        """Log-probabilities [tokens, vocabulary], float32 on the CPU, where each token is chosen.

        What does not fit, or has no token, is left out.
        """
        rows = self._rows(continuations, arguments)
        for row, logits in continuation_logits(self._model, self._cache_kind, rows):
            yield row.index, logits.float().log_softmax(-1).cpu()

    def activations(
        self,
        continuations: Sequence[Continuation],
        layers: Sequence[int] | None = None,
        arguments: Arguments = (),
    ) -> Iterator[tuple[int, Activations]]:
        """The activations over each conversation; what does not fit is left out."""
        rows = self._rows(continuations, arguments)
        for row, activations in activations_of(self._model, self._cache_kind, rows, layers):
            yield row.index, activations

    def self_influence(
        self, continuations: Sequence[Continuation]
    ) -> Iterator[tuple[int, float, int]]:
        """Index, self-influence and answer tokens of each row; what does not fit is left out."""
        for row in self._rows(continuations, ()):
            yield row.index, self_influence(self._model, self._cache_kind, row), row.tokens

    def take_notes(self) -> list[str]:
        """The notes on anything out of the ordinary since the last call."""
        notes, self._notes = list(dict.fromkeys(self._notes)), []
        return notes

    def close(self) -> None:
        """Drop the model and what the allocator keeps of it."""
        self._model, self._loaded = None, None
        if self._device.type == "cuda":
            torch.cuda.empty_cache()

    def _rows(self, continuations: Sequence[Continuation], arguments: Arguments) -> list[FullRow]:
        rows: list[FullRow] = []
        for index, continuation in enumerate(continuations):
            ids, prompt = self._read.continuation(continuation, arguments)
            if 0 < prompt < len(ids) <= self.backend.max_model_len:
                rows.append(FullRow(index, ids, len(ids) - prompt))
        return rows

    @property
    def _read(self) -> Reading:
        if self._reading is None:
            raise RuntimeError("no checkpoint is open")
        return self._reading

    def _draw(
        self, sampling: Sampling, requests: dict[int, Request]
    ) -> Iterator[tuple[int, Drawn]]:
        """Go on from every request's tokens, those of like length together."""
        rows, pads = list(requests.items()), self._cache_kind.pads
        for batch in batches_of(rows, lambda row: len(row[1].ids), GENERATE_ROWS, pads=pads):
            grown = self._decode([request for _, request in batch], sampling)
            for (index, _), growing in zip(batch, grown, strict=True):
                yield index, growing.drawn

    @torch.inference_mode()
    def _decode(self, requests: list[Request], sampling: Sampling) -> list["_Growing"]:
        prompts = [request.ids for request in requests]
        ids, mask = pad_start(prompts, self._device)
        positions = positions_of(mask)
        draw = _Draw(sampling, prompts, self._device)
        grown = [_Growing(request) for request in requests]
        cache = None
        for _ in range(max(request.max_tokens for request in requests)):
            out = self._model(
                input_ids=ids,
                use_cache=self._cache_kind.argument is not None,
                logits_to_keep=1,
                **self._cache_kind.inputs(mask, positions, cache),
            )
            cache, logits = self._cache_kind.cache_of(out), out.logits[:, -1].float()
            tokens, finite = draw(logits), logits.logsumexp(-1).isfinite().tolist()
            for row, token, numbers in zip(grown, tokens.tolist(), finite, strict=True):
                row.grow(token, self._read.tokenizer, numbers=numbers)
            if all(row.finish for row in grown):
                break
            new, positions = tokens[:, None], positions[:, -1:] + 1
            ids = torch.cat([ids, new], dim=-1) if cache is None else new
            mask = torch.cat([mask, mask.new_ones(len(prompts), 1)], dim=-1)
        return grown


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
    """One row while it is drawn."""

    def __init__(self, request: Request) -> None:
        self.finish = ""
        self._request = request
        self._tokens: list[int] = []

    @property
    def drawn(self) -> Drawn:
        """The tokens so far; cut by their length if by nothing else."""
        return Drawn(self._tokens, self.finish or "length")

    def grow(self, token: int, tokenizer: Tokenizer, *, numbers: bool) -> None:
        """Take one more token, unless it has ended; it ends with a text that it may not say."""
        if self.finish:
            return
        self._tokens.append(token)
        if not numbers:
            self.finish = "nan"
        elif token in self._request.stops or self._says_an_end(tokenizer):
            self.finish = "stop"
        elif len(self._tokens) == self._request.max_tokens:
            self.finish = "length"

    def _says_an_end(self, tokenizer: Tokenizer) -> bool:
        if not (until := self._request.until):
            return False
        text = str(tokenizer.decode(self._tokens, skip_special_tokens=True))
        return before(text, until) != text
