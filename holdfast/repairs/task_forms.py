"""The forms in which people keep training rows, each known by its keys: what was asked, the answer.

A row is a conversation that ends with an answer. The last assistant turn is what is learnt and
measured; the user's turn before it is the prompt, and whatever stands before that (a system turn,
earlier turns of both) is its history, given to the model as turns and never learnt. A conversation
that ends otherwise, tool calls and pictures have no such reading and are refused.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from holdfast.checkpoints.json_files import abridged
from holdfast.errors import InvalidTaskData
from holdfast.models.chat_rendering import Turn

ROLES = {  # as conversations name them, and as templates do
    "user": "user",
    "human": "user",
    "assistant": "assistant",
    "gpt": "assistant",
    "system": "system",
    "developer": "system",
}


class RowForm(NamedTuple):
    """A way to write a row: the keys that it must have, and the turns that they stand for."""

    name: str
    keys: frozenset[str]
    turns: Callable[[Mapping[str, Any], str], list[Turn]]


def turns_of(content: Mapping[str, Any], form: RowForm, place: str) -> list[Turn]:
    """The turns of one row of a file of this form, the answer last.

    Raises InvalidTaskData naming the place and what is wrong there.
    """
    missing = sorted(form.keys - content.keys())
    others = [other for other in FORMS if other is not form and other.keys <= content.keys()]
    if others:
        raise InvalidTaskData(
            f"{place}: it has {_keys(others[0])}, but the first row has {_keys(form)} alone; "
            "keep one form in a file"
        )
    if missing:
        raise InvalidTaskData(f"{place}: no {missing[0]}; every row needs one")
    if content.get("tools"):
        raise InvalidTaskData(f"{place}: it has tools, which are not supported; remove the row")
    turns = form.turns(content, place)
    roles = [role for role, _ in turns]
    if roles[-2:] != ["user", "assistant"]:
        raise InvalidTaskData(
            f"{place}: it ends with {' and '.join(roles[-2:]) or 'nothing'}, expected a user's "
            "turn and an assistant's answer to it; cut it there or remove the row"
        )
    if "system" in roles[1:]:
        raise InvalidTaskData(f"{place}: a system turn stands in the middle, expected it first")
    return turns


def form_of(content: Mapping[str, Any], place: str) -> RowForm:
    """The form of a file, told from its first row; InvalidTaskData where that is none, or two."""
    matches = [form for form in FORMS if form.keys <= content.keys()]
    if len(matches) == 1:
        return matches[0]
    keys = f"{', '.join(sorted(content)):.200}" or "none"
    if matches:
        raise InvalidTaskData(
            f"{place}: its keys ({keys}) make it {' and '.join(form.name for form in matches)} at "
            "once; keep the keys of one of them"
        )
    expected = "; ".join(_keys(form) for form in FORMS)
    raise InvalidTaskData(f"{place}: its keys are {keys}, expected those of one form: {expected}")


def _keys(form: RowForm) -> str:
    return " and ".join(sorted(form.keys, reverse=form.name == "prompt and completion"))


def _prompt_and_completion(content: Mapping[str, Any], place: str) -> list[Turn]:
    """Plain texts, or lists of messages as TRL has them."""
    prompt, answer = content["prompt"], content["completion"]
    before = _messages(prompt, place) if isinstance(prompt, list) else [("user", prompt)]
    after = _messages(answer, place) if isinstance(answer, list) else [("assistant", answer)]
    return [*before, *after]


def _chat(content: Mapping[str, Any], place: str) -> list[Turn]:
    return _messages(content["messages"], place)


def _instruction(content: Mapping[str, Any], place: str) -> list[Turn]:
    """Alpaca: what the instruction is about stands below it."""
    if content.get("history"):
        raise InvalidTaskData(f"{place}: it has a history; write the conversation as messages")
    instruction, about = content["instruction"], content.get("input")
    if isinstance(about, str) and about.strip() and isinstance(instruction, str):
        instruction = f"{instruction}\n\n{about}"
    return [*_system(content), ("user", instruction), ("assistant", content["output"])]


def _share_gpt(content: Mapping[str, Any], place: str) -> list[Turn]:
    return [*_system(content), *_messages(content["conversations"], place)]


def _system(content: Mapping[str, Any]) -> list[Turn]:
    return [("system", content["system"])] if content.get("system") else []


def _messages(turns: Any, place: str) -> list[Turn]:
    if not isinstance(turns, list):
        raise InvalidTaskData(f"{place}: a {type(turns).__name__}, expected a list of messages")
    return [_message(turn, f"{place}, turn {number}") for number, turn in enumerate(turns, start=1)]


def _message(turn: Any, place: str) -> Turn:
    match turn:
        case {"role": role, "content": words} | {"from": role, "value": words}:
            pass
        case _:
            raise InvalidTaskData(f"{place}: expected role and content, or from and value")
    if not isinstance(role, str) or role not in ROLES:
        raise InvalidTaskData(
            f"{place}: its role is {abridged(role)}, expected one of {', '.join(ROLES)}; "
            "remove the row"
        )
    return ROLES[role], _words(words)


def _words(words: Any) -> Any:
    """Content parts that are all text, as the one text that they are."""
    match words:
        case [*parts] if all(
            isinstance(part, dict) and part.get("type") == "text" for part in parts
        ):
            return "\n".join(str(part.get("text", "")) for part in parts)
    return words  # what is no text is refused where texts are checked


FORMS: Sequence[RowForm] = (
    RowForm("prompt and completion", frozenset({"prompt", "completion"}), _prompt_and_completion),
    RowForm("messages", frozenset({"messages"}), _chat),
    RowForm("alpaca", frozenset({"instruction", "output"}), _instruction),
    RowForm("ShareGPT", frozenset({"conversations"}), _share_gpt),
)
