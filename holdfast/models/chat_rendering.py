"""A conversation through a chat template, so that the words of its user stand in the prompt.

Some templates read a turn as a list of content parts and render nothing of plain text, some cut it,
some refuse a system turn or leave it out. A prompt without the question would be answered all the
same, and judged. So a rendering is looked through for the words that went in: where they are
missing, the turns are put as content parts, then with the system turn folded into the user's, and
where no form renders them, the template is refused.
"""

from collections.abc import Callable, Sequence
from typing import Any

from holdfast.errors import CheckpointRefused

Turn = tuple[str, str]  # role and words
Rendering = Callable[[list[dict[str, Any]]], str]  # raises CheckpointRefused where it cannot
HEARD = ("system", "user")  # whose words must stand; templates may cut an assistant's own
WRITTEN_OUT = ("'type': 'text'", '"type": "text"')  # a list of parts printed as it stands

WORDS_MISSING = (
    "the chat template leaves out words of the user's turn; "
    "use the template of the checkpoint's base model"
)
FOLDED = "the chat template takes no system turn, so its words were put before the user's"


def render_turns(render: Rendering, turns: Sequence[Turn]) -> tuple[str, bool]:
    """The prompt, and whether the system turn had to be folded into the user's."""
    refusals: list[CheckpointRefused] = []  # the first is of the turns as they are
    for form in dict.fromkeys((tuple(turns), tuple(fold_system(turns)))):
        for messages in (_plain(form), _parts(form)):
            try:
                text = render(messages)
            except CheckpointRefused as error:
                refusals.append(error)
                continue
            if _says(text, form):
                return text, form != tuple(turns)
            refusals.append(CheckpointRefused(WORDS_MISSING))
    raise refusals[0]


def _says(text: str, turns: Sequence[Turn]) -> bool:
    """Whether a prompt holds the words of every system and user turn, as plain text."""
    heard = [words.strip() for role, words in turns if role in HEARD]
    printed = [mark for mark in WRITTEN_OUT if mark in text]
    return all(words in text for words in heard) and not any(
        mark not in "".join(heard) for mark in printed
    )


def fold_system(turns: Sequence[Turn]) -> list[Turn]:
    """The same conversation with a system turn's words at the head of the user's first."""
    if len(turns) < 2 or turns[0][0] != "system" or turns[1][0] != "user":
        return list(turns)
    return [("user", f"{turns[0][1]}\n\n{turns[1][1]}"), *turns[2:]]


def _plain(turns: Sequence[Turn]) -> list[dict[str, Any]]:
    return [{"role": role, "content": words} for role, words in turns]


def _parts(turns: Sequence[Turn]) -> list[dict[str, Any]]:
    return [{"role": role, "content": [{"type": "text", "text": words}]} for role, words in turns]
