"""vLLM: continuous batching on GPU and CPU, and weights swapped under a running engine.

Starting takes most of a minute, so a checkpoint is loaded in place of the one before (about half a
second) where that is known to be exact (workers.inference.vllm.swapping), and its prefix cache
dropped. Tokenizer, stop tokens and template belong to each checkpoint and are handled here: vLLM
sees token ids only, and its own idea of a generation config is switched off.

Answers are drawn from the engine's own stepping loop, which is what `LLM.generate` runs too, so
they stream without costing throughput.
"""

import gc
import logging
import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from pathlib import Path
from typing import Any

from vllm import LLM, RequestOutput, SamplingParams
from vllm.config import VllmConfig, set_current_vllm_config
from vllm.sampling_params import MAX_LOGPROB_TOKEN_IDS, RequestOutputKind

from holdfast.errors import CheckpointRefused, EngineFailed
from holdfast.models.tokenizer_file import reads_alike
from holdfast.probes.engine import (
    Arguments,
    Backend,
    Completion,
    Continuation,
    Prompt,
    Sampling,
    Score,
)
from workers.inference.backends import ONE_DEVICE, Devices
from workers.inference.loading.architecture import check_architecture
from workers.inference.loading.folder import FolderState, folder_state
from workers.inference.reading import Reading, read_checkpoint
from workers.inference.tokens import Tokenizer, draw_seed, same_tokenizer
from workers.inference.traces import Drawn, Request, Turn, answers
from workers.inference.vllm.scores import choosing, score_of, scoring
from workers.inference.vllm.starting import UNTIED, model_length, start_vllm, ties_head
from workers.inference.vllm.stepping import step_through
from workers.inference.vllm.swapping import (
    EXACT_RELOADS,
    Layout,
    layout_of,
    restart_reason,
)
from workers.inference.vllm.worker import WorkerMethods

log = logging.getLogger(__name__)


class VllmEngine:
    """One vLLM engine, started at the first `open`; `backend` decides its dtype and context.

    `exact_reloads` names the families that may be swapped, by build of vLLM.
    """

    def __init__(
        self,
        backend: Backend,
        devices: Devices = ONE_DEVICE,
        exact_reloads: Mapping[tuple[str, str], frozenset[str]] = EXACT_RELOADS,
    ) -> None:
        self.backend = backend
        self._devices = devices
        self._llm: LLM | None = None
        self._vllm_config: VllmConfig | None = None  # of the last start, also when it has ended
        self._exact_reloads = exact_reloads
        self._loaded: FolderState | None = None
        self._layout: Layout | None = None
        self._reading: Reading | None = None
        self._notes: list[str] = []

    def examine(self, checkpoint: Path) -> None:
        """Raise CheckpointRefused where its files make no model; no weight is read."""
        self._check_architecture(checkpoint)
        model_length(checkpoint, self.backend.max_model_len)
        read_checkpoint(checkpoint)

    def open(self, checkpoint: Path, template: str | None) -> None:
        """Load weights, in place of those that are loaded where that is known to be exact."""
        state = folder_state(checkpoint)
        if state == self._loaded:
            self._reading = self._read.with_template(template)
            return
        # Before a swap too: what a file lacks would stay from the model before.
        notes = self._check_architecture(checkpoint)
        length = model_length(checkpoint, self.backend.max_model_len)
        reading, layout = read_checkpoint(checkpoint), layout_of(checkpoint)
        reason = self._restart_reason(layout, reading.tokenizer)
        self._loaded = self._layout = None
        if reason or not self._swap(checkpoint):
            log.info("vLLM starts on %s: %s", checkpoint, reason or "its prefix cache stayed")
            self.close()
            self._llm = start_vllm(checkpoint, layout, self.backend, length, self._devices)
            self._vllm_config = self._llm.llm_engine.vllm_config
            if not ties_head(self._llm, layout):
                self.close()
                raise CheckpointRefused(UNTIED.format(family=layout.config.get("model_type")))
        self._notes += [*notes, *([reading.note] if reading.note else [])]
        self._reading = reading.with_template(template)
        self._loaded, self._layout = state, layout

    def generate(
        self, prompts: Sequence[Prompt], sampling: Sampling
    ) -> Iterator[tuple[int, Completion]]:
        """Answer every prompt once, each as it finishes; what does not fit is answered empty."""
        self._notes += self._read.notes(prompts, sampling.template_arguments)
        turns: dict[int, Turn] = {}
        for index, prompt in enumerate(prompts):
            turn = self._read.turn(prompt, sampling, self._room)
            if turn is None:
                yield index, Completion("", "length", 0)
            else:
                turns[index] = turn
        yield from answers(turns, partial(self._draw, sampling))

    def logprobs(
        self, continuations: Sequence[Continuation], arguments: Arguments = ()
    ) -> Iterator[tuple[int, Score]]:
        """Score every continuation once, each as it finishes; what does not fit scores NaN."""
        ids: dict[int, list[int]] = {}
        start: dict[int, int] = {}
        letters: dict[tuple[int, ...], dict[int, int]] = {}
        for index, continuation in enumerate(continuations):
            row, prompt = self._read.continuation(continuation, arguments)
            if len(row) + 1 > self._room:
                yield index, Score(math.nan, len(row) - prompt, too_long=True)
            elif prompt == 0 or len(row) <= prompt:
                yield index, Score(math.nan, len(row) - prompt)
            elif len(row) == prompt + 1:
                letters.setdefault(tuple(row[:prompt]), {})[index] = row[prompt]
            else:
                ids[index], start[index] = row, prompt
        yield from self._single_tokens(letters)
        skipped: dict[int, list[int]] = {}
        for index, output in self._run(_each(ids, scoring(reuse_prefix=True))):
            score = score_of(output, ids[index], start[index])
            if score is None:
                skipped[index] = ids[index]
            else:
                yield index, score
        for index, output in self._run(_each(skipped, scoring(reuse_prefix=False))):
            score = score_of(output, ids[index], start[index])
            if score is None:
                raise EngineFailed("vLLM returned other prompt tokens than it was asked to score")
            yield index, score

    def _single_tokens(
        self, letters: dict[tuple[int, ...], dict[int, int]]
    ) -> Iterator[tuple[int, Score]]:
        """Scores of what is one token, from one look at each prompt: token by index, by prompt."""
        requests = {}
        for prompt, tokens in letters.items():
            places = list(tokens)
            for first in range(0, len(places), MAX_LOGPROB_TOKEN_IDS):
                some = places[first : first + MAX_LOGPROB_TOKEN_IDS]
                requests[some[0]] = list(prompt), {index: tokens[index] for index in some}
        params = {at: (ids, choosing(chosen.values())) for at, (ids, chosen) in requests.items()}
        for at, output in self._run(params):
            drawn = output.outputs[0]
            step = drawn.logprobs[0] if drawn.logprobs else None
            for index, token in requests[at][1].items():
                logprob = step[token].logprob if step else math.nan
                yield index, Score(logprob, 1, token == drawn.token_ids[0])

    def take_notes(self) -> list[str]:
        """The notes on anything out of the ordinary since the last call."""
        notes, self._notes = list(dict.fromkeys(self._notes)), []
        return notes

    def close(self) -> None:
        """End vLLM, which holds all of the device's memory."""
        if self._llm is not None:
            self._llm.llm_engine.engine_core.shutdown()
            self._llm, self._loaded = None, None
            gc.unfreeze()
            gc.collect()  # on few cores its weights are in this process, in cycles

    def _check_architecture(self, checkpoint: Path) -> list[str]:
        """Notes on tensors that are passed over; CheckpointRefused where the files make no model.

        In one process with vLLM, transformers' own classes may be those that vLLM has changed to
        run them (GPT-NeoX, OLMo 2, SmolLM3): they can be made within a config of vLLM's alone.
        """
        context: AbstractContextManager[object] = nullcontext()
        if self._vllm_config is not None:
            context = set_current_vllm_config(self._vllm_config)
        with context:
            return check_architecture(checkpoint, self.backend.name)

    @property
    def _reads_ends(self) -> bool:
        """Whether vLLM can look for texts in an answer: it keeps the first checkpoint's tokens.

        And it reads them as their class does, not as tokenizer.json does.
        """
        theirs: Any = self._running.get_tokenizer()
        ours = self._read.tokenizer
        return bool(theirs.get_vocab() == ours.get_vocab() and reads_alike(theirs, ours))

    @property
    def _room(self) -> int:
        return self._running.llm_engine.model_config.max_model_len

    @property
    def _read(self) -> Reading:
        if self._reading is None:
            raise RuntimeError("no checkpoint is open")
        return self._reading

    @property
    def _running(self) -> LLM:
        if self._llm is None:
            raise RuntimeError("no checkpoint is open")
        return self._llm

    def _restart_reason(self, layout: Layout, tokenizer: Tokenizer) -> str | None:
        """Why the engine has to start again; vLLM keeps the tokenizer that it started with."""
        if self._llm is None or self._layout is None:
            return "nothing is loaded"
        if not same_tokenizer(self._read.tokenizer, tokenizer):
            return "the tokenizers differ"
        return restart_reason(self._layout, layout, self.backend, self._exact_reloads)

    def _swap(self, checkpoint: Path) -> bool:
        """Load weights in place; False where something computed by those before is still there."""
        llm = self._running
        llm.collective_rpc(WorkerMethods.load_in_place.__name__, args=(str(checkpoint),))
        return bool(llm.reset_prefix_cache())

    def _draw(
        self, sampling: Sampling, requests: dict[int, Request]
    ) -> Iterator[tuple[int, Drawn]]:
        """Go on from every request's tokens; they share what the cache has of them."""
        reads_ends = any(request.until for request in requests.values()) and self._reads_ends
        params = {
            index: (request.ids, _drawing(sampling, request, reads_ends=reads_ends))
            for index, request in requests.items()
        }
        for index, output in self._run(params):
            drawn = output.outputs[0]
            steps = zip(drawn.token_ids, drawn.logprobs or (), strict=True)
            finite = all(step and math.isfinite(step[token].logprob) for token, step in steps)
            finish = drawn.finish_reason or "length" if finite else "nan"
            yield index, Drawn(list(drawn.token_ids), finish)

    def _run(
        self, prompts: dict[int, tuple[list[int], SamplingParams]]
    ) -> Iterator[tuple[int, RequestOutput]]:
        """Put token ids to the engine and step it until all have come back."""
        return step_through(self._running.llm_engine, prompts)


def _drawing(sampling: Sampling, request: Request, *, reads_ends: bool) -> SamplingParams:
    """The sampling parameters of one prompt."""
    until = request.until if reads_ends else ()
    return SamplingParams(
        max_tokens=request.max_tokens,
        temperature=sampling.temperature,
        seed=draw_seed(sampling.seed, request.ids) if sampling.temperature > 0 else None,
        stop_token_ids=sorted(request.stops),
        ignore_eos=True,  # vLLM knows that of the first checkpoint only
        logprobs=0,  # of the token drawn: the only sign of logits that are not numbers
        stop=list(until),
        detokenize=bool(until),
        output_kind=RequestOutputKind.FINAL_ONLY,
    )


def _each(
    prompts: dict[int, list[int]], params: SamplingParams
) -> dict[int, tuple[list[int], SamplingParams]]:
    return {index: (ids, params) for index, ids in prompts.items()}
