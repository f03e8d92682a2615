"""The questions of a probe and the replies to them, kept apart from what a judge makes of them.

A question is asked once for ever: its `fingerprint` is the exact content that reaches the model,
so an answer stored under it serves every later judge, policy and name. Nothing here knows what a
good answer is.
"""

import hashlib
import json
import math
from dataclasses import asdict, dataclass
from itertools import chain
from typing import Any

from holdfast.evidence.answer_text import with_opening
from holdfast.probes.engine import Completion, Continuation, Message, Prompt, Score
from holdfast.repairs.task_data import Row


@dataclass(frozen=True, slots=True)
class Drawn:
    """A sampled answer: the temperature, and the seed that both sides share."""

    temperature: float
    seed: int


@dataclass(frozen=True, slots=True)
class Generate:
    """A prompt to be answered in at most `max_tokens` tokens.

    `drawn` is how, where not as the evaluation's other answers are; `until` the texts that end it.
    """

    prompt: Prompt
    max_tokens: int
    drawn: Drawn | None = None
    until: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class Converse:
    """The user's turns, each put after the target's reply to the one before it."""

    turns: tuple[str, ...]
    max_tokens: int


@dataclass(frozen=True, slots=True)
class Dialogue:
    """The target's replies to every turn of a conversation, in order."""

    said: tuple[Completion, ...]

    def to_json(self) -> dict[str, Any]:
        """The stored document."""
        return {"said": [completion.to_json() for completion in self.said]}

    @property
    def tokens(self) -> int:
        """Tokens generated in all turns."""
        return sum(completion.tokens for completion in self.said)


Place = tuple[int, int]  # of a reply: its question, and which of its asks
Ask = Generate | Converse | Continuation
ASK_KINDS: dict[type[Ask], str] = {  # in fingerprints, under which answers are stored
    Generate: "generate",
    Converse: "converse",
    Continuation: "continuation",
}
Reply = Completion | Dialogue | Score


@dataclass(frozen=True, slots=True)
class Roles:
    """Positions of the target's option and of "unknown", and the context that the item gives."""

    target: int
    unknown: int
    context: str


@dataclass(frozen=True, slots=True)
class Question:
    """One item in one variant.

    `expected` is what a judge needs beside the reply: the position of the right option, or the
    right number; `target` the right word, `roles` whose options those of a group question are,
    `request` the plain words of what an attack disguises. They are no part of what is asked.
    """

    item: str
    cluster: str
    asks: tuple[Ask, ...]
    group: str | None = None
    variant: str = "plain"
    expected: int | None = None
    request: str = ""
    target: str | None = None
    roles: Roles | None = None

    @property
    def prompt_text(self) -> str:
        """The last words of the user in the first ask, unrendered."""
        ask = self.asks[0]
        if isinstance(ask, Converse):
            return ask.turns[-1]
        if isinstance(ask.prompt, str):
            return ask.prompt
        return next(turn.content for turn in reversed(ask.prompt) if turn.role == "user")

    @property
    def opens_a_turn(self) -> bool:
        """Whether a model is left to begin a turn of a chat, and may think before it answers."""
        return any(
            isinstance(ask, Converse)
            or (
                isinstance(ask, Generate)
                and not isinstance(ask.prompt, str)
                and ask.prompt[-1].role != "assistant"
            )
            for ask in self.asks
        )

    @property
    def prompts(self) -> int:
        """How many prompts of a budget it takes: one, or each turn of a conversation."""
        return max(len(ask.turns) if isinstance(ask, Converse) else 1 for ask in self.asks)

    def fingerprint(self) -> str:
        """Canonical JSON of everything that reaches the model, and of nothing else.

        What is not set is left out, so that a new option changes no fingerprint that lacks it.
        """
        asks = [{"kind": ASK_KINDS[type(ask)], **_present_fields(ask)} for ask in self.asks]
        return json.dumps(asks, ensure_ascii=True, sort_keys=True, separators=(",", ":"))


@dataclass(frozen=True, slots=True)
class Answer:
    """The replies to a question's asks, in their order."""

    replies: tuple[Reply, ...]

    @property
    def text(self) -> str:
        """The model's words; in a conversation, those in reply to its last turn."""
        match self.replies:
            case (Completion(text=text),) | (Dialogue(said=(*_, Completion(text=text))),):
                return text
        raise TypeError(f"this answer holds {len(self.replies)} replies, expected one completion")

    @property
    def full_text(self) -> str:
        """`text` with the opening that was put before it; nothing where the model said nothing."""
        match self.replies:
            case (Completion() as completion,) | (Dialogue(said=(*_, Completion() as completion)),):
                return with_opening(completion.opening, completion.text)
        raise TypeError(f"this answer holds {len(self.replies)} replies, expected one completion")

    @property
    def completions(self) -> tuple[Completion, ...]:
        """Everything that a model said, turn by turn."""
        single = [(reply,) for reply in self.replies if isinstance(reply, Completion)]
        turns = [reply.said for reply in self.replies if isinstance(reply, Dialogue)]
        return tuple(chain.from_iterable((*single, *turns)))

    @property
    def scores(self) -> tuple[Score, ...]:
        """The scores of a question that asked for log-probabilities."""
        return tuple(reply for reply in self.replies if isinstance(reply, Score))

    @property
    def tokens(self) -> int:
        """Tokens that were generated or scored."""
        return sum(reply.tokens for reply in self.replies)

    @property
    def too_long(self) -> bool:
        """Whether a part of the question did not fit the engine's context, and was not asked."""
        flat_replies = (
            flat_reply
            for reply in self.replies
            for flat_reply in (reply.said if isinstance(reply, Dialogue) else (reply,))
        )
        return any(flat_reply.too_long for flat_reply in flat_replies)

    def to_json(self) -> dict[str, Any]:
        """A document of strict JSON, which knows no NaN: a score that is not finite is null."""
        return {"replies": [reply.to_json() for reply in self.replies]}

    @classmethod
    def from_json(cls, document: dict[str, Any]) -> "Answer":
        """The inverse of `to_json`; null comes back as NaN."""
        return cls(tuple(_reply_from_json(reply) for reply in document["replies"]))


def _present_fields(ask: Ask) -> dict[str, Any]:
    fields: dict[str, Any] = asdict(
        ask, dict_factory=lambda pairs: {name: value for name, value in pairs if value is not None}
    )
    return fields


def _reply_from_json(reply: dict[str, Any]) -> Reply:
    if "text" in reply:
        return Completion(**reply)
    if "said" in reply:
        return Dialogue(tuple(Completion(**completion) for completion in reply["said"]))
    logprob = math.nan if reply["logprob"] is None else reply["logprob"]
    return Score(logprob, reply["tokens"], reply.get("greedy"), reply.get("too_long", False))


def chat(text: str) -> tuple[Message, ...]:
    """A conversation of one user turn."""
    return (Message("user", text),)


def chat_of(row: Row) -> tuple[Message, ...]:
    """The conversation that a row of task data asks, its history before its prompt."""
    return tuple(Message(role, words) for role, words in row.prompt_turns)


def row_digest(row: Row) -> str:
    """64 hex digits of a row; a row without a history has those that it always had."""
    text = f"{len(row.prompt)}\n{row.prompt}{row.completion}"
    if row.history:
        text = json.dumps(row.to_json())
    return hashlib.sha256(text.encode()).hexdigest()
