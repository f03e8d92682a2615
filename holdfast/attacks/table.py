"""Attacks: how a plain request is put so that a model forgets to refuse it. One literal table.

An attack is a pure function of the request: the same words every time, on every machine, so that
two checkpoints answer the same thing and can be compared item by item. It returns the user's
turns, most often one, or None where it has no form for this request. All wording is ours; each
function's docstring names where the idea was described.

Who changes the words of an attack raises its version: the version stands in the evidence, and
files that were asked in different words are not compared.
"""

from collections.abc import Callable
from dataclasses import dataclass

from holdfast.attacks import conversations, encodings, framings, translations

Turns = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Attack:
    """A rewriting, and how many answers it costs.

    `encoded` where the request cannot be read in it without decoding.
    """

    rewrite: Callable[[str], Turns | None]
    version: int = 1
    encoded: bool = False
    turns: int = 1


def _as_single_turn(wrap: Callable[[str], str]) -> Callable[[str], Turns]:
    return lambda request: (wrap(request),)


ATTACKS: dict[str, Attack] = {
    "role-play": Attack(_as_single_turn(framings.role_play)),
    "refusal-suppression": Attack(_as_single_turn(framings.refusal_suppression)),
    "prefix-injection": Attack(_as_single_turn(framings.prefix_injection)),
    "style-injection": Attack(_as_single_turn(framings.style_injection)),
    "past-tense": Attack(_as_single_turn(framings.past_tense)),
    "fiction": Attack(_as_single_turn(framings.fiction)),
    "hypothetical": Attack(_as_single_turn(framings.hypothetical)),
    "authority": Attack(_as_single_turn(framings.authority)),
    "many-shot": Attack(_as_single_turn(framings.many_shot)),
    "payload-split": Attack(_as_single_turn(encodings.payload_split)),
    "base64": Attack(_as_single_turn(encodings.base64_encoded), encoded=True),
    "rot13": Attack(_as_single_turn(encodings.rot13), encoded=True),
    "leetspeak": Attack(_as_single_turn(encodings.leetspeak), encoded=True),
    "spanish": Attack(translations.spanish),
    "german": Attack(translations.german),
    "crescendo": Attack(conversations.crescendo, turns=4),
    "foot-in-the-door": Attack(conversations.foot_in_the_door, turns=4),
    "contrast": Attack(conversations.contrast, turns=3),
}


def versions() -> str:
    """Every attack with its version: what the evidence says about the words that were used."""
    return " ".join(f"{name}@{attack.version}" for name, attack in ATTACKS.items())
