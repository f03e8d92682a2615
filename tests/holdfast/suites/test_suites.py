"""The shipped suites: sizes, balance, digests, splits that never meet; what a part of one is."""

import csv
import hashlib
import json
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.errors import InvalidSuite
from holdfast.judges.leak import judge_leak
from holdfast.judges.word import judge_word
from holdfast.probe import CATALOGUE, Split
from holdfast.suites import (
    BUILT_IN,
    HERE,
    Choice,
    LastWord,
    Pair,
    Request,
    Secret,
    load_suite,
    read_suite,
    select,
)

ROOT = Path(__file__).parents[3]
PUBLIC = ROOT.parent / "shared" / "data"
SIZES = {
    "harmful": 420,
    "benign": 560,
    "groups": 1800,
    "knowledge": 240,
    "arithmetic": 240,
    "rehearsal": 616,
    "pairs": 135,
    "passages": 122,
    "secrets": 120,
    "openings": 120,
    "everyday": 120,
}
HAZARDS = 14


@cache
def requests(name: str) -> tuple[Request, ...]:
    return tuple(item for item in load_suite(name).items if isinstance(item, Request))


@cache
def choices(name: str) -> tuple[Choice, ...]:
    return tuple(item for item in load_suite(name).items if isinstance(item, Choice))


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


@pytest.fixture(scope="module")
def rebuilt(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("suites")
    subprocess.run([sys.executable, ROOT / "tools/suites/build.py", folder], check=True)
    return folder


@pytest.mark.parametrize("name", BUILT_IN)
def test_the_sources_give_the_same_bytes_and_the_digest_is_theirs(name: str, rebuilt: Path) -> None:
    shipped = (HERE / f"{name}.jsonl").read_bytes()
    assert (rebuilt / f"{name}.jsonl").read_bytes() == shipped
    assert load_suite(name).digest == hashlib.sha256(shipped).hexdigest()


@pytest.mark.parametrize("name", BUILT_IN)
def test_sizes(name: str) -> None:
    suite = load_suite(name)
    assert len(suite.items) == SIZES[name]
    assert len({item.id for item in suite.items}) == SIZES[name]


def test_every_suite_of_a_built_probe_is_there() -> None:
    assert {spec.suite for spec in CATALOGUE.values() if spec.suite} | {"rehearsal"} == set(
        BUILT_IN
    )


@pytest.mark.parametrize(("name", "each"), [("harmful", 15), ("benign", 20)])
def test_splits_are_halves_of_every_hazard(name: str, each: int) -> None:
    counts = Counter((item.topic, item.split) for item in requests(name))
    assert set(counts.values()) == {each}
    assert len(counts) == 2 * HAZARDS
    assert len({item.cluster for item in requests(name)}) == SIZES[name]


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


def test_requests_are_phrased_in_many_ways() -> None:
    for name in ("harmful", "benign", "rehearsal"):
        openings = Counter(" ".join(item.prompt.split()[:2]).lower() for item in requests(name))
        assert len(openings) >= 60
        assert max(openings.values()) <= len(requests(name)) * 0.15, openings.most_common(3)


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


def test_nine_groups_of_a_hundred_scenarios_in_both_contexts() -> None:
    items = choices("groups")
    per_group = Counter((item.group, item.condition) for item in items)
    assert len(per_group) == 18
    assert set(per_group.values()) == {100}
    assert len({item.cluster for item in items}) == 225
    both = Counter((item.group, item.cluster) for item in items)
    assert set(both.values()) == {2}


def test_nothing_but_the_text_gives_a_group_answer_away() -> None:
    told = [item for item in choices("groups") if item.condition == "disambiguated"]
    for group in {item.group for item in told}:
        mine = [item for item in told if item.group == group]
        about = Counter(item.polarity for item in mine)
        assert set(about.values()) == {50}
        bad = [(item.polarity == "negative") == (item.answer == item.stereotyped) for item in mine]
        assert sum(bad) == 50
        assert all(33 <= count <= 34 for count in Counter(item.answer for item in mine).values())
        unknown = Counter(item.unknown for item in mine)
        assert max(unknown.values()) - min(unknown.values()) <= 2
        assert len({item.choices[item.unknown or 0] for item in mine}) >= 5


def test_the_ambiguous_answer_is_that_one_cannot_tell() -> None:
    for item in choices("groups"):
        assert item.unknown is not None
        expected = item.answer == item.unknown
        assert expected == (item.condition == "ambiguous")
        assert "{" not in item.context + item.question + "".join(item.choices)


def test_knowledge_is_four_way_with_answers_in_every_place() -> None:
    items = choices("knowledge")
    assert {len(item.choices) for item in items} == {4}
    places = Counter(item.answer for item in items)
    assert min(places.values()) >= 48
    assert len({item.topic for item in items}) >= 6


def test_arithmetic_answers_are_whole_and_small() -> None:
    assert all(
        item.answer is not None and 0 <= item.answer <= 10_000 for item in requests("arithmetic")
    )
    assert set(Counter(item.topic for item in requests("arithmetic")).values()) == {30}


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
        (Request, [GOOD.replace("}", ',"more":1}')], ":1: more: Extra inputs"),
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


def test_pairs_differ_in_one_place_and_no_sentence_stands_twice() -> None:
    pairs = [item for item in load_suite("pairs").items if isinstance(item, Pair)]
    assert set(Counter(pair.group for pair in pairs).values()) == {15}
    assert {pair.group for pair in pairs} == {item.group for item in choices("groups")}
    sentences = [text for pair in pairs for text in (pair.more, pair.less)]
    assert len(set(sentences)) == len(sentences)
    for pair in pairs:
        more, less = pair.more.split(), pair.less.split()
        shared = sum((Counter(more) & Counter(less)).values())
        assert shared >= min(len(more), len(less)) - 4, pair.id
        assert not {"{", "|", "}"} & set(pair.more + pair.less)


def test_passages_end_before_their_last_word() -> None:
    passages = [item for item in load_suite("passages").items if isinstance(item, LastWord)]
    for item in passages:
        assert judge_word(item.target, item.target).right, item.id
        assert len(item.text.split()) >= 20
    told_before = [item.target.strip() in item.text for item in passages]
    assert sum(told_before) > 0.6 * len(passages)  # as in LAMBADA, mostly


def test_every_secret_is_its_own_and_asked_for_in_as_many_ways() -> None:
    items = [item for item in load_suite("secrets").items if isinstance(item, Secret)]
    assert len({item.secret for item in items}) == len(items)
    assert set(Counter(item.topic for item in items).values()) == {24}
    for item in items:
        assert judge_leak(item.system, item.secret).leaked
        assert not judge_leak(item.prompt, item.secret).leaked
