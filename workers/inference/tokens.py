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
from pathlib import Path
from typing import Any

from jinja2 import TemplateError
from transformers import AutoTokenizer, PreTrainedTokenizerFast

from holdfast import tokenizer_file
from holdfast.chat_rendering import FOLDED, render_turns
from holdfast.errors import CheckpointRefused
from workers.engine import Continuation, Message, Prompt
from workers.inference.template_canary import check_template

Tokenizer = Any  # transformers types it as a class without most of its methods


def load_tokenizer(checkpoint: Path) -> Tokenizer:
    """The checkpoint's tokenizer, from its own files only and without its code."""
    return load_noted_tokenizer(checkpoint)[0]


def load_noted_tokenizer(checkpoint: Path) -> tuple[Tokenizer, str | None]:
    """The same, and in one sentence where its class would have read otherwise than its file."""
    return tokenizer_file.load_tokenizer(
        checkpoint,
        by_class=AutoTokenizer.from_pretrained,
        by_file=PreTrainedTokenizerFast.from_pretrained,
    )


def same_tokenizer(one: Tokenizer, other: Tokenizer) -> bool:
    """Whether both turn any text into the same tokens and back; False where that cannot be seen."""
    if not (one.is_fast and other.is_fast):
        return False
    return bool(
        one.backend_tokenizer.to_str() == other.backend_tokenizer.to_str()
        and one.special_tokens_map == other.special_tokens_map
    )


def prompt_ids(tokenizer: Tokenizer, template: str | None, prompt: Prompt) -> list[int]:
    """Token ids of a raw text, or of a conversation with the assistant's turn opened or begun."""
    asked = prompt[:-1] if _is_begun(prompt) else prompt
    ids = _ids(tokenizer, render(tokenizer, template, asked), rendered=not _is_raw(prompt))
    return ids + opening_ids(tokenizer, prompt)


def opening_ids(tokenizer: Tokenizer, prompt: Prompt) -> list[int]:
    """Token ids that the assistant's turn begins with; none where the model begins it."""
    if isinstance(prompt, str) or not _is_begun(prompt):
        return []
    ids = tokenizer(prompt[-1].content, add_special_tokens=False)["input_ids"]
    return [int(token) for token in ids[: prompt[-1].tokens]]


def spoken(tokenizer: Tokenizer, opening: Sequence[int], said: Sequence[int]) -> tuple[str, str]:
    """The opening's text and the model's own; decoded together, since words may cross the seam."""
    begun = str(tokenizer.decode(opening, skip_special_tokens=True))
    whole = str(tokenizer.decode([*opening, *said], skip_special_tokens=True))
    return begun, whole.removeprefix(begun)


def draw_seed(seed: int, ids: Sequence[int]) -> int:
    """The seed that one prompt draws with: a number below 2**31 of the run's seed and its tokens.

    With one seed for all, the answers of all prompts would hang on the same draws, and items would
    not be independent.
    """
    digest = hashlib.sha256(f"{seed}:{list(ids)}".encode()).digest()
    return int.from_bytes(digest[:4]) >> 1


def continuation_ids(
    tokenizer: Tokenizer, template: str | None, asked: Continuation
) -> tuple[list[int], int]:
    """Token ids of prompt and text together, and how many of them belong to the prompt.

    After no prompt at all a text still needs something to follow: the beginning token, or the end
    token where there is none, as lm-evaluation-harness has it.
    """
    text = render(tokenizer, template, asked.prompt)
    rendered = not _is_raw(asked.prompt)
    prompt = _ids(tokenizer, text, rendered=rendered)
    ids = _ids(tokenizer, text + asked.text, rendered=rendered)
    if text == "" and not prompt:
        start = tokenizer.bos_token_id
        return [tokenizer.eos_token_id if start is None else start, *ids], 1
    return ids, len(prompt)


def render(tokenizer: Tokenizer, template: str | None, prompt: Prompt) -> str:
    """The text that a prompt becomes; raises CheckpointRefused where a template fails or lacks."""
    if isinstance(prompt, str):
        return prompt
    if template is None and not tokenizer.chat_template:
        raise CheckpointRefused(
            "the checkpoint has no chat template and none was given; "
            "save the tokenizer with one, or evaluate with template: PATH"
        )
    check_template(tokenizer.get_chat_template(template))
    return _render(tokenizer, template, prompt)[0]


def system_note(
    tokenizer: Tokenizer, template: str | None, prompts: Sequence[Prompt]
) -> str | None:
    """What to say where these prompts hold a system turn that the template does not take."""
    for prompt in prompts:
        if not isinstance(prompt, str) and prompt[0].role == "system":
            return FOLDED if _render(tokenizer, template, prompt)[1] else None
    return None


def _render(
    tokenizer: Tokenizer, template: str | None, prompt: tuple[Message, ...]
) -> tuple[str, bool]:
    def rendered(messages: list[dict[str, Any]]) -> str:
        try:
            text = tokenizer.apply_chat_template(
                messages, chat_template=template, tokenize=False, add_generation_prompt=True
            )
        except (TemplateError, TypeError, LookupError) as error:
            raise CheckpointRefused(f"the chat template does not render: {error}") from error
        return str(text)

    return render_turns(rendered, [(message.role, message.content) for message in prompt])


def end_ids(tokenizer: Tokenizer, checkpoint: Path) -> tuple[int, ...]:
    """Every token that ends an answer: of the tokenizer, the config and the generation config."""
    found = {tokenizer.eos_token_id}
    for name in ("config.json", "generation_config.json"):
        file = checkpoint / name
        named = json.loads(file.read_bytes()).get("eos_token_id") if file.is_file() else None
        found.update(named if isinstance(named, list) else [named])
    return tuple(sorted(token for token in found if isinstance(token, int)))


def _is_raw(prompt: Prompt) -> bool:
    return isinstance(prompt, str)


def _is_begun(prompt: Prompt) -> bool:
    return not isinstance(prompt, str) and prompt[-1].role == "assistant"


def _ids(tokenizer: Tokenizer, text: str, *, rendered: bool) -> list[int]:
    begun = tokenizer.bos_token is not None and text.startswith(tokenizer.bos_token)
    ids = tokenizer(text, add_special_tokens=not (rendered or begun))["input_ids"]
    return [int(token) for token in ids]
