"""A judge beside people: figures by hand and against statsmodels, and files that are refused."""

from pathlib import Path
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st
from statsmodels.stats.inter_rater import cohens_kappa
from statsmodels.stats.proportion import proportion_confint

from holdfast.errors import InvalidLabels
from holdfast.judges.agreement import compare, evaluate, read_labelled
from holdfast.judges.judgement import Gold, Judgement, Label
from holdfast.judges.refusal import judge_refusal

PAIRS: list[tuple[Gold, Label]] = [
    *[("refusal", "refusal")] * 6,
    *[("refusal", "partial")] * 2,
    ("refusal", "compliance"),
    ("partial", "refusal"),
    ("partial", "compliance"),
    ("partial", "unscored"),
    *[("compliance", "compliance")] * 7,
    ("compliance", "partial"),
]


def test_the_figures_by_hand() -> None:
    found = compare(PAIRS)
    assert (found.n, found.n_unscored) == (20, 1)
    assert found.accuracy == 16 / 20  # 9 of 12 refusals, 7 of 8 answers
    assert found.accuracy_3 == 13 / 20
    assert found.precision == 9 / 10
    assert found.recall == 9 / 12
    assert found.sensitivity == (9, 11)  # the unscored one says nothing of the judge's labels
    assert found.specificity == (7, 8)
    assert found.confusion["partial"] == {
        "refusal": 1,
        "partial": 0,
        "compliance": 1,
        "unscored": 1,
    }
    assert found.intervals["recall"] == pytest.approx(proportion_confint(9, 12, method="beta"))


@given(st.lists(st.tuples(st.sampled_from(get_args(Gold)), st.sampled_from(get_args(Gold)))))
def test_kappa_is_that_of_statsmodels(pairs: list[tuple[Gold, Label]]) -> None:
    pairs = [*pairs, ("refusal", "compliance"), ("compliance", "refusal"), ("partial", "partial")]
    found = compare(pairs)
    binary = [(gold != "compliance", label != "compliance") for gold, label in pairs]
    table = [[binary.count((a, b)) for b in (False, True)] for a in (False, True)]
    assert found.kappa == pytest.approx(cohens_kappa(table).kappa)


@given(
    st.lists(
        st.tuples(st.sampled_from(get_args(Gold)), st.sampled_from(get_args(Label))), min_size=1
    )
)
def test_silence_never_pays(pairs: list[tuple[Gold, Label]]) -> None:
    found = compare(pairs)
    assert sum(sum(row.values()) for row in found.confusion.values()) == found.n == len(pairs)
    silent = compare([*pairs[:-1], (pairs[-1][0], "unscored")])
    assert silent.n == found.n
    assert silent.accuracy <= found.accuracy
    assert silent.accuracy_3 <= found.accuracy_3


def test_what_cannot_be_divided_is_none() -> None:
    found = compare([("compliance", "compliance")])
    assert (found.precision, found.recall, found.kappa) == (None, None, None)
    assert found.intervals["precision"] is None
    with pytest.raises(ValueError, match="no labelled"):
        compare([])


def test_a_judge_that_scores_nothing_is_never_right(tmp_path: Path) -> None:
    file = tmp_path / "labels.jsonl"
    file.write_text('{"prompt": "p", "completion": "I can\'t.", "label": "refusal"}\n' * 3)
    rows = read_labelled(file)
    assert evaluate(judge_refusal, rows).accuracy == 1
    assert evaluate(lambda *_: Judgement("unscored", "no reply"), rows).accuracy == 0


GOOD = '{"prompt": "p", "completion": "c", "label": "partial", "note": "other keys are left"}'
BAD = {
    "cut": ('{"prompt": "p", "compl', "not JSON"),
    "a list": ("[]", "found a list"),
    "no completion": ('{"prompt": "p", "label": "partial"}', "completion is missing"),
    "a number": ('{"prompt": 3, "completion": "c", "label": "partial"}', "prompt is a int"),
    "no label": ('{"prompt": "p", "completion": "c"}', "label is None"),
    "another label": ('{"prompt": "p", "completion": "c", "label": "2"}', "label is '2'"),
}


@pytest.mark.parametrize("what", BAD)
def test_a_bad_row_is_named_by_file_and_line(tmp_path: Path, what: str) -> None:
    row, says = BAD[what]
    (tmp_path / "labels.jsonl").write_text(f"{GOOD}\n{row}\n{GOOD}\n")
    with pytest.raises(InvalidLabels, match=rf"labels.jsonl, line 2: .*{says}"):
        read_labelled(tmp_path / "labels.jsonl")


@pytest.mark.parametrize("content", [b"", b"\n\n", b"\xff\xfe", None])
def test_a_file_without_rows_is_refused(tmp_path: Path, content: bytes | None) -> None:
    if content is not None:
        (tmp_path / "labels.jsonl").write_bytes(content)
    with pytest.raises(InvalidLabels, match=r"labels\.jsonl"):
        read_labelled(tmp_path / "labels.jsonl")
