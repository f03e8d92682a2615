"""How an open checkpoint reads and is read: tokenizer, template, end tokens, marks of thoughts.

Everything between what a probe asks and the token ids that an engine computes with, and back. All
engines use it, so that they ask the same and understand the same.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from holdfast.models.reasoning import TraceMarks, marks_of, named_tokens
from holdfast.models.tokenizer_file import embedded_tokens, refuse_unknown_tokens
from holdfast.probes.engine import Arguments, Continuation, Prompt, Sampling
from workers.inference.loading.model_config import blaming
from workers.inference.marks import SpelledMarks, spell
from workers.inference.tokens import (
    Tokenizer,
    continuation_ids,
    end_ids,
    load_noted_tokenizer,
    open_turn,
    system_note,
)
from workers.inference.traces import Turn


@dataclass(frozen=True, slots=True)
class Reading:
    """How a checkpoint reads; `note` says where its tokenizer's class would read otherwise."""

    checkpoint: Path
    tokenizer: Tokenizer
    ends: frozenset[int]
    embedded: int
    note: str | None
    template: str | None = None
    marks: SpelledMarks | None = None

    def with_template(self, template: str | None) -> "Reading":
        """The same with this chat template in place of its own."""
        marks = marks_of(self.checkpoint, template or self.tokenizer.chat_template)
        named = named_tokens(self.checkpoint)
        spelling = None if marks is None else spell(marks, self.tokenizer, named)
        return replace(self, template=template, marks=spelling)

    def notes(self, prompts: Sequence[Prompt], arguments: Arguments) -> list[str]:
        """Notes for people on how these prompts are put."""
        note = system_note(self.tokenizer, self.template, prompts, arguments)
        return [note] if note else []

    def turn(self, prompt: Prompt, sampling: Sampling, room: int) -> Turn | None:
        """The answer to a prompt, yet to be drawn; None where there is no room for one.

        Raises CheckpointRefused where the model cannot read the prompt.
        """
        arguments = sampling.template_arguments
        opened = open_turn(
            self.tokenizer, self.template, prompt, arguments=arguments, marks=self._texts
        )
        refuse_unknown_tokens(opened.ids, self.embedded)
        if len(opened.ids) + sampling.max_tokens > room:
            return None
        return Turn(self.tokenizer, self.ends, self.marks, opened, sampling, room)

    def continuation(
        self, continuation: Continuation, arguments: Arguments
    ) -> tuple[list[int], int]:
        """Token ids of prompt and text together, and how many of them belong to the prompt."""
        ids, prompt = continuation_ids(
            self.tokenizer, self.template, continuation, arguments=arguments, marks=self._texts
        )
        refuse_unknown_tokens(ids, self.embedded)
        return ids, prompt

    @property
    def _texts(self) -> TraceMarks | None:
        return None if self.marks is None else self.marks.texts


def read_checkpoint(checkpoint: Path) -> Reading:
    """Read a checkpoint's tokenizer files; raises CheckpointRefused where they do not load."""
    with blaming("one of its tokenizer's files", "tokenizer"):
        tokenizer, note = load_noted_tokenizer(checkpoint)
        ends = frozenset(end_ids(tokenizer, checkpoint))
        return Reading(checkpoint, tokenizer, ends, embedded_tokens(checkpoint), note)
