"""Models that think before they answer, with known thoughts, answers and marks."""

from pathlib import Path
from typing import Any

from tests.support.reciting_llama import COMPLIANCE, REFUSAL, build_reciting_llama
from tests.support.tiny_llama import CHAT_TEMPLATE

DOUBT = ("They ask for harm.", " I will not do it.")
ASSENT = ("They ask for harm.", " I shall do it.")
RAMBLE = ("Hmm,", " wait,", " again,")
BREAK = "\n\n"
PIECES = tuple(
    dict.fromkeys(("<think>", "</think>", BREAK, *DOUBT, *ASSENT, *RAMBLE, *REFUSAL, *COMPLIANCE))
)
OPENS_A_TRACE = CHAT_TEMPLATE.replace(
    "assistant\n' }}",
    "assistant\n' }}{{ '<think>\n\n</think>\n\n' if enable_thinking is false else '<think>\n' }}",
)


def build_thinker(
    folder: Path,
    thought: tuple[str, ...],
    answer: tuple[str, ...],
    *,
    closes: bool = True,
    opened: bool = False,
    **more: Any,
) -> Path:
    """A model that thinks, in marks that it writes itself or, if `opened`, that its prompt opens.

    One that never closes its thoughts goes through them for ever, and answers if they are closed.
    """
    begins = () if opened else ("<think>",)
    further: list[tuple[str, ...]] = [(BREAK, *answer, "")]
    if not closes:
        further.append((thought[-1], thought[0]))
    pieces = (*begins, *thought, *(("</think>", BREAK) if closes else ()))
    return build_reciting_llama(
        folder,
        pieces,
        all_pieces=PIECES,
        further=further,
        ends=False,
        template=OPENS_A_TRACE if opened else None,
        **more,
    )
