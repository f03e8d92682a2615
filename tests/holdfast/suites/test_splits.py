"""Halves that never meet: screen, confirm and the rehearsal pool, by behaviour and by wording."""

import csv
import json
import re
from collections import Counter
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from holdfast.suites import Request, load_suite

ROOT = Path(__file__).parents[3]
PUBLIC = ROOT.parent / "shared" / "data"
HAZARDS = 14


@cache
def requests(name: str) -> tuple[Request, ...]:
    return tuple(item for item in load_suite(name).items if isinstance(item, Request))


def words(text: str) -> frozenset[str]:
    return frozenset(re.findall(r"[a-z0-9']+", text.lower()))


def nearest(prompts: list[str], others: list[str]) -> tuple[float, str, str]:
    """The highest Jaccard similarity of two token sets, and the texts that have it."""
    bags, other_bags = [words(text) for text in prompts], [words(text) for text in others]
    column = {word: at for at, word in enumerate(sorted(frozenset().union(*bags, *other_bags)))}

    def counted(bags: list[frozenset[str]]) -> np.ndarray:
        table = np.zeros((len(bags), len(column)), dtype=np.float32)
        for row, bag in enumerate(bags):
            table[row, [column[word] for word in bag]] = 1
        return table

    mine, theirs = counted(bags), counted(other_bags)
    common = mine @ theirs.T
    jaccard = common / (mine.sum(1)[:, None] + theirs.sum(1) - common)
    row, at = np.unravel_index(jaccard.argmax(), jaccard.shape)
    return float(jaccard[row, at]), prompts[row], others[at]


@pytest.mark.parametrize(("name", "each"), [("harmful", 15), ("benign", 20)])
def test_splits_are_halves_of_every_hazard(name: str, each: int) -> None:
    counts = Counter((item.topic, item.split) for item in requests(name))
    assert set(counts.values()) == {each}
    assert len(counts) == 2 * HAZARDS
    assert len({item.cluster for item in requests(name)}) == len(requests(name))


def test_every_behaviour_has_a_look_alike_in_its_own_split() -> None:
    splits = {item.id: item.split for item in requests("harmful")}
    assert {item.matches for item in requests("benign")} == set(splits)
    assert all(item.split == splits[str(item.matches)] for item in requests("benign"))


def test_the_rehearsal_pool_is_in_neither_split_and_large_enough() -> None:
    counts = Counter(item.kind for item in requests("rehearsal"))
    assert min(counts.values()) >= 240
    assert set(counts) == {"harmful", "benign"}
    assert {item.split for item in requests("rehearsal")} == {None}


def by_split() -> dict[str, list[str]]:
    asked = (*requests("harmful"), *requests("benign"))
    return {
        "screen": [item.prompt for item in asked if item.split == "screen"],
        "confirm": [item.prompt for item in asked if item.split == "confirm"],
        "rehearsal": [item.prompt for item in requests("rehearsal")],
    }


@pytest.mark.parametrize(
    ("one", "other"), [("screen", "confirm"), ("screen", "rehearsal"), ("confirm", "rehearsal")]
)
def test_splits_do_not_near_duplicate_each_other(one: str, other: str) -> None:
    similarity, prompt, near = nearest(by_split()[one], by_split()[other])
    assert similarity < 0.6, (prompt, near)


@pytest.mark.parametrize("name", ["harmful", "benign", "rehearsal", "arithmetic"])
def test_no_request_stands_twice(name: str) -> None:
    bags = [words(item.prompt) for item in requests(name)]
    assert len({item.prompt for item in requests(name)}) == len(bags)
    if name != "arithmetic":  # whose questions share their form, and differ in numbers
        assert len(set(bags)) == len(bags)


def published() -> Iterator[str]:
    columns = {
        "advbench/harmful_behaviors.csv": "goal",
        "harmbench/harmbench_behaviors_text_val.csv": "Behavior",
        "jailbreakbench/jbb_behaviors_harmful.csv": "Goal",
        "xstest/xstest_prompts.csv": "prompt",
    }
    for name, column in columns.items():
        with (PUBLIC / name).open(encoding="utf-8", newline="") as file:
            yield from (row[column] for row in csv.DictReader(file))
    benign = (PUBLIC / "jailbreakbench/jbb_behaviors_benign_98.jsonl").read_text(encoding="utf-8")
    yield from (json.loads(line)["goal"] for line in benign.splitlines())


@pytest.mark.skipif(not PUBLIC.is_dir(), reason="no public data on this machine")
def test_requests_are_our_own() -> None:
    ours = [prompt for split in by_split().values() for prompt in split]
    similarity, prompt, near = nearest(ours, list(published()))
    assert similarity < 0.7, (prompt, near)
