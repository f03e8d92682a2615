"""What a probe asks of an engine, and what came back, kept apart from what a judge makes of it.

A question is asked once for ever: its `fingerprint` is the exact content that reaches the model,
so an answer stored under it serves every later judge, policy and name. Nothing here knows what a
good answer is.
"""

import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import groupby
from typing import Any

from workers.engine import Completion, Continuation, Engine, Message, Prompt, Sampling, Score


@dataclass(frozen=True, slots=True)
class Generate:
    """A prompt to be answered in at most `max_tokens` tokens."""

    prompt: Prompt
    max_tokens: int


Ask = Generate | Continuation
Reply = Completion | Score


@dataclass(frozen=True, slots=True)
class Question:
    """One item in one variant.

    `expected` is what a judge needs beside the reply: the position of the right option, or the
    right number. So is `request`, the plain words of what an attack disguises. Neither is part of
    what is asked.
    """

    item: str
    cluster: str
    asks: tuple[Ask, ...]
    group: str | None = None
    variant: str = "plain"
    expected: int | None = None
    request: str = ""

    @property
    def prompt_text(self) -> str:
        """The last words of the user in the first ask, unrendered."""
        prompt = self.asks[0].prompt
        return prompt if isinstance(prompt, str) else prompt[-1].content

    def fingerprint(self) -> str:
        """Canonical JSON of everything that reaches the model, and of nothing else."""
        asks = [{"kind": type(ask).__name__.lower(), **asdict(ask)} for ask in self.asks]
        return json.dumps(asks, ensure_ascii=True, sort_keys=True, separators=(",", ":"))


@dataclass(frozen=True, slots=True)
class Answer:
    """The replies to a question's asks, in their order."""

    replies: tuple[Reply, ...]

    @property
    def text(self) -> str:
        """The completion of a question that asked for one."""
        match self.replies:
            case (Completion(text=text),):
                return text
        raise TypeError(f"this answer holds {len(self.replies)} replies, expected one completion")

    @property
    def scores(self) -> tuple[Score, ...]:
        """The scores of a question that asked for log-probabilities."""
        return tuple(reply for reply in self.replies if isinstance(reply, Score))

    @property
    def tokens(self) -> int:
        """Tokens that were generated or scored."""
        return sum(reply.tokens for reply in self.replies)

    def to_json(self) -> dict[str, Any]:
        """A document of strict JSON, which knows no NaN: a score that is not finite is null."""
        return {"replies": [_reply_to_json(reply) for reply in self.replies]}

    @classmethod
    def from_json(cls, document: dict[str, Any]) -> "Answer":
        """The inverse of `to_json`; null comes back as NaN."""
        return cls(tuple(_reply_from_json(reply) for reply in document["replies"]))


def _reply_to_json(reply: Reply) -> dict[str, Any]:
    if isinstance(reply, Score) and not math.isfinite(reply.logprob):
        return {"logprob": None, "tokens": reply.tokens}
    return asdict(reply)


def _reply_from_json(reply: dict[str, Any]) -> Reply:
    if "text" in reply:
        return Completion(**reply)
    logprob = math.nan if reply["logprob"] is None else reply["logprob"]
    return Score(logprob, reply["tokens"])


def chat(text: str) -> tuple[Message, ...]:
    """A conversation of one user turn."""
    return (Message("user", text),)


def ask(
    engine: Engine, questions: Sequence[Question], sampling: Sampling
) -> Iterator[tuple[Question, Answer]]:
    """Put the questions to an open engine; each comes back as soon as its last reply is in.

    `max_tokens` of `sampling` gives way to that of the ask.
    """
    waiting: dict[int, dict[int, Reply]] = {at: {} for at in range(len(questions))}
    for (at, place), reply in _replies(engine, questions, sampling):
        waiting[at][place] = reply
        asked = questions[at]
        if len(waiting[at]) == len(asked.asks):
            replies = waiting.pop(at)
            yield asked, Answer(tuple(replies[place] for place in range(len(asked.asks))))


def _replies(
    engine: Engine, questions: Sequence[Question], sampling: Sampling
) -> Iterator[tuple[tuple[int, int], Reply]]:
    """Every reply with (question, ask) that it belongs to; one engine call for each kind of ask."""
    asks = [
        ((at, place), asked)
        for at, question in enumerate(questions)
        for place, asked in enumerate(question.asks)
    ]
    to_generate = [(key, asked) for key, asked in asks if isinstance(asked, Generate)]
    to_generate.sort(key=lambda pair: pair[1].max_tokens)
    for max_tokens, same in groupby(to_generate, key=lambda pair: pair[1].max_tokens):
        keys, generated = zip(*same, strict=True)
        prompts = [asked.prompt for asked in generated]
        for index, completion in engine.generate(prompts, replace(sampling, max_tokens=max_tokens)):
            yield keys[index], completion
    to_score = [(key, asked) for key, asked in asks if isinstance(asked, Continuation)]
    if to_score:
        for index, score in engine.logprobs([asked for _, asked in to_score]):
            yield to_score[index][0], score
