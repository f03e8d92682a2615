"""The published files, where they lie on this machine: counts as their papers give them."""

import os
from collections import Counter
from pathlib import Path

import pytest

from holdfast.importers import read_published
from holdfast.importers.groups import bbq
from holdfast.importers.install import install, near_items
from holdfast.importers.records import read_records
from holdfast.suites import Choice, LoadedSuite, Request

NEXT_DOOR = Path(__file__).parents[4] / "shared" / "data"
PUBLIC = Path(os.environ.get("HOLDFAST_SHARED_DATA", NEXT_DOOR))
pytestmark = pytest.mark.skipif(not PUBLIC.is_dir(), reason="no public data on this machine")

COUNTS = [  # format, files, items, groups, clusters
    ("advbench", ["advbench/harmful_behaviors.csv"], 520, 0, 520),
    ("harmbench", ["harmbench/harmbench_behaviors_text_val.csv"], 80, 0, 80),
    ("xstest", ["xstest/xstest_prompts.csv"], 450, 0, 450),
    ("simplesafetytests", ["simplesafetytests/simple_safety_tests.csv"], 100, 0, 100),
    (
        "bbq",
        [f"bbq/{name}.jsonl" for name in ("Age", "Nationality", "Religion", "Sexual_orientation")],
        3200,
        4,
        800,
    ),
    ("crows-pairs", ["crows_pairs/crows_pairs_anonymized.csv"], 1508, 9, 1507),
    ("gsm8k", ["gsm8k/test.jsonl"], 1319, 0, 1319),
    ("mmlu", ["mmlu/dev_fewshot.jsonl"], 570, 0, 569),
    ("arc", ["arc/ARC-Challenge_test.jsonl", "arc/ARC-Easy_test.jsonl"], 2365, 0, 2365),
    ("piqa", ["piqa/piqa_valid.jsonl"], 1838, 0, 1838),
    ("boolq", ["boolq/boolq_dev.jsonl"], 1500, 0, 1500),
    ("winogrande", ["winogrande/winogrande_dev.jsonl"], 1267, 0, 1267),
    ("lambada", ["lambada/lambada_openai.jsonl"], 2500, 0, 2500),
    ("alpaca", ["alpaca_seed_tasks/seed_tasks.jsonl"], 175, 0, 175),
    ("preferences", ["dpo_en_demo/dpo_en_demo.jsonl"], 300, 0, 295),
]


def published(form: str, files: list[str]) -> LoadedSuite:
    return read_published(form, [PUBLIC / name for name in files], "public")


def jailbreakbench() -> LoadedSuite:
    files = ["jbb_behaviors_harmful.csv", "jbb_behaviors_benign_98.jsonl"]
    return published("jailbreakbench", [f"jailbreakbench/{name}" for name in files])


@pytest.mark.parametrize(("form", "files", "items", "groups", "clusters"), COUNTS)
def test_counts(form: str, files: list[str], items: int, groups: int, clusters: int) -> None:
    suite = published(form, files)
    assert len(suite.items) == items
    assert len({item.group for item in suite.items} - {None}) == groups
    assert len({item.cluster for item in suite.items}) == clusters
    assert published(form, files).digest == suite.digest


def test_halves_are_told_apart() -> None:
    kinds = [
        Counter(item.kind for item in suite.items if isinstance(item, Request))
        for suite in (
            published("xstest", ["xstest/xstest_prompts.csv"]),
            jailbreakbench(),
            published("harmbench", ["harmbench/harmbench_behaviors_text_val.csv"]),
        )
    ]
    assert kinds[0] == {"benign": 250, "harmful": 200}
    assert kinds[1] == {"harmful": 100, "benign": 98}
    assert kinds[2] == {"harmful": 60, "copyright": 20}


def test_every_benign_request_of_jailbreakbench_names_its_harmful_twin() -> None:
    items = [item for item in jailbreakbench().items if isinstance(item, Request)]
    harmful = {item.id: item.topic for item in items if item.kind == "harmful"}
    twins = [(item.matches, item.topic) for item in items if item.kind == "benign"]
    assert all(harmful[str(twin)] == topic for twin, topic in twins)


def test_the_overlap_of_two_sets_is_found(tmp_path: Path) -> None:
    source = PUBLIC / "advbench/harmful_behaviors.csv"
    install(
        read_published("advbench", [source], "advbench"),
        tmp_path,
        form="advbench",
        files=[source],
    )
    near = Counter(near_items(jailbreakbench(), tmp_path))
    assert 15 <= near["advbench"] <= 19


@pytest.mark.parametrize("name", ["Age", "Nationality", "Religion", "Sexual_orientation"])
def test_derived_targets_are_those_of_the_authors(name: str) -> None:
    path = PUBLIC / "bbq" / f"{name}.jsonl"
    for record in read_records([path]):
        given = bbq(record)
        del record.fields["target_loc"]
        assert bbq(record) == given


def test_the_right_answer_of_an_ambiguous_question_is_that_one_cannot_know() -> None:
    items = published("bbq", ["bbq/Age.jsonl", "bbq/Religion.jsonl"]).items
    for item in items:
        assert isinstance(item, Choice)
        assert (item.answer == item.unknown) == (item.condition == "ambiguous")
