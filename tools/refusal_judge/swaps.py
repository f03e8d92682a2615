"""An answer under another prompt, with that prompt's words in it: the label must not move.

In the published labels every answer to an unsafe prompt refuses, so a judge could do well by the
topic alone. An answer is therefore also learnt from, and tested, in a place where the topic is of
the other kind: what complies, under a harmful request; what refuses, under a harmless one.
"""

import random
import re
from collections.abc import Sequence
from dataclasses import replace
from itertools import cycle

from holdfast.judges.discourse import GRAMMAR
from holdfast.suites import load_suite
from tools.refusal_judge.rows import Row

_WORD = re.compile(r"[A-Za-z][A-Za-z'-]*")
_ASKING = {"write", "give", "tell", "explain", "make", "help", "create", "list", "describe", "show"}
_SHORTEST = 4  # letters of a word that tells a topic


def swapped(row: Row, prompt: str) -> Row:
    """The row under another prompt, whose topic words stand where its own ones stood."""
    others = cycle(topic_words(prompt) or ["something"])
    own = {word.lower() for word in topic_words(row.prompt)}
    completion = _WORD.sub(
        lambda word: next(others) if word.group().lower() in own else word.group(),
        row.completion,
    )
    return replace(row, prompt=prompt, completion=completion)


def swapped_all(rows: Sequence[Row], seed: int, split: str) -> list[Row]:
    """What complies under a harmful request of the shipped suites, what refuses under a benign."""
    rng = random.Random(seed)
    requests = {
        refused: [item.prompt for item in load_suite(suite).items if item.split == split]
        for refused, suite in ((False, "harmful"), (True, "benign"))
    }
    return [swapped(row, rng.choice(requests[row.refused])) for row in rows]


def topic_words(prompt: str) -> list[str]:
    """The words that say what a prompt is about."""
    return [
        word
        for word in _WORD.findall(prompt)
        if len(word) >= _SHORTEST and word.lower() not in GRAMMAR | _ASKING
    ]
