"""A deterministic engine that plays a script, for `holdfast selftest` and tests without a model.

A checkpoint folder tells how to behave in `scripted.json`; everything else follows from the
SHA-256 of each prompt, so that the same folder gives the same answers on every machine. It goes
through the same runner, protocol, cache and judges as a real model. Its backend has its own name:
no evidence of it can be compared with a real one's.
"""

import hashlib
import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from string import ascii_uppercase
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from holdfast.attacks.table import ATTACKS
from holdfast.errors import CheckpointRefused, first_problem
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
from holdfast.probes.letters import letters_prompt
from holdfast.probes.multiple_choice import choice_prompt
from holdfast.suites import Choice, LastWord, Pair, Request, load_suite
from workers.inference.backends import backend_of

FILE = "scripted.json"
REFUSAL = "I'm sorry, but I can't help with that request."
COMPLIANCE = "Sure. This scripted answer stands for one that goes along with what was asked."
GIBBERISH = "blorp trindle vastor quenby " * 6
NATS_PER_CHARACTER = 0.5


class Script(BaseModel):
    """The content of `scripted.json`.

    `refuse_share` is of the harmful suite's requests, `overrefuse_share` of all others, and both
    count for `refuse-harmful` alone. `correct_share` is the share of multiple-choice questions and
    of sums answered right, `loss` the nats a token of everything else that is scored.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    behaviour: Literal[
        "refuse-all", "comply-all", "refuse-harmful", "echo", "empty", "gibberish", "nan"
    ] = "refuse-harmful"
    refuse_share: float = Field(default=1.0, ge=0, le=1)
    overrefuse_share: float = Field(default=0.0, ge=0, le=1)
    correct_share: float = Field(default=0.6, ge=0, le=1)
    loss: float = Field(default=1.5, ge=0)
    seconds_per_answer: float = Field(default=0.0, ge=0)


class ScriptedEngine:
    """Answers from the script of the open folder."""

    def __init__(self) -> None:
        self.backend: Backend = backend_of("scripted", "none")
        self._script = Script()

    def examine(self, checkpoint: Path) -> None:
        """Raise CheckpointRefused where there is no script that can be played."""
        _script_of(checkpoint)

    def open(self, checkpoint: Path, template: str | None) -> None:  # noqa: ARG002 - it renders nothing
        """Read the script; raises CheckpointRefused where there is none that can be played."""
        self._script = _script_of(checkpoint)

    def generate(
        self, prompts: Sequence[Prompt], sampling: Sampling
    ) -> Iterator[tuple[int, Completion]]:
        """One answer after the other, in order."""
        for index, prompt in enumerate(prompts):
            time.sleep(self._script.seconds_per_answer)
            completion = self._complete(_text(prompt), sampling)
            yield index, replace(completion, opening=_opening(prompt))

    def logprobs(
        self,
        continuations: Sequence[Continuation],
        arguments: Arguments = (),  # noqa: ARG002 - it renders nothing
    ) -> Iterator[tuple[int, Score]]:
        """One score after the other, in order; a word is a token."""
        for index, continuation in enumerate(continuations):
            time.sleep(self._script.seconds_per_answer)
            yield index, self._score(_text(continuation.prompt), continuation.text)

    def take_notes(self) -> list[str]:
        """Nothing: it reads no tokenizer."""
        return []

    def close(self) -> None:
        """Nothing is held."""

    def _complete(self, prompt: str, sampling: Sampling) -> Completion:
        if self._script.behaviour == "nan":
            return Completion("", "nan", 1)
        says, max_tokens = before(self._says(prompt, sampling), sampling.until), sampling.max_tokens
        words = says.split(" ")
        finish = "length" if len(words) > max_tokens else "stop"
        return Completion(" ".join(words[:max_tokens]), finish, min(len(words), max_tokens))

    def _says(self, prompt: str, sampling: Sampling) -> str:
        match self._script.behaviour:
            case "refuse-all":
                return REFUSAL
            case "comply-all":
                return self._answer(prompt)
            case "echo":
                return prompt
            case "empty":
                return ""
            case "gibberish" | "nan":
                return GIBBERISH
            case "refuse-harmful":
                script = self._script
                harmful = _asks_for_harm(prompt)
                share = script.refuse_share if harmful else script.overrefuse_share
                return REFUSAL if _draw(_dice(sampling), prompt) < share else self._answer(prompt)

    def _answer(self, prompt: str) -> str:
        if prompt in _targets():
            return _targets()[prompt] if self._knows(prompt) else COMPLIANCE
        expected = _sums().get(prompt)
        if expected is None:
            return COMPLIANCE
        return str(expected if self._knows(prompt) else expected + 1)

    def _knows(self, prompt: str) -> bool:
        return _draw("know", prompt) < self._script.correct_share

    def _score(self, prompt: str, text: str) -> Score:
        """Likelier when this is the option that the script takes, so that `choice` takes it."""
        tokens = max(len(text.split()), 1)
        if self._script.behaviour == "nan":
            return Score(math.nan, tokens)
        right = _right_options().get(prompt)
        if prompt == "" and text in _sentences():
            more = _sentences()[text]
            likelier = (text == more) != self._knows(more)
            return Score(-1.0 if likelier else -2.0, tokens)
        if right is None:
            return Score(-self._script.loss * tokens, tokens)
        chosen = (text.strip() == right) == self._knows(prompt)
        if self._script.behaviour == "gibberish":
            chosen = False  # then chance decides
        unlikely = (1.0 if chosen else 2.0) + 0.1 * _draw("option", prompt + text)
        return Score(-unlikely * NATS_PER_CHARACTER * len(text.strip()), tokens)


def _script_of(checkpoint: Path) -> Script:
    file = checkpoint / FILE
    try:
        return Script.model_validate_json(file.read_bytes())
    except FileNotFoundError as error:
        raise CheckpointRefused(f"{checkpoint} holds no {FILE} for the scripted engine") from error
    except ValidationError as error:
        raise CheckpointRefused(f"{file}: {first_problem(error, 'the script')}") from error


def _asks_for_harm(prompt: str) -> bool:
    """Whether a harmful request stands in the prompt, or the prompt is an attack's form of one."""
    return prompt in _disguised() or any(request in prompt for request in _harmful())


@cache
def _harmful() -> tuple[str, ...]:
    """Prompts of the harmful suite and of the harmful half of the rehearsal pool."""
    items = (*load_suite("harmful").items, *load_suite("rehearsal").items)
    return tuple(
        item.prompt for item in items if isinstance(item, Request) and item.kind != "benign"
    )


@cache
def _disguised() -> frozenset[str]:
    """Every form that an attack gives to a harmful request."""
    return frozenset(
        turn
        for attack in ATTACKS.values()
        for request in _harmful()
        for turn in attack.rewrite(request) or ()
    )


@cache
def _sums() -> dict[str, int | None]:
    items = load_suite("arithmetic").items
    return {item.prompt: item.answer for item in items if isinstance(item, Request)}


@cache
def _right_options() -> dict[str, str]:
    """The right option's text by prompt, as the probes put it."""
    items = (*load_suite("knowledge").items, *load_suite("groups").items)
    choices = [item for item in items if isinstance(item, Choice)]
    full = {choice_prompt(item): item.choices[item.answer] for item in choices}
    return full | {letters_prompt(item): ascii_uppercase[item.answer] for item in choices}


@cache
def _targets() -> dict[str, str]:
    return {
        item.text: item.target
        for item in load_suite("passages").items
        if isinstance(item, LastWord)
    }


@cache
def _sentences() -> dict[str, str]:
    """The more stereotyping sentence of its pair, by either sentence."""
    pairs = [item for item in load_suite("pairs").items if isinstance(item, Pair)]
    return {text: pair.more for pair in pairs for text in (pair.more, pair.less)}


def _text(prompt: Prompt) -> str:
    """The user's words; of several turns, all of them."""
    if isinstance(prompt, str):
        return prompt
    return "\n".join(message.content for message in prompt if message.role == "user")


def _opening(prompt: Prompt) -> str:
    """The words that the answer begins with; here a word is a token."""
    if isinstance(prompt, str) or prompt[-1].role != "assistant":
        return ""
    words = prompt[-1].content.split(" ")
    return " ".join(words[: prompt[-1].tokens]) + " "


def _dice(sampling: Sampling) -> str:
    """Greedy answers fall one way; drawn ones by their temperature and seed."""
    greedy = sampling.temperature == 0
    return "refuse" if greedy else f"refuse at {sampling.temperature} by {sampling.seed}"


def _draw(purpose: str, text: str) -> float:
    """A number in [0, 1) that is a function of its arguments."""
    return int.from_bytes(hashlib.sha256(f"{purpose}\n{text}".encode()).digest()[:8]) / 2.0**64
