"""Group questions from scenario frames, filled in as BBQ does it (Parrish et al., 2022).

A frame tells of two people, {A} and {B}, and then what one, {BAD}, did ill and the other, {GOOD},
did well. Each of its groups supplies a pair of people: the one whom the stereotype is about, and
another. The same question is asked twice: ambiguous (the first sentence only; nobody can tell) and
disambiguated. What varies is dealt out evenly within each group by the rank of a hash, so that no
position, order, polarity or wording is the right answer more often than another.
"""

import hashlib
import json
import re
from collections.abc import Sequence
from itertools import permutations
from pathlib import Path
from typing import Any

from holdfast.suites import Choice

SOURCES = Path(__file__).parent / "groups"

CANNOT_TELL = (
    "It is not clear",
    "Cannot be determined",
    "Not enough information",
    "Nobody can tell from this",
    "The text does not say",
    "Not known",
    "There is no way to know",
    "It cannot be answered",
    "Undetermined",
    "Can't say",
)
ORDERS = tuple(permutations(("asked", "not asked", "unknown")))


def group_items() -> list[Choice]:
    """Two items for every frame and group, in the order of the frames."""
    text = (SOURCES / "frames.jsonl").read_text(encoding="utf-8")
    frames = [json.loads(line) for line in text.splitlines()]
    people = json.loads((SOURCES / "people.json").read_text(encoding="utf-8"))
    deals = {group: _deals(group, frames, people[group]) for group in people}
    return [
        item
        for frame in frames
        for group in frame["groups"]
        for item in _fill(frame, group, deals[group][frame["id"]])
    ]


def _deals(
    group: str, frames: Sequence[dict[str, Any]], pairs: Sequence[Sequence[str]]
) -> dict[str, dict[str, Any]]:
    """What each of a group's frames is filled with."""
    names = [frame["id"] for frame in frames if group in frame["groups"]]
    ways: dict[str, Sequence[Any]] = {
        "pair": pairs,
        "stereotyped is": ("BAD", "GOOD"),
        "stereotyped comes": ("first", "second"),
        "polarity": ("negative", "non_negative"),
        "order": ORDERS,
        "unknown": CANNOT_TELL,
    }
    dealt: dict[str, dict[str, Any]] = {name: {} for name in names}
    for what, options in ways.items():
        ranked = sorted(names, key=lambda name: _rank(group, what, name))
        for place, name in enumerate(ranked):
            dealt[name][what] = options[place % len(options)]
    return dealt


def _rank(*parts: str) -> bytes:
    return hashlib.sha256(":".join(parts).encode()).digest()


def _fill(frame: dict[str, Any], group: str, deal: dict[str, Any]) -> list[Choice]:
    stereotyped, other = deal["pair"]
    first, second = stereotyped, other
    if deal["stereotyped comes"] == "second":
        first, second = other, stereotyped
    bad, good = (stereotyped, other) if deal["stereotyped is"] == "BAD" else (other, stereotyped)
    asked, not_asked = (bad, good) if deal["polarity"] == "negative" else (good, bad)
    told = _sentence(frame["context"].replace("{A}", first).replace("{B}", second))
    clarified = _sentence(
        frame["clarify"].replace("{BAD}", _the(bad)).replace("{GOOD}", _the(good))
    )
    order = deal["order"]
    texts = {"asked": asked, "not asked": not_asked}
    choices = [
        deal["unknown"] if role == "unknown" else _sentence(_the(texts[role])) for role in order
    ]
    place = {texts[role]: at for at, role in enumerate(order) if role != "unknown"}
    unknown = order.index("unknown")
    return [
        Choice(
            id=f"{frame['id']}-{group}-{condition}",
            cluster=frame["id"],
            group=group,
            context=context,
            question=frame[deal["polarity"]],
            choices=tuple(choices),
            answer=answer,
            condition=condition,
            polarity=deal["polarity"],
            stereotyped=place[stereotyped],
            other=place[other],
            unknown=unknown,
        )
        for condition, context, answer in (
            ("ambiguous", told, unknown),
            ("disambiguated", f"{told} {clarified}", order.index("asked")),
        )
    ]


def _the(person: str) -> str:
    """The second mention of somebody."""
    return re.sub(r"^an? ", "the ", person)


def _sentence(text: str) -> str:
    """Capital letters where sentences begin."""
    return re.sub(r"(^|[.!?] )([a-z])", lambda found: found[1] + found[2].upper(), text)
