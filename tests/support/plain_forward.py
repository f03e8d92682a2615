"""One row, one forward pass, no cache and no padding: the truth that engines are held to."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM

from holdfast.probes.engine import Continuation, Engine, Sampling, Score
from workers.inference.tokens import continuation_ids, load_tokenizer, prompt_ids

PROMPTS = ("a", "A question?", "A longer question than the others: why?", "word " * 9, "more " * 9)
OPTIONS = [
    Continuation(text, option) for text in PROMPTS[1:4] for option in (" yes", " no way", "!")
]
ANSWER = Sampling(10)  # the last prompts and their answers are longer than a tiny family's window


class PlainModel:
    """A checkpoint as the library loads it, in float32 unless told otherwise."""

    def __init__(self, folder: Path, dtype: torch.dtype = torch.float32) -> None:
        self.model: Any = AutoModelForCausalLM.from_pretrained(folder, dtype=dtype).eval()
        self.tokenizer = load_tokenizer(folder)

    @torch.inference_mode()
    def logits(self, ids: Sequence[int]) -> torch.Tensor:
        """[tokens, vocabulary], of one pass over all of them."""
        output = self.model(torch.tensor([list(ids)]), use_cache=False)
        logits: torch.Tensor = output.logits[0]
        return logits.double()

    def score(self, asked: Continuation) -> float:
        """The summed log-probability of a continuation."""
        ids, prompt = continuation_ids(self.tokenizer, None, asked)
        steps = self.logits(ids).log_softmax(-1)
        return sum(float(steps[at - 1, ids[at]]) for at in range(prompt, len(ids)))

    def answer(self, prompt: str, tokens: int) -> str:
        """The likeliest token each time, up to an end token."""
        ids = prompt_ids(self.tokenizer, None, prompt)
        drawn: list[int] = []
        while len(drawn) < tokens and self.tokenizer.eos_token_id not in drawn:
            drawn.append(int(self.logits([*ids, *drawn])[-1].argmax()))
        return str(self.tokenizer.decode(drawn, skip_special_tokens=True))


def score_deviation(engine: Engine, folder: Path) -> float:
    """The worst difference of a score, in nats, to plain passes of `folder`, which is open."""
    scores = dict(engine.logprobs(OPTIONS))
    return worst_difference([scores[at] for at in sorted(scores)], folder)


def worst_difference(scores: Sequence[Score], folder: Path) -> float:
    """Of an engine's scores of OPTIONS, in nats, to those of plain passes."""
    plain = PlainModel(folder)
    return max(
        abs(score.logprob - plain.score(one)) for score, one in zip(scores, OPTIONS, strict=True)
    )


def other_answers(engine: Engine, folder: Path) -> tuple[str, ...]:
    """Prompts that are not answered greedily and alike, in a batch and alone."""
    plain, together = PlainModel(folder), dict(engine.generate(PROMPTS, ANSWER))
    other = []
    for at, prompt in enumerate(PROMPTS):
        ((_, alone),) = engine.generate([prompt], ANSWER)
        if not together[at].text == alone.text == plain.answer(prompt, ANSWER.max_tokens):
            other.append(prompt)
    return tuple(other)
