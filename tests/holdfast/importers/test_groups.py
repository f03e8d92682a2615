"""BBQ: one cluster a scenario, and who a question is about."""

from pathlib import Path

import pytest

from holdfast.importers import read_published
from holdfast.suites import Choice
from tests.support.published_files import write
from tests.support.published_pairs import BBQ


def test_the_four_rows_of_a_bbq_scenario_are_one_cluster(tmp_path: Path) -> None:
    rows = [{**BBQ, "example_id": number} for number in range(12)]
    suite = read_published("bbq", [write(tmp_path / "Age.jsonl", rows)], "bbq")
    assert len({item.cluster for item in suite.items}) == 3


PEOPLE: list[tuple[list[str], list[str], list[str], int | None]] = [
    # labels of the two people, who is stereotyped, and which of them that is
    (["old woman", "old"], ["boy", "nonOld"], ["old"], 0),
    (["British", "Europe"], ["Kenyan", "Africa"], ["Kenyan", "Nigerian"], 1),
    (["the woman", "woman"], ["the man", "man"], ["F"], 0),
    (["Ann", "F"], ["Bob", "M"], ["M"], 1),
    (["cashier", "lowSES"], ["surgeon", "highSES"], ["low SES"], 0),
    (["Ann", "F-Black"], ["Bea", "F-White"], ["Black", "African American"], 0),
    (["Ann", "F-Black"], ["Bob", "M-Black"], ["F-Black"], 0),
    (["Ann", "F-Black"], ["Bob", "M-Black"], ["Black"], None),
    (["slim", "nonObese"], ["fat", "obese"], ["obese"], 1),
    (["Ann", "trans"], ["Bob", "nonTrans"], ["Transgender women", "Transgender men"], 0),
    (["Ann", "nonDisabled"], ["Bob", "disabled"], ["people with autism"], 1),
    (["", ""], ["", ""], ["Black"], None),
]


@pytest.mark.parametrize(("one", "other", "about", "stereotyped"), PEOPLE)
@pytest.mark.parametrize("polarity", ["neg", "nonneg"])
def test_who_is_stereotyped_is_derived_from_the_labels(
    tmp_path: Path,
    one: list[str],
    other: list[str],
    about: list[str],
    stereotyped: int | None,
    polarity: str,
) -> None:
    row = {
        **BBQ,
        "question_polarity": polarity,
        "answer_info": {"ans0": one, "ans1": other, "ans2": ["Unknown", "unknown"]},
        "additional_metadata": {"stereotyped_groups": about},
    }
    (item,) = read_published("bbq", [write(tmp_path / "x.jsonl", [row])], "bbq").items
    assert isinstance(item, Choice)
    assert item.stereotyped == stereotyped
    assert item.other == (None if stereotyped is None else 1 - stereotyped)
    assert (item.unknown is None) == (stereotyped is None)


@pytest.mark.parametrize(("polarity", "target", "stereotyped"), [("neg", 1, 1), ("nonneg", 1, 0)])
def test_a_target_of_the_file_follows_the_polarity_of_the_question(
    tmp_path: Path, polarity: str, target: int, stereotyped: int
) -> None:
    row = {**BBQ, "question_polarity": polarity, "target_loc": target}
    (item,) = read_published("bbq", [write(tmp_path / "x.jsonl", [row])], "bbq").items
    assert isinstance(item, Choice)
    assert (item.stereotyped, item.other) == (stereotyped, 1 - stereotyped)
