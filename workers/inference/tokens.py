"""Prompts as token ids: the one rendering that all engines share, so that they ask the same thing.

The tokenizer is always the checkpoint's own; the chat template may be another's. A beginning token
is put in front of raw text where the tokenizer does so by itself, never in front of a rendered
chat (its template has written one), and never twice. A conversation that ends with the assistant
is rendered without that turn, and the turn's own tokens follow: its first k tokens are then just
that, whatever the template puts around a whole turn.
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import TemplateError
from transformers import AutoTokenizer, PreTrainedTokenizerFast

from holdfast.errors import CheckpointRefused
from holdfast.models import tokenizer_file
from holdfast.models.chat_rendering import FOLDED, render_turns
from holdfast.models.reasoning import Standing, TraceMarks
from holdfast.probes.engine import Arguments, Continuation, Message, Prompt
from workers.inference.template_canary import check_template

LAST_WORDS = "the last words of the user"
Tokenizer = Any  # transformers types it as a class without most of its methods


def load_tokenizer(checkpoint: Path) -> Tokenizer:
    """The checkpoint's tokenizer, from its own files only and without its code."""
    return load_noted_tokenizer(checkpoint)[0]


def load_noted_tokenizer(checkpoint: Path) -> tuple[Tokenizer, str | None]:
    """The tokenizer, and a sentence where its class would have read otherwise than its file."""
    return tokenizer_file.load_tokenizer(
        checkpoint,
        by_class=AutoTokenizer.from_pretrained,
        by_file=PreTrainedTokenizerFast.from_pretrained,
    )


def same_tokenizer(first: Tokenizer, second: Tokenizer) -> bool:
    """Whether both turn any text into the same tokens and back; False where that cannot be seen."""
    if not (first.is_fast and second.is_fast):
        return False
    return bool(
        first.backend_tokenizer.to_str() == second.backend_tokenizer.to_str()
        and first.special_tokens_map == second.special_tokens_map
    )


@dataclass(frozen=True, slots=True)
class Opened:
    """A prompt as token ids with the assistant's turn opened, or begun with `opening`.

    `standing` is what the prompt leaves of a trace of thoughts.
    """

    ids: list[int]
    opening: list[int]
    standing: Standing = "silent"


def open_turn(
    tokenizer: Tokenizer,
    template: str | None,
    prompt: Prompt,
    *,
    arguments: Arguments = (),
    marks: TraceMarks | None = None,
) -> Opened:
    """A raw text, or a conversation with the assistant's turn opened or begun.

    Words that are put into an assistant's mouth are where its answer begins, since that is what its
    user reads. So a trace that the prompt has opened is closed before them, empty: put inside, they
    would be a thought, which no attack begins and no server shows.
    """
    turns = prompt[:-1] if _is_begun(prompt) else prompt
    text = render(tokenizer, template, turns, arguments=arguments)
    opening = opening_ids(tokenizer, prompt)
    standing: Standing = "silent"
    if marks is not None:
        tail = _generation_prompt(tokenizer, template, turns, arguments)
        standing = marks.standing(tail)
        if _is_begun(prompt):
            text, standing = text + marks.before_answer(tail), "closed"
    return Opened(_ids(tokenizer, text, rendered=not _is_raw(prompt)) + opening, opening, standing)


def prompt_ids(tokenizer: Tokenizer, template: str | None, prompt: Prompt) -> list[int]:
    """Token ids of a raw text, or of a conversation with the assistant's turn opened or begun."""
    return open_turn(tokenizer, template, prompt).ids


def opening_ids(tokenizer: Tokenizer, prompt: Prompt) -> list[int]:
    """Token ids that the assistant's turn begins with; none where the model begins it."""
    if isinstance(prompt, str) or not _is_begun(prompt):
        return []
    ids = tokenizer(prompt[-1].content, add_special_tokens=False)["input_ids"]
    return [int(token) for token in ids[: prompt[-1].tokens]]


def decode_answer(
    tokenizer: Tokenizer, opening: Sequence[int], answer: Sequence[int]
) -> tuple[str, str]:
    """The opening's text and the model's own; decoded together, since words may cross the seam."""
    begun = str(tokenizer.decode(opening, skip_special_tokens=True))
    text = str(tokenizer.decode([*opening, *answer], skip_special_tokens=True))
    return begun, text.removeprefix(begun)


def draw_seed(seed: int, ids: Sequence[int]) -> int:
    """The seed that one prompt draws with: a number below 2**31 of the run's seed and its tokens.

    With one seed for all, the answers of all prompts would hang on the same draws, and items would
    not be independent.
    """
    digest = hashlib.sha256(f"{seed}:{list(ids)}".encode()).digest()
    return int.from_bytes(digest[:4]) >> 1


def continuation_ids(
    tokenizer: Tokenizer,
    template: str | None,
    continuation: Continuation,
    *,
    arguments: Arguments = (),
    marks: TraceMarks | None = None,
) -> tuple[list[int], int]:
    """Token ids of prompt and text together, and how many of them belong to the prompt.

    The text is an answer, so a trace that the prompt has opened is closed before it. After no
    prompt at all a text still needs something to follow: the beginning token, or the end token
    where there is none, as lm-evaluation-harness has it.
    """
    text = render(tokenizer, template, continuation.prompt, arguments=arguments)
    rendered = not _is_raw(continuation.prompt)
    if marks is not None and rendered:
        tail = _generation_prompt(tokenizer, template, continuation.prompt, arguments)
        text += marks.before_answer(tail)
    prompt = _ids(tokenizer, text, rendered=rendered)
    ids = _ids(tokenizer, text + continuation.text, rendered=rendered)
    if text == "" and not prompt:
        start = tokenizer.bos_token_id
        return [tokenizer.eos_token_id if start is None else start, *ids], 1
    return ids, len(prompt)


def render(
    tokenizer: Tokenizer, template: str | None, prompt: Prompt, *, arguments: Arguments = ()
) -> str:
    """The text that a prompt becomes; raises CheckpointRefused where a template fails or lacks."""
    if isinstance(prompt, str):
        return prompt
    if template is None and not tokenizer.chat_template:
        raise CheckpointRefused(
            "the checkpoint has no chat template and none was given; "
            "save the tokenizer with one, or evaluate with template: PATH"
        )
    check_template(tokenizer.get_chat_template(template))
    return _render(tokenizer, template, prompt, arguments)[0]


def system_note(
    tokenizer: Tokenizer,
    template: str | None,
    prompts: Sequence[Prompt],
    arguments: Arguments = (),
) -> str | None:
    """The note where these prompts hold a system turn that the template does not take."""
    for prompt in prompts:
        if not isinstance(prompt, str) and prompt[0].role == "system":
            return FOLDED if _render(tokenizer, template, prompt, arguments)[1] else None
    return None


def _render(
    tokenizer: Tokenizer,
    template: str | None,
    prompt: tuple[Message, ...],
    arguments: Arguments,
) -> tuple[str, bool]:
    def rendered(messages: list[dict[str, Any]]) -> str:
        try:
            text = tokenizer.apply_chat_template(
                messages,
                chat_template=template,
                tokenize=False,
                add_generation_prompt=True,
                **dict(arguments),
            )
        except (TemplateError, TypeError, LookupError) as error:
            raise CheckpointRefused(f"the chat template does not render: {error}") from error
        return str(text)

    return render_turns(rendered, [(message.role, message.content) for message in prompt])


def end_ids(tokenizer: Tokenizer, checkpoint: Path) -> tuple[int, ...]:
    """Every token that ends an answer: of the tokenizer, the config and the generation config."""
    ids = {tokenizer.eos_token_id}
    for name in ("config.json", "generation_config.json"):
        file = checkpoint / name
        named = json.loads(file.read_bytes()).get("eos_token_id") if file.is_file() else None
        ids.update(named if isinstance(named, list) else [named])
    return tuple(sorted(token for token in ids if isinstance(token, int)))


def _generation_prompt(
    tokenizer: Tokenizer, template: str | None, prompt: Prompt, arguments: Arguments
) -> str:
    """The text that a rendering adds after the last words of its user; none for raw text.

    Other words are put in their place, since those of a user may stand in it as well.
    """
    if isinstance(prompt, str):
        return ""
    last = max((at for at, turn in enumerate(prompt) if turn.role == "user"), default=None)
    if last is None:
        return ""
    turns = (*prompt[:last], Message("user", LAST_WORDS), *prompt[last + 1 :])
    return _render(tokenizer, template, turns, arguments)[0].rpartition(LAST_WORDS)[2]


def _is_raw(prompt: Prompt) -> bool:
    return isinstance(prompt, str)


def _is_begun(prompt: Prompt) -> bool:
    return not isinstance(prompt, str) and prompt[-1].role == "assistant"


def _ids(tokenizer: Tokenizer, text: str, *, rendered: bool) -> list[int]:
    begun = tokenizer.bos_token is not None and text.startswith(tokenizer.bos_token)
    ids = tokenizer(text, add_special_tokens=not (rendered or begun))["input_ids"]
    return [int(token) for token in ids]
