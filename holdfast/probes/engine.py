"""The interface of engines (vLLM, transformers, a script), which answer what probes ask.

An engine holds one checkpoint at a time and yields answers as they come, in any order, each with
the index of its question, so that a caller can save them one by one and a lost worker loses little.
It knows no suites, judges or thresholds. Implementations live in `workers.inference`; the pipeline
sees the one in `workers.children.supervisor`, which speaks to a runner in another process.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

from holdfast.settings import MAX_MODEL_LEN


@dataclass(frozen=True, slots=True)
class Message:
    """One turn of a conversation.

    An assistant's turn at the end of a prompt is not closed: the model goes on from its words, of
    which only the first `tokens`, as its own tokenizer counts, are put there; None puts all.
    """

    role: str
    content: str
    tokens: int | None = None


Scalar = str | int | float | bool | None
Arguments = tuple[tuple[str, Scalar], ...]  # of a chat template, by name
ARGUMENT = "template."  # begins their names in evidence

Prompt = str | tuple[Message, ...]
"""Raw text, or a conversation that the engine renders with the evaluation's chat template."""


@dataclass(frozen=True, slots=True)
class Sampling:
    """How answers are drawn; temperature 0 is greedy, and then the seed plays no part.

    `until` are texts before which an answer ends, where it comes to say one. `template_arguments`
    are what the chat template is told, such as enable_thinking. Thoughts before an answer are kept
    apart from it and have `trace_tokens` to themselves; with none, nothing is kept apart.

    Every prompt draws by itself, from the seed and its own tokens: neither the batch nor the other
    prompts matter, and two checkpoints that read the same tokens draw alike.
    """

    max_tokens: int
    temperature: float = 0.0
    seed: int = 0
    until: tuple[str, ...] = ()
    template_arguments: Arguments = ()
    trace_tokens: int = 0

    def to_json(self) -> dict[str, Any]:
        """The document in evidence and cache keys; what is not set is left out."""
        document: dict[str, Any] = {
            "max_tokens": self.max_tokens,
            "temperature": self.temperature,
            "seed": self.seed,
        }
        if self.until:
            document["until"] = self.until
        if self.trace_tokens:
            document["trace_tokens"] = self.trace_tokens
        return document | {f"{ARGUMENT}{name}": value for name, value in self.template_arguments}

    @classmethod
    def from_json(cls, document: dict[str, Any]) -> "Sampling":
        """The inverse of `to_json`, also of what JSON made of its tuples."""
        fields = {name: value for name, value in document.items() if not name.startswith(ARGUMENT)}
        arguments = tuple(
            (name.removeprefix(ARGUMENT), value)
            for name, value in document.items()
            if name.startswith(ARGUMENT)
        )
        until = tuple(fields.pop("until", ()))
        return cls(**fields, until=until, template_arguments=arguments)


@dataclass(frozen=True, slots=True)
class Completion:
    """A model's answer to one prompt; `tokens` counts the generated ones.

    `finish` is `stop`, `length`, or `nan`: then a logit was not a number, and the text is empty.
    `opening` is what its turn began with where that was put into its mouth; `text` goes on there.
    `trace` is what it thought before it said that, and is no part of `text`; `forced` where the
    thoughts came to the end of their budget and were closed for it.
    """

    text: str
    finish: str
    tokens: int
    opening: str = ""
    trace: str = ""
    forced: bool = False

    def to_json(self) -> dict[str, Any]:
        """The stored document: thoughts only where it had some."""
        unset = {name for name in ("trace", "forced") if not getattr(self, name)}
        return {name: value for name, value in asdict(self).items() if name not in unset}

    @property
    def too_long(self) -> bool:
        """Whether it was not asked, because prompt and answer do not fit the engine's context."""
        return self.finish == "length" and self.tokens == 0


@dataclass(frozen=True, slots=True)
class Score:
    """Summed log-probability in nats (<= 0, or not finite) of a continuation of `tokens` tokens.

    `greedy`: whether each of them was the likeliest at its place; None where that is not known.
    `too_long`: it was not asked, because it does not fit the engine's context.
    """

    logprob: float
    tokens: int
    greedy: bool | None = None
    too_long: bool = False

    def to_json(self) -> dict[str, Any]:
        """The stored document, in strict JSON, which knows no NaN: null is not finite."""
        if not math.isfinite(self.logprob):
            marked = {"too_long": True} if self.too_long else {}
            return {"logprob": None, "tokens": self.tokens, **marked}
        return {"logprob": self.logprob, "tokens": self.tokens, "greedy": self.greedy}


@dataclass(frozen=True, slots=True)
class Backend:
    """The software that computed an answer; two backends' answers are not comparable."""

    name: str
    version: str
    dtype: str
    max_model_len: int = MAX_MODEL_LEN  # tokens of prompt and answer; what is longer is not asked
    quantisation: str | None = None  # of the weights that it computes with
    tensor_parallel: int = 1  # devices over which sums are split, and so rounded otherwise

    def to_json(self) -> dict[str, Any]:
        """The document in evidence and cache keys; optional fields only where they are set."""
        unset = {"max_model_len": MAX_MODEL_LEN, "quantisation": None, "tensor_parallel": 1}
        return {
            name: value
            for name, value in asdict(self).items()
            if name not in unset or value != unset[name]
        }


@dataclass(frozen=True, slots=True)
class Continuation:
    """A text whose log-probability after a prompt is asked for.

    Tokenised as lm-evaluation-harness does: prompt and text together, cut at the prompt's length.
    """

    prompt: Prompt
    text: str


def before(text: str, until: Sequence[str]) -> str:
    """`text` up to the first of the texts that it ends at."""
    return min((text.partition(end)[0] for end in until), key=len, default=text)


class Engine(Protocol):
    """One loaded model. Not thread-safe; one call at a time."""

    @property
    def backend(self) -> Backend:
        """The backend of every answer, known before any checkpoint is open."""

    def examine(self, checkpoint: Path) -> None:
        """Raise CheckpointRefused where its files make no model; no weight is read."""

    def open(self, checkpoint: Path, template: str | None) -> None:
        """Load weights, in place where the architecture allows; `template` replaces their own."""

    def generate(
        self, prompts: Sequence[Prompt], sampling: Sampling
    ) -> Iterator[tuple[int, Completion]]:
        """Answer every prompt once, as (index, completion) in any order."""

    def logprobs(
        self, continuations: Sequence[Continuation], arguments: Arguments = ()
    ) -> Iterator[tuple[int, Score]]:
        """Score every continuation once, as (index, score) in any order.

        `arguments` are what the chat template is told.
        """

    def take_notes(self) -> list[str]:
        """Sentences on what was out of the ordinary in files and prompts since the last call.

        Nothing that changes what may be compared; each is told to people once.
        """

    def close(self) -> None:
        """Free the device."""
