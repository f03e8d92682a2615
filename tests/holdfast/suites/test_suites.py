"""A suite by its name and a part of it: balanced, nested, the same every time, or refused."""

import re
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.errors import InvalidSuite
from holdfast.job import Split
from holdfast.suites import BUILT_IN, Choice, Request, load_suite, read_suite, select


@pytest.mark.parametrize(
    ("name", "size", "strata"),
    [("harmful", 40, 14), ("harmful", 160, 14), ("benign", 40, 14), ("benign", 280, 14)],
)
@pytest.mark.parametrize("split", ["screen", "confirm"])
def test_a_part_is_balanced_over_hazards(name: str, size: int, strata: int, split: Split) -> None:
    part = select(load_suite(name), size, split)
    counts = Counter(item.topic for item in part)
    assert (len(part), len(counts)) == (size, strata)
    assert max(counts.values()) - min(counts.values()) <= 1
    assert {item.split for item in part} == {split}


def test_a_part_of_the_groups_takes_whole_scenarios_each_once() -> None:
    part = select(load_suite("groups"), 400, "screen")
    assert len(part) == 400
    assert set(Counter(item.cluster for item in part).values()) == {2}
    counts = Counter(item.group for item in part)
    assert (len(counts), max(counts.values()) - min(counts.values())) == (9, 2)
    assert part == select(load_suite("groups"), 400, "confirm")


@settings(max_examples=30)
@given(
    st.sampled_from(sorted(BUILT_IN)), st.integers(0, 300), st.integers(0, 300), st.integers(0, 5)
)
def test_a_smaller_part_lies_inside_a_larger_one(name: str, a: int, b: int, seed: int) -> None:
    small, large = sorted((a, b))
    inner = select(load_suite(name), small, "screen", seed)
    outer = select(load_suite(name), large, "screen", seed)
    assert len(inner) <= small
    assert {item.id for item in inner} <= {item.id for item in outer}
    assert inner == select(load_suite(name), small, "screen", seed)


def test_all_is_everything_of_the_split_and_seeds_differ() -> None:
    suite = load_suite("harmful")
    assert len(select(suite, None, "confirm")) == len(select(suite, 9_999, "confirm")) == 210
    assert select(suite, 40, "screen", 0) != select(suite, 40, "screen", 1)


GOOD = '{"id":"a","cluster":"a","topic":"t","prompt":"p"}'
CHOICE = '{"id":"a","cluster":"a","question":"q","choices":["x","y","z"],"answer":0%s}'


@pytest.mark.parametrize(
    ("form", "lines", "words_of_it"),
    [
        (Request, [GOOD, GOOD], ":2: id 'a' stands already in line 1"),
        (Request, [GOOD, '{"id":'], ":2: the line: Invalid JSON"),
        (Request, [GOOD, ""], ":2: the line: Invalid JSON"),
        (Request, [GOOD.replace('"p"', '""')], ":1: prompt: String should have at least 1"),
        (Request, [GOOD.replace('"p"', "3")], ":1: prompt: Input should be a valid string"),
        (Request, [GOOD.replace("}", ',"more":1}')], ":1: unknown key more"),
        (Request, [GOOD.replace("}", ',"split":"train"}')], ":1: split: Input should be"),
        (Request, ['{"id":"a"}'], ":1: cluster: Field required"),
        (Request, [], "holds no items"),
        (Choice, [CHOICE.replace("0", "3") % ""], "answer 3 is none of 3 choices"),
        (Choice, [CHOICE.replace('"y"', '""') % ""], "must be non-empty"),
        (Choice, [CHOICE % ',"stereotyped":0,"other":0,"unknown":2'], "do not name three options"),
        (Choice, [CHOICE % ',"stereotyped":0'], "do not name three options"),
    ],
)
def test_a_damaged_file_is_refused_by_line(
    form: type[Request | Choice], lines: list[str], words_of_it: str, tmp_path: Path
) -> None:
    path = tmp_path / "mine.jsonl"
    path.write_text("".join(f"{line}\n" for line in lines))
    with pytest.raises(InvalidSuite, match=re.escape(words_of_it)):
        read_suite("mine", path, form)


def test_an_unknown_or_absent_suite_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidSuite, match="unknown suite 'nope'; there are harmful"):
        load_suite("nope")
    with pytest.raises(InvalidSuite, match="cannot be read"):
        read_suite("mine", tmp_path / "absent.jsonl", Request)
