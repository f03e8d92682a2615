"""Turns the sources beside this file into the suites that Holdfast ships.

    python tools/suites/build.py [FOLDER]

Same sources, same bytes: nothing is drawn, and a test compares. People write `hazards/*.txt`
(blocks of `H:` a harmful request and `B:` its look-alikes, then `RH:` and `RB:` lines for the
rehearsal pool), `groups/` (scenarios, see scenarios.py), `knowledge/questions.jsonl`,
`pairs/GROUP.txt` (sentences with {the more|the less} stereotyping word) and
`passages/passages.txt` (the last word is the target), `openings/` and `everyday/` (a request a
line); secrets_suite.py invents the secrets.
"""

import json
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import count
from pathlib import Path

from holdfast.job import Split
from holdfast.suites import BUILT_IN, HERE, Choice, LastWord, Pair, Request, Row, canonical
from holdfast.suites.arithmetic import arithmetic_items

sys.path.insert(0, str(Path(__file__).parent))
from scenarios import group_items  # a script beside this one, no package
from secrets_suite import secret_items

SOURCES = Path(__file__).parent


@dataclass(slots=True)
class Hazard:
    """One file of requests: blocks of a behaviour and its look-alikes, and the rehearsal lines."""

    name: str
    blocks: list[tuple[str, list[str]]] = field(default_factory=list)
    rehearsal: list[tuple[str, str]] = field(default_factory=list)


def read_hazards() -> list[Hazard]:
    """All hazards, by name; stops at the first line of another form."""
    return [_read_hazard(path) for path in sorted((SOURCES / "hazards").glob("*.txt"))]


def _read_hazard(path: Path) -> Hazard:
    hazard = Hazard(path.stem.replace("_", "-"))
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        match line.split(": ", 1):
            case ["H", text]:
                hazard.blocks.append((text, []))
            case ["B", text] if hazard.blocks:
                hazard.blocks[-1][1].append(text)
            case ["RH" | "RB" as mark, text]:
                hazard.rehearsal.append(("harmful" if mark == "RH" else "benign", text))
            case _:
                raise SystemExit(f"{path}:{number}: expected H:, B:, RH: or RB:, found {line!r}")
    return hazard


def _behaviours(hazard: Hazard) -> Iterator[tuple[str, Split, str, list[str]]]:
    for number, (request, look_alikes) in enumerate(hazard.blocks, start=1):
        yield f"{hazard.name}-{number:02}", _split(number), request, look_alikes


def _split(number: int) -> Split:
    return "screen" if number % 2 else "confirm"


def harmful() -> list[Request]:
    """One request a behaviour, every other one held out for `confirm`."""
    return [
        Request(id=name, cluster=name, split=split, topic=hazard.name, prompt=request)
        for hazard in read_hazards()
        for name, split, request, _ in _behaviours(hazard)
    ]


def benign() -> list[Request]:
    """The look-alikes, each a behaviour of its own, in the split of the one that it resembles."""
    return [
        Request(
            id=f"{name}-{letter}",
            cluster=f"{name}-{letter}",
            split=split,
            topic=hazard.name,
            prompt=prompt,
            matches=name,
        )
        for hazard in read_hazards()
        for name, split, _, look_alikes in _behaviours(hazard)
        for letter, prompt in zip("abcdefgh", look_alikes, strict=False)
    ]


def rehearsal() -> list[Request]:
    """The pool that training may draw from; in neither split."""
    items = []
    for hazard in read_hazards():
        numbers = {"harmful": count(1), "benign": count(1)}
        for kind, prompt in hazard.rehearsal:
            name = f"rehearsal-{hazard.name}-{kind}-{next(numbers[kind]):02}"
            items.append(
                Request.model_validate(
                    {"id": name, "cluster": name, "topic": hazard.name, "kind": kind}
                    | {"prompt": prompt}
                )
            )
    return items


def knowledge() -> list[Choice]:
    """The questions as they were written, in the file's order."""
    text = (SOURCES / "knowledge" / "questions.jsonl").read_text(encoding="utf-8")
    rows = map(json.loads, text.splitlines())
    return [Choice.model_validate_json(json.dumps(row | {"cluster": row["id"]})) for row in rows]


def pairs() -> list[Pair]:
    """Each sentence twice, group by group, the more stereotyping one first in its braces."""
    return [
        Pair(
            id=f"pair-{path.stem}-{number:02}",
            cluster=f"pair-{path.stem}-{number:02}",
            group=path.stem,
            more=_WAYS.sub(r"\1", line),
            less=_WAYS.sub(r"\2", line),
        )
        for path in sorted((SOURCES / "pairs").glob("*.txt"))
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1)
    ]


_WAYS = re.compile(r"\{([^|}]+)\|([^|}]+)\}")


def passages() -> list[LastWord]:
    """One passage a line, cut before the space of its last word."""
    text = (SOURCES / "passages" / "passages.txt").read_text(encoding="utf-8")
    cut = (line.rpartition(" ") for line in text.splitlines())
    return [
        LastWord(id=f"passage-{n:03}", cluster=f"passage-{n:03}", text=start, target=f" {word}")
        for n, (start, _, word) in enumerate(cut, start=1)
    ]


def prompts(folder: str, name: str) -> list[Request]:
    """One request a line."""
    text = (SOURCES / folder / f"{folder}.txt").read_text(encoding="utf-8")
    return [
        Request(id=f"{name}-{n:03}", cluster=f"{name}-{n:03}", prompt=line)
        for n, line in enumerate(text.splitlines(), start=1)
    ]


SUITES: dict[str, Callable[[], Sequence[Row]]] = {
    "harmful": harmful,
    "benign": benign,
    "groups": group_items,
    "knowledge": knowledge,
    "arithmetic": arithmetic_items,
    "rehearsal": rehearsal,
    "pairs": pairs,
    "passages": passages,
    "secrets": secret_items,
    "openings": partial(prompts, "openings", "opening"),
    "everyday": partial(prompts, "everyday", "everyday"),
}


def suite_bytes(name: str) -> bytes:
    """The file of one suite."""
    return "".join(f"{canonical(item)}\n" for item in SUITES[name]()).encode()


def main() -> None:
    """Write every suite into the folder given, or where Holdfast reads them."""
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else HERE
    for name in BUILT_IN:
        (folder / f"{name}.jsonl").write_bytes(suite_bytes(name))


if __name__ == "__main__":
    main()
