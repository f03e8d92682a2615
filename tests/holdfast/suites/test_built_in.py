"""What is shipped: sizes, balance, and that nothing but the text gives an answer away."""

import hashlib
import subprocess
import sys
from collections import Counter
from functools import cache
from pathlib import Path

import pytest

from holdfast.judges.leak import judge_leak
from holdfast.judges.word import judge_word
from holdfast.probes.table import CATALOGUE
from holdfast.suites import (
    BUILT_IN,
    HERE,
    Choice,
    LastWord,
    Pair,
    Request,
    Secret,
    load_suite,
)

ROOT = Path(__file__).parents[3]
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


@cache
def requests(name: str) -> tuple[Request, ...]:
    return tuple(item for item in load_suite(name).items if isinstance(item, Request))


@cache
def choices(name: str) -> tuple[Choice, ...]:
    return tuple(item for item in load_suite(name).items if isinstance(item, Choice))


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


def test_requests_are_phrased_in_many_ways() -> None:
    for name in ("harmful", "benign", "rehearsal"):
        openings = Counter(" ".join(item.prompt.split()[:2]).lower() for item in requests(name))
        assert len(openings) >= 60
        assert max(openings.values()) <= len(requests(name)) * 0.15, openings.most_common(3)


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
