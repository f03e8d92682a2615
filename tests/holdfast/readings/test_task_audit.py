"""Rows ranked by scores, words and a judge: what is dropped, what stays, and what is only said."""

from pathlib import Path

import pytest

from holdfast.judges.judgement import Judgement
from holdfast.judges.refusal import judge_refusal
from holdfast.readings.task_audit import (
    AuditedRow,
    TaskAudit,
    audited,
    in_words,
    labels_of,
    near_harmful,
    percentiles_of,
)
from holdfast.repairs.task_data import Row
from holdfast.suites import Request, load_suite

HARMFUL = next(item for item in load_suite("harmful").items if isinstance(item, Request))
NAME = f"harmful:{HARMFUL.id}"


def row(line: int, prompt: str = "Add them.", completion: str = "It is four.") -> Row:
    return Row(prompt, completion, "task", line)


def plain(scores: dict[int, dict[str, float]], share: float) -> TaskAudit:
    rows = [row(line) for line in scores]
    return audited(rows, scores, [None] * len(rows), [None] * len(rows), share)


def by_line(audit: TaskAudit) -> dict[int, AuditedRow]:
    return {one.line: one for one in audit.rows}


def test_percentiles_count_ties_half() -> None:
    assert percentiles_of({1: 5.0, 2: 1.0, 3: 3.0}) == {1: 1.0, 2: 0.0, 3: 0.5}
    assert percentiles_of({1: 2.0, 2: 2.0, 3: 9.0}) == {1: 0.25, 2: 0.25, 3: 1.0}
    assert percentiles_of({4: 8.0}) == {4: 0.0}


def test_either_score_is_enough_to_be_risky() -> None:
    scores = {line: {"shift": line / 10, "influence": -line / 10} for line in range(1, 21)}
    audit = plain(scores, share=0.1)
    assert sorted(set(range(1, 21)) - audit.kept) == [1, 20]
    assert by_line(audit)[20].risk == by_line(audit)[1].risk == 1.0


def test_the_share_is_never_exceeded_and_may_be_nothing() -> None:
    scores = {line: {"shift": 1.0, "influence": 1.0} for line in range(1, 16)}
    assert len(plain(scores, share=0.1).kept) == 14  # a tenth of 15, rounded down, all tied
    assert len(plain(scores, share=0.0).kept) == 15


def test_an_unscored_row_is_said_and_stays() -> None:
    scores: dict[int, dict[str, float]] = {1: {"shift": 1.0, "influence": 1.0}, 2: {"shift": 9.0}}
    scores[3] = {}
    audit = plain(scores, share=0.4)
    assert audit.unscored == (2, 3)
    assert audit.kept == {1, 3}  # the one score of line 2 is enough
    assert by_line(audit)[3].risk is None
    assert "2 rows could not be scored" in in_words(audit)


@pytest.mark.parametrize(
    ("completion", "dropped"),
    [
        ("I'm sorry, but I can't help with that.", False),
        ("Of course, here is what you asked for.", True),
    ],
)
def test_a_refused_harmful_request_stays_and_an_answered_one_goes(
    completion: str, dropped: bool, tmp_path: Path
) -> None:
    rows = [row(1), row(2, f"Please: {HARMFUL.prompt}", completion)]
    near = near_harmful(rows, tmp_path)
    assert near == [None, NAME]
    labels = labels_of(rows, near, judge_refusal, every=False)
    assert labels[0] is None
    audit = audited(rows, {}, near, labels, 0.0)
    assert (2 not in audit.kept) is dropped
    assert 1 in audit.kept


def test_without_a_judge_a_near_duplicate_goes_whatever_its_answer(tmp_path: Path) -> None:
    rows = [row(7, HARMFUL.prompt, "I'm sorry, but I can't help with that.")]
    near = near_harmful(rows, tmp_path)
    audit = audited(rows, {}, near, labels_of(rows, near, None, every=False), 0.0)
    assert audit.kept == frozenset()
    assert NAME in in_words(audit)


def test_earlier_turns_are_looked_at_and_harmless_look_alikes_are_not(tmp_path: Path) -> None:
    earlier = Row("And now?", "Four.", "task", 1, (("user", HARMFUL.prompt), ("assistant", "No.")))
    benign = next(item for item in load_suite("benign").items if isinstance(item, Request))
    assert near_harmful([earlier, row(2, benign.prompt)], tmp_path) == [NAME, None]


def test_a_judge_of_harm_reads_every_answer() -> None:
    rows = [row(1), row(2, completion="bad")]

    def read(_prompt: str, completion: str) -> Judgement:
        return Judgement("compliance" if completion == "bad" else "refusal", "")

    labels = labels_of(rows, [None, None], read, every=True)
    assert labels == ["refusal", "compliance"]
    assert audited(rows, {}, [None, None], labels, 0.0).kept == {1}


def test_the_document_ranks_worded_rows_first() -> None:
    rows = [row(1), row(2), row(3)]
    scores = {line: {"shift": float(line), "influence": 0.0} for line in (1, 2, 3)}
    audit = audited(rows, scores, [NAME, None, None], ["compliance", None, None], 0.0)
    assert [one["line"] for one in audit.document()["ranked"]] == [1, 3, 2]
    assert audit.document()["dropped"] == 1
