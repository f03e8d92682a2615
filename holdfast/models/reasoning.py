"""How a model marks its thoughts, read from its folder: what it thinks is not what it answers.

One literal table of marks. Which of them a checkpoint uses follows from the tokens that its
tokenizer names and from its chat template, without loading either, so that a worker that looks for
cached answers and the engine that gives new ones come to the same.
"""

import json
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal

from holdfast.models.tokenizer_file import TOKENIZER

Standing = Literal["open", "closed", "silent"]


@dataclass(frozen=True, slots=True)
class TraceMarks:
    """Texts around a trace of thoughts.

    `tokens` are those that a tokenizer names; `closings` end a trace, and the answer follows.
    `forced` is written where a trace has to end; `begins_answer` stands before any answer, also one
    that was not thought about. `noise` is what else stands among the thoughts, as a pattern, and
    `between` what parts an answer from a second trace.
    """

    tokens: tuple[str, ...]
    opening: str
    closings: tuple[str, ...]
    forced: str
    noise: str
    begins_answer: str = ""
    between: str = ""

    def standing(self, tail: str) -> Standing:
        """Whether the end of a prompt leaves a trace open, has closed one, or says nothing."""
        opened = tail.rfind(self.opening)
        closed = max(tail.rfind(closing) for closing in self.closings)
        if opened > closed:
            return "open"
        return "closed" if closed >= 0 else "silent"

    def before_answer(self, tail: str) -> str:
        """The text that an answer needs before it at the end of such a prompt."""
        match self.standing(tail):
            case "open":
                return self.forced
            case "silent":
                return self.begins_answer
        return ""


def _tags(opening: str, closing: str, forced: str = "", label: str = "") -> TraceMarks:
    noise = f"{re.escape(opening)}{label}"
    return TraceMarks((opening, closing), opening, (closing,), forced or closing, noise)


MARKS: tuple[TraceMarks, ...] = (
    TraceMarks(  # harmony, of gpt-oss
        tokens=("<|channel|>", "<|message|>"),
        opening="<|channel|>",
        closings=(
            "<|channel|>final<|message|>",
            "<|channel|>final <|constrain|>json<|message|>",
            "<|channel|>commentary<|message|>",
        ),
        forced="<|end|><|start|>assistant<|channel|>final<|message|>",
        noise=r"<\|start\|>assistant|<\|channel\|>\w*|<\|message\|>|<\|end\|>",
        begins_answer="<|channel|>final<|message|>",
        between="<|end|><|start|>assistant",
    ),
    _tags("<think>", "</think>", "\n</think>\n\n"),  # DeepSeek, Qwen, GLM, Nemotron, OLMo and more
    _tags("[THINK]", "[/THINK]"),  # Mistral
    _tags("<seed:think>", "</seed:think>"),  # Seed-OSS
    _tags("<mm:think>", "</mm:think>"),  # MiniMax M3
    _tags("<|channel>", "<channel|>", label="(?:thought)?"),  # Gemma 4
    _tags("<|START_THINKING|>", "<|END_THINKING|>", "<|END_THINKING|><|START_RESPONSE|>"),  # Cohere
    _tags("\u25c1think\u25b7", "\u25c1/think\u25b7"),  # Kimi
)


def marks_of(folder: Path, template: str | None) -> TraceMarks | None:
    """The marks that a checkpoint's tokenizer names, else those that its chat template writes."""
    named = named_tokens(folder)
    for marks in MARKS:
        if named.issuperset(marks.tokens):
            return marks
    for marks in MARKS:
        if any(mark in (template or "") for mark in (marks.opening, *marks.closings)):
            return marks
    return None


@cache
def marks_thoughts(folder: Path, digest: str, template: str | None) -> bool:  # noqa: ARG001  # of that content
    """Whether a checkpoint has any marks, read once for each content."""
    return marks_of(folder, template) is not None


def named_tokens(folder: Path) -> set[str]:
    """Which tokens of the table a tokenizer has as one token each; none where it has no files."""
    tokenizer, config = (_object(folder / name) for name in (TOKENIZER, "tokenizer_config.json"))
    tokens = {entry["content"] for entry in tokenizer.get("added_tokens", [])}
    tokens |= {entry["content"] for entry in config.get("added_tokens_decoder", {}).values()}
    tokens |= set(_object(folder / "added_tokens.json"))
    vocabulary = tokenizer.get("model", {}).get("vocab", {})
    tokens |= set(
        vocabulary if isinstance(vocabulary, dict) else (piece for piece, *_ in vocabulary)
    )
    return tokens & {token for marks in MARKS for token in marks.tokens}


def _object(file: Path) -> dict[str, Any]:
    document = json.loads(file.read_bytes()) if file.is_file() else {}
    return document if isinstance(document, dict) else {}
